//! A scripted service of either protocol, which reports what it sees of each request.

use std::{collections::VecDeque, future::poll_fn, net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use http::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use crate::edge::{
    http1::{
        body_decoder::{BodyDecoder, BodyPart},
        body_framing::BodyFraming,
    },
    tests::harness::soon,
};

/// A script step of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    Head,
    End,
}

/// An observation of the service about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Begun,
    Data(String),
    /// The body is complete.
    Whole,
    /// The body was aborted, or the connection was closed.
    EndReason,
}

type Told = mpsc::UnboundedReceiver<Tell>;
type Report = mpsc::UnboundedSender<Seen>;
/// The scripts of the next requests, and the channels for their reports.
type Scripts = Arc<Mutex<VecDeque<(Told, Report)>>>;

/// A scripted service.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    scripts: Scripts,
    task: JoinHandle<()>,
}

/// One request at it.
pub(crate) struct Script {
    pub(crate) tell: mpsc::UnboundedSender<Tell>,
    seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) data: String,
    pub(crate) is_whole: bool,
    /// The service can tell that it need not go on.
    pub(crate) is_over: bool,
}

impl Scripted {
    pub(crate) async fn start(speaks_http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, scripts) = (listener.local_addr().unwrap(), Scripts::default());
        let of_task = Arc::clone(&scripts);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let scripts = Arc::clone(&of_task);
                if speaks_http2 {
                    tokio::spawn(serve_http2(stream, scripts));
                } else {
                    tokio::spawn(serve_http1(stream, scripts));
                }
            }
        });
        Self { address, scripts, task }
    }

    /// The script of the next request.
    pub(crate) async fn script(&self) -> Script {
        let (tell, told) = mpsc::unbounded_channel();
        let (report, seen) = mpsc::unbounded_channel();
        self.scripts.lock().await.push_back((told, report));
        Script { tell, seen, data: String::new(), is_whole: false, is_over: false }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    pub(crate) async fn see(&mut self, what: &str) -> Seen {
        let seen = soon(what, self.seen.recv()).await.unwrap_or(Seen::EndReason);
        match &seen {
            Seen::Begun => {}
            Seen::Data(data) => self.data += data,
            Seen::Whole => self.is_whole = true,
            Seen::EndReason => self.is_over = true,
        }
        seen
    }

    /// Waits until this much of the body has come.
    pub(crate) async fn has(&mut self, body: &str) {
        while self.data != body {
            assert!(matches!(self.see("a part of the body").await, Seen::Data(_)), "{} instead of {body}", self.data);
            assert!(body.starts_with(&self.data), "{} instead of {body}", self.data);
        }
    }

    /// Waits until it is clear that the response is no longer wanted.
    pub(crate) async fn is_cancelled(&mut self) {
        while !self.is_over {
            self.see("the end of the request").await;
        }
    }

    /// Waits until nothing more of the request can come.
    pub(crate) async fn ends(&mut self) {
        while !self.is_whole && !self.is_over {
            self.see("the end of the request").await;
        }
    }
}

async fn serve_http1(mut stream: TcpStream, scripts: Scripts) {
    let mut input = BytesMut::new();
    loop {
        let end = loop {
            if let Some(at) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if matches!(stream.read_buf(&mut input).await, Ok(0) | Err(_)) {
                return;
            }
        };
        let head = String::from_utf8(input.split_to(end).to_vec()).unwrap();
        assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
        let Some((mut told, report)) = scripts.lock().await.pop_front() else { return };
        report.send(Seen::Begun).unwrap();
        let mut body = BodyDecoder::of_request(BodyFraming::Chunked);
        let mut has_ended = false;
        loop {
            while let Some(BodyPart::Data(data)) = body.next(&mut input).unwrap() {
                let _ = report.send(Seen::Data(String::from_utf8(data.to_vec()).unwrap()));
            }
            if body.is_ended() && !std::mem::replace(&mut has_ended, true) {
                let _ = report.send(Seen::Whole);
            }
            tokio::select! {
                tell = told.recv() => {
                    let text = match tell {
                        Some(Tell::Head) => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                        Some(Tell::End) => "2\r\nok\r\n0\r\n\r\n",
                        None => break,
                    };
                    let _ = stream.write_all(text.as_bytes()).await;
                }
                read = stream.read_buf(&mut input) => if matches!(read, Ok(0) | Err(_)) {
                    let _ = report.send(Seen::EndReason);
                    return;
                },
            }
        }
    }
}

async fn serve_http2(stream: TcpStream, scripts: Scripts) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let Some((mut told, report)) = scripts.lock().await.pop_front() else { return };
        report.send(Seen::Begun).unwrap();
        tokio::spawn(async move {
            let (mut body, mut sender) = (request.into_body(), None::<SendStream<Bytes>>);
            let (mut has_ended, mut is_over) = (false, false);
            loop {
                let reset = poll_fn(|context| match &mut sender {
                    None => respond.poll_reset(context),
                    Some(sender) => sender.poll_reset(context),
                });
                tokio::select! {
                    _ = reset, if !is_over => {
                        is_over = true;
                        let _ = report.send(Seen::EndReason);
                    }
                    tell = told.recv() => match tell {
                        Some(Tell::Head) => sender = respond.send_response(Response::new(()), false).ok(),
                        Some(Tell::End) => if let Some(sender) = &mut sender {
                            let _ = sender.send_data(Bytes::from_static(b"ok"), true);
                        },
                        None => return,
                    },
                    data = body.data(), if !has_ended => {
                        has_ended = !matches!(data, Some(Ok(_)));
                        let _ = report.send(match data {
                            Some(Ok(data)) => {
                                let _ = body.flow_control().release_capacity(data.len());
                                Seen::Data(String::from_utf8(data.to_vec()).unwrap())
                            }
                            Some(Err(_)) => Seen::EndReason,
                            None => Seen::Whole,
                        });
                    }
                }
            }
        });
    }
}
