use std::{net::SocketAddr, task::Poll, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client};

use super::*;
use crate::edge::http1::write_buffer::WriteBuffer;

const NAME: &str = "www.jinmini.com";

type ServerEnd = io::Result<TlsStream<TcpStream>>;

fn certified() -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = aws_lc_rs::default_provider();
    Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap())
}

fn client_of(certified: &[&CertifiedKey], version: &'static SupportedProtocolVersion, alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certified.iter().map(|certified| certified.cert[0].clone()));
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// Accepts one connection. Returns the address and the result.
async fn accepting(terminator: &Arc<Terminator>) -> (SocketAddr, JoinHandle<ServerEnd>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let terminator = Arc::clone(terminator);
    let accepted = tokio::spawn(async move { terminator.accept(listener.accept().await?.0).await });
    (address, accepted)
}

async fn connect(
    terminator: &Arc<Terminator>,
    client: &Arc<ClientConfig>,
) -> (io::Result<client::TlsStream<TcpStream>>, ServerEnd) {
    let (address, accepted) = accepting(terminator).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let connected = TlsConnector::from(Arc::clone(client)).connect(name, stream).await;
    (connected, accepted.await.unwrap())
}

async fn connected(
    terminator: &Arc<Terminator>,
    client: &Arc<ClientConfig>,
) -> (client::TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let (client, server) = connect(terminator, client).await;
    (client.unwrap(), server.unwrap())
}

fn shown(client: &client::TlsStream<TcpStream>) -> &CertificateDer<'static> {
    &client.get_ref().1.peer_certificates().unwrap()[0]
}

/// Sends a word there and back.
async fn talk(client: &mut client::TlsStream<TcpStream>, server: &mut TlsStream<TcpStream>) {
    let mut word = [0; 4];
    client.write_all(b"ping").await.unwrap();
    server.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
    server.write_all(b"pong").await.unwrap();
    client.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"pong");
}

#[tokio::test]
async fn clients_get_either_protocol_over_either_tls_version() {
    let certified = certified();
    let terminator = Arc::new(Terminator::new(Arc::clone(&certified)).unwrap());
    for (version, is) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        for (alpn, is_http2) in [
            (&[HTTP2, HTTP1][..], true),
            (&[HTTP1, HTTP2], true),
            (&[HTTP2], true),
            (&[HTTP1, b"h3"], false),
            (&[], false),
        ] {
            let client = Arc::new(client_of(&[&certified], version, alpn));
            let (mut client, mut server) = connected(&terminator, &client).await;
            assert_eq!(server.get_ref().1.protocol_version(), Some(is));
            assert_eq!(speaks_http2(&server), is_http2, "{alpn:?}");
            talk(&mut client, &mut server).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_offers_neither_protocol_is_refused() {
    let certified = certified();
    let terminator = Arc::new(Terminator::new(Arc::clone(&certified)).unwrap());
    let (client, server) = connect(&terminator, &Arc::new(client_of(&[&certified], &TLS13, &[b"h3"]))).await;
    assert!(client.unwrap_err().to_string().contains("NoApplicationProtocol"));
    assert!(server.is_err());
}

#[tokio::test]
async fn the_handshake_refuses_other_protocols() {
    let terminator = Arc::new(Terminator::new(certified()).unwrap());
    for plain in [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0; 64]] {
        let (address, accepted) = accepting(&terminator).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(plain).await.unwrap();
        let error = accepted.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        let mut response = Vec::new();
        // Unread input turns the end of the connection into a reset, after the alert.
        let _ = stream.read_to_end(&mut response).await;
        assert!(response.is_empty() || response[0] == 21, "an alert, or nothing: {response:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_from_the_next_handshake_and_open_connections_continue() {
    let (old, new) = (certified(), certified());
    let terminator = Arc::new(Terminator::new(Arc::clone(&old)).unwrap());
    for version in [&TLS12, &TLS13] {
        terminator.replace(Arc::clone(&old)).unwrap();
        let client = Arc::new(client_of(&[&old, &new], version, &[HTTP1]));
        let (mut open, mut server) = connected(&terminator, &client).await;
        talk(&mut open, &mut server).await;
        assert_eq!(shown(&open), &old.cert[0]);

        let (mut resumed, mut its_server) = connected(&terminator, &client).await;
        talk(&mut resumed, &mut its_server).await;
        assert_eq!(resumed.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));

        terminator.replace(Arc::clone(&new)).unwrap();
        let (mut next, mut its_server) = connected(&terminator, &client).await;
        talk(&mut next, &mut its_server).await;
        assert_eq!(next.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "with a ticket from before");
        assert_eq!(shown(&next), &new.cert[0]);
        talk(&mut open, &mut server).await;
    }
}

#[tokio::test]
async fn dropping_a_handshake_closes_the_connection() {
    let terminator = Arc::new(Terminator::new(certified()).unwrap());
    let (address, accepted) = accepting(&terminator).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The beginning of a record with a ClientHello, and then nothing.
    stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    assert!(!accepted.is_finished());
    accepted.abort();
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    assert!(response.is_empty(), "{response:?}");
}

#[tokio::test]
async fn the_last_bytes_reach_a_slow_reader() {
    // Less than TLS buffers, and more than the connection accepts.
    const BYTES: usize = 40_000;
    const ROOM: usize = 512;
    let certified = certified();
    let terminator = Terminator::new(Arc::clone(&certified)).unwrap();
    let client = TlsConnector::from(Arc::new(client_of(&[&certified], &TLS13, &[HTTP1])));
    let (near, far) = tokio::io::duplex(ROOM);
    let name = ServerName::try_from(NAME).unwrap();
    let (server, client) = tokio::join!(terminator.accept(near), client.connect(name, far));
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let mut output = WriteBuffer::of(&vec![b'x'; BYTES]);
    let writing = std::future::poll_fn(|context| {
        while !output.is_empty() {
            std::task::ready!(output.poll_write(context, &mut server))?;
        }
        Poll::Ready(io::Result::Ok(()))
    });
    let reading = async {
        let mut all = vec![0; BYTES];
        client.read_exact(&mut all).await.map(|_| all)
    };
    let both = async { tokio::join!(writing, reading) };
    let (written, read) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("its end was held back");
    written.unwrap();
    assert!(read.unwrap() == vec![b'x'; BYTES]);
}
