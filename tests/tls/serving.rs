//! Clients over TLS.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustls::version::{TLS12, TLS13};

use super::{
    client::{Client, NAME, Pair, ask, read_response, up_to},
    gateway, healthcheck,
};
use crate::common::{
    PATIENCE, call, parse,
    recorder::{Recorder, request_on},
    upstream,
};

/// With ALPN and without.
const WAYS_TO_HTTP_1: [&[&[u8]]; 2] = [&[b"http/1.1"], &[]];

#[test]
fn both_versions_of_tls_serve_http_1_and_end_it_properly() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[]);
    for version in [&TLS12, &TLS13] {
        for alpn in WAYS_TO_HTTP_1 {
            let client = Client { alpn, version, ..Client::that_trusts(&[&pair]) };
            let mut connection = client.connect(gateway.address).unwrap();
            assert_eq!(connection.conn.alpn_protocol(), alpn.first().copied());
            ask(&mut connection, "/livez", "").expect(200);
            connection.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut last = Vec::new();
            // Without a close_notify this is an error: a complete response would look like a truncated one.
            connection.read_to_end(&mut last).unwrap();
            parse(&last).expect(200);
        }
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a client of the gateway, not one of its own")]
async fn http_2_is_agreed_on_by_alpn() {
    let (pair, service) = (Pair::new(), Recorder::start());
    let (gateway, _files) = gateway(&pair, &[("AUTH_SERVICE_URL", &service.url())]);
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(pair.certificate_pem.as_bytes()).unwrap()])
        .resolve(NAME, gateway.address)
        .build()
        .unwrap();
    let base = format!("https://{NAME}:{}", gateway.address.port());
    for path in ["/livez", "/api/users"] {
        let response = client.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2), "{path}");
    }
    assert_eq!(service.take()[0].all("x-forwarded-proto"), ["https"]);
}

#[test]
fn a_client_that_speaks_neither_protocol_is_refused() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[]);
    let refused = Client { alpn: &[b"h3"], ..Client::that_trusts(&[&pair]) }.connect(gateway.address).unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
}

#[test]
fn a_service_is_told_that_its_client_came_by_https() {
    let (pair, service) = (Pair::new(), Recorder::start());
    let (gateway, _files) = gateway(&pair, &[("AUTH_SERVICE_URL", &service.url())]);
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    for lie in ["", "X-Forwarded-Proto: http\r\nForwarded: for=1.1.1.1;proto=http\r\n"] {
        ask(&mut connection, "/api/users", lie).expect(200);
        let seen = &service.take()[0];
        assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
        assert!(matches!(seen.all("forwarded")[..], [one] if one.ends_with(";proto=https")), "{seen:?}");
    }
}

#[test]
fn a_trusted_proxy_knows_better_how_its_client_came() {
    let (pair, service) = (Pair::new(), Recorder::start());
    let (gateway, _files) = gateway(&pair, &[("AUTH_SERVICE_URL", &service.url()), ("TRUSTED_PROXIES", "127.0.0.1")]);
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    for (said, counts) in
        [("X-Forwarded-Proto: http\r\n", "http"), ("X-Forwarded-Proto: https\r\n", "https"), ("", "https")]
    {
        ask(&mut connection, "/api/users", said).expect(200);
        assert_eq!(service.take()[0].all("x-forwarded-proto"), [counts], "{said}");
    }
}

#[test]
fn bodies_of_any_length_pass_both_ways() {
    const LENGTH: usize = 3_000_000;
    let pair = Pair::new();
    let echo = upstream(|mut stream| {
        let Some(request) = request_on(&stream) else { return };
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes());
        let _ = stream.write_all(&request.body);
    });
    let (gateway, _files) = gateway(&pair, &[("AUTH_SERVICE_URL", &format!("http://{echo}"))]);
    let body: Vec<u8> = (0..=250).cycle().take(LENGTH).collect();
    for version in [&TLS12, &TLS13] {
        let client = Client { version, ..Client::that_trusts(&[&pair]) };
        let mut connection = client.connect(gateway.address).unwrap();
        let head = format!("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&body).unwrap();
        assert!(read_response(&mut connection).expect(200).body == body, "another body came back");
    }
}

#[test]
fn a_web_socket_passes() {
    let pair = Pair::new();
    let echo = upstream(|mut stream| {
        let Some(_) = request_on(&stream) else { return };
        let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
        let _ = stream.write_all(switched);
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            if stream.write_all(&bytes[..length]).is_err() {
                return;
            }
        }
    });
    let (gateway, _files) = gateway(&pair, &[("AUTH_SERVICE_URL", &format!("http://{echo}"))]);
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    let request = format!(
        "GET /api/users HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).unwrap();
    assert!(up_to(&mut connection, "\r\n\r\n").starts_with("HTTP/1.1 101 "));
    up_to(&mut connection, "hello");
    for word in ["one", "two"] {
        connection.write_all(word.as_bytes()).unwrap();
        up_to(&mut connection, word);
    }
}

