//! Services that are called by TLS, as seen from outside. The authorities of the system are those of `SSL_CERT_FILE`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use common::{Gateway, PATIENCE, parse, upstream};

const ROUTES: &str = r#"
[[routes]]
path = "/api/open"
service = "auth"
access = "open"
connect_timeout = "500ms"
"#;

/// Issues certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A server with a certificate for this name, valid until the new year of that year.
    fn server(&self, name: &str, year: i32) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Arc::new(config.unwrap())
    }

    /// A gateway that trusts this authority alone, in front of the service at this port of `localhost`.
    fn gateway(&self, service: SocketAddr) -> (Gateway, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, self.certificate.pem()).unwrap();
        let url = format!("https://localhost:{}", service.port());
        let variables = [("AUTH_SERVICE_URL", url.as_str()), ("SSL_CERT_FILE", file.to_str().unwrap())];
        (Gateway::with_routes(&variables, Some(ROUTES)), folder)
    }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Serves each connection with `serve`. Also returns the number of completed handshakes.
fn serving(
    config: Arc<ServerConfig>,
    serve: impl Fn(&mut Stream) + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let handshakes = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&handshakes);
    let address = upstream(move |mut socket| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        while session.is_handshaking() {
            if session.complete_io(&mut socket).is_err() {
                return;
            }
        }
        counted.fetch_add(1, Ordering::Relaxed);
        serve(&mut StreamOwned::new(session, socket));
    });
    (address, handshakes)
}

/// The head of the next request and its body.
fn request(stream: &mut Stream) -> Option<(String, Vec<u8>)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn echo(stream: &mut Stream) {
    while let Some((_, body)) = request(stream) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

#[test]
fn bodies_pass_and_connections_are_kept() {
    const LARGE: usize = 3 * 1024 * 1024;
    let authority = Authority::new();
    let (service, handshakes) = serving(authority.server("localhost", 2999), echo);
    let (gateway, _folder) = authority.gateway(service);
    let body: Vec<u8> = (0..LARGE).map(|place| u8::try_from(place % 251).unwrap()).collect();
    for _ in 0..10 {
        assert!(gateway.call("POST", "/api/open", &[], &body).expect(200).body == body);
        assert_eq!(gateway.call("POST", "/api/open", &[], b"short").expect(200).body, b"short");
    }
    let cores = thread::available_parallelism().unwrap().get();
    assert!(handshakes.load(Ordering::Relaxed) <= cores, "{handshakes:?} handshakes for {cores} cores");
    gateway.is_unharmed();
}

#[test]
fn a_websocket_is_opened() {
    let authority = Authority::new();
    let (service, _) = serving(authority.server("localhost", 2999), |stream| {
        request(stream).unwrap();
        let switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switching).unwrap();
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..length]).unwrap();
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let (gateway, _folder) = authority.gateway(service);
    let mut client = TcpStream::connect(gateway.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .write_all(b"GET /api/open HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping")
        .unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"ping") {
        let mut bytes = [0; 1024];
        let read = client.read(&mut bytes).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..read]);
    }
    assert_eq!(parse(&seen).status, 101);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_cannot_be_trusted_gets_no_request_and_the_log_says_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let received = Arc::<AtomicUsize>::default();
    let listening = {
        let received = Arc::clone(&received);
        move |stream: &mut Stream| {
            let read = stream.read(&mut [0; 16]).unwrap_or_default();
            received.fetch_add(read, Ordering::Relaxed);
        }
    };
    let refused = |service: SocketAddr, why: &str| {
        let (gateway, _folder) = authority.gateway(service);
        let response = gateway.call("POST", "/api/open", &[], b"secret").expect_problem(502, "bad_gateway");
        let said = format!("{} {:?}", response.text(), response.headers);
        for secret in ["certificate", "TLS", "localhost", &service.port().to_string()] {
            assert!(!said.contains(secret), "{said}");
        }
        let told = gateway.printed("WARN auth at ");
        assert!(told.contains(why), "{told}");
        gateway.is_unharmed();
    };
    let with = |config| serving(config, listening.clone()).0;
    refused(with(authority.server("localhost", 2001)), "its certificate has expired");
    refused(with(other.server("localhost", 2999)), "its certificate leads to no trusted authority");
    refused(
        with(authority.server("elsewhere.example", 2999)),
        "its certificate is not valid for \"localhost\", but for elsewhere.example",
    );
    assert_eq!(received.load(Ordering::Relaxed), 0);
    let plain = upstream(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    refused(plain, "it does not speak TLS at this port");
}

#[test]
fn a_handshake_that_hangs_ends_with_the_time_to_connect() {
    let authority = Authority::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (gateway, _folder) = authority.gateway(silent.local_addr().unwrap());
    gateway.get("/api/open").expect_problem(504, "gateway_timeout");
    gateway.printed("it did not complete the TLS handshake in time");
}
