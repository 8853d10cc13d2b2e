//! A container engine on a socket or a port, which speaks as much of Docker's API as the gateway needs. Its documents are
//! those of `json.rs`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

use crate::json::{self, Version};

/// A container of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: &'static str,
    pub(crate) labels: Vec<(&'static str, String)>,
    /// Of its image: `8001/tcp`.
    pub(crate) exposed: Vec<String>,
    /// Network and address; no address with the network of the host.
    pub(crate) networks: Vec<(&'static str, String)>,
    /// `running`, `paused`, `restarting` or `exited`.
    pub(crate) state: &'static str,
    /// `starting`, `healthy` or `unhealthy`; none without a check.
    pub(crate) health: Option<&'static str>,
}

impl Container {
    /// A container that is served at this address.
    pub(crate) fn at(name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            labels: vec![("gateway.enable", "true".to_owned())],
            exposed: vec![format!("{}/tcp", address.port())],
            networks: vec![("shop_default", address.ip().to_string())],
            state: "running",
            health: None,
        }
    }

    pub(crate) fn labelled(mut self, name: &'static str, value: &str) -> Self {
        self.labels.push((name, value.to_owned()));
        self
    }

    /// 64 hexadecimal digits.
    pub(crate) fn id(&self) -> String {
        let digits: Vec<String> = self.name.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{:0<64}", digits.concat())
    }
}

/// What the engine does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Works,
    /// No request gets a response.
    Hangs,
    /// The list is no JSON.
    ListIsBroken,
    /// The list ends in the middle.
    ListIsCut,
    /// The list does not end.
    ListIsEndless,
    /// A proxy in front allows no `GET /events`.
    NoEvents,
    /// A description ends in the middle.
    DescriptionsAreBroken,
}

struct State {
    version: Version,
    mode: Mode,
    containers: BTreeMap<&'static str, Container>,
    /// Everything that has happened, with its time.
    events: Vec<Value>,
    subscribers: Vec<Socket>,
    open: Vec<Socket>,
    requests: Vec<String>,
}

/// A running engine, which can be stopped and started.
pub(crate) struct Engine {
    place: Place,
    state: Arc<Mutex<State>>,
    is_stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// Where it listens.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Socket(PathBuf),
    Tcp(SocketAddr),
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn accept(&self) -> Socket {
        match self {
            Self::Unix(listener) => Socket::Unix(listener.accept().unwrap().0),
            Self::Tcp(listener) => Socket::Tcp(listener.accept().unwrap().0),
        }
    }
}

impl Socket {
    fn share(&self) -> Self {
        match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
        }
    }

    fn close(&self) {
        // The other side may have closed it.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Socket::Unix(stream) => (&*stream).read(buffer),
            Socket::Tcp(stream) => (&*stream).read(buffer),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Socket::Unix(stream) => (&*stream).write(bytes),
            Socket::Tcp(stream) => (&*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Engine {
    pub(crate) fn start(place: Place, version: Version) -> Self {
        let state = State {
            version,
            mode: Mode::Works,
            containers: BTreeMap::new(),
            events: Vec::new(),
            subscribers: Vec::new(),
            open: Vec::new(),
            requests: Vec::new(),
        };
        let mut engine =
            Self { place, state: Arc::new(Mutex::new(state)), is_stopped: Arc::default(), accepting: None };
        engine.restart();
        engine
    }

    /// The value of `DOCKER_URL`.
    pub(crate) fn host(&self) -> String {
        match &self.place {
            Place::Socket(path) => format!("unix://{}", path.display()),
            Place::Tcp(address) => format!("tcp://{address}"),
        }
    }

    /// Ends every connection and accepts no others. The file of the socket is gone.
    pub(crate) fn stop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // The thread that accepts notices it with the next connection, which may be the gateway's before this one.
        match &self.place {
            Place::Socket(path) => drop(UnixStream::connect(path)),
            Place::Tcp(address) => drop(TcpStream::connect(address)),
        }
        self.accepting.take().unwrap().join().unwrap();
        if let Place::Socket(path) = &self.place {
            std::fs::remove_file(path).unwrap();
        }
        let mut state = self.state.lock().unwrap();
        state.subscribers.clear();
        for socket in state.open.drain(..) {
            socket.close();
        }
    }

    /// Listens, again or for the first time: at a new file, or at the same port.
    pub(crate) fn restart(&mut self) {
        let listener = match &mut self.place {
            Place::Socket(path) => Listener::Unix(UnixListener::bind(path).unwrap()),
            Place::Tcp(address) => {
                let listener = TcpListener::bind(*address).unwrap();
                *address = listener.local_addr().unwrap();
                Listener::Tcp(listener)
            }
        };
        self.is_stopped.store(false, Ordering::SeqCst);
        let (state, is_stopped) = (Arc::clone(&self.state), Arc::clone(&self.is_stopped));
        self.accepting = Some(thread::spawn(move || {
            loop {
                let socket = listener.accept();
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&state);
                state.lock().unwrap().open.push(socket.share());
                thread::spawn(move || serve(&socket, &state));
            }
        }));
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// A container is created or changed, and an event with this action tells so.
    pub(crate) fn change(&self, action: &str, container: Container) {
        let mut state = self.state.lock().unwrap();
        let event = json::event(state.version, action, &container);
        state.containers.insert(container.name, container);
        state.tell(&event);
    }

    /// The same, and nothing tells so.
    pub(crate) fn change_silently(&self, container: Container) {
        self.state.lock().unwrap().containers.insert(container.name, container);
    }

    /// A container ends.
    pub(crate) fn end(&self, container: &Container) {
        let mut state = self.state.lock().unwrap();
        state.containers.remove(container.name);
        let event = json::event(state.version, "die", container);
        state.tell(&event);
    }

    /// Removes a container, and nothing tells so.
    pub(crate) fn end_silently(&self, container: &Container) {
        self.state.lock().unwrap().containers.remove(container.name);
    }

    /// Ends the subscriptions to events.
    pub(crate) fn cut_subscriptions(&self) {
        for subscriber in self.state.lock().unwrap().subscribers.drain(..) {
            subscriber.close();
        }
    }

    /// Sends these bytes to the subscribers.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.state.lock().unwrap().send(bytes);
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.state.lock().unwrap().subscribers.len()
    }

    /// The paths that were asked for, with the number of requests.
    pub(crate) fn requests(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.state.lock().unwrap().requests {
            *counts.entry(request.clone()).or_default() += 1;
        }
        counts
    }
}

