//! Clients that use HTTP/2 with prior knowledge.

pub(crate) mod frames;
pub(crate) mod messages;
pub(crate) mod neighbours;
pub(crate) mod time;
pub(crate) mod upstreams;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    body::{Body, Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc},
};

use super::harness::{Gateway, Setup, Upstream, soon};

pub(crate) type TestBody = Either<Full<Bytes>, Parts>;

/// A body that a test sends part by part. It ends when the sender is dropped.
pub(crate) struct Parts(mpsc::Receiver<Frame<Bytes>>);

pub(crate) fn parts() -> (mpsc::Sender<Frame<Bytes>>, TestBody) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Either::Right(Parts(receiver)))
}

pub(crate) fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// An HTTP/2 connection.
pub(crate) struct Http2Client {
    pub(crate) requests: SendRequest<TestBody>,
    /// Ends with the connection.
    pub(crate) connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

/// A response.
pub(crate) struct Http2Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Http2Response {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        assert_eq!(response.version(), Version::HTTP_2);
        let (parts, body) = response.into_parts();
        let body = soon("the body", body.collect()).await.unwrap();
        let trailers = body.trailers().cloned();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Self { status: parts.status, headers: parts.headers, body, trailers }
    }

    /// The status and code of the problem document in this response.
    pub(crate) fn problem(&self) -> (u16, String) {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["request_id"], self.headers["x-request-id"].to_str().unwrap());
        assert!(!self.headers.contains_key("connection"));
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

impl Http2Client {
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        let stream = soon("connecting", TcpStream::connect(gateway.address)).await.unwrap();
        let (requests, connection) =
            http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    pub(crate) async fn send(&self, request: Request<TestBody>) -> hyper::Result<Response<Incoming>> {
        let mut requests = self.requests.clone();
        soon("room for a request", requests.ready()).await?;
        soon("an answer", requests.send_request(request)).await
    }

