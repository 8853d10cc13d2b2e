//! The ends of connections: half-closed clients, and clients that are still sending after their response.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, Semaphore},
};

use super::harness::{Gateway, Setup, Upstream, get, soon};

/// A service that answers a request when it is told to, and reports what it sees.
struct Slow {
    upstream: Upstream,
    asked: Arc<Notify>,
    responses: Arc<Semaphore>,
    left: Arc<Notify>,
}

impl Slow {
    async fn start(response: &'static str) -> Self {
        let (asked, responses, left) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let told = (Arc::clone(&asked), Arc::clone(&responses), Arc::clone(&left));
        let upstream = Upstream::start(move |mut connection| {
            let (asked, responses, left) = told.clone();
            async move {
                while connection.request().await.is_some() {
                    asked.notify_one();
                    tokio::select! {
                        permit = responses.acquire() => permit.unwrap().forget(),
                        _ = connection.is_closed() => return left.notify_one(),
                    }
                    connection.send(response).await;
                }
                left.notify_one();
            }
        })
        .await;
        Self { upstream, asked, responses, left }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_client_gets_its_response() {
    let slow = Slow::start(OK).await;
    let gateway = Setup::of(&[slow.upstream.address]).start();
    let old = "GET /api/users HTTP/1.0\r\nHost: x\r\n\r\n".to_owned();
    let post = "POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".to_owned();
    for request in [get("/api/users", ""), old, post] {
        let mut client = gateway.connect().await;
        client.send(&request).await;
        client.half_close().await;
        soon("the request", slow.asked.notified()).await;
        slow.responses.add_permits(1);
        let response = client.response(true).await;
        assert_eq!((response.status, response.text()), (200, "ok"), "{request}");
        assert!(client.is_closed().await);
    }
    // Two pipelined requests are both answered, and so are the gateway's own paths.
    let mut client = gateway.connect().await;
    client.send(&[get("/session", ""), get("/docs", "")].concat()).await;
    client.half_close().await;
    for path in ["/session", "/docs"] {
        assert!(client.response(true).await.text().starts_with(&format!("GET {path}\n")), "{path}");
    }
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_its_body_too_early_can_read_the_refusal() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").await;
    client.half_close().await;
    assert_eq!(client.response(true).await.problem(), (400, "bad_request".to_owned()));
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_client_is_not_waited_for_for_long() {
    let slow = Slow::start(OK).await;
    let mut setup = Setup::of(&[slow.upstream.address]);
    setup.listener.idle_timeout = Duration::from_millis(300);
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "")).await;
    soon("the request", slow.asked.notified()).await;
    client.half_close().await;
    // The client may have gone altogether, and then the response has no reader.
    soon("the end at the service", slow.left.notified()).await;
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gone_client_is_noticed_after_something_was_sent_to_it() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    let slow = Slow::start(BEGUN).await;
    let mut setup = Setup::of(&[slow.upstream.address]);
    // Neither the idle timeout nor further writes may be what reveals it.
    setup.listener.idle_timeout = Duration::from_hours(1);
    setup.upstream.max_requests = 1;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "")).await;
    soon("the request", slow.asked.notified()).await;
    // Closes both sides, with FIN.
    drop(client);
    slow.responses.add_permits(1);
    soon("the end at the service", slow.left.notified()).await;
    let mut other = gateway.connect().await;
    other.send(&get("/api/users", "")).await;
    soon("the next request", slow.asked.notified()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_client_holds_its_permit_only_until_its_response() {
    let slow = Slow::start(OK).await;
    let mut setup = Setup::of(&[slow.upstream.address]);
    setup.listener.max_requests_per_client = 1;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send(&get("/api/users", "")).await;
    client.half_close().await;
    soon("the request", slow.asked.notified()).await;
    assert_eq!(gateway.get("/api/users", "").await.problem(), (503, "overloaded".to_owned()));
    slow.responses.add_permits(2);
    assert_eq!(client.response(true).await.status, 200);
    assert!(client.is_closed().await);
    assert_eq!(gateway.get("/api/users", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_end_when_the_client_half_closes_and_other_responses_continue() {
    const EVENTS: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    const PARTS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none";
    for (begins, goes_on) in [(EVENTS, false), (PARTS, true)] {
        let (half_closed, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = (Arc::clone(&half_closed), Arc::clone(&ended));
        let upstream = Upstream::start(move |mut connection| {
            let (half_closed, ended) = told.clone();
            async move {
                connection.request().await;
                connection.send(begins).await;
                if goes_on {
                    half_closed.notified().await;
                    connection.send("two").await;
                }
                assert!(connection.is_closed().await);
                ended.notify_one();
            }
        })
        .await;
        let gateway = Setup::of(&[upstream.address]).start();
        let mut client = gateway.connect().await;
        client.send(&get("/api/users", "")).await;
        let mut got = client.some().await;
        while !got.contains("one") {
            got += &client.some().await;
        }
        client.half_close().await;
        half_closed.notify_one();
        if goes_on {
            while !got.ends_with("onetwo") {
                let more = client.some().await;
                assert!(!more.is_empty(), "{got}");
                got += &more;
            }
        } else {
            soon("the end at the service", ended.notified()).await;
        }
        assert!(client.is_closed().await);
    }
}

/// Sends the whole body, whatever arrives meanwhile; then reads up to the end of the connection.
async fn send_all_then_read(gateway: &Gateway, head: &str, piece: &[u8], pieces: usize, end: &[u8]) -> String {
    let mut stream = gateway.connect().await.stream;
    stream.write_all(head.as_bytes()).await.unwrap();
    for sent in 0..pieces {
        if let Err(error) = soon("sending", stream.write_all(piece)).await {
            panic!("{error} after {sent} of {pieces} pieces of {head}");
        }
    }
    stream.write_all(end).await.unwrap();
    let mut response = Vec::new();
    soon("the answer", stream.read_to_end(&mut response)).await.unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_can_be_read_even_if_the_client_first_sends_all_of_a_large_body() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 512;
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let plain = vec![b'a'; PIECE];
    let chunk = [format!("{PIECE:x}\r\n").as_bytes(), &plain, b"\r\n"].concat();
    for (path, status) in [("/api/small", "413"), ("/api/none", "404"), ("/api/auth", "401"), ("/api/users/%00", "400")]
    {
        let start = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
        let length = format!("{start}Content-Length: {}\r\n\r\n", PIECE * PIECES);
        let chunked = format!("{start}Transfer-Encoding: chunked\r\n\r\n");
        for (head, piece, end) in [(length, &plain, &b""[..]), (chunked, &chunk, b"0\r\n\r\n")] {
            let response = send_all_then_read(&gateway, &head, piece, PIECES, end).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}{response}");
        }
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_on_sending_still_counts() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.max_connections_per_client = 1;
    let gateway = setup.start();
    let mut client = gateway.connect().await;
    client.send("POST /api/small HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n").await;
    assert_eq!(client.response(true).await.status, 413);
    client.send("more").await;
    assert!(client.is_closed().await, "our side is closed");
    client.send("and more").await;
    let mut other = gateway.connect().await;
    assert_eq!(other.response(true).await.problem(), (503, "overloaded".to_owned()));
    drop(client);
}
