//! A service with a page of its own, which opens what the test requests, a `WebSocket` that echoes (RFC 6455), and a
//! stream of events that a test sends one by one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, mpsc},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::common::{
    PATIENCE,
    recorder::{Seen, request_on},
    upstream,
};

const PAGE: &str = include_str!("stage.html");

/// A request to the service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A listener for the events.
    Listener { caller: String, last_event_id: String },
    /// The closing frame of a `WebSocket`.
    Close { code: u16, reason: String },
    /// The end of a connection without a closing frame.
    Cut,
}

/// The data for the listener; `None` ends the stream.
type Event = Option<&'static str>;

pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    came: mpsc::Receiver<Came>,
    events: mpsc::Sender<Event>,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let ((tells, came), (events, to_send)) = (mpsc::channel(), mpsc::channel());
        let (tells, to_send) = (Mutex::new(tells), Arc::new(Mutex::new(to_send)));
        let address = upstream(move |stream| {
            let tells = tells.lock().unwrap().clone();
            // A listener that has left gets nothing.
            let _ = serve(stream, &tells, &to_send);
        });
        Self { address, came, events }
    }

    #[track_caller]
    pub(crate) fn came(&self) -> Came {
        self.came.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("nothing came: {error}"))
    }

    pub(crate) fn send(&self, event: &'static str) {
        self.events.send(Some(event)).unwrap();
    }

    /// Ends the stream of events.
    pub(crate) fn end(&self) {
        self.events.send(None).unwrap();
    }
}

fn serve(mut stream: TcpStream, tells: &mpsc::Sender<Came>, events: &Mutex<mpsc::Receiver<Event>>) -> io::Result<()> {
    let Some(request) = request_on(&stream) else { return Ok(()) };
    let path = request.line.split(' ').nth(1).unwrap();
    if path.ends_with("/socket") {
        let end = echo(&mut stream, &request).unwrap_or(Came::Cut);
        // The test may be over.
        let _ = tells.send(end);
        return Ok(());
    }
    if !path.ends_with("/events") {
        let length = PAGE.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n");
        return stream.write_all(format!("{head}{PAGE}").as_bytes());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n")?;
    let events = events.lock().unwrap();
    let (caller, last_event_id) = (request.all("x-user-id").concat(), request.all("last-event-id").concat());
    let _ = tells.send(Came::Listener { caller, last_event_id });
    while let Ok(Some(event)) = events.recv() {
        stream.write_all(event.as_bytes())?;
    }
    Ok(())
}

/// Echoes every frame until a closing one, and returns that.
fn echo(stream: &mut TcpStream, request: &Seen) -> io::Result<Came> {
    let key = request.all("sec-websocket-key").concat();
    let accept = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    let accept = BASE64_STANDARD.encode(accept);
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept";
    stream.write_all(format!("HTTP/1.1 101 Switching Protocols\r\n{lines}: {accept}\r\n\r\n").as_bytes())?;
    let mut is_closing = false;
    loop {
        let (first, payload) = read_frame(stream)?;
        // The page requests a closing frame with this code and reason.
        if let Some(asked) = payload.strip_prefix(b"close ") {
            let (code, reason) = std::str::from_utf8(asked).unwrap().split_once(' ').unwrap();
            let code: u16 = code.parse().unwrap();
            write_frame(stream, CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())?;
            is_closing = true;
        } else if !is_closing {
            write_frame(stream, first, &payload)?;
        }
        if first == CLOSE {
            let (code, reason) = payload.split_at(2);
            let code = u16::from_be_bytes(code.try_into().unwrap());
            return Ok(Came::Close { code, reason: String::from_utf8(reason.to_vec()).unwrap() });
        }
    }
}

/// The first byte of a frame that closes.
const CLOSE: u8 = 0x88;

/// The first byte, and the payload of the frame.
fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let [first, second] = bytes(stream)?;
    let length = match second & 0x7f {
        126 => u16::from_be_bytes(bytes(stream)?).into(),
        127 => u64::from_be_bytes(bytes(stream)?),
        length => length.into(),
    };
    assert_eq!(second & 0x80, 0x80, "what a browser sends is masked");
    let mask: [u8; 4] = bytes(stream)?;
    let mut payload = vec![0; length.try_into().unwrap()];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first, payload))
}

fn bytes<const LENGTH: usize>(stream: &mut TcpStream) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn write_frame(stream: &mut TcpStream, first: u8, payload: &[u8]) -> io::Result<()> {
    let length = u64::try_from(payload.len()).unwrap();
    let mut frame = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => frame.push(length),
        (_, Ok(length)) => frame.extend([&[126], &length.to_be_bytes()[..]].concat()),
        _ => frame.extend([&[127], &length.to_be_bytes()[..]].concat()),
    }
    frame.extend(payload);
    stream.write_all(&frame)
}
