//! Services that use HTTP/2 with prior knowledge.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, mpsc},
};

use super::{
    Http2Client, Http2Response, TestBody, data,
    frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, STATUS_200, frame},
    parts, request,
};
use crate::edge::tests::{
    harness::{Gateway, Setup, get, post, soon},
    support::service,
};

/// A gateway in front of an endpoint of the service `auth` that speaks HTTP/2.
pub(crate) fn gateway(address: SocketAddr) -> Gateway {
    let services = vec![service("auth", &[&format!("h2c://{address}")])];
    Setup { services, ..Setup::of(&[]) }.start()
}

/// A service, and the number of connections it has accepted.
pub(crate) async fn serve<F>(
    respond: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = Response<TestBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let respond = respond.clone();
            let service = service_fn(move |request| {
                let response = respond(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (address, connections)
}

fn whole(text: &'static str) -> Response<TestBody> {
    Response::new(Either::Left(Full::from(text)))
}

fn trailers(pairs: &[(&'static str, &str)]) -> Frame<Bytes> {
    Frame::trailers(pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_call_passes_with_its_trailers_in_both_directions() {
    let (address, _) = serve(|request| async {
        assert_eq!((request.version(), request.method()), (Version::HTTP_2, &Method::POST));
        assert_eq!(request.uri().path(), "/users/Greet");
        assert!(request.uri().authority().is_some() && !request.headers().contains_key("host"));
        let headers = request.headers().clone();
        let body = request.into_body().collect().await.unwrap();
        let sent: &HeaderMap = body.trailers().unwrap();
        assert!(sent["x-sum"] == "1" && !sent.contains_key("x-user-id"), "{sent:?}");
        assert_eq!(body.to_bytes(), "question");
        let via = headers["via"].to_str().unwrap();
        assert!(headers["te"] == "trailers" && via.starts_with("2.0 gateway-"), "{headers:?}");
        let (sender, response) = parts();
        tokio::spawn(async move {
            sender.send(data("answer")).await.unwrap();
            sender.send(trailers(&[("grpc-status", "0"), ("x-request-id", "forged")])).await.unwrap();
        });
        Response::new(response)
    })
    .await;
    let gateway = gateway(address);
    let client = Http2Client::connect(&gateway).await;
    let (sender, body) = parts();
    tokio::spawn(async move {
        sender.send(data("question")).await.unwrap();
        sender.send(trailers(&[("x-sum", "1"), ("x-user-id", "forged")])).await.unwrap();
    });
    let call = request(Method::POST, "/api/users/Greet", &[("te", "trailers")], "").map(|_| body);
    let response = Http2Response::read(client.send(call).await.unwrap()).await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, "answer"));
    assert!(response.headers["via"] == "2.0 gateway" && response.headers.contains_key("x-request-id"));
    let trailers = response.trailers.unwrap();
    assert!(trailers["grpc-status"] == "0" && trailers.len() == 1, "{trailers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_send_at_once() {
    let (address, _) = serve(|request| async {
        let (sender, response) = parts();
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                sender.send(frame).await.unwrap();
            }
            sender.send(trailers(&[("grpc-status", "0")])).await.unwrap();
        });
        Response::new(response)
    })
    .await;
    let gateway = gateway(address);
    let client = Http2Client::connect(&gateway).await;
    let (sender, body) = parts();
    let call = request(Method::POST, "/api/users/Chat", &[], "").map(|_| body);
    let mut response = client.send(call).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        sender.send(data(word)).await.unwrap();
        let echoed = soon("the echo", response.frame()).await.unwrap().unwrap();
        assert_eq!(echoed.into_data().unwrap(), word);
    }
    drop(sender);
    let end = soon("the trailers", response.frame()).await.unwrap().unwrap();
    assert_eq!(end.into_trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_one_connection_with_those_of_http1_clients() {
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let told = (Arc::clone(&begun), Arc::clone(&go_on));
    let (address, connections) = serve(move |_| {
        let (begun, go_on) = told.clone();
        async move {
            begun.add_permits(1);
            let _going = go_on.acquire().await.unwrap();
            whole("ok")
        }
    })
    .await;
    let gateway = gateway(address);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.send(&post("/api/users", "abc")).await;
        clients.push(client);
    }
    drop(soon("all of them at once", begun.acquire_many(20)).await.unwrap());
    go_on.add_permits(1);
    for client in &mut clients {
        let response = client.response(true).await;
        assert_eq!((response.status, response.text()), (200, "ok"));
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_http1_streams_completely_to_http2() {
    // Responds with the number of bytes when all have come.
    let (address, _) = serve(|request| async move {
        let length = request.into_body().collect().await.map(|whole| whole.to_bytes().len());
        Response::new(Either::Left(Full::from(length.map_or("broken".to_owned(), |length| length.to_string()))))
    })
    .await;
    let gateway = gateway(address);
    let mut client = gateway.connect().await;
    // The client waits for `100 Continue`; then it sends little by little, and then a lot.
    let head = "POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.response(false).await.status, 100);
    for _ in 0..20 {
        client.send("3\r\nabc\r\n").await;
        tokio::task::yield_now().await;
    }
    let large = "x".repeat(100_000);
    for _ in 0..10 {
        client.send(&format!("186a0\r\n{large}\r\n")).await;
    }
    client.send("0\r\n\r\n").await;
    let response = client.response(true).await;
    assert_eq!((response.status, response.text()), (200, "1000060"));
    // The connection is in sync afterwards.
    assert_eq!(client.ask(&post("/api/users", "abcd")).await.text(), "4");
    // A body that breaks off is incomplete.
    client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").await;
    drop(client);
    assert_eq!(gateway.ask(&post("/api/users", "ab")).await.text(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_not_begun_is_retried_whatever_its_method() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Refuses each first stream and answers each second.
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut refuses = false;
        while let Some(Ok((_request, mut response))) = connection.accept().await {
            refuses = !refuses;
            if refuses {
                response.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                response.send_response(Response::new(()), true).unwrap();
            }
        }
    });
    let gateway = gateway(address);
    for _ in 0..3 {
        let response = gateway.ask("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(response.status, 200);
    }
}

/// The reaction of a service to the first request, instead of a response.
#[derive(Debug, Clone, Copy)]
enum Said {
    /// It resets the stream.
    Reset(h2::Reason),
    /// It sends GOAWAY, with a last stream id of zero: it has processed no stream.
    Leave(h2::Reason),
}

/// A service that reacts in this way to the first request and answers all others, with the number of requests it has
/// seen.
async fn saying_of_the_first(said: Said) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 24]).await?;
                stream.write_all(&frame(4, 0, 0, b"")).await?;
                loop {
                    let mut header = [0; 9];
                    stream.read_exact(&mut header).await?;
                    let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
                    stream.read_exact(&mut payload).await?;
                    if header[3] != HEADERS {
                        continue;
                    }
                    let id = u32::from_be_bytes(header[5..].try_into().unwrap());
                    let number = counted.fetch_add(1, Ordering::Relaxed);
                    let code = |reason: h2::Reason| u32::from(reason).to_be_bytes();
                    let frames = match said {
                        Said::Reset(reason) if number == 0 => frame(RST_STREAM, 0, id, &code(reason)),
                        Said::Leave(reason) if number == 0 => frame(GOAWAY, 0, 0, &[[0; 4], code(reason)].concat()),
                        Said::Reset(_) | Said::Leave(_) => frame(HEADERS, END_HEADERS | END_STREAM, id, &[STATUS_200]),
                    };
                    stream.write_all(&frames).await?;
                }
                #[expect(unreachable_code, reason = "it names the error type")]
                std::io::Result::Ok(())
            });
        }
    });
    (address, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_may_have_been_processed_is_retried_only_if_it_is_idempotent() {
    use h2::Reason;
    let post = "POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    for (said, is_sent_again) in [
        // RFC 9113 §8.7: only these mean that nothing was processed.
        (Said::Reset(Reason::REFUSED_STREAM), true),
        (Said::Leave(Reason::NO_ERROR), true),
        (Said::Reset(Reason::NO_ERROR), false),
        (Said::Reset(Reason::INTERNAL_ERROR), false),
        (Said::Leave(Reason::INTERNAL_ERROR), false),
    ] {
        let (address, requests) = saying_of_the_first(said).await;
        let response = gateway(address).ask(post).await;
        let seen = requests.load(Ordering::Relaxed);
        assert_eq!((response.status, seen), if is_sent_again { (200, 2) } else { (502, 1) }, "POST, {said:?}");
        let (address, requests) = saying_of_the_first(said).await;
        let response = gateway(address).get("/api/users", "").await;
        assert_eq!((response.status, requests.load(Ordering::Relaxed)), (200, 2), "GET, {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_response_in_time_gets_no_more_requests() {
    let (address, connections) = accepting(|mut connection| async move {
        let mut unanswered = Vec::new();
        let mut is_dead = false;
        while let Some(Ok((request, mut response))) = connection.accept().await {
            is_dead |= request.uri().path() == "/users/lost";
            if is_dead {
                unanswered.push(response);
            } else {
                response.send_response(Response::new(()), true).unwrap();
            }
        }
    })
    .await;
    let services = vec![service("auth", &[&format!("h2c://{address}")])];
    let mut setup = Setup { services, ..Setup::of(&[]) };
    setup.upstream.first_byte_timeout = Duration::from_secs(1);
    let gateway = setup.start();
    for count in [1, 1, 2] {
        if count == 2 {
            assert_eq!(gateway.get("/api/users/lost", "").await.problem().0, 504);
        }
        assert_eq!(gateway.get("/api/users", "").await.status, 200);
        assert_eq!(connections.load(Ordering::Relaxed), count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_or_speaks_another_protocol_is_a_502() {
    let nobody = crate::edge::tests::harness::nobody().await;
    let gateway_of_nobody = gateway(nobody);
    let response = gateway_of_nobody.get("/api/users", "").await;
    assert_eq!(response.problem(), (502, "bad_gateway".to_owned()));
    let http1 = crate::edge::tests::harness::Upstream::answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let response = gateway(http1.address).get("/api/users", "").await;
    assert_eq!(response.problem(), (502, "bad_gateway".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_a_goaway_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&ended);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_request, mut response) = connection.accept().await.unwrap().unwrap();
            response.send_response(Response::new(()), true).unwrap();
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
            told.add_permits(1);
        }
    });
    let gateway = gateway(address);
    for _ in 0..3 {
        let response = gateway.ask("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(response.status, 200);
        soon("the end", ended.acquire()).await.unwrap().forget();
    }
}

/// A service with its own handling of connections: `serve` gets each, with the number of responses so far.
async fn accepting<F>(
    serve: impl Fn(h2::server::Connection<tokio::net::TcpStream, Bytes>) -> F + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            if let Ok(connection) = h2::server::handshake(stream).await {
                tokio::spawn(serve(connection));
            }
        }
    });
    (address, connections)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_do_not_block_others() {
    // Far more than any window, or nearly nothing.
    let large: &'static str = "a".repeat(8_000_000).leak();
    let (address, connections) = serve(move |request| async move {
        if request.uri().path() == "/users/large" { whole(large) } else { whole("ok") }
    })
    .await;
    let gateway = gateway(address);
    let mut unread = Vec::new();
    for _ in 0..24 {
        let mut client = gateway.connect().await;
        client.send(&get("/api/users/large", "")).await;
        // The response has begun, and is not read any further.
        assert!(client.some().await.starts_with("HTTP/1.1 200"));
        unread.push(client);
    }
    let client = Http2Client::connect(&gateway).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/users/small", "").await.text(), "ok");
        assert_eq!(client.get("/api/users/small", &[]).await.body, "ok");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    // Those that continue to read get the rest.
    for mut client in unread.into_iter().take(2) {
        let mut length = 0;
        while length < large.len() {
            let some = client.some().await;
            assert!(!some.is_empty(), "it ended after {length} bytes");
            length += some.len();
        }
    }
}

/// A service with the default windows of the specification. It responds to `/users/read` with the length of the body,
/// and does not read any other body.
async fn picky() -> (SocketAddr, Arc<AtomicUsize>) {
    picky_and_telling(mpsc::unbounded_channel().0).await
}

/// Like `picky`; it also reports each request.
async fn picky_and_telling(told: mpsc::UnboundedSender<()>) -> (SocketAddr, Arc<AtomicUsize>) {
    accepting(move |connection| respond_to_what_is_read(connection, told.clone())).await
}

async fn respond_to_what_is_read(
    mut connection: h2::server::Connection<tokio::net::TcpStream, Bytes>,
    told: mpsc::UnboundedSender<()>,
) {
    let mut unread = Vec::new();
    while let Some(Ok((request, mut response))) = connection.accept().await {
        let _ = told.send(());
        if request.uri().path() != "/users/read" {
            unread.push((request, response));
            continue;
        }
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(Ok(data)) = body.data().await {
                length += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            let text = Bytes::from(length.to_string());
            response.send_response(Response::new(()), false).unwrap().send_data(text, true).unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_a_service_does_not_read_do_not_block_others() {
    let (address, connections) = picky().await;
    let gateway = gateway(address);
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let mut client = gateway.connect().await;
        client.send("POST /api/users/stuck HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").await;
        client.send(&"a".repeat(200_000)).await;
        stuck.push(client);
    }
    let sent = "b".repeat(150_000);
    for _ in 0..3 {
        assert_eq!(gateway.ask(&post("/api/users/read", "abc")).await.text(), "3");
        assert_eq!(gateway.ask(&post("/api/users/read", &sent)).await.text(), "150000");
    }
    // Each stuck request holds at most one connection.
    assert!((2..=9).contains(&connections.load(Ordering::Relaxed)), "{connections:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_share_a_connection_cannot_use_up_its_window() {
    const OTHERS: usize = 8;
    for (header, length) in [(("content-type", "application/grpc"), 80_000), (("content-length", "16000"), 16_000)] {
        let (told, mut begun) = mpsc::unbounded_channel();
        let (address, _) = picky_and_telling(told).await;
        let gateway = gateway(address);
        let (client, other) = (Http2Client::connect(&gateway).await, Http2Client::connect(&gateway).await);
        let mut bodies = Vec::new();
        let mut ask = |client: &Http2Client, path: &str, header| {
            let (sender, body) = parts();
            bodies.push(sender);
            let (mut requests, request) = (client.requests.clone(), request(Method::POST, path, &[header], ""));
            tokio::spawn(async move { requests.send_request(request.map(|_| body)).await })
        };
        // All heads come before any body.
        let read = ask(&client, "/api/users/read", ("content-length", "6"));
        (0..OTHERS).for_each(|_| drop(ask(&other, "/api/users/stuck", header)));
        for _ in 0..=OTHERS {
            soon("a request", begun.recv()).await.unwrap();
        }
        for body in &bodies[1..] {
            body.send(Frame::data(Bytes::from(vec![b'a'; length]))).await.unwrap();
        }
        let behind = request(Method::POST, "/api/users/read", &[("content-length", "3")], "abc");
        assert_eq!(Http2Response::read(other.send(behind).await.unwrap()).await.body, "3");
        let body = bodies.remove(0);
        for _ in 0..2 {
            body.send(data("abc")).await.unwrap();
        }
        drop(body);
        let response = soon("the answer", read).await.unwrap().unwrap();
        assert_eq!(Http2Response::read(response).await.body, "6", "{header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_a_service_does_not_read_do_not_block_other_requests_of_their_client() {
    let (address, _) = picky().await;
    let gateway = gateway(address);
    let client = Http2Client::connect(&gateway).await;
    let large = "a".repeat(1_000_000);
    for _ in 0..16 {
        let (mut requests, stuck) = (client.requests.clone(), request(Method::POST, "/api/users/stuck", &[], &large));
        tokio::spawn(async move { requests.send_request(stuck).await });
    }
    for _ in 0..3 {
        let small = request(Method::POST, "/api/users/read", &[("content-length", "3")], "abc");
        assert_eq!(Http2Response::read(client.send(small).await.unwrap()).await.body, "3");
        let long = request(Method::POST, "/api/users/read", &[], &large);
        assert_eq!(Http2Response::read(client.send(long).await.unwrap()).await.body, "1000000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_closes_at_once_is_tried_no_more_often_than_any_other() {
    for says_goaway in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                if says_goaway {
                    let settings = b"\0\0\0\x04\0\0\0\0\0";
                    let goaway = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
                    let _ = stream.write_all(&[&settings[..], goaway].concat()).await;
                }
            }
        });
        let response = gateway(address).get("/api/users", "").await;
        assert_eq!(response.problem(), (502, "bad_gateway".to_owned()), "{says_goaway}");
        assert!((1..=3).contains(&connections.load(Ordering::Relaxed)), "{connections:?} {says_goaway}");
    }
}
