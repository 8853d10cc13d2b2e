//! A gateway, services and clients on loopback ports.

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

use super::{
    message::{Message, read_message},
    support::{CollectingSink, EchoControlPlane, FakeResolver, route, service, snapshot},
};
use crate::{
    config::{ClientAddressHeader, ListenerSettings, LogFormat, UpstreamSettings},
    domain::gateway::models::{
        access::Access,
        http::{origin::AllowedOrigins, page::TrustedPages},
        service::{Route, Service},
    },
    edge::{Edge, Parts, auth::browser::BrowserSettings, snapshot::SnapshotCell, tests::support::NOW},
    ports::{
        Clock,
        testing::{CountingEntropy, TestClock},
    },
};
use chrono_tz::Tz;

/// Longer than anything takes, even on a busy machine: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

/// Polls until the condition is true.
pub(crate) async fn until(what: &str, mut yes: impl FnMut() -> bool) {
    soon(what, async {
        while !yes() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A running gateway with fakes around it.
pub(crate) struct Gateway {
    pub(crate) edge: Option<Edge>,
    pub(crate) address: SocketAddr,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) resolver: Arc<FakeResolver>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) log: Arc<CollectingSink>,
}

/// The number of gateways that were started. Each has random numbers of its own.
static GATEWAYS: AtomicU64 = AtomicU64::new(0);

/// The configuration of a gateway.
pub(crate) struct Setup {
    pub(crate) listener: ListenerSettings,
    pub(crate) upstream: UpstreamSettings,
    pub(crate) max_service_connections: usize,
    pub(crate) cores: usize,
    pub(crate) routes: Vec<Route>,
    pub(crate) services: Vec<Service>,
    pub(crate) allowed_origins: Vec<&'static str>,
    pub(crate) log_format: LogFormat,
    /// The size of the kernel's send buffer for clients, if it must be small.
    pub(crate) send_buffer_bytes: Option<usize>,
}

impl Setup {
    /// A service `auth` at `instances`: open at `/api/users`, for callers with a token at `/api/auth`, for those with
    /// the scope `admin` at `/api/users/admin`, and at `/api/small` with bodies of ten bytes at most.
    pub(crate) fn of(instances: &[SocketAddr]) -> Self {
        let urls: Vec<String> = instances.iter().map(|address| format!("http://{address}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let admin = Access::with_scope("admin".parse().unwrap());
        Self {
            listener: ListenerSettings {
                address: ([127, 0, 0, 1], 0).into(),
                head_timeout: PATIENCE,
                idle_timeout: PATIENCE,
                drain_grace: Duration::ZERO,
                drain_timeout: PATIENCE,
                max_connections: 1000,
                max_connections_per_client: 1000,
                max_requests_per_client: 1000,
                trusted_proxies: Vec::new(),
                client_address_header: ClientAddressHeader::default(),
            },
            upstream: UpstreamSettings {
                connect_timeout: PATIENCE,
                first_byte_timeout: PATIENCE,
                idle_timeout: PATIENCE,
                max_requests: 1000,
            },
            max_service_connections: 1000,
            cores: 1,
            routes: vec![
                route("/api/users", "auth", "/users"),
                Route::of_service(&"auth".parse().unwrap()),
                Route { access: admin, ..route("/api/users/admin", "auth", "/admin") },
                Route { body_limit_bytes: 10, ..route("/api/small", "auth", "/small") },
                Route { forward_authorization: true, ..route("/api/with-token", "auth", "/") },
            ],
            services: vec![service("auth", &urls)],
            allowed_origins: vec!["https://app.jinmini.com", "https://*-team.vercel.app"],
            log_format: LogFormat::Text,
            send_buffer_bytes: None,
        }
    }

    pub(crate) fn start(self) -> Gateway {
        let clock = TestClock::at(NOW);
        self.start_by(Arc::clone(&clock), clock)
    }

    /// Like `start`, with this clock, which is then not the gateway's `clock`.
    pub(crate) fn start_with(self, clock: Arc<dyn Clock>) -> Gateway {
        self.start_by(TestClock::at(NOW), clock)
    }

    fn start_by(self, set_clock: Arc<TestClock>, clock: Arc<dyn Clock>) -> Gateway {
        let allowed_origins: AllowedOrigins =
            self.allowed_origins.iter().map(|origin| origin.parse().unwrap()).collect();
        let listener = std::net::TcpListener::bind(self.listener.address).unwrap();
        if let Some(bytes) = self.send_buffer_bytes {
            // Accepted sockets inherit it.
            SockRef::from(&listener).set_send_buffer_size(bytes).unwrap();
        }
        let snapshots = Arc::new(SnapshotCell::new(snapshot(self.routes, self.services)));
        let (resolver, log) = (Arc::<FakeResolver>::default(), Arc::<CollectingSink>::default());
        let parts = Parts {
            listener_settings: self.listener,
            tls: None,
            browsers: BrowserSettings {
                session_cookie: "gateway_session".into(),
                pages: TrustedPages::new(allowed_origins.trusted().map(str::to_owned)),
                allowed_origins,
                api_prefix: "/e".into(),
                strict_transport: false,
            },
            upstream_settings: self.upstream,
            max_service_connections: self.max_service_connections,
            cores: NonZeroUsize::new(self.cores).unwrap(),
            snapshots: Arc::clone(&snapshots),
            unreachable: tokio::sync::mpsc::unbounded_channel().0,
            control_plane: Arc::new(EchoControlPlane),
            resolver: Arc::clone(&resolver) as _,
            control_runtime: Handle::current(),
            clock,
            entropy: Arc::new(CountingEntropy::starting_at(GATEWAYS.fetch_add(1, Ordering::Relaxed) << 32)),
            access_log: Arc::clone(&log) as _,
            log_format: self.log_format,
            timezone: Tz::UTC,
        };
        let edge = Edge::start(listener, &parts).unwrap();
        Gateway { address: edge.local_address(), edge: Some(edge), snapshots, resolver, clock: set_clock, log }
    }
}

impl Gateway {
    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Response {
        self.connect().await.ask(request).await
    }

    /// `GET`, with more headers if needed.
    pub(crate) async fn get(&self, path: &str, lines: &str) -> Response {
        self.ask(&get(path, lines)).await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: soon("connecting", TcpStream::connect(self.address)).await.unwrap(), rest: Vec::new() }
    }

    pub(crate) fn revoke(&self, number: u8) {
        self.snapshots.update(|next| next.revocations.insert(super::support::revocation(number)));
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.resolver.asked.load(Ordering::Relaxed)
    }
}

pub(crate) fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: www.jinmini.com\r\n{lines}\r\n")
}

pub(crate) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: www.jinmini.com\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    pub(crate) async fn ask(&mut self, request: &str) -> Response {
        self.send(request).await;
        self.response(!request.starts_with("HEAD ")).await
    }

    pub(crate) async fn send(&mut self, bytes: &str) {
        soon("sending", self.stream.write_all(bytes.as_bytes())).await.unwrap();
    }

    /// The next response. If its body has no known length, it lasts until the connection ends.
    pub(crate) async fn response(&mut self, has_body: bool) -> Response {
        let message = soon("an answer", read_message(&mut self.stream, &mut self.rest, has_body)).await;
        Response::parse(message.expect("the connection ended without an answer"))
    }

    /// The status of the response to a request; its body need not end.
    pub(crate) async fn begins(&mut self, request: &str) -> u16 {
        self.send(request).await;
        let head = self.some().await;
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Whether the connection ends, cleanly or not, before anything more comes.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        self.rest.is_empty() && !matches!(soon("the end", self.stream.read(&mut byte)).await, Ok(1))
    }

    /// Closes the client's side: it sends nothing more, and reads on.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Leaves abruptly.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// The next bytes; empty when the connection has ended.
    pub(crate) async fn some(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            let _ = soon("some bytes", self.stream.read_buf(&mut bytes)).await;
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// A response that a client got.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) message: Message,
}

impl Response {
    fn parse(message: Message) -> Self {
        Self { status: message.first_line().split(' ').nth(1).unwrap().parse().unwrap(), message }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }

    pub(crate) fn text(&self) -> &str {
        self.message.text()
    }

    /// The status and code of the problem document in this response.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.message.head);
        let problem: HashMap<String, serde_json::Value> = serde_json::from_slice(&self.message.body).unwrap();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        assert!(!self.text().contains("127.0.0.1"), "it names an address: {}", self.text());
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

/// A service that records its requests and responds as configured.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Mutex<Vec<Message>>>,
    task: tokio::task::JoinHandle<()>,
}

/// A connection that a service has accepted.
pub(crate) struct Served {
    pub(crate) stream: TcpStream,
    rest: Vec<u8>,
    received: Arc<Mutex<Vec<Message>>>,
}

impl Served {
    /// The next request, recorded; `None` when the connection has ended.
    pub(crate) async fn request(&mut self) -> Option<Message> {
        let message = read_message(&mut self.stream, &mut self.rest, true).await?;
        self.received.lock().unwrap().push(message.clone());
        Some(message)
    }

    pub(crate) async fn send(&mut self, bytes: &str) {
        // The gateway may have gone already, as some tests intend.
        let _ = self.stream.write_all(bytes.as_bytes()).await;
    }

    /// The next bytes; empty when the other side is closed.
    pub(crate) async fn some(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            let _ = self.stream.read_buf(&mut bytes).await;
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Whether the gateway closes the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        !matches!(self.stream.read(&mut byte).await, Ok(1))
    }
}

impl Upstream {
    /// Serves each connection with `serve`.
    pub(crate) async fn start<F>(serve: impl Fn(Served) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1:0", serve).await
    }

    /// Like `start`, at this address.
    pub(crate) async fn at<F>(address: &str, serve: impl Fn(Served) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<Message>>>::default();
        let recorder = Arc::clone(&received);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let received = Arc::clone(&recorder);
                tokio::spawn(serve(Served { stream, rest: Vec::new(), received }));
            }
        });
        Self { address, received, task }
    }

    /// Answers every request with this response.
    pub(crate) async fn answering(response: &'static str) -> Self {
        Self::start(move |mut connection| async move {
            while connection.request().await.is_some() {
                connection.send(response).await;
            }
        })
        .await
    }

    /// Answers every request with `200 ok`.
    pub(crate) async fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await
    }

    /// The requests received so far, without the gateway's own checks.
    pub(crate) fn received(&self) -> Vec<Message> {
        let all = self.received.lock().unwrap();
        all.iter().filter(|request| !is_check(request)).cloned().collect()
    }

    /// The gateway's checks so far.
    pub(crate) fn checks(&self) -> Vec<Message> {
        let all = self.received.lock().unwrap();
        all.iter().filter(|request| is_check(request)).cloned().collect()
    }

    /// The one request that it received.
    pub(crate) fn only(&self) -> Message {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_check(request: &Message) -> bool {
    request.header("user-agent") == Some("gateway-health-check")
}

/// An address without a listener.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
