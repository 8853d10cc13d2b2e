//! Ends TLS on a client's connection. All cores share one [`Terminator`]; its certificate can be replaced at any time, which
//! concerns the handshakes that begin from then on and no connection that is open.
//!
//! It knows nothing of time: whoever accepts a connection keeps it, and drops the handshake of a client that dawdles.

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

/// See the module.
pub struct Terminator {
    config: ArcSwap<ServerConfig>,
}

impl Terminator {
    /// Begins with this certificate.
    ///
    /// # Errors
    /// When there is no randomness for the keys of session tickets.
    pub fn new(certified: Arc<CertifiedKey>) -> Result<Self, Error> {
        Ok(Self { config: ArcSwap::new(config(certified)?) })
    }

    /// Shows this certificate from the next handshake on.
    ///
    /// # Errors
    /// As with [`Terminator::new`]; then the certificate stays the one it was.
    pub fn replace(&self, certified: Arc<CertifiedKey>) -> Result<(), Error> {
        self.config.store(config(certified)?);
        Ok(())
    }

    /// Does the handshake. Dropping the future ends it and the connection.
    ///
    /// # Errors
    /// When the client goes away, speaks something else than TLS, or there is nothing that both sides can do. It has been
    /// told what the matter is, as far as TLS has words for it, and the connection is closed.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }
}

/// Whether the handshake came to HTTP/2. A client that did not say what it speaks speaks HTTP/1.1 (RFC 9113 §3.2: HTTP/2
/// over TLS is agreed on by ALPN).
pub fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Everything belongs to one certificate, the keys of session tickets too: a session that began with another is not taken
/// up again, so that whoever comes after a replacement does see the new one.
fn config(certified: Arc<CertifiedKey>) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    // Tickets are kept by the clients: sessions cost no room here, and no lock that all cores want.
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // What a client sends before the handshake is over can be sent again by others (RFC 8446 §8): none of it is taken.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
