//! Services that are unavailable, slow, broken or hostile: the client gets the right response, without any address in
//! it, and the gateway keeps running.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

#[path = "upstreams/broken.rs"]
mod broken;
#[path = "upstreams/retries.rs"]
mod retries;
#[path = "upstreams/slow.rs"]
mod slow;
#[path = "upstreams/streams.rs"]
mod streams;
#[path = "upstreams/upgrades.rs"]
mod upgrades;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use common::{Gateway, Response, nobody};

/// A gateway in front of these instances of the AUTH service.
fn gateway(instances: &[SocketAddr], variables: &[(&str, &str)]) -> Gateway {
    let urls: Vec<String> = instances.iter().map(|address| format!("http://{address}")).collect();
    Gateway::with(&[variables, &[("AUTH_SERVICE_URL", urls.join(",").as_str())]].concat())
}

/// Checks that the response is a problem that reveals nothing about the service.
#[track_caller]
fn is_problem(response: Response, status: u16, code: &str, upstream: SocketAddr) -> Response {
    let response = response.expect_problem(status, code);
    let (text, headers) = (response.text(), format!("{:?}", response.headers));
    for secret in ["127.0.0.1", "localhost", &upstream.port().to_string(), "os error", "hyper", "refused"] {
        assert!(!text.contains(secret) && !headers.contains(secret), "{secret} in {text} {headers}");
    }
    assert_eq!(response.header("retry-after").is_some(), status == 503, "{headers}");
    response
}

/// Closes with a reset instead of an end.
#[expect(clippy::needless_pass_by_value, reason = "dropping it closes it")]
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits for the other side to close; discards its data. Returns whether it closed.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut scratch = [0; 4096];
    loop {
        match stream.read(&mut scratch) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Writes these bytes repeatedly; returns how many were accepted before the other side closed.
fn flood(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(common::PATIENCE)).unwrap();
    let mut written = 0;
    while stream.write_all(bytes).is_ok() {
        written += bytes.len();
    }
    written
}
