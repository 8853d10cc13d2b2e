//! Responses that are invalid, or break off.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use super::{flood, gateway, is_closed, is_problem, nobody, reset};
use crate::common::{Gateway, PATIENCE, recorder::request_on, upstream};

/// The response to `/api/users/<number>`, followed by the end of the connection.
fn table(rows: &'static [&'static [u8]], end: impl Fn(TcpStream) + Send + Sync + 'static) -> (Gateway, SocketAddr) {
    let address = upstream(move |mut stream| {
        let Some(request) = request_on(&stream) else { return };
        let path = request.line.split(' ').nth(1).unwrap();
        let row: usize = path.rsplit('/').next().unwrap().parse().unwrap();
        let _ = stream.write_all(rows[row]);
        end(stream);
    });
    (gateway(&[address], &[]), address)
}

const NO_ANSWERS: &[&[u8]] = &[
    b"",
    b"H",
    b"HTTP/1.1",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"garbage\r\n\r\n",
    b"ok",
    b"<html>HTTP/0.9</html>\r\n",
    b"\r\n\r\n\r\n\r\n",
    b"\0\0\0\0\0\0\0\0\r\n\r\n",
    b"\xff\xfe\xfd\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x15\x03\x01\x00\x02\x02\x16",
    b"ICY 200 OK\r\n\r\n",
    b"HTTP/0.9 200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.2 200 OK\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 -20 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nName : 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nName\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
];

#[test]
fn an_invalid_response_is_a_502() {
    for reset_at_the_end in [false, true] {
        let (gateway, address) = table(NO_ANSWERS, move |stream| {
            if reset_at_the_end {
                reset(stream);
            }
        });
        for (row, sent) in NO_ANSWERS.iter().enumerate() {
            for method in ["GET", "POST"] {
                let response = gateway.call(method, &format!("/api/users/{row}"), &[], b"");
                let shown = String::from_utf8_lossy(sent);
                assert_eq!(response.status, 502, "{method} and {shown:?}: {}", response.text());
                is_problem(response, 502, "bad_gateway", address);
            }
        }
        gateway.is_unharmed();
    }
}

const BROKEN_OFF: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551610\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
];

/// The client can detect that the response is incomplete.
fn is_broken_off(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_lowercase();
    // A 502 instead, or the bare end, is clear enough, too.
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return text.is_empty() };
    if !head.starts_with("http/1.1 200") {
        return head.starts_with("http/1.1 502");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => (body.len() as u64) < length.parse().unwrap(),
        None => head.contains("transfer-encoding: chunked") && !body.ends_with("0\r\n\r\n"),
    }
}

