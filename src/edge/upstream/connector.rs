//! Opens sockets to one endpoint.

use std::{
    cell::Cell,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

use crate::edge::error::Failure;

/// How long the next address of a host waits for the one before it (RFC 8305 §5).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Opens sockets to one endpoint.
pub(crate) struct Connector {
    addresses: Box<[SocketAddr]>,
    /// The reason for the last failed connect, until it is taken.
    trouble: Cell<Option<String>>,
}

impl Connector {
    pub(crate) fn new(addresses: &[IpAddr], port: u16) -> Self {
        let addresses = addresses.iter().map(|&address| SocketAddr::new(address, port)).collect();
        Self { addresses, trouble: Cell::default() }
    }

    /// The reason for the last failed connect, if it is known and was not taken before.
    pub(crate) fn take_trouble(&self) -> Option<String> {
        self.trouble.take()
    }

    /// Opens a socket within `limit`.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<TcpStream, Failure> {
        let opened = tokio::time::timeout(limit, self.open()).await.map_err(|_| Failure::ConnectTimeout)?;
        let stream = opened.map_err(|error| {
            // Without the error number of the operating system.
            let said = error.to_string();
            self.trouble.set(Some(said.split(" (os error").next().unwrap_or_default().to_lowercase()));
            Failure::Unreachable
        })?;
        // Heads and bodies are written whole; waiting to fill packets would only delay them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
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
