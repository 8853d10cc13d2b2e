//! A gateway as users run it: the binary, in a folder of its own, on free ports; and a plain HTTP client.

#![expect(dead_code, reason = "each test file uses a part of this")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

pub(crate) mod browser;
pub(crate) mod clients;
pub(crate) mod database;
pub(crate) mod dns;
pub(crate) mod recorder;
pub(crate) mod redis;
pub(crate) mod relay;
pub(crate) mod stand_in;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// Long enough for a busy machine; no test waits for all of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An address without a listener.
pub(crate) fn nobody() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // The socket is bound and never listens: no other test gets the port meanwhile.
    std::mem::forget(socket);
    address
}

/// A running gateway. It is killed when dropped.
pub(crate) struct Gateway {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    console: Arc<Console>,
    folder: tempfile::TempDir,
}

/// The addresses of the gateways' stand-in providers, in the order of their starts, with the thread that started the
/// gateway: `cargo test` runs each test of a binary in a thread of its own.
static STAND_INS: Mutex<Vec<(ThreadId, SocketAddr)>> = Mutex::new(Vec::new());

/// The stand-in provider of the newest gateway of this test.
pub(crate) fn newest_stand_in() -> Option<SocketAddr> {
    let this_test = thread::current().id();
    STAND_INS.lock().unwrap().iter().rev().find(|(test, _)| *test == this_test).map(|(_, address)| *address)
}

