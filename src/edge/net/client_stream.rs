//! A client's connection below HTTP.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::tcp::{SMALL_READ_BYTES, Tcp};

/// The socket of a client.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP.
    Plain(Tcp),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Makes the connection end with a reset when it is dropped: the client sees that the response is incomplete.
    pub(crate) fn end_with_reset(&self) {
        // If the connection is broken already, the client has seen that.
        let _ = self.tcp().set_zero_linger();
    }

    /// Whether a connection that the client had half-closed is broken: a client that has gone answers what is sent to
    /// it with a reset.
    pub(crate) fn is_broken(&self) -> bool {
        !matches!(self.tcp().take_error(), Ok(None))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => &stream.0,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Reads once, up to [`SMALL_READ_BYTES`]. Returns the number of bytes read.
    pub(crate) fn poll_append(&mut self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_append(context, into),
            Self::Tls(stream) => {
                let mut scratch = [MaybeUninit::uninit(); SMALL_READ_BYTES];
                let mut buf = ReadBuf::uninit(&mut scratch);
                ready!(Pin::new(stream).poll_read(context, &mut buf))?;
                into.extend_from_slice(buf.filled());
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
