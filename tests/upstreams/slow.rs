//! Slow services.

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{flood, gateway, is_closed, is_problem};
use crate::common::{
    PATIENCE, parse,
    recorder::{OK, read_request, request_on},
    upstream,
};

const SHORT: (&str, &str) = ("FIRST_BYTE_TIMEOUT", "500ms");

/// Handles each connection with this function, and signals its end.
fn watched(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> (SocketAddr, mpsc::Receiver<()>) {
    let (told, ended) = mpsc::channel();
    let told = Mutex::new(told);
    let address = upstream(move |stream| {
        serve(stream);
        let _ = told.lock().unwrap().send(());
    });
    (address, ended)
}

#[test]
fn a_service_that_never_responds_is_a_504_and_loses_its_connection() {
    let (address, ended) = watched(|mut stream| {
        request_on(&stream);
        assert!(is_closed(&mut stream));
    });
    let gateway = gateway(&[address], &[SHORT]);
    for (method, body) in [("GET", b"".as_slice()), ("POST", b"abc"), ("PUT", b"abc"), ("DELETE", b"")] {
        let began = Instant::now();
        is_problem(gateway.call(method, "/api/users", &[], body), 504, "gateway_timeout", address);
        assert!(began.elapsed() >= Duration::from_millis(500), "{method}");
        ended.recv_timeout(PATIENCE).unwrap();
    }
    gateway.is_unharmed();
}

#[test]
fn a_service_that_takes_no_body_is_a_504() {
    let (go_on, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let (address, ended) = watched(move |mut stream| {
        // Nothing is read until the client has its response.
        let _ = told.lock().unwrap().recv_timeout(PATIENCE);
        assert!(is_closed(&mut stream));
    });
    let gateway = gateway(&[address], &[SHORT]);
    let body = vec![b'a'; 9 * 1024 * 1024];
    let began = Instant::now();
    is_problem(gateway.call("POST", "/api/users", &[], &body), 504, "gateway_timeout", address);
    // Neither connection is held until the idle timeout.
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    go_on.send(()).unwrap();
    ended.recv_timeout(PATIENCE).unwrap();
    gateway.is_unharmed();
}

#[test]
fn a_head_that_trickles_is_a_504() {
    let (address, ended) = watched(|mut stream| {
        request_on(&stream);
        let head = b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a'));
        for byte in head {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let gateway = gateway(&[address], &[SHORT]);
    is_problem(gateway.get("/api/users"), 504, "gateway_timeout", address);
    ended.recv_timeout(PATIENCE).unwrap();
    gateway.is_unharmed();
}

#[test]
fn a_flood_of_interim_responses_ends_and_starves_no_client() {
    let (address, ended) = watched(|mut stream| {
        let Some(request) = request_on(&stream) else { return };
        if request.line.contains("calm") {
            stream.write_all(OK.as_bytes()).unwrap();
            return;
        }
        let interim = if request.line.contains("103") {
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n".as_slice()
        } else {
            b"HTTP/1.1 100 Continue\r\n\r\n"
        };
        flood(&mut stream, &interim.repeat(1000));
    });
    let gateway = gateway(&[address], &[SHORT]);
    for path in ["/api/users/100", "/api/users/103"] {
        let began = Instant::now();
        thread::scope(|scope| {
            let floods: Vec<_> = (0..4).map(|_| scope.spawn(|| gateway.get(path))).collect();
            for _ in 0..10 {
                gateway.get("/api/users/calm").expect(200);
            }
            for response in floods {
                // Too late or too much: either error is right, but soon.
                let response = response.join().unwrap();
                let (status, code) =
                    if response.status == 504 { (504, "gateway_timeout") } else { (502, "bad_gateway") };
                is_problem(response, status, code, address);
            }
        });
        // A core must not spend all its time on reading floods.
        assert!(began.elapsed() < PATIENCE / 6, "{path}: {:?}", began.elapsed());
    }
    for _ in 0..28 {
        ended.recv_timeout(PATIENCE).unwrap();
    }
    gateway.is_unharmed();
}

#[test]
fn an_interim_response_is_not_the_response() {
    let address = upstream(|mut stream| {
        request_on(&stream);
        let hints = "HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n";
        stream.write_all(format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{hints}{OK}").as_bytes()).unwrap();
    });
    let gateway = gateway(&[address], &[SHORT]);
    assert_eq!(gateway.get("/api/users").expect(200).text(), "ok");
    assert_eq!(gateway.call("POST", "/api/users", &[], b"abc").expect(200).text(), "ok");
}

/// A listener with a full backlog: it neither accepts nor refuses connections.
struct Full {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

impl Full {
    fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        loop {
            let next = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            if next.connect_timeout(&address.into(), Duration::from_millis(300)).is_err() {
                return Self { address, _listener: listener, _waiting: waiting };
            }
            waiting.push(next);
            assert!(waiting.len() < 1000, "the backlog has no end");
        }
    }
}

#[test]
fn a_service_that_takes_no_connection_is_a_504() {
    let full = Full::start();
    let gateway = gateway(&[full.address], &[("CONNECT_TIMEOUT", "300ms")]);
    let began = Instant::now();
    is_problem(gateway.get("/api/users"), 504, "gateway_timeout", full.address);
    is_problem(gateway.call("POST", "/api/users", &[], b"abc"), 504, "gateway_timeout", full.address);
    assert!(began.elapsed() < PATIENCE / 2);
    gateway.is_unharmed();
}

#[test]
fn a_slow_client_is_not_the_services_fault() {
    // The time for a response counts from the end of the request.
    let address = upstream(|stream| {
        let request = read_request(&mut BufReader::new(&stream)).unwrap();
        assert_eq!(request.body.len(), 8);
        (&stream).write_all(OK.as_bytes()).unwrap();
    });
    let gateway = gateway(&[address], &[SHORT]);
    let mut client = TcpStream::connect(gateway.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = b"POST /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n";
    client.write_all(head).unwrap();
    for byte in b"12345678" {
        client.write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();
    parse(&response).expect(200);
}

#[test]
fn bodies_that_never_come_block_no_other_request() {
    let (address, _ended) = watched(|stream| drop(request_on(&stream)));
    let gateway = gateway(&[address], &[]);
    let mut clients = Vec::new();
    for path in ["/tokens/verify", "/api/users"].repeat(30) {
        let mut client = TcpStream::connect(gateway.address).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
        client.write_all(format!("{head}Content-Length: 9\r\n\r\n{{").as_bytes()).unwrap();
        clients.push(client);
    }
    gateway.is_unharmed();
}
