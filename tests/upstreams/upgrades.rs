//! `WebSocket`s and event streams, as seen by clients.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{flood, is_closed};
use crate::common::{Gateway, PATIENCE, parse, recorder::request_on, upstream};

const ROUTES: &str = r#"
[[routes]]
path = "/api/open"
service = "auth"
access = "open"

[[routes]]
path = "/api/chat"
service = "auth"

[[routes]]
path = "/api/lasting"
service = "auth"
end_with_token = false

[[routes]]
path = "/api/hasty"
service = "auth"
access = "open"
connect_timeout = "2s"
first_byte_timeout = "300ms"
idle_timeout = "400ms"
total_timeout = "1s"
"#;

/// A service that echoes after an upgrade; otherwise it sends an event now and then; at `/hasty/mute` it sends nothing.
fn service() -> SocketAddr {
    upstream(|mut stream| {
        let Some(request) = request_on(&stream) else { return };
        if request.line.contains("/mute") {
            is_closed(&mut stream);
        } else if request.all("upgrade").is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
            while stream.write_all(b"data: tick\n\n").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        } else {
            let _ = stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            let mut bytes = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                if stream.write_all(&bytes[..length]).is_err() {
                    return;
                }
            }
        }
    })
}

fn gateway(variables: &[(&str, &str)]) -> Gateway {
    let url = format!("http://{}", service());
    Gateway::with_routes(&[variables, &[("AUTH_SERVICE_URL", &url)]].concat(), Some(ROUTES))
}

fn asked(gateway: &Gateway, path: &str, lines: &str) -> TcpStream {
    let mut client = TcpStream::connect(gateway.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()).unwrap();
    client
}

/// Reads until this text arrives.
fn up_to(client: &mut TcpStream, text: &str) -> String {
    let (mut got, mut byte) = (Vec::new(), [0]);
    while !got.ends_with(text.as_bytes()) {
        client.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&got)));
        got.push(byte[0]);
    }
    String::from_utf8(got).unwrap()
}

fn upgraded(gateway: &Gateway, path: &str, lines: &str) -> TcpStream {
    let mut client = asked(gateway, path, &format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{lines}"));
    assert!(up_to(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    client
}

fn says(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
    assert_eq!(up_to(client, text), text);
}

#[test]
fn an_upgrade_and_a_stream_end_within_a_second_of_their_tokens_end() {
    let gateway = gateway(&[]);
    let (revoked, _) = gateway.tokens(&json!({"subject": "u1"}));
    let (other, _) = gateway.tokens(&json!({"subject": "u1"}));
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut ending = [upgraded(&gateway, "/api/chat", &with(&revoked)), asked(&gateway, "/api/chat", &with(&revoked))];
    let mut chat = upgraded(&gateway, "/api/chat", &with(&other));
    let mut lasting = upgraded(&gateway, "/api/lasting", &with(&revoked));
    says(&mut ending[0], "\u{1}not HTTP\r\n");
    up_to(&mut ending[1], "data: tick\n\n");
    gateway.post("/tokens/revoke", &json!({"token": revoked})).expect(200);
    let began = Instant::now();
    for client in &mut ending {
        assert!(is_closed(client));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    says(&mut chat, "another's");
    says(&mut lasting, "the route says so");
    gateway.printed("  101 GET ");
    // A token that expires, without a revocation.
    let (short, _) = gateway.tokens(&json!({"subject": "u1", "expires_in": 1}));
    let mut short = upgraded(&gateway, "/api/chat", &with(&short));
    says(&mut short, "while it lasts");
    assert!(is_closed(&mut short));
    gateway.is_unharmed();
}

#[test]
fn a_request_behind_an_upgrade_that_is_refused_is_judged() {
    // Our own paths accept no upgrade; the bytes after the head are parsed as a request.
    let gateway = gateway(&[]);
    let upgrade = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let responses =
        gateway.raw(format!("{upgrade}GET /api/chat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    let responses = String::from_utf8(responses).unwrap();
    assert_eq!(responses.matches("HTTP/1.1 ").count(), 2, "{responses}");
    assert!(responses.starts_with("HTTP/1.1 200 ") && responses.contains("HTTP/1.1 401 "), "{responses}");
    gateway.is_unharmed();
}

#[test]
fn an_upgraded_connection_ends_when_the_time_to_drain_is_over() {
    let gateway = gateway(&[("DRAIN_TIMEOUT", "500ms")]);
    let mut client = upgraded(&gateway, "/api/open", "");
    says(&mut client, "before");
    gateway.ask_to_end();
    says(&mut client, "after");
    assert!(is_closed(&mut client));
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn a_flood_into_an_upgrade_is_held_back() {
    let address = upstream(|mut stream| {
        request_on(&stream);
        let _ =
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        // Nothing is read.
        thread::sleep(PATIENCE);
    });
    let url = format!("http://{address}");
    let gateway = Gateway::with_routes(&[("AUTH_SERVICE_URL", &url), ("IDLE_TIMEOUT", "2s")], Some(ROUTES));
    let mut client = upgraded(&gateway, "/api/open", "");
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let taken = flood(&mut client, &vec![b'a'; 0x10000]);
    assert!(taken < 64 * 1024 * 1024, "{taken}");
    gateway.is_unharmed();
}

#[test]
fn a_route_has_limits_of_its_own() {
    let gateway = gateway(&[]);
    gateway.get("/api/hasty/mute").expect_problem(504, "gateway_timeout");
    let began = Instant::now();
    let mut idle = upgraded(&gateway, "/api/hasty", "");
    says(&mut idle, "and no more");
    assert!(is_closed(&mut idle));
    assert!(began.elapsed() < PATIENCE / 3, "{:?}", began.elapsed());
    // The total time does not apply to streams.
    let mut events = asked(&gateway, "/api/hasty", "");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        up_to(&mut events, "data: tick\n\n");
    }
    let mut mute = asked(&gateway, "/api/hasty/mute", "Connection: close\r\n");
    let mut response = Vec::new();
    mute.read_to_end(&mut response).unwrap();
    parse(&response).expect_problem(504, "gateway_timeout");
}
