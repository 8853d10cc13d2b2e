//! Connections to the engine: one for each request, on which the engine may send only so many bytes. The library reads a
//! response whole before it judges it, and a line of a subscription until it ends, so the connection has to end first.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, errors::Error};
use http::{HeaderValue, Response, Uri, header::HOST};
use hyper::{body::Incoming, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// Where the engine listens.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Socket(Arc<str>),
    /// `host:port`
    Tcp(Arc<str>),
}

/// The library's own time limit for the head of a response. A proxy may send that of a subscription with the first
/// change, so it is no less than a day; all other requests have limits of their own.
const HEAD_TIMEOUT_SECONDS: u64 = 24 * 60 * 60;

/// A client of the engine. It may send `limit` bytes for each request.
pub(super) fn client(address: &Address, limit: usize) -> Result<Docker, Error> {
    let address = address.clone();
    let transport = move |request| send(address.clone(), limit, request);
    // The library only needs a name to build URLs with.
    Docker::connect_with_custom_transport(
        transport,
        Some("http://localhost"),
        HEAD_TIMEOUT_SECONDS,
        API_DEFAULT_VERSION,
    )
}

async fn send(address: Address, limit: usize, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    // A target of a server, not of a proxy.
    if let Some(target) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(target);
    }
    match &address {
        Address::Socket(path) => {
            let stream = UnixStream::connect(&**path).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::SocketNotFoundError(path.to_string()),
                _ => error.into(),
            })?;
            exchange(stream, "localhost", limit, request).await
        }
        Address::Tcp(authority) => {
            let stream = TcpStream::connect(&**authority).await?;
            exchange(stream, authority, limit, request).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    limit: usize,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    request.headers_mut().insert(HOST, HeaderValue::try_from(host).map_err(http::Error::from)?);
    let (mut sender, connection) = handshake(TokioIo::new(Limited { stream, limit, left: limit })).await?;
    // It ends with the response, or when the request is dropped. What breaks it also breaks the response.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// A stream that fails when the other side sends too much.
struct Limited<S> {
    stream: S,
    limit: usize,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let Some(left) = self.left.checked_sub(buffer.filled().len() - before) else {
            let mebibytes = self.limit / (1024 * 1024);
            return Poll::Ready(Err(io::Error::other(format!("the engine sent more than {mebibytes} MiB"))));
        };
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