#[test]
fn a_client_that_closes_its_side_of_tls_is_answered_and_one_that_is_cut_off_cancels_its_request() {
    let pair = Pair::new();
    let (ask_on, asked) = mpsc::channel();
    let (let_go, may_respond) = mpsc::channel::<()>();
    let (ask_on, may_respond) = (Mutex::new(ask_on), Mutex::new(may_respond));
    let service = upstream(move |mut stream| {
        let Some(_) = request_on(&stream) else { return };
        ask_on.lock().unwrap().send(stream.try_clone().unwrap()).unwrap();
        may_respond.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let (gateway, _files) = gateway(&pair, &[("AUTH_SERVICE_URL", &format!("http://{service}"))]);
    for is_proper in [true, false] {
        let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
        connection.write_all(format!("GET /api/users HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).unwrap();
        let mut at_service = asked.recv_timeout(PATIENCE).unwrap();
        if is_proper {
            connection.conn.send_close_notify();
            connection.flush().unwrap();
        }
        connection.sock.shutdown(Shutdown::Write).unwrap();
        if is_proper {
            let_go.send(()).unwrap();
            assert_eq!(read_response(&mut connection).expect(200).text(), "ok");
        } else {
            at_service.set_read_timeout(Some(PATIENCE)).unwrap();
            assert!(matches!(at_service.read(&mut [0]), Ok(0)), "the request was not cancelled");
            let_go.send(()).unwrap();
        }
    }
}

#[test]
fn a_refusal_can_be_read_though_the_client_sends_all_of_a_large_body_first() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[]);
    let (piece, pieces) = (vec![b'a'; 64 * 1024], 256);
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    let length = piece.len() * pieces;
    let head = format!("POST /api/nowhere HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {length}\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    for _ in 0..pieces {
        connection.write_all(&piece).unwrap();
    }
    read_response(&mut connection).expect_problem(404, "no_route");
}

#[test]
fn plain_http_gets_a_hint_at_https_and_other_clients_are_served() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[]);
    let mut open = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    for plain in [
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(),
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nnot yet",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        // In any segmentation.
        for part in plain.chunks(7) {
            stream.write_all(part).unwrap();
        }
        let mut refusal = Vec::new();
        stream.read_to_end(&mut refusal).unwrap();
        let refusal = parse(&refusal).expect_problem(400, "bad_request");
        assert!(refusal.text().contains("https://") && refusal.header("connection") == Some("close"));
    }
    // Other input gets at most a TLS alert.
    let response = gateway.raw(&[0xff; 99]);
    assert!(response.is_empty() || response[0] == 21, "{}", String::from_utf8_lossy(&response));
    ask(&mut open, "/livez", "").expect(200);
    Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    let console = gateway.console();
    assert!(!console.contains("WARN") && !console.contains("ERROR") && !console.contains("handshake"), "{console}");
}

#[test]
fn a_slow_handshake_is_closed() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[("HEAD_TIMEOUT", "500ms"), ("IDLE_TIMEOUT", "1h")]);
    // Nothing at all; the beginning of a record with a ClientHello; and one byte after the other.
    for (begin, then) in [(&b""[..], None), (&[22, 3, 1, 2, 0, 1], None), (&[22, 3, 1, 2, 0, 1], Some(0_u8))] {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let begun = Instant::now();
        stream.write_all(begin).unwrap();
        if let Some(byte) = then {
            while begun.elapsed() < PATIENCE && stream.write_all(&[byte]).is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        }
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let took = begun.elapsed();
        assert!((Duration::from_millis(450)..Duration::from_secs(10)).contains(&took), "{took:?}");
        assert!(response.is_empty() || response[0] == 21, "{}", String::from_utf8_lossy(&response));
    }
}

#[test]
fn the_handshake_counts_for_the_time_of_the_first_head() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[("HEAD_TIMEOUT", "1s"), ("IDLE_TIMEOUT", "1h")]);
    let begun = Instant::now();
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    let mut response = Vec::new();
    let _ = connection.read_to_end(&mut response);
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[test]
fn the_health_check_asks_by_tls() {
    let pair = Pair::new();
    let (gateway, files) = gateway(&pair, &[]);
    assert_eq!(healthcheck(&gateway, &files).status.code(), Some(0));
    // It checks whether the gateway is alive, which it is while the files are invalid.
    files.write_key("");
    assert_eq!(healthcheck(&gateway, &files).status.code(), Some(0));
}

#[test]
fn a_gateway_that_ends_ends_its_connections_properly() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[]);
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    ask(&mut connection, "/livez", "").expect(200);
    assert_eq!(gateway.terminate(), Some(0));
    assert_eq!(connection.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn operators_come_without_tls() {
    let (gateway, _files) = gateway(&Pair::new(), &[]);
    call(gateway.admin, "GET", "/readyz", &[], b"").expect(200);
}
