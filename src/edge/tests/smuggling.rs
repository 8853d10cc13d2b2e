use super::harness::{Gateway, Response, Setup, Upstream, get, post};

/// Expects the outcome for a request with ambiguous framing: 400, a closed connection, and no request at a service.
async fn refused(gateway: &Gateway, raw: &str) -> Response {
    let mut client = gateway.connect().await;
    client.send(raw).await;
    let response = client.response(true).await;
    assert_eq!(response.header("connection"), Some("close"), "{raw:?}");
    assert!(client.is_closed().await, "{raw:?}");
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_ambiguous_framing_reaches_no_service() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let smuggled = get("/api/users/smuggled", "");
    for lines in [
        "Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Host: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "Host: x\r\nContent-Length: 5, 6\r\n\r\nabcdef",
        "Host: x\r\nContent-Length: +5\r\n\r\nabcde",
        "Host: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Host: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Host: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Host: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Host: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "Host: x\r\nX-A: 1\r\n folded\r\n\r\n",
        "Host: x\r\nX-A: 1\nX-B: 2\r\n\r\n",
        "Host: x\r\nX-A: 1\rX-B: 2\r\n\r\n",
        "Host: x\r\nX-A: 1\0\r\n\r\n",
        "Host: x\r\nHost: y\r\n\r\n",
        "X-A: 1\r\n\r\n",
    ] {
        let raw = format!("POST /api/users HTTP/1.1\r\n{lines}{smuggled}");
        assert_eq!(refused(&gateway, &raw).await.problem(), (400, "bad_request".to_owned()), "{lines:?}");
    }
    for raw in [
        "POST /api/users HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /api/users HTTP/1.1\nHost: x\n\n",
        "GET /api/users#fragment HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET  /api/users HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/users\r\n\r\n",
    ] {
        assert_eq!(refused(&gateway, raw).await.problem().0, 400, "{raw:?}");
    }
    assert_eq!(refused(&gateway, "PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n").await.problem().0, 505);
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_a_431() {
    let gateway = Setup::of(&[]).start();
    let large = get("/livez", &format!("X-A: {}\r\n", "a".repeat(17 * 1024)));
    assert_eq!(refused(&gateway, &large).await.problem(), (431, "head_too_large".to_owned()));
    let many = get("/livez", &"X-A: 1\r\n".repeat(101));
    assert_eq!(refused(&gateway, &many).await.problem(), (431, "head_too_large".to_owned()));
    let endless = format!("GET / HTTP/1.1\r\nX-A: {}", "a".repeat(17 * 1024));
    assert_eq!(refused(&gateway, &endless).await.problem(), (431, "head_too_large".to_owned()));
    let fits = get("/livez", &format!("X-A: {}\r\n", "a".repeat(16 * 1024 - 100)));
    assert_eq!(gateway.ask(&fits).await.status, 200);
    let fits = get("/livez", &"X-A: 1\r\n".repeat(99));
    assert_eq!(gateway.ask(&fits).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_requests_before_an_invalid_one_are_answered() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    let bad = "GET /api/users/bad HTTP/1.1\r\n\r\n";
    client
        .send(&format!("{}{}{bad}{}", get("/api/users/1", ""), post("/api/users/2", "abc"), get("/api/users/3", "")))
        .await;
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!(client.response(true).await.problem().0, 400);
    assert!(client.is_closed().await);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_come_byte_by_byte_and_pipelined() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.stream.set_nodelay(true).unwrap();
    let requests = format!("\r\n{}{}{}", get("/api/users/1", ""), post("/api/users/2", "abc"), get("/api/users/3", ""));
    for piece in requests.as_bytes().chunks(3) {
        client.send(std::str::from_utf8(piece).unwrap()).await;
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(client.response(true).await.status, 200);
    }
    let received: Vec<_> = upstream.received().iter().map(|request| request.first_line().to_owned()).collect();
    assert_eq!(received, ["GET /users/1 HTTP/1.1", "POST /users/2 HTTP/1.1", "GET /users/3 HTTP/1.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_fake_a_refusal() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.ask("REFUSED /api/users HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(response.status, 200, "it is a method like any other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_chunk_aborts_the_request() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for chunks in
        ["xyz\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\nX: \0\r\n\r\n", "0\r\n\n"]
    {
        let mut client = gateway.connect().await;
        client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
        client.send(chunks).await;
        let mut response = String::new();
        let _ = tokio::io::AsyncReadExt::read_to_string(&mut client.stream, &mut response).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 400 "), "{chunks:?}: {response}");
    }
    assert!(upstream.received().iter().all(|request| !request.complete));
}
