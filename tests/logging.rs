//! The log: JSON objects for machines, and the behaviour without a reader.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output},
    thread,
};

use common::{PATIENCE, call, command, eventually, nobody};
use serde_json::Value;

/// More than the gateway queues, in lines of about a kilobyte.
const REQUESTS: usize = 12_000;

/// How many requests are sent before their responses are read.
const AT_ONCE: usize = 100;

/// A gateway process. It is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Waits for its end; returns all output.
    fn output(mut self) -> Output {
        let (stdout, stderr) = (self.0.stdout.take().unwrap(), self.0.stderr.take().unwrap());
        let read = |mut output: Box<dyn Read + Send>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                output.read_to_end(&mut bytes).map(|_| bytes)
            })
        };
        let (stdout, stderr) = (read(Box::new(stdout)), read(Box::new(stderr)));
        let status = self.0.wait().unwrap();
        Output { status, stdout: stdout.join().unwrap().unwrap(), stderr: stderr.join().unwrap().unwrap() }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// SIGTERM.
fn ask_to_end(process: &Process) {
    assert!(Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
}

/// Sends each of these requests to a gateway with these variables, and stops it. Returns its output.
fn served(variables: &[(&str, &str)], requests: &[(&str, &str, &[u8])]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let (port, admin_address) = (address.port().to_string(), admin.to_string());
    let own = [("PORT", port.as_str()), ("ADMIN_ADDR", admin_address.as_str())];
    let process = Process(command(folder.path(), &[&own, variables].concat()).spawn().unwrap());
    eventually("it is ready", || {
        TcpStream::connect(admin).is_ok() && call(admin, "GET", "/readyz", &[], b"").status == 200
    });
    for (method, path, body) in requests {
        call(address, method, path, &[("Content-Type", "application/json")], body);
    }
    ask_to_end(&process);
    process.output()
}

/// The objects in the output of a gateway. Fails if the output contains anything else.
fn objects(output: &Output) -> Vec<Value> {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:?}")));
    lines
        .inspect(|line: &Value| {
            for member in ["timestamp", "level", "target"] {
                assert!(line[member].is_string(), "{line}");
            }
        })
        .collect()
}

/// The first object with this message.
fn message<'l>(lines: &'l [Value], text: &str) -> &'l Value {
    let found = lines.iter().find(|line| line["message"].as_str().is_some_and(|message| message.contains(text)));
    found.unwrap_or_else(|| panic!("{text} is not among {lines:#?}"))
}

/// A sealing key, for a store that outlives the gateway.
const VAULT_KEY: (&str, &str) = ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=");

#[test]
fn in_production_nothing_is_printed_but_objects() {
    let dead = format!("http://{}", nobody());
    let output = served(
        &[
            ("GATEWAY_ENV", "production"),
            ("PUBLIC_URL", "https://www.example.com/e"),
            ("DATABASE_URL", "sqlite://gateway.db?mode=rwc"),
            VAULT_KEY,
            ("AUTH_SERVICE_URL", &dead),
            ("RUST_LOG", "info,gateway=loud"),
        ],
        &[
            ("GET", "/livez", b""),
            ("GET", "/nothing", b""),
            ("GET", "/api/users", b""),
            ("GET", "/api/users/me", b""),
            ("POST", "/tokens/create", b"{}"),
        ],
    );
    assert_eq!(output.status.code(), Some(0));
    let lines = objects(&output);
    message(&lines, "RUST_LOG is ignored");
    let start = message(&lines, "the gateway serves");
    assert_eq!((&start["public_url"], &start["store"]), (&"https://www.example.com/e".into(), &"DATABASE_URL".into()));
    assert!(start["services"].as_str().unwrap().starts_with("auth: 127.0.0.1:"), "{start}");
    message(&lines, "connection refused");
    message(&lines, "stopping");
    // Each core writes its own line.
    let mut statuses: Vec<_> =
        lines.iter().filter(|line| line["target"] == "access").map(|line| line["status"].as_u64().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 404, 502]);
    assert_eq!(lines.last().unwrap()["message"], "stopped");
}

#[test]
fn a_dummy_token_is_an_object_too_where_every_line_is_one() {
    let output = served(&[("LOG_FORMAT", "json")], &[("POST", "/tokens/dummy", br#"{"token": "any \"text\""}"#)]);
    let lines = objects(&output);
    assert_eq!(message(&lines, "this text is a token now")["dummy_token"], "any \"text\"");
    assert!(message(&lines, "the gateway serves")["sample_service"].is_string());
}

#[test]
fn a_start_that_waits_and_fails_says_so_in_objects() {
    let database = format!("postgres://user:s3cret@{}/gateway", nobody());
    let variables =
        [("LOG_FORMAT", "json"), ("DATABASE_URL", database.as_str()), VAULT_KEY, ("STARTUP_TIMEOUT", "500ms")];
    let folder = tempfile::tempdir().unwrap();
    let output = Process(command(folder.path(), &variables).spawn().unwrap()).output();
    assert_eq!(output.status.code(), Some(69));
    let lines = objects(&output);
    message(&lines, "waiting for the store");
    assert_eq!(message(&lines, "the gateway cannot start")["level"], "ERROR");
}

#[test]
fn an_unread_log_stops_no_request_and_later_reports_the_missing_lines() {
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
    let mut responses = BufReader::new(&stream);
    for _ in 0..REQUESTS / AT_ONCE {
        (&stream).write_all(request.repeat(AT_ONCE).as_bytes()).unwrap();
        for _ in 0..AT_ONCE {
            assert!(passes_one_response(&mut responses).starts_with("HTTP/1.1 404 "));
        }
    }
    // The control plane logs, too, and the admin listener responds.
    call(address, "GET", "/nothing", &[], b"").expect(404);
    call(admin, "GET", "/livez", &[], b"").expect(200);

    // The reader resumes.
    let mut lines = BufReader::new(log).lines().map(Result::unwrap);
    let notice = lines.find(|line| line.contains("log lines were dropped")).unwrap();
    let notice: Value = serde_json::from_str(&notice).unwrap();
    assert!(notice["lines"].as_u64().unwrap() > 0, "{notice}");
    let rest = thread::spawn(move || lines.collect::<Vec<_>>());
    call(address, "GET", "/api/afterwards", &[], b"").expect(404);
    ask_to_end(&process);
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    let rest = rest.join().unwrap();
    assert!(rest.iter().any(|line| line.contains("/api/afterwards")), "new lines are written");
    assert!(rest.last().unwrap().contains("stopped"), "so are the last ones");
    assert!(!rest.iter().any(|line| line.contains("log lines were dropped")), "it is said once");
}

/// Reads one response; returns its head.
fn passes_one_response(responses: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(responses.read_line(&mut head).unwrap() > 0, "the connection has ended");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    responses.read_exact(&mut vec![0; length]).unwrap();
    head
}
