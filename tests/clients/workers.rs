//! gunicorn with two synchronous workers: slow clients must not occupy them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    common::{Gateway, PATIENCE, parse},
    programs::{Conversation, Script},
};

const ROUTES: &str = r#"
[[routes]]
path = "/api/workers"
service = "workers"
upstream_path = "/"
access = "open"
"#;

/// A request with a body of this length, of which only a part was sent.
fn slow_post(gateway: &Gateway, length: usize, sent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("POST /api/workers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + &"x".repeat(sent)).as_bytes()).unwrap();
    stream
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn slow_bodies_leave_the_workers_of_gunicorn_to_others() {
    let gunicorn = Conversation::begin(Script::python("workers.py", include_str!("workers.py")), &[]);
    let url = format!("http://127.0.0.1:{}", gunicorn.said()["port"]);
    let gateway = Gateway::with_routes(&[("WORKERS_SERVICE_URL", &url)], Some(ROUTES));
    assert_eq!(gateway.get("/api/workers").expect(200).text(), "0");
    // Of bodies that are too large to be buffered as a whole, the beginning does not arrive either.
    let lengths = [1000, 60_000, 100_000, 1_000_000];
    let slow: Vec<_> = lengths.iter().map(|&length| (length, slow_post(&gateway, length, 1))).collect();
    for _ in 0..4 {
        assert_eq!(gateway.get("/api/workers").expect(200).text(), "0");
    }
    for (length, mut stream) in slow {
        stream.write_all("x".repeat(length - 1).as_bytes()).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        assert_eq!(parse(&response).expect(200).text(), length.to_string());
    }
}
