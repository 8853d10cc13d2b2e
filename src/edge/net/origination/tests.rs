use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority and its certificates.
struct Authority(Issuer<'static, KeyPair>, Arc<RootCertStore>);

fn authority() -> Authority {
    authority_named("ours")
}

fn authority_named(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::OrganizationName, name);
    let mut roots = RootCertStore::empty();
    roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
    Authority(Issuer::new(params, key), Arc::new(roots))
}

impl Authority {
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap())
    }

    fn server(&self, certified: Arc<CertifiedKey>, demands: bool) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap();
        let verifier = || WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.1), provider).build().unwrap();
        let builder =
            if demands { builder.with_client_cert_verifier(verifier()) } else { builder.with_no_client_auth() };
        builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
    }

    fn originator(&self) -> Arc<Originator> {
        Originator::new(None, client_config(Arc::clone(&self.1), None).map_err(|error| error.to_string()))
    }
}

async fn serving(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(Arc::new(config.clone()));
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
    });
    address
}

async fn refused(address: SocketAddr, dialer: &TlsDialer) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    dialer.dial(stream).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn the_log_says_what_is_wrong_with_a_certificate() {
    let authority = authority();
    let cases: [(Arc<CertifiedKey>, &str); 7] = [
        (authority.issue(|params| params.not_after = date_time_ymd(2001, 1, 1)), "its certificate has expired"),
        (authority.issue(|params| params.not_before = date_time_ymd(2900, 1, 1)), "its certificate is not valid yet"),
        (
            authority.issue(|params| {
                *params = CertificateParams::new(["a.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
            }),
            "its certificate is not valid for \"localhost\", but for a.example, 127.0.0.1",
        ),
        (authority.issue(|params| params.subject_alt_names.clear()), "is not valid for \"localhost\", but for no name"),
        (authority_named("ours").issue(|_| ()), "its certificate leads to no trusted authority"),
        (authority_named("others").issue(|_| ()), "its certificate leads to no trusted authority"),
        (
            authority.issue(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "it uses the certificate of an authority (CA:TRUE) as its own; make one with CA:FALSE",
        ),
    ];
    for (certified, expected) in cases {
        let address = serving(authority.server(certified, false)).await;
        let why = refused(address, &TlsDialer::new(&authority.originator(), "localhost", HTTP1)).await;
        assert!(why.ends_with(expected), "{why}");
    }
}

#[tokio::test]
async fn an_address_must_be_in_the_certificate() {
    let authority = authority();
    let named = authority.issue(|params| *params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap());
    let address = serving(authority.server(named, false)).await;
    let dialer = |host| TlsDialer::new(&authority.originator(), host, HTTP1);
    assert!(dialer("127.0.0.1").dial(TcpStream::connect(address).await.unwrap()).await.is_ok());
    let why = refused(address, &dialer("127.0.0.2")).await;
    assert_eq!(why, "its certificate is not valid for \"127.0.0.2\", but for 127.0.0.1");
    let why = refused(address, &dialer("no name")).await;
    assert_eq!(why, "no certificate can have the name \"no name\"");
}

#[tokio::test]
async fn the_log_says_if_a_service_speaks_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let dialer = TlsDialer::new(&authority().originator(), "localhost", HTTP1);
    assert_eq!(refused(address, &dialer).await, "it does not speak TLS at this port");
    assert!(refused(address, &dialer).await.starts_with("it closed the connection during the TLS handshake"));
}

#[tokio::test]
async fn http2_must_be_agreed_on() {
    let authority = authority();
    for alpn in [&[][..], &[b"http/1.1".to_vec()]] {
        let mut config = authority.server(authority.issue(|_| ()), false);
        config.alpn_protocols = alpn.to_vec();
        let address = serving(config).await;
        assert_eq!(refused(address, &TlsDialer::new(&authority.originator(), "localhost", HTTP2)).await, NO_HTTP2);
        let http1 = TlsDialer::new(&authority.originator(), "localhost", HTTP1);
        assert!(http1.dial(TcpStream::connect(address).await.unwrap()).await.is_ok());
    }
}

#[tokio::test]
async fn a_demand_for_a_client_certificate_is_told() {
    let authority = authority();
    let mut config = authority.server(authority.issue(|_| ()), true);
    config.alpn_protocols = vec![HTTP1.to_vec()];
    let address = serving(config).await;
    let dialer = TlsDialer::new(&authority.originator(), "localhost", HTTP1);
    // In TLS 1.3 our side of the handshake ends before the service has checked.
    let mut stream = dialer.dial(TcpStream::connect(address).await.unwrap()).await.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(refused_by(&error).as_deref(), Some("it demands a client certificate"));
    assert_eq!(refused_by(&io::ErrorKind::ConnectionReset.into()), None);
}

#[tokio::test]
async fn without_a_configuration_the_reason_is_told() {
    let originator = Originator::new(None, Err("ca must name a readable file".to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let why = refused(listener.local_addr().unwrap(), &TlsDialer::new(&originator, "localhost", HTTP1)).await;
    assert_eq!(why, "ca must name a readable file");
}
