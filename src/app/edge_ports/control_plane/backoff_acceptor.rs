//! Accepts connections for a listener that poem serves, with a pause after failures: without file descriptors, poem
//! would retry in a busy loop.

use std::{io, time::Duration};

use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tracing::warn;

/// The pause after a failure, for descriptors to become free.
const PAUSE: Duration = Duration::from_millis(200);

/// Wraps an acceptor and retries failed accepts after a pause.
pub(super) struct BackoffAcceptor<A>(pub(super) A);

impl<A: Acceptor> Acceptor for BackoffAcceptor<A> {
    type Io = A::Io;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let mut is_told = false;
        loop {
            match self.0.accept().await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        warn!(%error, "the admin listener cannot accept connections for now");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
