//! Reads HTTP messages from a socket, independently of the code under test.

use tokio::{io::AsyncReadExt, net::TcpStream};

/// A message: its head, its body, and whether the body was complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers(name);
        let first = found.next();
        assert_eq!(found.next(), None, "{name} is there twice:\n{}", self.head);
        first
    }

    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(move |(this, _)| this.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn first_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Reads one message: a head up to the empty line, then a body by length, by chunks, or none.
pub(crate) async fn read_message(stream: &mut TcpStream, rest: &mut Vec<u8>, has_body: bool) -> Option<Message> {
    let head_end = loop {
        if let Some(at) = find(rest, b"\r\n\r\n") {
            break at + 4;
        }
        if matches!(stream.read_buf(rest).await, Ok(0) | Err(_)) {
            return None;
        }
    };
    let head = String::from_utf8(rest.drain(..head_end).collect()).unwrap();
    let mut message = Message { head, body: Vec::new(), complete: true };
    let status = message.first_line().split(' ').nth(1).map(str::to_owned);
    let bodiless = matches!(status.as_deref(), Some("204" | "304" | "100"));
    if !has_body || bodiless {
        return Some(message);
    }
    if message.header("transfer-encoding").is_some() {
        loop {
            let Some(line_end) = more_until(stream, rest, |rest| find(rest, b"\r\n")).await else { break };
            let line: Vec<u8> = rest.drain(..line_end + 2).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line[..line_end]).unwrap(), 16).unwrap();
            let all = |rest: &[u8]| (rest.len() >= size + 2).then_some(size);
            let Some(size) = more_until(stream, rest, all).await else { break };
            message.body.extend(rest.drain(..size));
            rest.drain(..2);
            if size == 0 {
                return Some(message);
            }
        }
        message.complete = false;
    } else if let Some(length) = message.header("content-length") {
        let length: usize = length.parse().unwrap();
        let whole = more_until(stream, rest, |rest| (rest.len() >= length).then_some(length)).await;
        message.complete = whole.is_some();
        let length = length.min(rest.len());
        message.body.extend(rest.drain(..length));
    } else if message.head.starts_with("HTTP/") {
        while !matches!(stream.read_buf(rest).await, Ok(0) | Err(_)) {}
        message.body.append(rest);
    }
    Some(message)
}

async fn more_until(
    stream: &mut TcpStream,
    rest: &mut Vec<u8>,
    found: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    loop {
        if let Some(at) = found(rest) {
            return Some(at);
        }
        if matches!(stream.read_buf(rest).await, Ok(0) | Err(_)) {
            return None;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