/// No `Connection: close`: the gateway ends the connection by itself.
fn raw_get(row: usize) -> String {
    format!("GET /api/users/{row} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn a_response_that_breaks_off_breaks_off_for_the_client_too() {
    for reset_at_the_end in [false, true] {
        let (gateway, _) = table(BROKEN_OFF, move |stream| {
            if reset_at_the_end {
                reset(stream);
            }
        });
        for (row, sent) in BROKEN_OFF.iter().enumerate() {
            let response = gateway.raw(raw_get(row).as_bytes());
            let (sent, response_text) = (String::from_utf8_lossy(sent), String::from_utf8_lossy(&response));
            assert!(is_broken_off(&response), "{sent:?} became {response_text:?}");
        }
        gateway.is_unharmed();
    }
}

#[test]
fn a_response_without_a_length_ends_with_the_connection_or_breaks_with_it() {
    const ROWS: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\n\r\nabc", b"HTTP/1.0 200 OK\r\n\r\nabc"];
    let (gateway, _) = table(ROWS, |stream| stream.shutdown(Shutdown::Write).unwrap());
    for row in 0..ROWS.len() {
        assert_eq!(gateway.get(&format!("/api/users/{row}")).expect(200).text(), "abc");
    }
    let (gateway, _) = table(ROWS, reset);
    for row in 0..ROWS.len() {
        assert!(is_broken_off(&gateway.raw(raw_get(row).as_bytes())));
    }
}

#[test]
fn a_connection_that_ends_at_once_is_a_502_and_no_post_is_sent_twice() {
    for reset_at_the_end in [false, true] {
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = accepted.clone();
        let address = upstream(move |stream| {
            counted.fetch_add(1, Ordering::SeqCst);
            if reset_at_the_end {
                reset(stream);
            }
        });
        let gateway = gateway(&[address], &[]);
        is_problem(gateway.get("/api/users"), 502, "bad_gateway", address);
        let before = accepted.load(Ordering::SeqCst);
        is_problem(gateway.call("POST", "/api/users", &[], b"abc"), 502, "bad_gateway", address);
        assert_eq!(accepted.load(Ordering::SeqCst), before + 1);
        gateway.is_unharmed();
    }
}

#[test]
fn a_dead_service_is_a_502_and_one_without_instances_a_503() {
    let address = nobody();
    let gateway = gateway(&[address], &[]);
    for method in ["GET", "POST", "DELETE"] {
        is_problem(gateway.call(method, "/api/users", &[], b""), 502, "bad_gateway", address);
    }
    gateway.is_unharmed();
    let routes = "[[routes]]\npath = \"/api/reports\"\nservice = \"reports\"\naccess = \"open\"\n";
    let gateway = Gateway::with_routes(&[("REPORTS_SERVICE_URL", ",")], Some(routes));
    is_problem(gateway.get("/api/reports"), 503, "no_instance", address);
    let line = gateway.printed("the service has no instance: REPORTS_SERVICE_URL names none");
    assert!(line.contains("WARN") && line.contains("route=/api/reports service=reports requests=1"), "{line}");
}

#[test]
fn a_route_that_has_reached_its_limit_is_named_in_the_log() {
    let (asked, held) = mpsc::channel();
    let asked = Mutex::new(asked);
    let address = upstream(move |mut stream| {
        request_on(&stream);
        let _ = asked.lock().unwrap().send(());
        // Until the client disconnects.
        let _ = stream.read(&mut [0]);
    });
    let url = format!("http://{address}");
    let routes = "[[routes]]\npath = \"/api/reports\"\nservice = \"reports\"\naccess = \"open\"\nmax_requests = 1\n";
    let gateway = Gateway::with_routes(&[("REPORTS_SERVICE_URL", &url)], Some(routes));
    let mut first = TcpStream::connect(gateway.address).unwrap();
    first.write_all(b"GET /api/reports HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    held.recv_timeout(PATIENCE).unwrap();
    for _ in 0..3 {
        is_problem(gateway.get("/api/reports/more"), 503, "overloaded", address);
    }
    let line = gateway.printed("the route has reached its limit of requests in flight (max_requests); they get 503");
    assert!(line.contains("WARN") && line.contains("route=/api/reports service=reports"), "{line}");
    let lines = gateway.console().matches("has reached its limit").count();
    // Each core logs it once.
    assert!((1..=std::thread::available_parallelism().unwrap().get()).contains(&lines), "{lines}");
}

#[test]
fn a_head_that_is_too_large_or_never_ends_is_a_502() {
    for line in [b"X-Filler: 0123456789\r\n".as_slice(), b"x"] {
        let (told, ended) = mpsc::channel();
        let told = Mutex::new(told);
        let address = upstream(move |mut stream| {
            request_on(&stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            let taken = flood(&mut stream, &line.repeat(1000));
            let _ = told.lock().unwrap().send(taken);
        });
        let gateway = gateway(&[address], &[]);
        is_problem(gateway.get("/api/users"), 502, "bad_gateway", address);
        assert!(ended.recv_timeout(PATIENCE).unwrap() < 64 * 1024 * 1024);
        gateway.is_unharmed();
    }
}

#[test]
fn surplus_bytes_are_no_response_to_any_request() {
    const POISON: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    ];
    // The connection stays open, as if it were fine.
    let (gateway, _) = table(POISON, |mut stream| assert!(is_closed(&mut stream)));
    for method in ["GET", "HEAD", "POST"] {
        for _ in 0..5 {
            for row in 0..POISON.len() {
                let response = gateway.call(method, &format!("/api/users/{row}"), &[], b"");
                assert!(!response.text().contains("poison"), "row {row}: {}", response.text());
                assert!(response.status < 500, "row {row}: {}", response.text());
            }
        }
    }
    gateway.is_unharmed();
}

#[test]
fn a_response_cannot_pose_as_the_gateways_own() {
    const ROWS: &[&[u8]] =
        &[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: forged\r\nX-Request-Id: forged\r\n\
        Connection: X-Internal, X-Request-Id\r\nX-Internal: forged\r\nKeep-Alive: timeout=5\r\n\
        Set-Cookie: gateway_session=forged\r\nSet-Cookie: __Host-gateway_session=forged; Path=/\r\n\
        Set-Cookie: theme=dark\r\nUpgrade: h2c\r\nProxy-Authenticate: forged\r\nTrailer: X-Request-Id\r\n\r\nok"];
    let (gateway, _) = table(ROWS, drop);
    let response = gateway.get("/api/users/0").expect(200);
    assert!(!format!("{:?}", response.headers).contains("forged"), "{:?}", response.headers);
    let ids: Vec<_> = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id")).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(response.header("set-cookie"), Some("theme=dark"));
    for hop_by_hop in ["keep-alive", "upgrade", "trailer"] {
        assert_eq!(response.header(hop_by_hop), None);
    }
}
