pub(crate) mod balancing;
pub(crate) mod health;
pub(crate) mod loops;
pub(crate) mod redirects;
pub(crate) mod routes;
pub(crate) mod trailers;
pub(crate) mod upgrades;
pub(crate) mod uploads;
pub(crate) mod upstreams;

use super::{
    harness::{Setup, Upstream, bearer, get, post},
    http2::Http2Client,
    support::service,
};

fn multi() -> Setup {
    Setup::of(&[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_its_service_under_the_path_of_the_route() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.get("/api/users/1?q=%2F..&x", "Accept: text/plain\r\nAccept: */*\r\n").await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    let request = upstream.only();
    assert_eq!(request.first_line(), "GET /users/1?q=%2F..&x HTTP/1.1");
    assert_eq!(request.headers("accept").collect::<Vec<_>>(), ["text/plain", "*/*"]);
    assert_eq!(request.header("host"), Some(upstream.address.to_string().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_that_was_checked_is_the_path_that_is_sent() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    assert_eq!(gateway.get("/%61pi/%75sers/%7e%ec%95%88%20", "").await.status, 200);
    assert_eq!(upstream.only().first_line(), "GET /users/~%EC%95%88%20 HTTP/1.1");
    assert_eq!(gateway.get("/api/users/%61dmin", "").await.status, 401, "another spelling opens no door");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_path_reaches_no_service() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for path in [
        "/api/users%2fadmin",
        "/api/users%5cadmin",
        "/api/users\\admin",
        "/api/users/../users/admin",
        "/api/users/%2e%2e/x",
        "/api/users/.%2E/x",
        "/api/users/./admin",
        "/api/users//admin",
        "//api/users",
        "/api/users/%00",
        "/api/users/%0d%0aX:1",
        "/api/users/%",
        "/api/users/%zz",
        "/api/users/%c0%af",
        "/api/users/..;/admin",
        "/api/users/admin;x=1",
        "/api/users/admin%3bx",
        "/tokens//create",
        "/..",
    ] {
        assert_eq!(gateway.get(path, "").await.problem(), (400, "bad_path".to_owned()), "{path}");
    }
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn base_path_and_host_are_those_of_the_endpoint() {
    let upstream = Upstream::ok().await;
    let url = format!("http://localhost:{}/base", upstream.address.port());
    let gateway = Setup { services: vec![service("auth", &[&url])], ..multi() }.start();
    assert_eq!(gateway.get("/api/users?a=b", "").await.status, 200);
    let request = upstream.only();
    assert_eq!(request.first_line(), "GET /base/users?a=b HTTP/1.1");
    assert_eq!(request.header("host"), Some(format!("localhost:{}", upstream.address.port()).as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absolute_target_sets_the_host() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.ask("GET http://other.example:81/api/users HTTP/1.1\r\nHost: www.jinmini.com\r\n\r\n").await;
    assert_eq!(response.status, 200);
    let request = upstream.only();
    assert_eq!(request.first_line(), "GET /users HTTP/1.1");
    assert_eq!(request.header("x-forwarded-host"), Some("other.example:81"));
    for target in ["http://u:p@other.example/api/users", "ftp://other.example/api/users", "other.example:80"] {
        let response = gateway.ask(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(response.problem().0, 400, "{target}");
    }
    for host in ["u@x", "a,b", "x/y", "a b", ""] {
        let response = gateway.ask(&format!("GET /api/users HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(response.problem().0, 400, "{host}");
    }
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_from_a_client_never_arrive() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let lines = "X-User-Id: admin\r\nX_User_Id: admin\r\nX.User.Scope: admin\r\nX-Forwarded-For: 6.6.6.6\r\n\
        X-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
        X-Request-Id: mine\r\nX-Auth-Request-User: admin\r\nX_Gateway_Key: 1\r\nx-middleware-subrequest: x\r\n\
        Connection: X-Forwarded-For, X-Request-Id, X-Forwarded-Host, Forwarded, Via, traceparent, X-Own\r\nX-Own: 1\r\n";
    let response = gateway.get("/api/users/1", lines).await;
    let request = upstream.only();
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-host"), Some("www.jinmini.com"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-prefix"), Some("/api"));
    assert_eq!(request.header("forwarded"), Some("for=127.0.0.1;host=www.jinmini.com;proto=http"));
    assert!(request.header("via").is_some_and(|via| via.starts_with("1.1 gateway-")), "{}", request.head);
    assert_eq!(request.header("x-request-id"), response.header("x-request-id"));
    assert_eq!(request.header("traceparent").map(str::len), Some(55));
    for gone in ["admin", "6.6.6.6", "evil", "mine", "x-own", "x_", "x.", "x-real-ip", "x-user", "connection"] {
        assert!(!request.head.to_lowercase().contains(gone), "{gone}:\n{}", request.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verified_caller_is_sent_and_connection_cannot_remove_it() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let lines = format!("{}X-User-Id: admin\r\nConnection: X-User-Id, X-User-Scope\r\n", bearer("jwt.u1.read+write.1"));
    assert_eq!(gateway.get("/api/auth/me", &lines).await.status, 200);
    let request = upstream.only();
    assert_eq!(request.first_line(), "GET /me HTTP/1.1");
    assert_eq!(request.header("x-user-id"), Some("u1"));
    assert_eq!(request.header("x-user-scope"), Some("read write"));
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_cannot_break_out_of_its_header() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for (subject, told) in [("김 진", "%EA%B9%80%20%EC%A7%84"), ("a%20b", "a%2520b"), ("google|1", "google|1")] {
        assert_eq!(gateway.get("/api/auth", &bearer(&format!("jwt.{subject}..1"))).await.status, 200, "{subject}");
        assert_eq!(upstream.received().pop().unwrap().header("x-user-id"), Some(told));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_forwarded_only_where_the_route_says_so_and_our_cookie_never() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let lines = format!(
        "{}Cookie: a=1; __Host-gateway_session=secret\r\nCookie: gateway_session=secret\r\nProxy-Authorization: Basic x\r\n",
        bearer("jwt.u1..1")
    );
    gateway.get("/api/users", &lines).await;
    gateway.get("/api/with-token", &lines).await;
    let received = upstream.received();
    assert_eq!(received[0].header("authorization"), None);
    assert_eq!(received[1].header("authorization"), Some("Bearer jwt.u1..1"));
    for request in &received {
        assert_eq!(request.header("cookie"), Some("a=1"));
        assert!(!request.head.contains("secret") && !request.head.contains("Basic"), "{}", request.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = setup.start();
    let id = "7a2cf1b0-6b1c-4f0e-8a51-0d5a3f5c9b11";
    let lines = format!("X-Forwarded-For: 6.6.6.6, 2001:db8::7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: {id}\r\n");
    let response = gateway.get("/api/users", &lines).await;
    let request = upstream.only();
    assert_eq!(request.header("x-forwarded-for"), Some("2001:db8::7, 127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("forwarded"), Some("for=\"[2001:db8::7]\";host=www.jinmini.com;proto=https"));
    assert_eq!(request.header("x-request-id"), response.header("x-request-id"));
    let given = crate::domain::gateway::models::values::id::RequestId::from(uuid::Uuid::parse_str(id).unwrap());
    assert_eq!(response.header("x-request-id"), Some(given.to_string().as_str()));
}

/// The address and host headers that a service gets if a client sends these headers, over HTTP/1.1 and over HTTP/2.
async fn told(by_trusted: bool, headers: &[(&'static str, &str)]) -> [[Option<String>; 3]; 2] {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    if by_trusted {
        setup.listener.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    }
    let gateway = setup.start();
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    assert_eq!(gateway.get("/api/users", &lines.concat()).await.status, 200);
    assert_eq!(Http2Client::connect(&gateway).await.get("/api/users", headers).await.status, 200);
    let names = ["x-forwarded-for", "x-forwarded-host", "forwarded"];
    let received = upstream.received();
    [0, 1].map(|request| names.map(|name| received[request].header(name).map(str::to_owned)))
}

#[tokio::test(flavor = "multi_thread")]
async fn address_and_host_are_forwarded_from_a_trusted_proxy_only() {
    let said = [("x-real-ip", "192.0.2.9"), ("x-forwarded-host", "app.example.com:8443")];
    let believed =
        ["192.0.2.9, 127.0.0.1", "app.example.com:8443", "for=192.0.2.9;host=\"app.example.com:8443\";proto=http"];
    let own = ["127.0.0.1", "www.jinmini.com", "for=127.0.0.1;host=www.jinmini.com;proto=http"];
    let alike = |expected: [&str; 3]| [expected; 2].map(|values| values.map(|value| Some(value.to_owned())));
    assert_eq!(told(true, &said).await, alike(believed));
    assert_eq!(told(false, &said).await, alike(own));
    let invalid = [("x-real-ip", "192.0.2.9, 192.0.2.8"), ("x-forwarded-host", "evil.example, app.example.com")];
    assert_eq!(told(true, &invalid).await, alike(own));
}

#[tokio::test(flavor = "multi_thread")]
async fn own_paths_get_the_host_from_a_trusted_proxy() {
    let line = "X-Forwarded-Host: app.example.com\r\n";
    let mut setup = Setup::of(&[]);
    setup.listener.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let (behind, open) = (setup.start(), Setup::of(&[]).start());
    for request in [get("/own", line), format!("GET /own HTTP/1.0\r\n{line}\r\n")] {
        let seen = behind.ask(&request).await;
        assert!(seen.text().contains(r#""host": "app.example.com""#), "{}", seen.text());
        let seen = open.ask(&request).await;
        assert!(!seen.text().contains("app.example.com"), "{}", seen.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_loses_hop_by_hop_headers_and_gets_ours() {
    let upstream = Upstream::answering(
        "HTTP/1.1 201 Created\r\nConnection: keep-alive, X-Internal\r\nX-Internal: 1\r\nKeep-Alive: timeout=5\r\n\
         X-Request-Id: theirs\r\nVia: 1.1 other\r\nSet-Cookie: a=1\r\nSet-Cookie: __Host-gateway_session=fixated\r\n\
         Set-Cookie: =__Host-gateway_session=fixated; Path=/; Secure\r\n\
         Upgrade: h2c\r\nETag: \"x\"\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.get("/api/users", "").await;
    assert_eq!((response.status, response.text(), response.header("etag")), (201, "ok", Some("\"x\"")));
    assert_eq!(response.message.headers("via").collect::<Vec<_>>(), ["1.1 other", "1.1 gateway"]);
    assert_eq!(response.header("set-cookie"), Some("a=1"));
    assert_eq!(response.header("x-request-id").map(str::len), Some(22));
    for gone in ["x-internal", "keep-alive", "theirs", "upgrade", "fixated"] {
        assert!(!response.message.head.to_lowercase().contains(gone), "{gone}:\n{}", response.message.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_without_a_body_keep_the_connection_in_sync() {
    let upstream = Upstream::start(|mut connection| async move {
        while let Some(request) = connection.request().await {
            connection
                .send(match request.first_line() {
                    "HEAD /users HTTP/1.1" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
                    "GET /users/204 HTTP/1.1" => "HTTP/1.1 204 No Content\r\n\r\n",
                    "GET /users/304 HTTP/1.1" => {
                        "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"x\"\r\n\r\n"
                    }
                    "GET /users/103 HTTP/1.1" => {
                        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    }
                    _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                })
                .await;
        }
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    let head = client.ask("HEAD /api/users HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("1234")));
    assert_eq!(client.ask(&get("/api/users/204", "")).await.status, 204);
    assert_eq!(client.ask(&get("/api/users/304", "")).await.status, 304);
    assert_eq!(client.ask(&get("/api/users/103", "")).await.text(), "ok");
    assert_eq!(client.ask(&get("/api/users/empty", "")).await.status, 200);
    let refused = client.ask("HEAD /api/none HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((refused.status, refused.text()), (404, ""));
    assert_eq!(client.ask(&post("/api/users", "abc")).await.status, 200);
    assert_eq!(upstream.received().last().unwrap().text(), "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_arrives_completely_and_its_trailers_do_not() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    for method in ["POST", "GET"] {
        let request = format!(
            "{method} /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n\
             3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-User-Id: admin\r\n\r\n"
        );
        assert_eq!(client.ask(&request).await.status, 200);
        let request = upstream.received().pop().unwrap();
        assert_eq!((request.text(), request.header("transfer-encoding")), ("abcdefg", Some("chunked")));
        assert!(!request.head.to_lowercase().contains("x-user-id") && request.header("trailer").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_gets_a_response_that_it_understands() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.ask("GET /api/users HTTP/1.0\r\nHost: x\r\n\r\n").await;
    assert_eq!((response.status, response.text(), response.header("transfer-encoding")), (200, "ok", None));
    assert!(upstream.only().header("via").is_some_and(|via| via.starts_with("1.0 gateway-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_need_not_send_a_host() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for target in ["/api/users", "/own"] {
        let response = gateway.ask(&format!("GET {target} HTTP/1.0\r\n\r\n")).await;
        assert_eq!(response.status, 200, "{target}");
    }
    let request = upstream.only();
    assert_eq!(request.header("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(request.header("x-forwarded-host"), None);
    assert_eq!(request.header("forwarded"), Some("for=127.0.0.1;proto=http"));
}

#[tokio::test(flavor = "multi_thread")]
async fn close_takes_precedence_over_keep_alive() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for (version, options, stays_open) in [
        ("1.0", "keep-alive", true),
        ("1.0", "close, keep-alive", false),
        ("1.0", "keep-alive, close", false),
        ("1.1", "close, keep-alive", false),
        ("1.1", "keep-alive", true),
    ] {
        let mut client = gateway.connect().await;
        let request = format!("GET /api/users HTTP/{version}\r\nHost: x\r\nConnection: {options}\r\n\r\n");
        let response = client.ask(&request).await;
        assert_eq!(response.header("connection") == Some("close"), !stays_open, "{version} {options}");
        if stays_open {
            assert_eq!(client.ask(&request).await.status, 200, "{version} {options}");
        } else {
            assert!(client.is_closed().await, "{version} {options}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let mut client = gateway.connect().await;
    client.send("POST /api/users HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").await;
    assert_eq!(client.response(false).await.status, 100);
    client.send("abc").await;
    assert_eq!(client.response(true).await.status, 200);
    assert_eq!((upstream.only().text(), upstream.only().header("expect")), ("abc", None));
    let refused = "POST /api/none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(gateway.ask(refused).await.status, 404, "without asking for a body that nobody wants");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_does_not_wait_for_a_body_that_waits_for_100_continue() {
    // The service responds before it has the body, and so does the gateway.
    let upstream = Upstream::start(|mut connection| async move {
        let mut seen = String::new();
        while !seen.contains("\r\n\r\n") {
            seen += &connection.some().await;
        }
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
        connection.is_closed().await;
    })
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    for path in ["/api/users", "/api/auth", "/api/small"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
        let mut client = gateway.connect().await;
        client.send(&head).await;
        let mut response = client.response(true).await;
        let was_asked_for = response.status == 100;
        if was_asked_for {
            response = client.response(true).await;
        }
        let expected = match path {
            "/api/users" => 403,
            "/api/auth" => 401,
            _ => 413,
        };
        assert_eq!(response.status, expected, "{path}");
        assert_eq!(was_asked_for, path == "/api/users", "{path}");
        // It is unknown whether the body will come at all, so no request can follow it.
        assert!(was_asked_for || client.is_closed().await, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_left_to_the_service() {
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/10\r\nAccept-Ranges: bytes\r\n\
                ETag: \"v1\"\r\nContent-Length: 2\r\n\r\n23";
    let upstream = Upstream::answering(part).await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.get("/api/users", "Range: bytes=2-3\r\nIf-Range: \"v1\"\r\n").await;
    assert_eq!(
        (response.status, response.text(), response.header("content-range"), response.header("accept-ranges")),
        (206, "23", Some("bytes 2-3/10"), Some("bytes"))
    );
    let request = upstream.only();
    assert_eq!((request.header("range"), request.header("if-range")), (Some("bytes=2-3"), Some("\"v1\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_services_may_have_ipv6_addresses() {
    let upstream = Upstream::at("[::1]:0", |mut connection| async move {
        while connection.request().await.is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.address = "[::1]:0".parse().unwrap();
    let gateway = setup.start();
    assert_eq!(gateway.get("/api/users", "").await.text(), "ok");
    let request = upstream.only();
    assert_eq!(request.header("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(request.header("x-forwarded-for"), Some("::1"));
    assert_eq!(
        request.header("forwarded"),
        Some("for=\"[::1]\";host=www.jinmini.com;proto=http"),
        "an IPv6 address is quoted and in brackets (RFC 7239 §6)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_printable_target_gets_a_response() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    for byte in '!'..='~' {
        for target in
            [format!("/api/users/{byte}"), format!("/api/users?{byte}"), format!("/tokens{byte}"), byte.to_string()]
        {
            let response = gateway.get(&target, "").await;
            assert!(response.header("x-request-id").is_some(), "{target}");
            assert!(matches!(response.status, 200 | 400), "{target}: {}", response.status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_for_proxies_are_not_forwarded() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let trace = gateway.ask("TRACE /api/users HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(trace.problem(), (405, "method_not_allowed".to_owned()));
    assert!(trace.header("allow").is_some_and(|allow| !allow.contains("TRACE")));
    let connect = gateway.ask("CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n").await;
    assert_eq!(connect.problem(), (501, "not_implemented".to_owned()));
    assert_eq!(gateway.ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 204);
    let options = |left: &str| format!("OPTIONS /api/users HTTP/1.1\r\nHost: x\r\nMax-Forwards: {left}\r\n\r\n");
    assert_eq!(gateway.ask(&options("0")).await.status, 204);
    assert_eq!(gateway.ask(&options("x")).await.problem().0, 400);
    assert_eq!(upstream.received(), []);
    assert_eq!(gateway.ask(&options("7")).await.status, 200);
    assert_eq!(upstream.only().header("max-forwards"), Some("6"));
    assert_eq!(gateway.get("/api/users", "Max-Forwards: 0\r\n").await.status, 200, "it counts for OPTIONS alone");
}
