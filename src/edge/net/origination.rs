//! Originates TLS to services. All cores share one [`Originator`] per policy; its certificates can be replaced at any
//! time, which affects later handshakes but no open connection. Each endpoint of a core has a `TlsDialer`, with
//! sessions of its own: a ticket goes back to the instance that issued it, and cores share no lock.
//!
//! Names are always verified. It has no time limits: the owner must drop the handshake of a slow service.

use std::{cell::RefCell, io, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::service_stream::{ReadAhead, ServiceStream, TlsConnection};

#[cfg(test)]
mod tests;

/// The name of a protocol in ALPN (RFC 7301).
pub(crate) type Alpn = &'static [u8];

/// HTTP/1.1.
pub(crate) const HTTP1: Alpn = b"http/1.1";
/// HTTP/2.
pub(crate) const HTTP2: Alpn = b"h2";

/// The number of tickets that are kept for an endpoint: rustls keeps no fewer for a name.
const MAX_TICKETS: usize = 8;

/// Originates TLS to the instances of services with the same policy.
pub struct Originator {
    /// The name in their certificates, if that is not the host of the URL.
    server_name: Option<String>,
    /// The configuration, or why there is none.
    config: ArcSwap<Result<Arc<ClientConfig>, String>>,
}

impl Originator {
    /// Starts with this configuration, or without one for this reason.
    pub fn new(server_name: Option<String>, config: Result<Arc<ClientConfig>, String>) -> Arc<Self> {
        Arc::new(Self { server_name, config: ArcSwap::from_pointee(config) })
    }

    /// Uses this configuration from the next handshake on. Sessions of the one before are not resumed.
    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.config.store(Arc::new(Ok(config)));
    }

    /// The configuration at the moment.
    ///
    /// # Errors
    /// Why there is none.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.load().as_ref().clone()
    }

    /// The name that is verified in the certificate of an instance with this host.
    ///
    /// # Errors
    /// If no certificate can have the name.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| format!("no certificate can have the name {name:?}"))
    }
}

/// The configuration for services whose certificates lead to one of `roots`, and that get the certificate `ours` if
/// they demand one. It names no protocol.
///
/// # Errors
/// When the cryptography does not support the versions of TLS.
pub fn client_config(roots: Arc<RootCertStore>, ours: Option<Arc<CertifiedKey>>) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots);
    Ok(Arc::new(match ours {
        Some(ours) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(ours))),
        None => builder.with_no_client_auth(),
    }))
}

/// Performs the handshakes with one endpoint.
pub(crate) struct TlsDialer {
    originator: Arc<Originator>,
    name: Result<ServerName<'static>, String>,
    alpn: Alpn,
    /// The originator's configuration, and the one with this endpoint's sessions that was derived from it.
    derived: RefCell<Option<(Arc<ClientConfig>, Arc<ClientConfig>)>>,
}

impl TlsDialer {
    /// For the endpoint at this host, which must speak this protocol.
    pub(crate) fn new(originator: &Arc<Originator>, host: &str, alpn: Alpn) -> Self {
        let name = originator.server_name(host);
        Self { originator: Arc::clone(originator), name, alpn, derived: RefCell::default() }
    }

    /// Whether it uses this originator.
    pub(crate) fn uses(&self, originator: &Arc<Originator>) -> bool {
        Arc::ptr_eq(&self.originator, originator)
    }

    /// Performs the handshake. Dropping the future ends it and closes the connection. An error is the reason, for the
    /// log.
    pub(crate) async fn dial(&self, stream: TcpStream) -> Result<ServiceStream, String> {
        let config = self.config()?;
        let name = self.name.clone()?;
        let connecting = TlsConnector::from(config).connect(name, ReadAhead::new(stream));
        let stream = connecting.await.map_err(|error| reason(&error))?;
        let protocol = stream.get_ref().1.alpn_protocol();
        // An HTTP/1.1 service need not choose a protocol, but HTTP/2 over TLS is only spoken if it was chosen
        // (RFC 9113 §3.2).
        if self.alpn == HTTP2 && protocol != Some(HTTP2) {
            return Err(NO_HTTP2.to_owned());
        }
        Ok(ServiceStream::Tls(Box::new(TlsConnection::new(stream))))
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let newest = self.originator.config()?;
        let mut derived = self.derived.borrow_mut();
        if let Some((base, config)) = &*derived
            && Arc::ptr_eq(base, &newest)
        {
            return Ok(Arc::clone(config));
        }
        let mut config = ClientConfig::clone(&newest);
        config.alpn_protocols = vec![self.alpn.to_vec()];
        config.resumption = Resumption::in_memory_sessions(MAX_TICKETS);
        let config = Arc::new(config);
        *derived = Some((newest, Arc::clone(&config)));
        Ok(config)
    }
}

/// The library's name of a common mistake: `openssl req -x509` makes such certificates.
const CA_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

const NO_HTTP2: &str = "it does not offer HTTP/2 by TLS (h2 in ALPN)";

/// Why a handshake failed, for the log.
fn reason(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of_tls {
        Some(Error::InvalidCertificate(problem)) => of_certificate(problem),
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => NO_HTTP2.to_owned(),
        Some(Error::AlertReceived(alert)) => refusal(*alert).unwrap_or_else(|| format!("it refused TLS: {alert:?}")),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS at this port".to_owned(),
        Some(Error::PeerIncompatible(problem)) => format!("it supports no TLS that is safe: {problem:?}"),
        Some(other) => format!("the TLS handshake failed: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection during the TLS handshake; maybe it does not speak TLS at this port".to_owned()
        }
        None => format!("the TLS handshake failed: {}", error.kind()),
    }
}

fn of_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("its certificate is not valid for {:?}, but for {}", expected.to_str(), listed(presented))
        }
        // The signature does not fit if an authority has the name of a trusted one, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate leads to no trusted authority".to_owned()
        }
        CertificateError::Other(other) if other.to_string().contains(CA_AS_END_ENTITY) => {
            "it uses the certificate of an authority (CA:TRUE) as its own; make one with CA:FALSE".to_owned()
        }
        other => format!("its certificate is invalid: {other}"),
    }
}

/// The names in a certificate, which the library wraps: `DnsName("auth")`.
fn listed(names: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    if names.is_empty() { "no name".to_owned() } else { names.iter().map(bare).collect::<Vec<_>>().join(", ") }
}

/// Why a service does not accept us, if this error of a connection says so: in TLS 1.3 it checks our certificate only
/// after the handshake has ended for us (RFC 8446 §4.4.2.4).
pub(crate) fn refused_by(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => refusal(*alert),
        _ => None,
    }
}

fn refusal(alert: AlertDescription) -> Option<String> {
    match alert {
        AlertDescription::CertificateRequired => Some("it demands a client certificate".to_owned()),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Some(format!("it does not accept our client certificate: {alert:?}")),
        AlertDescription::HandshakeFailure => {
            Some("it refused the TLS handshake; maybe it demands a client certificate".to_owned())
        }
        _ => None,
    }
}
