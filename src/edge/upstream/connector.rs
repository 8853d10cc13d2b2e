//! Opens connections to one endpoint: TCP, and TLS where the service wants it.

use std::{cell::Cell, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

use crate::{
    domain::gateway::models::service::{Instance, UpstreamProtocol},
    edge::{
        error::Failure,
        net::{
            origination::{HTTP1, HTTP2, Originator, TlsDialer, refused_by},
            service_stream::ServiceStream,
            tcp::Tcp,
        },
    },
};

/// How long the next address of a host waits for the one before it (RFC 8305 §5).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Opens connections to one endpoint.
pub(crate) struct Connector {
    addresses: Box<[SocketAddr]>,
    security: Security,
    /// The reason for the last failed connect, until it is taken.
    trouble: Cell<Option<String>>,
}

/// What is below HTTP.
enum Security {
    Plain,
    Tls(TlsDialer),
    /// It must be called by TLS, which is not set up.
    Missing,
}

impl Connector {
    /// For this instance; `originator` is that of its service, if it has one.
    pub(crate) fn new(instance: &Instance, originator: Option<&Arc<Originator>>) -> Self {
        let addresses = instance.addresses.iter().map(|&address| SocketAddr::new(address, instance.port)).collect();
        let alpn = match instance.protocol {
            UpstreamProtocol::Http1 => HTTP1,
            UpstreamProtocol::Http2 => HTTP2,
        };
        let security = match originator {
            _ if !instance.tls => Security::Plain,
            Some(originator) => Security::Tls(TlsDialer::new(originator, &instance.host, alpn)),
            None => Security::Missing,
        };
        Self { addresses, security, trouble: Cell::default() }
    }

    /// Whether it connects as one with this originator would.
    pub(crate) fn uses(&self, originator: Option<&Arc<Originator>>) -> bool {
        match &self.security {
            Security::Plain => true,
            Security::Tls(dialer) => originator.is_some_and(|originator| dialer.uses(originator)),
            Security::Missing => originator.is_none(),
        }
    }

    /// The reason for the last failed connect, if it is known and was not taken before.
    pub(crate) fn take_trouble(&self) -> Option<String> {
        self.trouble.take()
    }

    /// Keeps the reason if a connection broke because the service does not accept us.
    pub(crate) fn on_broken(&self, error: &io::Error) {
        if let Some(reason) = refused_by(error) {
            self.trouble.set(Some(reason));
        }
    }

    /// Opens a connection within `limit`.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<ServiceStream, Failure> {
        let accepted = Cell::new(false);
        let connecting = async {
            let stream = self.open().await.map_err(|error| {
                // Without the error number of the operating system.
                let said = error.to_string();
                let said = said.split(" (os error").next().unwrap_or_default().to_lowercase();
                self.unreachable(format!("{said}; is it running?"))
            })?;
            // Heads and bodies are written whole; waiting to fill packets would only delay them.
            let _ = stream.set_nodelay(true);
            accepted.set(true);
            match &self.security {
                Security::Plain => Ok(ServiceStream::Plain(Tcp(stream))),
                Security::Tls(dialer) => dialer.dial(stream).await.map_err(|reason| self.unreachable(reason)),
                Security::Missing => Err(self.unreachable("TLS to it is not set up".to_owned())),
            }
        };
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
            if accepted.get() {
                self.trouble.set(Some("it did not complete the TLS handshake in time".to_owned()));
            }
            Err(Failure::ConnectTimeout)
        })
    }

    fn unreachable(&self, reason: String) -> Failure {
        self.trouble.set(Some(reason));
        Failure::Unreachable
    }

    /// Most endpoints have one address. A host with an IPv6 and an IPv4 address is reached by the one that answers
    /// first: the second is tried when the first has failed, or has not answered for a while (RFC 8305).
    async fn open(&self) -> io::Result<TcpStream> {
        if let [address] = *self.addresses {
            return TcpStream::connect(address).await;
        }
        let mut left = self.addresses.iter();
        let mut attempts = FuturesUnordered::new();
        let mut failed = io::Error::other("it has no address");
        loop {
            let next = left.next();
            attempts.extend(next.map(|&address| TcpStream::connect(address)));
            let delay = async {
                match next {
                    Some(_) => sleep(ATTEMPT_DELAY).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                outcome = attempts.next() => match outcome {
                    Some(Ok(stream)) => return Ok(stream),
                    Some(Err(error)) => failed = error,
                    None => return Err(failed),
                },
                () = delay => {}
            }
        }
    }
}
