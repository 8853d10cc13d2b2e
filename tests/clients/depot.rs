//! A service that describes received bodies and sends requested ones, over kept connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::LazyLock,
};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::common::{
    Gateway,
    recorder::{Seen, read_request},
    upstream,
};

/// More than the maximum of a body.
const LONGEST: usize = 12 * 1024 * 1024;

/// The content of the service. Nothing in it repeats, so that every part is unique.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = Vec::with_capacity(LONGEST);
    while bytes.len() < LONGEST {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
});

/// The first bytes of the content.
pub(crate) fn content(length: usize) -> &'static [u8] {
    &CONTENT[..length]
}

/// The length and the digest of these bytes.
pub(crate) fn described(bytes: &[u8]) -> Value {
    let digest: Vec<_> = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"length": bytes.len(), "sha256": digest.concat()})
}

/// The service, a gateway in front of it, and a token for it.
///
/// At `/api/depot/bytes/N` it sends N bytes or the requested range, at `/api/depot/chunks/N` the same without a length;
/// at `/api/depot/described` it describes the request's body.
pub(crate) struct Depot {
    pub(crate) gateway: Gateway,
    pub(crate) token: String,
}

impl Depot {
    pub(crate) fn start() -> Self {
        let url = format!("http://{}", service());
        let gateway = Gateway::with(&[("DEPOT_SERVICE_URL", &url)]);
        let (token, _) = gateway.tokens(&json!({"subject": "alice"}));
        Self { gateway, token }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/api/depot/{path}", self.gateway.address)
    }

    /// As a header's line.
    pub(crate) fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }
}

fn service() -> SocketAddr {
    upstream(|stream| {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(&stream);
        while let Some(request) = read_request(&mut reader) {
            if respond(&request, &stream).is_err() {
                return;
            }
        }
    })
}

fn respond(request: &Seen, stream: &TcpStream) -> io::Result<()> {
    let [method, path, _] = request.line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let steps: Vec<_> = path.split('/').collect();
    let mut head = format!("X-Caller: {}\r\n", request.all("x-user-id").join(","));
    let (status, body) = match steps[..] {
        ["", "bytes", length] => {
            let whole = content(length.parse().unwrap());
            head += "Accept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n";
            match request.all("range").first() {
                Some(range) => {
                    let (status, content_range, part) = part(whole, range);
                    head += &content_range;
                    (status, part)
                }
                None => ("200 OK", whole.to_vec()),
            }
        }
        ["", "chunks", length] => {
            let whole = content(length.parse().unwrap());
            return in_chunks(whole, &head, stream);
        }
        ["", "described"] => ("200 OK", described(&request.body).to_string().into_bytes()),
        _ => ("404 Not Found", Vec::new()),
    };
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes())?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
}

/// The part that `Range` requests, `bytes=FIRST-`, `bytes=FIRST-LAST` or `bytes=-LENGTH` (RFC 9110 §14.1.2), and the
/// header line that names it.
fn part(whole: &[u8], range: &str) -> (&'static str, String, Vec<u8>) {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let end = whole.len();
    let (first, past) = match (first.parse(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, end.min(last + 1)),
        (Ok(first), Err(_)) => (first, end),
        (Err(_), length) => (end - length.unwrap(), end),
    };
    if first >= end {
        return ("416 Range Not Satisfiable", format!("Content-Range: bytes */{end}\r\n"), Vec::new());
    }
    let content_range = format!("Content-Range: bytes {first}-{}/{end}\r\n", past - 1);
    ("206 Partial Content", content_range, whole[first..past].to_vec())
}

fn in_chunks(whole: &[u8], head: &str, mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())?;
    // With a size that no buffer on the way has.
    for chunk in whole.chunks(12_345) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")
}
