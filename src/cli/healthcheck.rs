//! Checks whether a gateway on this machine is alive, over the listener of its clients. It does not check readiness: a
//! failed check restarts the gateway, which does not help against an unavailable store.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

const TIMEOUT: Duration = Duration::from_secs(3);

/// An address to connect to, for one that is listened on.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

/// Requests `/livez`. Only the status of the response matters, so a plain socket is enough, or TLS over one.
pub(super) fn is_alive(address: SocketAddr, by_tls: bool) -> io::Result<bool> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    if by_tls { ask(StreamOwned::new(client(address)?, stream), address) } else { ask(stream, address) }
}

fn ask(mut stream: impl Read + Write, address: SocketAddr) -> io::Result<bool> {
    stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut status = String::new();
    BufReader::new(stream.take(64)).read_line(&mut status)?;
    Ok(status.starts_with("HTTP/1.1 200 "))
}

fn client(address: SocketAddr) -> io::Result<ClientConnection> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let any = AnyCertificate(provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(any))
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::from(address.ip())).map_err(io::Error::other)
}

/// Accepts any certificate, as the probes of Kubernetes do: its name is not this machine's address, this machine may
/// not trust it, and clients judge its validity. The request contains nothing secret.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::{
        crypto::CryptoProvider,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        sign::CertifiedKey,
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::spawn_blocking,
    };

    use super::*;
    use crate::edge::tls::Terminator;

    fn certified(provider: &CryptoProvider) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["www.jinmini.com".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], key, provider).unwrap())
    }

    #[tokio::test]
    async fn a_gateway_with_any_certificate_is_asked_by_tls() {
        let terminator = Terminator::new(certified(&aws_lc_rs::default_provider())).unwrap();
        for (response, ready) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let asked = spawn_blocking(move || is_alive(address, true));
            let mut stream = terminator.accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /livez HTTP/1.1\r\n"));
            stream.write_all(format!("HTTP/1.1 {response}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
            drop(stream);
            assert_eq!(asked.await.unwrap().unwrap(), ready);
        }
    }

    #[tokio::test]
    async fn a_listener_without_tls_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = spawn_blocking(move || is_alive(address, true));
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        assert!(asked.await.unwrap().is_err());
    }

    #[test]
    fn every_interface_is_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("192.0.2.1:80".parse().unwrap()).to_string(), "192.0.2.1:80");
    }
}
