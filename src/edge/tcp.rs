//! A TCP connection that is read and written by system calls of our own. Those of the C library are points at which a thread
//! can be cancelled, which where there is more than one thread costs two locked operations a call, and a proxied request makes
//! four calls.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// As much as [`Tcp::poll_append`] reads at once: most heads, and most answers, are whole then.
pub(super) const SMALL_READ_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Tcp(pub(super) TcpStream);

impl Tcp {
    /// Whether there is nothing to be read, the end included, as far as is known without asking.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.try_io(Interest::READABLE, || Ok(())).is_err()
    }

    /// Reads once, up to [`SMALL_READ_BYTES`]. Most of what comes is far smaller than that: it is kept in as much room as it
    /// needs.
    pub(super) fn poll_append(&self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut scratch = [MaybeUninit::uninit(); SMALL_READ_BYTES];
        loop {
            ready!(self.0.poll_read_ready(context))?;
            let mut read = 0;
            let tried = self.0.try_io(Interest::READABLE, || {
                let ((came, room), _) = recv(&self.0, &mut scratch[..], RecvFlags::empty())?;
                into.extend_from_slice(came);
                read = came.len();
                drained_if(read > 0 && !room.is_empty())
            });
            match tried {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && read == 0 => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Ok(()) | Err(_) => return Poll::Ready(Ok(read)),
            }
        }
    }
}

/// Says that there is nothing more for now, if less has gone over than could have: the next call need not find that out.
fn drained_if(is_drained: bool) -> io::Result<()> {
    if is_drained { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = &self.0;
        loop {
            let mut written = 0;
            // There is room most of the time, so whether there is comes second.
            let tried = stream.try_io(Interest::WRITABLE, || {
                written = send(stream, bytes, SendFlags::NOSIGNAL)?;
                drained_if(written > 0 && written < bytes.len())
            });
            match tried {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && written == 0 => {
                    ready!(stream.poll_write_ready(context))?;
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Ok(()) | Err(_) => return Poll::Ready(Ok(written)),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
