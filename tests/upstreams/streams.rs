//! Long bodies, and early ends.

use std::{
    io::{BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Mutex, mpsc},
    thread,
};

use super::{flood, gateway, is_closed, reset};
use crate::common::{
    Gateway, PATIENCE, eventually, parse,
    recorder::{Recorder, read_request, request_on},
    upstream,
};

const GET: &[u8] = b"GET /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn ask(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.write_all(request).unwrap();
    client
}

/// Reads until this text arrives.
fn read_up_to(client: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    let mut byte = [0];
    while !got.ends_with(text) {
        client.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&got)));
        got.push(byte[0]);
    }
    got
}

/// A service that sends `first`, signals that, waits for a signal, and sends `last`.
struct InTwoSteps {
    address: SocketAddr,
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl InTwoSteps {
    fn start(first: &'static str, last: &'static str) -> Self {
        let ((has_begun, begun), (go_on, told)) = (mpsc::channel(), mpsc::channel());
        let ends = Mutex::new((has_begun, told));
        let address = upstream(move |mut stream| {
            if request_on(&stream).is_none() {
                return;
            }
            stream.write_all(first.as_bytes()).unwrap();
            let ends = ends.lock().unwrap();
            ends.0.send(()).unwrap();
            if ends.1.recv_timeout(PATIENCE).is_ok() {
                let _ = stream.write_all(last.as_bytes());
            }
        });
        Self { address, begun, go_on }
    }
}

#[test]
fn the_first_bytes_arrive_before_the_last_are_sent() {
    for (first, last) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst", "last"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", "4\r\nlast\r\n0\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\n\r\nfirst", "last"),
    ] {
        let service = InTwoSteps::start(first, last);
        let gateway = gateway(&[service.address], &[]);
        let mut client = ask(gateway.address, GET);
        let mut response = read_up_to(&mut client, b"first");
        service.go_on.send(()).unwrap();
        client.read_to_end(&mut response).unwrap();
        assert_eq!(parse(&response).expect(200).text(), "firstlast");
    }
}

