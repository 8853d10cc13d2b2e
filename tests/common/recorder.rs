//! An upstream that records all requests, and responds with `ok`.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
};

/// A running upstream that records all requests.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The request line.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The trailers after the last chunk.
    pub(crate) trailers: Vec<String>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let written = seen.clone();
        let address = super::upstream(move |stream| {
            let mut reader = BufReader::new(&stream);
            while let Some(request) = read_request(&mut reader) {
                let is_head = request.line.starts_with("HEAD ");
                written.lock().unwrap().push(request);
                let response = if is_head { OK.trim_end_matches("ok") } else { OK };
                if (&stream).write_all(response.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// The simplest response.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Seen {
    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Reads one request with its body; `None` at the end of the connection.
pub(crate) fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let line = read_line(reader)?;
    let mut headers = Vec::new();
    loop {
        let header = read_line(reader)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut seen = Seen { line, headers, body: Vec::new(), trailers: Vec::new() };
    if let Some(length) = seen.all("content-length").first() {
        seen.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut seen.body).ok()?;
    } else if !seen.all("transfer-encoding").is_empty() {
        loop {
            let size = usize::from_str_radix(&read_line(reader)?, 16).unwrap();
            if size == 0 {
                break;
            }
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk).ok()?;
            seen.body.extend(chunk);
            read_line(reader)?;
        }
        loop {
            let trailer = read_line(reader)?;
            if trailer.is_empty() {
                break;
            }
            seen.trailers.push(trailer);
        }
    }
    Some(seen)
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// Reads one request from a connection, and nothing beyond it.
pub(crate) fn request_on(stream: &TcpStream) -> Option<Seen> {
    // Byte by byte, so that nothing after the request is lost.
    read_request(&mut BufReader::with_capacity(1, stream))
}
