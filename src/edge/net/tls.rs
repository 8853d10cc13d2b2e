//! Terminates TLS on client connections. All cores share one [`Terminator`]; its certificate can be replaced at any
//! time, which affects later handshakes but no open connection.
//!
//! It has no time limits: the owner of the connection must drop the handshake of a slow client.

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    Error, ServerConfig,
    crypto::aws_lc_rs::{self, Ticketer},
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

#[cfg(test)]
mod tests;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Terminates TLS on client connections.
pub struct Terminator {
    config: ArcSwap<ServerConfig>,
}

impl Terminator {
    /// Starts with this certificate.
    ///
    /// # Errors
    /// When there is no randomness for the keys of session tickets.
    pub fn new(certified: Arc<CertifiedKey>) -> Result<Self, Error> {
        Ok(Self { config: ArcSwap::new(config(certified)?) })
    }

    /// Uses this certificate from the next handshake on.
    ///
    /// # Errors
    /// As with [`Terminator::new`]; in that case the certificate stays unchanged.
    pub fn replace(&self, certified: Arc<CertifiedKey>) -> Result<(), Error> {
        self.config.store(config(certified)?);
        Ok(())
    }

    /// Performs the handshake. Dropping the future ends it and closes the connection.
    ///
    /// # Errors
    /// When the client goes away, does not speak TLS, or has no version or protocol in common with us. The client has
    /// received an alert, if TLS has a fitting one, and the connection is closed.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }
}

/// Whether HTTP/2 was negotiated. A client that did not name a protocol speaks HTTP/1.1 (RFC 9113 §3.2: HTTP/2 over TLS
/// is negotiated by ALPN).
pub fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Each certificate has a configuration of its own, including the keys of session tickets: a session that began with
/// another certificate is not resumed, so that clients see a new certificate after a replacement.
fn config(certified: Arc<CertifiedKey>) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    // Clients store their session tickets: here, sessions cost no memory, and no lock shared by all cores.
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed by others (RFC 8446 §8): none is accepted.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