impl State {
    fn tell(&mut self, event: &Value) {
        self.events.push(event.clone());
        self.send(format!("{event}\n").as_bytes());
    }

    fn send(&mut self, bytes: &[u8]) {
        self.subscribers.retain(|subscriber| send_chunk(subscriber, bytes).is_ok());
    }
}

fn send_chunk(socket: &Socket, bytes: &[u8]) -> std::io::Result<()> {
    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let mut socket = socket;
    socket.write_all(&chunk)
}

/// Serves the one request of a connection.
fn serve(socket: &Socket, state: &Mutex<State>) {
    let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
    let Some(line) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")), "{headers:?}");
    let [method, target, _] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(method, "GET", "the gateway changes nothing");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let filters: Value =
        parameter(query, "filters").map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default();
    let mut state = state.lock().unwrap();
    let (path, refusal) = state.without_version(path);
    state.requests.push(path.to_owned());
    if state.mode == Mode::Hangs {
        return;
    }
    let document = match (refusal, path) {
        (Some(refusal), _) => return respond(socket, 400, &json!({"message": refusal}).to_string()),
        (None, "/events") => {
            if state.mode == Mode::NoEvents {
                return respond(socket, 403, "<html><body><h1>403 Forbidden</h1></body></html>");
            }
            return state.subscribe(socket, &filters, parameter(query, "since"));
        }
        (None, "/version") => json::version(state.version),
        (None, "/containers/json") => {
            let wanted = |container: &&Container| match filters["status"].as_array() {
                Some(states) => states.contains(&json!(container.state)),
                None => container.state == "running",
            };
            Value::Array(
                state.containers.values().filter(wanted).map(|one| json::summary(state.version, one)).collect(),
            )
        }
        (None, path) => {
            let id = path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json")).unwrap();
            let Some(container) = state.containers.values().find(|container| container.id() == id) else {
                return respond(socket, 404, &json!({"message": format!("No such container: {id}")}).to_string());
            };
            json::description(state.version, container)
        }
    };
    let text = document.to_string();
    let half = &text[..text.len() / 2];
    match (state.mode, path) {
        (Mode::ListIsBroken, "/containers/json") => respond(socket, 200, "{\"this is\": no list"),
        (Mode::ListIsCut, "/containers/json") => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
            let _ = { socket }.write_all([head.as_str(), half].concat().as_bytes());
            socket.close();
        }
        (Mode::ListIsEndless, "/containers/json") => {
            drop(state);
            let _ = { socket }.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let summaries = format!("{half},").repeat(100);
            while send_chunk(socket, summaries.as_bytes()).is_ok() {}
        }
        (Mode::DescriptionsAreBroken, path) if path.ends_with("/json") && path != "/containers/json" => {
            respond(socket, 200, half);
        }
        _ => respond(socket, 200, &text),
    }
}

impl State {
    /// The path without a version, and what an engine says to a version that it does not speak.
    fn without_version<'p>(&self, path: &'p str) -> (&'p str, Option<String>) {
        let parts = path.strip_prefix("/v").and_then(|rest| rest.split_once('/'));
        let Some((version, _)) = parts.filter(|(version, _)| version.starts_with("1.")) else { return (path, None) };
        let minor: u32 = version["1.".len()..].parse().unwrap();
        let most = self.version.minor();
        let refusal = (minor > most)
            .then(|| format!("client version 1.{minor} is too new. Maximum supported API version is 1.{most}"));
        (&path["/v".len() + version.len()..], refusal)
    }

    /// Sends the events since then, and from now on.
    fn subscribe(&mut self, socket: &Socket, filters: &Value, since: Option<String>) {
        let kinds = &filters["type"];
        assert!(kinds.as_array().is_some_and(|kinds| kinds.contains(&json!("container"))), "{filters}");
        let since: i64 = since.unwrap().parse().unwrap();
        let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Type: application/json\r\nServer: Docker\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let _ = { socket }.write_all(head.as_bytes());
        for event in self.events.iter().filter(|event| event["time"].as_i64().unwrap() >= since) {
            let _ = send_chunk(socket, format!("{event}\n").as_bytes());
        }
        self.subscribers.push(socket.share());
    }
}

fn respond(socket: &Socket, status: u16, body: &str) {
    let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
    let head = format!(
        "HTTP/1.1 {status} Some\r\nContent-Type: {kind}\r\nServer: Docker\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // The client may have given up.
    let _ = { socket }.write_all([head.as_str(), body].concat().as_bytes());
}

/// A parameter of a query.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