/// All output of the process, standard output and error.
#[derive(Default)]
struct Console {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Console {
    fn follow(self: &Arc<Self>, output: impl Read + Send + 'static) {
        let (console, test) = (self.clone(), thread::current().id());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(stand_in) = line.trim().strip_prefix("service stand-in ") {
                    STAND_INS.lock().unwrap().push((test, stand_in.trim().parse().unwrap()));
                }
                console.lines.lock().unwrap().push(line);
                console.grown.notify_all();
            }
        });
    }

    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return Some(line.clone());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.grown.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Gateway {
    /// Development, in memory, with the sample AUTH service.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// As above, with these variables set. Ports are free ones unless they are set.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        Self::with_routes(variables, None)
    }

    /// As started by `cargo run`: browsers reach it at `http://localhost:PORT`.
    pub(crate) fn on_localhost() -> Self {
        Self::on_localhost_with(&[])
    }

    /// As above, with these variables set.
    pub(crate) fn on_localhost_with(variables: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        Self::with(&[&[("PORT", port.as_str()), ("PUBLIC_URL", "")], variables].concat())
    }

    /// As above, with a `gateway.toml`.
    pub(crate) fn with_routes(variables: &[(&str, &str)], routes: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(routes) = routes {
            std::fs::write(folder.path().join("gateway.toml"), routes).unwrap();
        }
        let command = command(folder.path(), variables);
        Self::launch(command, folder)
    }

    /// As above, with a limit of file descriptors.
    pub(crate) fn with_descriptors(most: usize, variables: &[(&str, &str)]) -> Self {
        Self::with_ulimit(&format!("-n {most}"), variables)
    }

    /// As above, started by the shell's `ulimit` with these options.
    pub(crate) fn with_ulimit(options: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("ulimit {options}; exec \"$0\""), env!("CARGO_BIN_EXE_gateway")]);
        let command = equipped(shell, folder.path(), variables);
        Self::launch(command, folder)
    }

    fn launch(mut command: Command, folder: tempfile::TempDir) -> Self {
        let mut process = command.spawn().unwrap();
        let console = Arc::<Console>::default();
        console.follow(process.stdout.take().unwrap());
        console.follow(process.stderr.take().unwrap());
        let find = |marker: &str| -> SocketAddr {
            let line = console
                .wait_for(|line| line.contains(marker))
                .unwrap_or_else(|| panic!("the gateway did not start:\n{}", console.lines.lock().unwrap().join("\n")));
            let (_, behind_scheme) = line.trim().split_once("://").unwrap();
            let authority = behind_scheme.split('/').next().unwrap().to_owned();
            authority.replace("localhost", "127.0.0.1").parse().unwrap()
        };
        let (address, admin) = (find("/docs "), find("/readyz "));
        Self { process, address, admin, console, folder }
    }

    /// Waits for a line with this text, and returns the line.
    pub(crate) fn printed(&self, text: &str) -> String {
        self.console.wait_for(|line| line.contains(text)).unwrap_or_else(|| panic!("never printed: {text}"))
    }

    /// All output so far.
    pub(crate) fn console(&self) -> String {
        self.console.lines.lock().unwrap().join("\n")
    }

    /// The folder that it runs in, with its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// `kill -9`, while others still refer to it.
    pub(crate) fn kill_now(&self) {
        let killed = Command::new("kill").args(["-KILL", &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// SIGTERM; returns the exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.ask_to_end();
        self.exit_code()
    }

    /// SIGTERM, without waiting.
    pub(crate) fn ask_to_end(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.console());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Checks that it still serves, and that nothing made it panic or fail.
    #[track_caller]
    pub(crate) fn is_unharmed(&self) {
        self.is_unharmed_but_for(&[]);
    }

    /// As above, with these lines in the log as expected.
    #[track_caller]
    pub(crate) fn is_unharmed_but_for(&self, told: &[&str]) {
        self.get("/livez").expect(200);
        let console = self.console();
        for trouble in ["panicked", "ERROR", "stack backtrace", "overflowed its stack"] {
            let found = console.lines().find(|line| line.contains(trouble) && !told.contains(line));
            assert!(found.is_none(), "{trouble}:\n{console}");
        }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.call("GET", path, &[], b"")
    }

    pub(crate) fn get_with_token(&self, path: &str, token: &str) -> Response {
        self.call("GET", path, &[("Authorization", &format!("Bearer {token}"))], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.call("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// One request on a connection of its own.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        call(self.address, method, path, headers, body)
    }

    /// Sends these bytes and returns everything until the gateway closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        raw(self.address, bytes)
    }

    /// An access token and its refresh token.
    pub(crate) fn tokens(&self, request: &Value) -> (String, String) {
        let pair = self.post("/tokens/create", request).expect(200).json();
        (pair["access_token"].as_str().unwrap().to_owned(), pair["refresh_token"].as_str().unwrap().to_owned())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary in this folder, with these variables only.
pub(crate) fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    equipped(Command::new(env!("CARGO_BIN_EXE_gateway")), folder, variables)
}

fn equipped(mut command: Command, folder: &Path, variables: &[(&str, &str)]) -> Command {
    command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs([
        ("GATEWAY_ENV", "development"),
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("PUBLIC_URL", "https://www.jinmini.com"),
        ("RUST_BACKTRACE", "1"),
        // No balancer has to notice that a gateway ends.
        ("DRAIN_GRACE", "0s"),
    ]);
    // Most services of tests count their requests.
    let documents = variables
        .iter()
        .filter_map(|(name, _)| Some(format!("{}_SERVICE_OPENAPI", name.strip_suffix("_SERVICE_URL")?)));
    command.envs(documents.map(|name| (name, "off")));
    command.envs(variables.iter().copied());
    command
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Checks that the response is a problem document with this status and code.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        let problem = response.json();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{problem}");
        assert_eq!(problem["request_id"].as_str(), response.header("x-request-id"), "{problem}");
        // Every 401 has a challenge; a 403 may name the required scope, a 400 the mistake in the credential (RFC 6750
        // §3).
        let may_challenge = matches!((status, code), (401 | 403, _) | (400, "invalid_request"));
        let challenged = response.header("www-authenticate").is_some();
        assert!(if challenged { may_challenge } else { status != 401 }, "{problem}");
        response
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One request on a connection of its own.
pub(crate) fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut lines =
        vec![format!("{method} {path} HTTP/1.1"), format!("Host: {address}"), "Connection: close".to_owned()];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !body.is_empty() || method == "POST" || method == "PUT" {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    let request = lines.join("\r\n") + "\r\n\r\n";
    parse(&raw(address, &[request.as_bytes(), body].concat()))
}

/// Sends these bytes and returns everything until the other side closes.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // A peer that refuses a request early may close before all of it was sent.
    let _ = stream.write_all(bytes);
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    response
}

/// Reads one response; a chunked body is decoded.
pub(crate) fn parse(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no answer: {:?}", String::from_utf8_lossy(bytes));
    });
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())).unwrap())
        .collect();
    let mut response = Response { status, headers, body: bytes[end + 4..].to_vec() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = dechunk(&response.body);
    }
    response
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 || bytes.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    body
}

/// An upstream that handles every connection with this function, on a thread of its own.
pub(crate) fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Polls until a condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
