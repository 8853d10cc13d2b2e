//! The log when what should read it does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
    thread,
};

use common::{PATIENCE, call, command, eventually};

/// More than the gateway queues, in lines of about a kilobyte.
const REQUESTS: usize = 12_000;

/// How many requests are sent before their answers are read.
const AT_ONCE: usize = 100;

/// It is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_log_that_nobody_reads_stops_no_request_and_says_later_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let (port, admin_address) = (address.port().to_string(), admin.to_string());
    let variables = [("PORT", port.as_str()), ("ADMIN_ADDR", admin_address.as_str()), ("LOG_FORMAT", "json")];
    let mut process = Process(command(folder.path(), &variables).spawn().unwrap());
    let log = process.0.stdout.take().unwrap();
    eventually("it listens", || TcpStream::connect(address).is_ok());

    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /api/nothing/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(900));
    let mut answers = BufReader::new(&stream);
    for _ in 0..REQUESTS / AT_ONCE {
        (&stream).write_all(request.repeat(AT_ONCE).as_bytes()).unwrap();
        for _ in 0..AT_ONCE {
            assert!(passes_one_answer(&mut answers).starts_with("HTTP/1.1 404 "));
        }
    }
    // The control plane logs, too, and the admin listener answers.
    call(address, "GET", "/nothing", &[], b"").expect(404);
    call(admin, "GET", "/livez", &[], b"").expect(200);

    // Somebody reads again.
    let mut lines = BufReader::new(log).lines().map(Result::unwrap);
    let notice = lines.find(|line| line.contains("log lines were dropped")).unwrap();
    let notice: serde_json::Value = serde_json::from_str(&notice).unwrap();
    assert!(notice["lines"].as_u64().unwrap() > 0, "{notice}");
    let rest = thread::spawn(move || lines.collect::<Vec<_>>());
    call(address, "GET", "/api/afterwards", &[], b"").expect(404);
    assert!(std::process::Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    let rest = rest.join().unwrap();
    assert!(rest.iter().any(|line| line.contains("/api/afterwards")), "new lines are written");
    assert!(rest.last().unwrap().contains("stopped"), "so are the last ones");
    assert!(!rest.iter().any(|line| line.contains("log lines were dropped")), "it is said once");
}

/// Reads one answer; its head.
fn passes_one_answer(answers: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(answers.read_line(&mut head).unwrap() > 0, "the connection has ended");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    answers.read_exact(&mut vec![0; length]).unwrap();
    head
}