    async fn ask(&self, request: Request<TestBody>) -> Http2Response {
        Http2Response::read(self.send(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> Http2Response {
        self.ask(request(Method::GET, path, headers, "")).await
    }
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&'static str, &str)], body: &str) -> Request<TestBody> {
    let mut request = Request::new(Either::Left(Full::from(body.to_owned())));
    *request.method_mut() = method;
    *request.uri_mut() = format!("http://www.jinmini.com{path}").parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_forwarded_like_over_http1() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let client = Http2Client::connect(&gateway).await;
    let headers = [("x-user-id", "forged"), ("x_user_id", "forged"), ("cookie", "a=1"), ("cookie", "b=2")];
    let response = client.get("/api/users/1?a=b", &headers).await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, "ok"));
    assert!(response.headers.contains_key("x-request-id") && response.headers["via"] == "1.1 gateway");
    let received = upstream.only();
    assert_eq!(received.first_line(), "GET /users/1?a=b HTTP/1.1");
    for (name, value) in
        [("x-forwarded-host", "www.jinmini.com"), ("x-forwarded-proto", "http"), ("cookie", "a=1; b=2")]
    {
        assert_eq!(received.header(name), Some(value), "{}", received.head);
    }
    assert!(received.header("via").is_some_and(|via| via.starts_with("2.0 gateway-")), "{}", received.head);
    assert!(!received.head.contains("forged"), "{}", received.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_one_date_and_no_connection_headers() {
    let bare = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n";
    let dated = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    let (bare, dated) = (Upstream::answering(bare).await, Upstream::answering(dated).await);
    for (path, upstream, expected) in [
        ("/own", &bare, None),
        ("/api/none", &bare, None),
        ("/api/users", &bare, None),
        ("/api/users", &dated, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
    ] {
        let gateway = Setup::of(&[upstream.address]).start();
        let response = Http2Client::connect(&gateway).await.get(path, &[]).await;
        let all: Vec<_> = response.headers.get_all("date").iter().map(|date| date.to_str().unwrap()).collect();
        assert!(all.len() == 1 && all[0].ends_with(" GMT"), "{path}: {:?}", response.headers);
        assert!(expected.is_none_or(|expected| all == [expected]), "{path}: {all:?}");
        assert!(!response.headers.contains_key("connection") && !response.headers.contains_key("keep-alive"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_paths_are_answered_too() {
    let gateway = Setup::of(&[]).start();
    let client = Http2Client::connect(&gateway).await;
    let response = client.ask(request(Method::POST, "/own?x=1", &[], "text")).await;
    assert!(response.body.starts_with("POST /own?x=1\n") && response.body.ends_with("\ntext"), "{}", response.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_is_refused_with_a_problem_and_the_connection_continues() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let client = Http2Client::connect(&gateway).await;
    for (path, headers, status, code) in [
        ("/api/users/%2e%2e", &[][..], 400, "bad_path"),
        ("/api/users//1", &[], 400, "bad_path"),
        ("/api/users", &[("host", "www.jinmini.com"), ("host", "www.jinmini.com")], 400, "bad_request"),
        ("/api/users", &[("host", "other")], 400, "bad_request"),
        ("/api/auth", &[], 401, "token_missing"),
        ("/api/nobody", &[], 404, "no_route"),
    ] {
        assert_eq!(client.get(path, headers).await.problem(), (status, code.to_owned()), "{path} {headers:?}");
    }
    let trace = client.ask(request(Method::TRACE, "/api/users", &[], "")).await;
    assert_eq!(trace.problem(), (405, "method_not_allowed".to_owned()));
    assert_eq!(client.get("/api/users", &[("host", "WWW.jinmini.com")]).await.status, StatusCode::OK);
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_and_the_connection_continues() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let client = Http2Client::connect(&gateway).await;
    let announced = request(Method::POST, "/api/small", &[("content-length", "11")], "01234567890");
    assert_eq!(client.ask(announced).await.problem(), (413, "body_too_large".to_owned()));
    let (sender, body) = parts();
    let unannounced = request(Method::POST, "/api/small", &[], "").map(|_| body);
    // In parts of a good size: many small ones would be a flood, which ends the connection.
    let part: &'static str = "x".repeat(8 * 1024).leak();
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            sender.send(data(part)).await.unwrap();
        }
    });
    assert_eq!(client.ask(unannounced).await.problem(), (413, "body_too_large".to_owned()));
    soon("the body's end: what is not wanted is discarded", sending).await.unwrap();
    assert_eq!(client.ask(request(Method::POST, "/api/small", &[], "0123456789")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_response_to_head_has_a_body() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
    let gateway = Setup::of(&[upstream.address]).start();
    let client = Http2Client::connect(&gateway).await;
    for (path, status) in [("/api/none", 404), ("/api/auth", 401), ("/livez", 200), ("/api/users", 200)] {
        let response = client.send(request(Method::HEAD, path, &[], "")).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert!(response.headers()["content-length"] != "0", "{path}");
        assert!(response.into_body().is_end_stream(), "{path}: the head is all of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let client = Http2Client::connect(&gateway).await;
    let many = vec![("x-many", "1"); 101];
    assert_eq!(client.get("/api/users", &many).await.problem(), (431, "head_too_large".to_owned()));
    let long = "a".repeat(17 * 1024);
    // No other client would send it: hyper respects the announced limit.
    let refused = client.send(request(Method::GET, "/api/users", &[("x-long", &long)], "")).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(upstream.received().is_empty());
}

/// An upstream that responds only when it is told to, and reports each request.
async fn waiting() -> (Upstream, Arc<Notify>, Arc<Notify>) {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let told = (Arc::clone(&begun), Arc::clone(&go_on));
    let upstream = Upstream::start(move |mut connection| {
        let (begun, go_on) = told.clone();
        async move {
            connection.request().await;
            begun.notify_one();
            go_on.notified().await;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    (upstream, begun, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_response_does_not_delay_others() {
    let (upstream, begun, go_on) = waiting().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let client = Http2Client::connect(&gateway).await;
    let slow = client.send(request(Method::GET, "/api/users", &[], ""));
    let (response, ()) = tokio::join!(slow, async {
        soon("the request", begun.notified()).await;
        assert!(client.get("/own", &[]).await.body.starts_with("GET /own"));
        go_on.notify_one();
    });
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_requests_end_and_takes_no_more() {
    let (upstream, begun, go_on) = waiting().await;
    let mut gateway = Setup::of(&[upstream.address]).start();
    let (busy, idle) = (Http2Client::connect(&gateway).await, Http2Client::connect(&gateway).await);
    assert_eq!(idle.get("/own", &[]).await.status, StatusCode::OK);
    let response = tokio::spawn({
        let mut requests = busy.requests.clone();
        async move { requests.send_request(request(Method::GET, "/api/users", &[], "")).await }
    });
    soon("the request", begun.notified()).await;
    gateway.edge.as_ref().unwrap().shutdown();
    soon("the idle connection's end", idle.connection).await.unwrap().unwrap();
    go_on.notify_one();
    assert_eq!(Http2Response::read(response.await.unwrap().unwrap()).await.body, "ok");
    soon("the busy connection's end", busy.connection).await.unwrap().unwrap();
    let edge = gateway.edge.take().unwrap();
    soon("the end", tokio::task::spawn_blocking(move || edge.join())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_gets_a_goaway() {
    let mut setup = Setup::of(&[]);
    setup.listener.idle_timeout = Duration::from_millis(50);
    let gateway = setup.start();
    let client = Http2Client::connect(&gateway).await;
    assert_eq!(client.get("/own", &[]).await.status, StatusCode::OK);
    // It ends with GOAWAY, which hyper treats as a clean end, not with a closed socket.
    soon("the end", client.connection).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_ends_with_a_problem_and_the_connection_continues() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.idle_timeout = Duration::from_millis(50);
    let gateway = setup.start();
    let client = Http2Client::connect(&gateway).await;
    let (_sender, body) = parts();
    let stuck = request(Method::POST, "/api/users", &[], "").map(|_| body);
    assert_eq!(client.ask(stuck).await.problem(), (408, "request_timeout".to_owned()));
    // Then the connection is idle.
    soon("the end", client.connection).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_response_ends() {
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n").await;
        connection.send(&"a".repeat(10_000_000)).await;
    })
    .await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.idle_timeout = Duration::from_millis(50);
    let gateway = setup.start();
    let client = Http2Client::connect(&gateway).await;
    let response = client.send(request(Method::GET, "/api/users", &[], "")).await.unwrap();
    // The socket stays empty: the client withholds window.
    let _ = soon("the end", client.connection).await.unwrap();
    drop(response);
}
