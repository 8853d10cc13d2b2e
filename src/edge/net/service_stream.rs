//! A connection to a service below HTTP.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::tcp::{SMALL_READ_BYTES, Tcp};

/// The socket of a service.
#[derive(Debug)]
pub(crate) enum ServiceStream {
    /// TCP.
    Plain(Tcp),
    /// TLS over TCP.
    Tls(Box<TlsConnection>),
}

impl ServiceStream {
    /// Whether the connection can be used for a request: nothing unexpected has come, and the other side is open, as
    /// far as is known. For TLS, processes what belongs to no response, such as session tickets. Meaningless before the
    /// first read.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_quiet(),
            Self::Tls(stream) => stream.is_quiet(),
        }
    }

    /// Reads once, up to [`SMALL_READ_BYTES`]. Returns the number of bytes read.
    pub(crate) fn poll_append(&mut self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_append(context, into),
            Self::Tls(stream) => {
                let mut scratch = [MaybeUninit::uninit(); SMALL_READ_BYTES];
                let mut buf = ReadBuf::uninit(&mut scratch);
                ready!(Pin::new(&mut stream.0).poll_read(context, &mut buf))?;
                into.extend_from_slice(buf.filled());
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    }
}

/// A TLS connection after its handshake. Dropping it tells the other side (RFC 8446 §6.1).
#[derive(Debug)]
pub(crate) struct TlsConnection(TlsStream<ReadAhead>);

impl TlsConnection {
    pub(super) fn new(stream: TlsStream<ReadAhead>) -> Self {
        Self(stream)
    }

    /// Without a request, only messages of TLS itself may come.
    fn is_quiet(&mut self) -> bool {
        let (stream, session) = self.0.get_mut();
        loop {
            let is_open = session
                .process_new_packets()
                .is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed());
            if !is_open || stream.is_quiet() {
                return is_open;
            }
            match session.read_tls(stream) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

impl Drop for TlsConnection {
    fn drop(&mut self) {
        let (stream, session) = self.0.get_mut();
        session.send_close_notify();
        // What the socket does not take now is lost: the connection ends.
        let _ = session.write_tls(stream);
    }
}

/// The socket below TLS. rustls reads at most 4 KiB at a time; a record of a large body has 16 KiB.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    tcp: Tcp,
    ahead: BytesMut,
}

impl ReadAhead {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { tcp: Tcp(stream), ahead: BytesMut::new() }
    }

    fn is_quiet(&self) -> bool {
        self.ahead.is_empty() && self.tcp.is_quiet()
    }

    /// Moves what was read to `buf`. An empty buffer keeps no memory.
    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..length]);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }
}

/// Reads and writes without waiting.
impl io::Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            self.tcp.try_append(&mut self.ahead)?;
        }
        let mut buf = ReadBuf::new(buf);
        self.take(&mut buf);
        Ok(buf.filled().len())
    }
}

impl io::Write for ReadAhead {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            ready!(this.tcp.poll_append(context, &mut this.ahead))?;
        }
        this.take(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

impl AsyncRead for ServiceStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buf),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_read(context, buf),
        }
    }
}

impl AsyncWrite for ServiceStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.0.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut stream.0).poll_shutdown(context),
        }
    }
}
