use crate::{
    domain::gateway::models::{
        access::Access,
        http::path::Spelling,
        service::{Methods, Route},
    },
    edge::tests::{
        harness::{Setup, Upstream, bearer, get},
        support::{route, service},
    },
};

fn scoped(prefix: &str, scope: &str) -> Route {
    Route { access: Access::with_scope(scope.parse().unwrap()), ..route(prefix, "auth", prefix) }
}

fn only(methods: &[&str], route: Route) -> Route {
    let methods: Vec<String> = methods.iter().map(|&method| method.to_owned()).collect();
    Route { methods: Methods::only(&methods).unwrap(), ..route }
}

/// A gateway with only these routes, in front of `upstream`.
fn setup(upstream: &Upstream, routes: impl IntoIterator<Item = Route>) -> Setup {
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes = routes.into_iter().collect();
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_route_is_reachable_only_by_it() {
    let upstream = Upstream::ok().await;
    let mut setup = setup(&upstream, [scoped("/api/backoffice", "admin")]);
    setup.services.push(service("board", &[&format!("http://{}", upstream.address)]));
    let gateway = setup.start();
    let anybody = bearer("jwt.u1..1");
    for path in ["/api/auth", "/api/auth/shop/admin", "/api/auth/api/backoffice", "/api/AUTH/x"] {
        assert_eq!(gateway.get(path, &anybody).await.problem(), (404, "no_route".to_owned()), "{path}");
    }
    assert_eq!(gateway.get("/api/backoffice", &anybody).await.problem().1, "insufficient_scope");
    assert_eq!(gateway.get("/api/board/x", "").await.problem().1, "token_missing");
    assert_eq!(upstream.received(), []);
    assert_eq!(gateway.get("/api/board/x", &anybody).await.status, 200, "no route names it");
    assert_eq!(upstream.only().first_line(), "GET /x HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_bypasses_its_rule() {
    let upstream = Upstream::ok().await;
    let secrets = ["/api/open/a:b@c", "/api/open/~me", "/api/open/게시판", "/api/open/a b", "/api/open/c++"];
    let routes = [route("/api/open", "auth", "/")].into_iter().chain(secrets.map(|prefix| scoped(prefix, "admin")));
    let gateway = setup(&upstream, routes).start();
    for path in [
        "/api/open/a:b@c",
        "/api/open/a%3Ab%40c/x",
        "/api/open/a%3ab@c",
        "/%61pi/op%65n/%61:%62@c",
        "/api/open/~me",
        "/api/open/%7Eme",
        "/api/open/%7em%65/",
        "/api/open/%ea%b2%8c%EC%8B%9C%ed%8c%90",
        "/api/open/a%20b",
        "/api/open/c%2B%2b",
        "/api/open/c+%2B",
    ] {
        assert_eq!(gateway.get(path, "").await.problem(), (401, "token_missing".to_owned()), "{path}");
    }
    for path in ["/api/open/A:b@c", "/api/open/A%3aB@c/x", "/api/open/~ME", "/api/open/A%20B", "/api/open/C++"] {
        assert_eq!(gateway.get(path, "").await.problem(), (404, "no_route".to_owned()), "{path}");
    }
    assert_eq!(upstream.received(), []);
    assert_eq!(gateway.get("/api/open/X%3ay%20%5b%c3%89", "").await.status, 200);
    assert_eq!(upstream.only().first_line(), "GET /X:y%20%5B%C3%89 HTTP/1.1", "what was matched is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_reaches_a_laxer_route() {
    let upstream = Upstream::ok().await;
    let gateway = setup(
        &upstream,
        [
            route("/api", "auth", "/"),
            only(&["GET"], route("/api/posts", "auth", "/posts")),
            scoped("/api/posts", "write"),
            only(&["DELETE", "PUT"], scoped("/api/posts/old", "admin")),
        ],
    )
    .start();
    let ask =
        async |method: &str, path: &str, lines: &str| gateway.ask(&get(path, lines).replacen("GET", method, 1)).await;
    for method in ["GET", "PATCH", "POST", "OPTIONS", "delete"] {
        let response = ask(method, "/api/posts/old/1", "").await;
        assert_eq!(response.problem(), (405, "method_not_allowed".to_owned()), "{method}");
        assert_eq!(response.header("allow"), Some("DELETE, PUT"), "{method}");
    }
    for (method, path) in
        [("DELETE", "/api/posts/old"), ("POST", "/api/posts"), ("X", "/api/posts"), ("OPTIONS", "/api/posts")]
    {
        assert_eq!(ask(method, path, "").await.problem().1, "token_missing", "{method} {path}");
    }
    assert_eq!(ask("HEAD", "/api/posts/old", "").await.status, 405);
    assert_eq!(upstream.received(), []);
    // A framework that would treat such a request as a DELETE does not get these headers.
    let lines = "X-HTTP-Method-Override: DELETE\r\nX_Http_Method: DELETE\r\nX-Method-Override: DELETE\r\nX-Own: 1\r\n";
    assert_eq!(ask("GET", "/api/posts", lines).await.status, 200);
    let arrived = upstream.only();
    assert!(!arrived.head.contains("DELETE") && arrived.header("x-own") == Some("1"), "{}", arrived.head);
    assert_eq!(ask("GET", "/api/other", lines).await.status, 200);
    assert!(upstream.received()[1].head.contains("DELETE"), "where the method does not matter, all passes");
    assert_eq!(ask("HEAD", "/api/posts", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_for_the_method_that_it_asks_about() {
    let upstream = Upstream::ok().await;
    let gateway = setup(
        &upstream,
        [only(&["GET"], route("/api/posts", "auth", "/posts")), only(&["PUT"], scoped("/api/posts", "write"))],
    )
    .start();
    let ask = async |origin: &str, asks: &str| {
        let lines = format!("{origin}Access-Control-Request-Method: {asks}\r\n");
        gateway.ask(&get("/api/posts", &lines).replacen("GET", "OPTIONS", 1)).await
    };
    let listed = "Origin: https://app.jinmini.com\r\n";
    let may = ask(listed, "PUT").await;
    assert_eq!((may.status, may.header("access-control-allow-origin")), (204, Some("https://app.jinmini.com")));
    let other = "Origin: https://evil.example\r\n";
    assert_eq!(ask(other, "PUT").await.status, 401);
    for (origin, asks) in [(other, "DELETE"), (other, "put"), ("", "GET"), ("", "PUT")] {
        assert_eq!(ask(origin, asks).await.problem().0, 405, "{origin}{asks}");
    }
    for asks in ["DELETE", "GET"] {
        assert_eq!(ask(listed, asks).await.status, 204, "{asks}: what comes of it the page may read");
    }
    assert_eq!(upstream.received(), []);
    assert_eq!(ask(other, "GET").await.status, 200, "on an open route the service answers");
    assert_eq!(upstream.only().first_line(), "OPTIONS /posts HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_passes_the_spellings_that_it_allows_unchanged() {
    let upstream = Upstream::ok().await;
    let all = Spelling::ALL.map(|(_, spelling)| spelling).into_iter().collect();
    let gateway = setup(
        &upstream,
        [
            Route { allow: all, ..route("/api/files", "auth", "/") },
            scoped("/api/files/secret/box", "admin"),
            route("/api/other", "auth", "/"),
        ],
    )
    .start();
    let odd = ["a%2fb", "a%5cb", "a;v=1/b%3Bc", "a//b"];
    for rest in odd {
        assert_eq!(
            gateway.get(&format!("/api/other/{rest}"), "").await.problem(),
            (400, "bad_path".to_owned()),
            "{rest}"
        );
        assert_eq!(
            gateway.get(&format!("/api/none/{rest}"), "").await.problem(),
            (400, "bad_path".to_owned()),
            "{rest}"
        );
        assert_eq!(gateway.get(&format!("/tokens/{rest}"), "").await.problem(), (400, "bad_path".to_owned()), "{rest}");
    }
    for rest in ["..%2fx", "a%2F..", "..;/x", "a/.%5c", "%2e%2e%3b/x", "/evil.example", "a%00b", "%c0%af"] {
        assert_eq!(
            gateway.get(&format!("/api/files/{rest}"), "").await.problem(),
            (400, "bad_path".to_owned()),
            "{rest}"
        );
    }
    for rest in ["secret%2Fbox", "secret%5CBOX", "secret;x/box;y", "secret//box", "secret;%2F%2fbox/x"] {
        assert_eq!(
            gateway.get(&format!("/api/files/{rest}"), "").await.problem(),
            (404, "no_route".to_owned()),
            "{rest}"
        );
    }
    assert_eq!(upstream.received(), []);
    for rest in odd {
        assert_eq!(gateway.get(&format!("/api/files/{rest}"), "").await.status, 200, "{rest}");
    }
    let lines: Vec<String> = upstream.received().iter().map(|request| request.first_line().to_owned()).collect();
    let arrives = ["GET /a%2Fb HTTP/1.1", "GET /a%5Cb HTTP/1.1", "GET /a;v=1/b%3Bc HTTP/1.1", "GET /a//b HTTP/1.1"];
    assert_eq!(lines, arrives);
}
