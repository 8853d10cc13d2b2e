//! Services that are called by TLS.

mod connections;
mod messages;
mod refusals;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    harness::{Gateway, Setup},
    support::{service, state_of},
};
use crate::edge::net::origination::{Originator, client_config};

/// Issues certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    /// A certificate for this name, valid until the new year of that year.
    pub(super) fn issue(&self, name: &str, year: i32) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap())
    }

    /// Trusts this authority alone.
    pub(super) fn originator(&self, ours: Option<Arc<CertifiedKey>>) -> Arc<Originator> {
        Originator::new(None, Ok(client_config(Arc::clone(&self.roots), ours).unwrap()))
    }

    /// A server with a valid certificate for `localhost`.
    pub(super) fn server(&self, alpn: &[&str]) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver(self.issue("localhost", 2999)));
        config.alpn_protocols = alpn.iter().map(|&protocol| protocol.into()).collect();
        config
    }

    /// As above, for clients with a certificate by the same authority.
    pub(super) fn server_for_known_clients(&self) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&provider));
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_cert_resolver(resolver(self.issue("localhost", 2999)))
    }
}

pub(super) fn resolver(certified: Arc<CertifiedKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(certified))
}

/// A handshake that a service has completed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Handshake {
    pub(super) kind: HandshakeKind,
    pub(super) version: ProtocolVersion,
    pub(super) name: Option<String>,
    pub(super) alpn: Option<String>,
}

/// A service that is called by TLS.
pub(super) struct TlsService {
    pub(super) address: SocketAddr,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
}

pub(super) type Served = TlsStream<TcpStream>;

impl TlsService {
    /// Serves each connection with `serve`, after its handshake.
    pub(super) async fn start<F>(config: ServerConfig, serve: impl Fn(Served) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handshakes = Arc::<Mutex<Vec<Handshake>>>::default();
        let (acceptor, recorder) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&handshakes));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Everything arrives when it is flushed.
                stream.set_nodelay(true).unwrap();
                let (acceptor, recorder, serve) = (acceptor.clone(), Arc::clone(&recorder), serve.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let session = stream.get_ref().1;
                    recorder.lock().unwrap().push(Handshake {
                        kind: session.handshake_kind().unwrap(),
                        version: session.protocol_version().unwrap(),
                        name: session.server_name().map(str::to_owned),
                        alpn: session.alpn_protocol().map(|alpn| String::from_utf8(alpn.to_vec()).unwrap()),
                    });
                    serve(stream).await;
                });
            }
        });
        Self { address, handshakes }
    }

    /// Answers every request with its body, or `200 ok`.
    pub(super) async fn echoing(config: ServerConfig) -> Self {
        Self::start(config, |mut stream| async move {
            while let Some((_, body)) = request(&mut stream).await {
                let body = if body.is_empty() { b"ok".to_vec() } else { body };
                respond(&mut stream, &body).await;
            }
        })
        .await
    }

    pub(super) fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().unwrap().clone()
    }

    pub(super) fn kinds(&self) -> Vec<HandshakeKind> {
        self.handshakes().iter().map(|handshake| handshake.kind).collect()
    }

    /// A gateway in front of it.
    pub(super) fn gateway(&self, scheme: &str, originator: &Arc<Originator>) -> Gateway {
        gateway(self.address, scheme, originator, Setup::of(&[]))
    }
}

/// A gateway in front of the instance of `auth` at `localhost` with this port.
pub(super) fn gateway(address: SocketAddr, scheme: &str, originator: &Arc<Originator>, setup: Setup) -> Gateway {
    let gateway = setup.start();
    let service = service("auth", &[&format!("{scheme}://localhost:{}", address.port())]);
    let (name, tls, state) = (service.name.clone(), service.policy.tls.clone(), state_of(service));
    gateway.snapshots.update(|snapshot| {
        snapshot.services = Arc::new([(name.clone(), Arc::clone(&state))].into());
        snapshot.originators = Arc::new([(tls.clone(), Arc::clone(originator))].into());
    });
    gateway
}

/// The head and the body of the next request; `None` when the connection has ended.
pub(super) async fn request(stream: &mut Served) -> Option<(String, Vec<u8>)> {
    let head = head(stream).await?;
    let body = body(stream, &head).await?;
    Some((head, body))
}

/// The head of the next request.
pub(super) async fn head(stream: &mut Served) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// The body behind this head.
pub(super) async fn body(stream: &mut Served, head: &str) -> Option<Vec<u8>> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Responds with this body.
pub(super) async fn respond(stream: &mut Served, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    // The gateway may have gone already, as some tests intend.
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let _ = stream.flush().await;
}
