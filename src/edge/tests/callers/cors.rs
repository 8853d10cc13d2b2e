use crate::edge::tests::harness::{Gateway, Response, Setup, Upstream, bearer, get};

const LISTED: &str = "Origin: https://app.jinmini.com\r\n";
const PREVIEW: &str = "Origin: https://shop-git-main-team.vercel.app\r\n";
const OTHER: &str = "Origin: https://evil.example\r\n";
const ASKS: &str = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-shop\r\n";

async fn options(gateway: &Gateway, path: &str, lines: &str) -> Response {
    gateway.ask(&get(path, lines).replacen("GET", "OPTIONS", 1)).await
}

fn reader(response: &Response) -> Option<&str> {
    response.header("access-control-allow-origin")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_of_an_allowed_page_is_answered_without_a_service() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let may = options(&gateway, "/api/auth", &format!("{LISTED}{ASKS}")).await;
    assert_eq!((may.status, reader(&may)), (204, Some("https://app.jinmini.com")));
    assert_eq!(may.header("access-control-allow-credentials"), Some("true"));
    assert!(may.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert_eq!(may.header("access-control-allow-headers"), Some("authorization,x-shop"));
    assert_eq!((may.header("vary"), may.header("access-control-max-age")), (Some("origin"), Some("600")));
    assert!(may.header("x-request-id").is_some());
    let preview = options(&gateway, "/api/auth", &format!("{PREVIEW}{ASKS}")).await;
    assert_eq!((preview.status, reader(&preview)), (204, Some("https://shop-git-main-team.vercel.app")));
    assert_eq!(preview.header("access-control-allow-credentials"), None, "anybody may have got that name");
    for lines in [format!("{OTHER}{ASKS}"), ASKS.to_owned(), LISTED.to_owned()] {
        let response = options(&gateway, "/api/auth", &lines).await;
        assert_eq!(response.problem(), (401, "token_missing".to_owned()), "{lines}");
        assert_eq!(response.header("access-control-allow-methods"), None);
    }
    assert_eq!(upstream.received(), []);
    for path in ["/api/users", "/api/nowhere"] {
        assert_eq!(options(&gateway, path, &format!("{LISTED}{ASKS}")).await.status, 204, "{path}");
    }
    assert_eq!(upstream.received(), []);
    assert_eq!(options(&gateway, "/api/users", &format!("{OTHER}{ASKS}")).await.status, 200);
    assert_eq!(upstream.received().len(), 1, "whoever is not listed is the service's business on an open route");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_page_may_read_responses() {
    let upstream = Upstream::ok().await;
    let gateway = Setup::of(&[upstream.address]).start();
    let good = bearer("jwt.u1..1");
    for (lines, status, page) in [
        (format!("{LISTED}{good}"), 200, Some("https://app.jinmini.com")),
        (LISTED.to_owned(), 401, Some("https://app.jinmini.com")),
        (format!("{OTHER}{good}"), 200, None),
        (format!("Origin: null\r\n{good}"), 200, None),
        (good.clone(), 200, None),
    ] {
        let response = gateway.get("/api/auth", &lines).await;
        assert_eq!((response.status, reader(&response)), (status, page), "{lines}");
        assert_eq!(response.header("vary"), Some("origin"), "a cache has to know");
        assert_eq!(response.header("access-control-allow-credentials").is_some(), page.is_some());
        assert_eq!(response.header("access-control-expose-headers").is_some(), page.is_some());
    }
    for (path, status) in [("/api/users", 200), ("/api/nowhere", 404), ("/api/a//b", 400)] {
        let response = gateway.get(path, LISTED).await;
        assert_eq!((response.status, reader(&response)), (status, Some("https://app.jinmini.com")), "{path}");
    }
    let preview = gateway.get("/api/auth", &format!("{PREVIEW}{good}")).await;
    assert_eq!(reader(&preview), Some("https://shop-git-main-team.vercel.app"));
    assert_eq!(preview.header("access-control-allow-credentials"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_headers_of_a_service_are_unchanged() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: https://its.own\r\nVary: accept\r\n\r\nok",
    )
    .await;
    let gateway = Setup::of(&[upstream.address]).start();
    let response = gateway.get("/api/auth", &format!("{LISTED}{}", bearer("jwt.u1..1"))).await;
    assert_eq!((reader(&response), response.header("vary")), (Some("https://its.own"), Some("accept")));
    assert_eq!(response.header("access-control-allow-credentials"), None);
}

/// Starlette allows credentials on every response, even if it does not name an origin: previews would get them through
/// the origin that the gateway adds.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_cannot_allow_credentials_to_a_preview() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Credentials: true\r\n\r\nok")
            .await;
    let gateway = Setup::of(&[upstream.address]).start();
    for (lines, allowed) in [(PREVIEW, None), (LISTED, Some("true"))] {
        let response = gateway.get("/api/users", lines).await;
        assert!(reader(&response).is_some());
        assert_eq!(response.header("access-control-allow-credentials"), allowed, "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_allowed_origins_there_are_no_cors_headers() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.allowed_origins.clear();
    let gateway = setup.start();
    let response = gateway.get("/api/auth", &format!("{LISTED}{}", bearer("jwt.u1..1"))).await;
    assert_eq!((response.status, reader(&response), response.header("vary")), (200, None, None));
    assert_eq!(options(&gateway, "/api/auth", &format!("{LISTED}{ASKS}")).await.status, 401);
}