#[test]
fn a_large_body_passes_both_ways_and_a_larger_one_does_not() {
    let address = upstream(|mut stream| {
        let request = read_request(&mut BufReader::with_capacity(64 * 1024, &stream));
        let Some(request) = request else { return };
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        stream.write_all(response.as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
    });
    let gateway = gateway(&[address], &[]);
    let mut body: Vec<u8> = (0_u32..2_000_000).flat_map(u32::to_le_bytes).collect();
    assert!(gateway.call("POST", "/api/users", &[], &body).expect(200).body == body, "the body was altered");
    body.resize(10 * 1024 * 1024 + 1, 0);
    gateway.call("POST", "/api/users", &[], &body).expect_problem(413, "body_too_large");
    // A body without a length is refused at the limit. The client may continue to send, and read the response
    // afterwards.
    let mut client = ask(
        gateway.address,
        b"POST /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let chunk = [b"10000\r\n".as_slice(), &vec![b'a'; 0x10000], b"\r\n"].concat();
    for _ in 0..512 {
        client.write_all(&chunk).unwrap();
    }
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();
    parse(&response).expect_problem(413, "body_too_large");
    gateway.is_unharmed();
}

#[test]
fn a_client_that_goes_away_mid_response_ends_the_services_work() {
    let (told, ended) = mpsc::channel();
    let told = Mutex::new(told);
    let address = upstream(move |mut stream| {
        request_on(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let taken = flood(&mut stream, b"3\r\nabc\r\n");
        told.lock().unwrap().send(taken).unwrap();
    });
    let gateway = gateway(&[address], &[]);
    for with_reset in [false, true] {
        let mut client = ask(gateway.address, GET);
        read_up_to(&mut client, b"abc");
        if with_reset {
            reset(client);
        } else {
            drop(client);
        }
        ended.recv_timeout(PATIENCE).unwrap();
    }
    gateway.is_unharmed();
}

#[test]
fn a_client_that_goes_away_before_the_response_ends_the_services_work() {
    let (told, states) = mpsc::channel();
    let told = Mutex::new(told);
    let address = upstream(move |mut stream| {
        request_on(&stream);
        told.lock().unwrap().send("asked").unwrap();
        let closed = is_closed(&mut stream);
        told.lock().unwrap().send(if closed { "closed" } else { "open" }).unwrap();
    });
    let gateway = gateway(&[address], &[]);
    for request in [GET, b"POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"] {
        let client = ask(gateway.address, request);
        assert_eq!(states.recv_timeout(PATIENCE), Ok("asked"));
        reset(client);
        assert_eq!(states.recv_timeout(PATIENCE), Ok("closed"));
    }
    gateway.is_unharmed();
}

#[test]
fn a_client_that_closes_its_side_alone_is_answered_and_not_waited_for_longer_than_the_idle_time() {
    let (told, states) = mpsc::channel();
    let told = Mutex::new(told);
    let address = upstream(move |mut stream| {
        let Some(request) = request_on(&stream) else { return };
        if request.line.contains("/quick") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return;
        }
        let closed = is_closed(&mut stream);
        told.lock().unwrap().send(if closed { "closed" } else { "open" }).unwrap();
    });
    let gateway = gateway(&[address], &[("IDLE_TIMEOUT", "1s")]);
    for _ in 0..10 {
        let mut client = ask(gateway.address, b"GET /api/users/quick HTTP/1.1\r\nHost: x\r\n\r\n");
        client.shutdown(Shutdown::Write).unwrap();
        let mut response = Vec::new();
        client.read_to_end(&mut response).unwrap();
        assert_eq!(parse(&response).expect(200).text(), "ok");
    }
    drop(ask(gateway.address, GET));
    assert_eq!(states.recv_timeout(PATIENCE), Ok("closed"));
    gateway.is_unharmed();
}

#[test]
fn a_client_that_goes_away_amid_its_body_is_no_request_for_the_service() {
    let whole = Recorder::start();
    let gateway = gateway(&[whole.address], &[]);
    for body in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ] {
        for _ in 0..5 {
            drop(ask(gateway.address, format!("POST /api/users HTTP/1.1\r\nHost: x\r\n{body}").as_bytes()));
        }
    }
    // No body arrives, neither truncated nor complete; earlier requests would be seen before the last one.
    eventually("each of them ended", || gateway.console().matches(" POST /api/users ").count() == 15);
    gateway.get("/api/users").expect(200);
    let arrived: Vec<String> = whole.take().into_iter().map(|request| request.line).collect();
    assert_eq!(arrived, ["GET /users HTTP/1.1"]);
    gateway.is_unharmed();
}

#[test]
fn a_response_may_come_before_the_body_was_read() {
    let address = upstream(|mut stream| {
        // Only the head is read before the response; the rest is discarded.
        while let Some(head) = head_on(&mut stream) {
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut rest = (&stream).take(length.unwrap());
            if std::io::copy(&mut rest, &mut std::io::sink()).is_err() {
                return;
            }
        }
    });
    let url = format!("http://{address}");
    let route = "[[routes]]\npath = \"/api/users\"\nservice = \"auth\"\naccess = \"open\"\nbuffer_request = \"0B\"\n";
    let gateway = Gateway::with_routes(&[("AUTH_SERVICE_URL", &url)], Some(route));
    for _ in 0..5 {
        let body = vec![b'a'; 5 * 1024 * 1024];
        assert_eq!(gateway.call("POST", "/api/users", &[], &body).expect(403).text(), "no");
        // Also before the client has sent it.
        let head = b"POST /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\nabc";
        let mut client = ask(gateway.address, head);
        assert!(read_up_to(&mut client, b"\r\n\r\nno").starts_with(b"HTTP/1.1 403 "));
    }
    gateway.is_unharmed();
}

/// The head of a request whose body is not read.
fn head_on(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

#[test]
fn a_response_under_way_is_finished_after_sigterm() {
    for (first, last) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst", "last"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", "4\r\nlast\r\n0\r\n\r\n"),
        ("", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirstlast"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "ngth: 9\r\n\r\nfirstlast"),
    ] {
        let service = InTwoSteps::start(first, last);
        let gateway = gateway(&[service.address], &[]);
        // On a connection that would be kept; and an idle one, which is not awaited.
        let mut client = ask(gateway.address, b"GET /api/users HTTP/1.1\r\nHost: x\r\n\r\n");
        let idle = ask(gateway.address, b"");
        service.begun.recv_timeout(PATIENCE).unwrap();
        gateway.ask_to_end();
        let listening = gateway.address;
        eventually("no more connections are taken", || TcpStream::connect(listening).is_err());
        service.go_on.send(()).unwrap();
        let mut response = Vec::new();
        client.read_to_end(&mut response).unwrap();
        assert_eq!(parse(&response).expect(200).text(), "firstlast", "{first:?}");
        assert_eq!(gateway.exit_code(), Some(0), "{first:?}");
        drop(idle);
    }
}

#[test]
fn a_service_that_never_ends_does_not_keep_the_gateway_from_ending() {
    let address = upstream(|mut stream| {
        request_on(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        is_closed(&mut stream);
    });
    let gateway = gateway(&[address], &[("DRAIN_TIMEOUT", "500ms")]);
    let mut client = ask(gateway.address, GET);
    read_up_to(&mut client, b"first");
    let waiting = thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        rest
    });
    assert_eq!(gateway.terminate(), Some(0));
    assert!(!waiting.join().unwrap().ends_with(b"0\r\n\r\n"), "what was not whole looked whole");
}
