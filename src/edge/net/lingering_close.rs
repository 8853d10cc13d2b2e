//! Closes a connection so that the last response arrives.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tcp::SMALL_READ_BYTES;
use crate::edge::timer::client_timeouts::ConnectionState;

/// First closes our side, then reads and discards for a while what the client still sends. Closing with unread bytes
/// would make the kernel send a reset, which can overtake the response (RFC 9112 §9.6).
#[derive(Debug, Default)]
pub(crate) struct LingeringClose {
    is_said: bool,
}

impl LingeringClose {
    /// Ready when the client has closed its side, too. `ClientTimeouts` ends the wait for a client that does not, no
    /// matter how much or how little it sends.
    pub(crate) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
        connection_state: &ConnectionState,
    ) -> Poll<io::Result<()>> {
        if !self.is_said {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            self.is_said = true;
            connection_state.lingers();
        }
        let mut scratch = [MaybeUninit::uninit(); SMALL_READ_BYTES];
        loop {
            let mut buf = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => connection_state.lingers(),
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
