//! Pages of other origins: those of `ALLOWED_ORIGINS` may call and read, others may neither.

use crate::{common::Gateway, common::Response, signed_in, text};

const APP: &str = "https://app.jinmini.com";

fn gateway() -> Gateway {
    Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com,https://admin.jinmini.com")])
}

fn preflight(gateway: &Gateway, path: &str, origin: &str) -> Response {
    let asks = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    gateway.call("OPTIONS", path, &asks, b"")
}

/// Caches must not give one origin the response for another.
#[track_caller]
fn assert_varies(response: &Response) {
    let vary = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
    assert!(vary.flat_map(|(_, value)| value.split(',')).any(|one| one.trim() == "Origin"), "{:?}", response.headers);
}

#[test]
fn an_allowed_page_asks_first_and_then_gets_tokens() {
    let gateway = gateway();
    for path in ["/session/token", "/e/session/token", "/logout", "/tokens/refresh"] {
        let response = preflight(&gateway, path, APP).expect(204);
        assert_eq!(response.header("access-control-allow-origin"), Some(APP), "{path}");
        assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(response.header("access-control-allow-methods"), Some("POST"));
        assert_eq!(response.header("access-control-allow-headers"), Some("authorization, content-type"));
        assert_varies(&response);
    }
    let methods = preflight(&gateway, "/sessions/x", APP).expect(204);
    assert_eq!(methods.header("access-control-allow-methods"), Some("DELETE"));

    let mut browser = signed_in(&gateway, "alice");
    let from_app = [("Origin", APP), ("Sec-Fetch-Site", "same-site")];
    let response = browser.call(&gateway, "POST", "/session/token", &from_app).expect(200);
    assert_eq!(response.header("access-control-allow-origin"), Some(APP));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_varies(&response);
    gateway.get_with_token("/api/users/me", text(&response.json()["access_token"])).expect(200);
    // So that the page can read the error.
    let refused = gateway.call("POST", "/session/token", &from_app, b"").expect_problem(401, "not_signed_in");
    assert_eq!(refused.header("access-control-allow-origin"), Some(APP));
    let exposed = refused.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("x-request-id") && exposed.contains("www-authenticate"), "{exposed}");
}

#[test]
fn no_other_page_is_told_that_it_may() {
    let gateway = gateway();
    let mut browser = signed_in(&gateway, "alice");
    for origin in [
        "https://evil.example",
        "null",
        "https://app.jinmini.com.evil.example",
        "http://app.jinmini.com",
        "https://app.jinmini.com:8443",
        "https://APP.jinmini.com",
        "*",
        "https://app.jinmini.com,https://admin.jinmini.com",
    ] {
        let asked = preflight(&gateway, "/session/token", origin).expect_problem(405, "method_not_allowed");
        let called = browser.call(&gateway, "POST", "/session/token", &[("Origin", origin)]);
        let called = called.expect_problem(403, "cross_site_request");
        let read = browser.call(&gateway, "GET", "/session", &[("Origin", origin)]).expect(200);
        for response in [asked, called, read] {
            assert!(
                !response.headers.iter().any(|(name, _)| name.to_lowercase().starts_with("access-control-")),
                "{origin}: {:?}",
                response.headers
            );
            assert_varies(&response);
        }
    }
}

#[test]
fn without_allowed_origins_nothing_is_said() {
    let gateway = Gateway::start();
    preflight(&gateway, "/session/token", APP).expect_problem(405, "method_not_allowed");
    let response = gateway.call("GET", "/", &[("Origin", APP)], b"").expect(200);
    let said = |(name, value): &(String, String)| name.starts_with("access-control-") || value.contains("Origin");
    assert!(!response.headers.iter().any(said), "{:?}", response.headers);
}

#[test]
fn the_server_of_a_front_end_says_that_it_holds_the_cookie() {
    let gateway = gateway();
    let mut browser = signed_in(&gateway, "alice");
    for lines in [
        &[][..],
        &[("X-CSRF", "0")],
        &[("X-CSRF", "1"), ("Origin", "https://evil.example")],
        &[("X-CSRF", "1"), ("Sec-Fetch-Site", "cross-site")],
    ] {
        browser.call(&gateway, "POST", "/session/token", lines).expect_problem(403, "cross_site_request");
    }
    let tokens = browser.call(&gateway, "POST", "/session/token", &[("X-CSRF", "1")]).expect(200).json();
    gateway.get_with_token("/api/users/me", text(&tokens["access_token"])).expect(200);
    // A preflight does not allow a page to send it.
    let asks =
        [("Origin", APP), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-csrf")];
    let leave = gateway.call("OPTIONS", "/session/token", &asks, b"").expect(204);
    assert_eq!(leave.header("access-control-allow-headers"), Some("authorization, content-type"));
}

#[test]
fn a_page_of_another_site_is_told_that_no_browser_keeps_the_cookie() {
    let gateway = gateway();
    for path in ["/accounts/login", "/accounts/signup"] {
        let from = |site| {
            let lines = [("Origin", APP), ("Sec-Fetch-Site", site), ("Content-Type", "application/json")];
            gateway.call("POST", path, &lines, br#"{"email": "a@b.example", "password": "long enough"}"#)
        };
        let refused = from("cross-site").expect_problem(403, "cross_site_session");
        assert_eq!((refused.header("set-cookie"), refused.header("access-control-allow-origin")), (None, Some(APP)));
        assert!(!matches!(from("same-site").status, 400 | 403), "{path}: of the same site it is judged");
    }
}
