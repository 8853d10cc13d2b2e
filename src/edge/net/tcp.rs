//! A TCP connection that is read and written by direct system calls. The functions of the C library are thread
//! cancellation points, which cost two locked operations a call if there is more than one thread, and a proxied request
//! makes four calls.

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

/// The size of one read by [`Tcp::poll_append`]: most heads, and most responses, are complete with it.
pub(crate) const SMALL_READ_BYTES: usize = 16 * 1024;

/// A TCP connection that is read and written by direct system calls.
#[derive(Debug)]
pub(crate) struct Tcp(pub(crate) TcpStream);

impl Tcp {
    /// True if no readable event (data or EOF) is pending, without a system call. Meaningless before the first read.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.try_io(Interest::READABLE, || Ok(())).is_err()
    }

    /// Reads once, up to [`SMALL_READ_BYTES`]. Most input is far smaller than that, so it is copied into only as much
    /// memory as it needs.
    pub(crate) fn poll_append(&self, context: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            let read = self.append_once(into);
            if read.is_ready() {
                return read;
            }
        }
    }

    /// Like [`Tcp::poll_append`], but does not wait.
    pub(crate) fn try_append(&self, into: &mut BytesMut) -> io::Result<usize> {
        match self.append_once(into) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn append_once(&self, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut scratch = [MaybeUninit::uninit(); SMALL_READ_BYTES];
        self.try_once(Interest::READABLE, SMALL_READ_BYTES, || {
            let ((came, _), length) = recv(&self.0, &mut scratch[..], RecvFlags::empty())?;
            into.extend_from_slice(came);
            Ok(length)
        })
    }

    /// Transfers bytes once, if the socket is ready. If fewer bytes are transferred than possible, the socket is no
    /// longer ready, and the next call need not try.
    fn try_once(
        &self,
        interest: Interest,
        most: usize,
        go: impl FnOnce() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut moved = 0;
        let tried = self.0.try_io(interest, || {
            moved = go()?;
            if (1..most).contains(&moved) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match tried {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Poll::Ready(Err(error)),
            Err(_) if moved == 0 => Poll::Pending,
            Ok(()) | Err(_) => Poll::Ready(Ok(moved)),
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buf)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            // Mostly the socket can take the bytes, so try to write before checking for readiness.
            let written =
                self.try_once(Interest::WRITABLE, bytes.len(), || Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?));
            if written.is_ready() {
                return written;
            }
            ready!(self.0.poll_write_ready(context))?;
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    async fn pair() -> (Tcp, Tcp) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Tcp(one), Tcp(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn all_bytes_arrive_even_if_the_socket_buffer_is_smaller() {
        const BYTES: usize = 32 * 1024 * 1024;
        let (mut writer, reader) = pair().await;
        let writing = async {
            let bytes: Vec<u8> = (0..BYTES).map(|place| u8::try_from(place % 251).unwrap()).collect();
            writer.write_all(&bytes).await.unwrap();
            writer.shutdown().await.unwrap();
            bytes
        };
        let reading = async {
            let mut all = BytesMut::new();
            while poll_fn(|context| reader.poll_append(context, &mut all)).await.unwrap() > 0 {}
            all
        };
        let (sent, came) = tokio::join!(writing, reading);
        assert!(sent == came, "{} of {BYTES} bytes came", came.len());
    }

    #[tokio::test]
    async fn a_connection_is_quiet_until_data_or_eof_arrives() {
        let (mut one, other) = pair().await;
        // `is_quiet` is meaningless before the first read.
        assert!(other.0.try_read(&mut [0; 4]).is_err());
        assert!(other.is_quiet());
        one.write_all(b"a").await.unwrap();
        other.0.readable().await.unwrap();
        assert!(!other.is_quiet());
        let mut came = BytesMut::new();
        let read = poll_fn(|context| other.poll_append(context, &mut came)).await.unwrap();
        assert!(read == 1 && came == "a" && other.is_quiet());
        drop(one);
        other.0.readable().await.unwrap();
        assert!(!other.is_quiet());
    }

    #[tokio::test]
    async fn a_broken_connection_is_an_error() {
        let (mut one, other) = pair().await;
        other.0.set_zero_linger().unwrap();
        drop(other);
        let written = async { while one.write_all(b"a").await.is_ok() {} };
        written.await;
        assert!(one.write_all(b"a").await.is_err());
    }
}
