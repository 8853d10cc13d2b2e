//! Request targets that a gateway and a service could parse differently, in front of a service that records its
//! requests: only planned requests arrive, and none for the protected route without a token.

use serde_json::json;

use crate::common::{Gateway, parse, recorder::Recorder};

/// The expected outcome of a request.
enum Verdict {
    /// The gateway refuses it with this status and code, and nothing arrives.
    Refused(u16, &'static str),
    /// This line arrives.
    Arrives(&'static str),
}
use Verdict::{Arrives, Refused};

const BAD_PATH: Verdict = Refused(400, "bad_path");
const BAD_HEAD: Verdict = Refused(400, "bad_request");
const NO_TOKEN: Verdict = Refused(401, "token_missing");
const NO_ROUTE: Verdict = Refused(404, "no_route");
const NOT_FOUND: Verdict = Refused(404, "not_found");

struct Setup {
    gateway: Gateway,
    upstream: Recorder,
}

impl Setup {
    fn start() -> Self {
        let upstream = Recorder::start();
        let gateway = Gateway::with(&[("AUTH_SERVICE_URL", &upstream.url())]);
        Self { gateway, upstream }
    }

    #[track_caller]
    fn validate(&self, request: &[u8], verdict: &Verdict) {
        let shown: String = String::from_utf8_lossy(request).chars().take(200).collect();
        let response = parse(&self.gateway.raw(request));
        let arrived: Vec<String> = self.upstream.take().into_iter().map(|request| request.line).collect();
        match verdict {
            Refused(status, code) => {
                assert!(arrived.is_empty(), "{shown:?} let {arrived:?} through");
                assert_eq!(response.status, *status, "{shown:?}: {}", response.text());
                if !request.starts_with(b"HEAD") {
                    response.expect_problem(*status, code);
                }
            }
            Arrives(line) => {
                assert_eq!(arrived, [*line], "{shown:?}: {}", response.text());
                response.expect(200);
            }
        }
    }
}

fn get(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"].concat()
}

/// Targets of a GET without a token.
const TARGETS: &[(&[u8], Verdict)] = &[
    (b"/api/users", Arrives("GET /users HTTP/1.1")),
    (b"/api/users/", Arrives("GET /users/ HTTP/1.1")),
    (b"/%61pi/%75sers", Arrives("GET /users HTTP/1.1")),
    (b"/api/users/%3a%40%21+", Arrives("GET /users/:@!+ HTTP/1.1")),
    (b"/api/users/7", Arrives("GET /users/7 HTTP/1.1")),
    (b"/api/users?/me", Arrives("GET /users?/me HTTP/1.1")),
    (b"/api/users?/../users/me", Arrives("GET /users?/../users/me HTTP/1.1")),
    (b"/api/users?a=%2f%00%0d%0a", Arrives("GET /users?a=%2f%00%0d%0a HTTP/1.1")),
    // Other paths than the protected one, for readers that follow RFC 3986.
    (b"/api/users/MEN", Arrives("GET /users/MEN HTTP/1.1")),
    (b"/api/users/me%20", Arrives("GET /users/me%20 HTTP/1.1")),
    (b"/api/users/me.json", Arrives("GET /users/me.json HTTP/1.1")),
    (b"/api/users/%256de", Arrives("GET /users/%256de HTTP/1.1")),
    (b"/api/users/%252e%252e%252fme", Arrives("GET /users/%252e%252e%252fme HTTP/1.1")),
    // The protected one, in every equivalent spelling.
    (b"/api/users/me", NO_TOKEN),
    (b"/api/users/me/", NO_TOKEN),
    (b"/api/users/me/x", NO_TOKEN),
    (b"/api/users/me?x", NO_TOKEN),
    (b"/api/users/m%65", NO_TOKEN),
    (b"/api/users/%6d%65", NO_TOKEN),
    (b"/api/users/%6D%65/", NO_TOKEN),
    (b"/%61%70%69/%75%73%65%72%73/%6d%65", NO_TOKEN),
    // Not the protected one, except for a service that ignores case.
    (b"/api/users/ME", NO_ROUTE),
    (b"/api/users/Me/x", NO_ROUTE),
    (b"/api/users/%4De", NO_ROUTE),
    // Its service is reachable by its routes only.
    (b"/api/auth", NO_ROUTE),
    (b"/api/auth/", NO_ROUTE),
    (b"/api/auth/users", NO_ROUTE),
    (b"/api/auth/users/me", NO_ROUTE),
    (b"/api/auth/login", NO_ROUTE),
    // Slashes in disguise.
    (b"/api/users%2fme", BAD_PATH),
    (b"/api/users%2Fme", BAD_PATH),
    (b"/api%2fusers%2fme", BAD_PATH),
    (b"/%2fapi/users/me", BAD_PATH),
    (b"/api/users%5cme", BAD_PATH),
    (b"/api/users%5Cme", BAD_PATH),
    (b"/api/users\\me", BAD_PATH),
    (b"\\api\\users\\me", BAD_HEAD),
    (b"/api/users//me", BAD_PATH),
    (b"/api//users/me", BAD_PATH),
    (b"//api/users/me", BAD_PATH),
    (b"//x/api/users/me", BAD_PATH),
    (b"/api/users///", BAD_PATH),
    (b"/api/users/%c0%afme", BAD_PATH),
    (b"/api/users/%e0%80%afme", BAD_PATH),
    (b"/api/users/%u002fme", BAD_PATH),
    // Dot segments.
    (b"/api/users/../users/me", BAD_PATH),
    (b"/api/users/..", BAD_PATH),
    (b"/api/users/.", BAD_PATH),
    (b"/api/users/./me", BAD_PATH),
    (b"/api/users/x/../me", BAD_PATH),
    (b"/api/users/%2e%2e/users/me", BAD_PATH),
    (b"/api/users/%2E%2e/me", BAD_PATH),
    (b"/api/users/.%2e/me", BAD_PATH),
    (b"/api/users/%2e/me", BAD_PATH),
    (b"/api/users/..%2fusers/me", BAD_PATH),
    (b"/api/users/..%5cusers/me", BAD_PATH),
    (b"/api/users/..%00/me", BAD_PATH),
    (b"/api/../api/users/me", BAD_PATH),
    (b"/../api/users/me", BAD_PATH),
    (b"/tokens/../api/users/me", BAD_PATH),
    // Path parameters.
    (b"/api/users/..;/users/me", BAD_PATH),
    (b"/api/users/..;a=b/me", BAD_PATH),
    (b"/api/users/.;/me", BAD_PATH),
    (b"/api/users;/me", BAD_PATH),
    (b"/api/users;jsessionid=x/me", BAD_PATH),
    (b"/api/users/me;x", BAD_PATH),
    (b"/api/users/;/me", BAD_PATH),
    (b"/api/users/%3b/me", BAD_PATH),
    // Control characters and bad escapes.
    (b"/api/users/%00me", BAD_PATH),
    (b"/api/users/me%00", BAD_PATH),
    (b"/api/users/me%00.json", BAD_PATH),
    (b"/api/users/me%0a", BAD_PATH),
    (b"/api/users%0d%0aX-User-Id:%20admin", BAD_PATH),
    (b"/api/users/me%09", BAD_PATH),
    (b"/api/users/me%7f", BAD_PATH),
    (b"/api/users/%c2%85", BAD_PATH),
    (b"/api/users/%", BAD_PATH),
    (b"/api/users/%6", BAD_PATH),
    (b"/api/users/%zz", BAD_PATH),
    (b"/api/users/%+f", BAD_PATH),
    (b"/api/users/%ff", BAD_PATH),
    (b"/api/users/me|", BAD_PATH),
    (b"/api/users/{me}", BAD_PATH),
    (b"/api/users/\"me\"", BAD_PATH),
    // Bytes that no request line holds.
    (b"/api/users/me\0", BAD_HEAD),
    (b"/api/users/\x01me", BAD_HEAD),
    (b"/api/users/\x7f", BAD_HEAD),
    (b"/api/users/\xff", BAD_HEAD),
    (b"/api/users/\xc0\xaf", BAD_HEAD),
    ("/api/users/ｍｅ".as_bytes(), BAD_HEAD),
    ("/api/users／me".as_bytes(), BAD_HEAD),
    (b"/api/users\t/me", BAD_HEAD),
    (b"/api/users /me", BAD_HEAD),
    (b"/api/users#/me", BAD_HEAD),
    (b"/api/users/<me>", BAD_HEAD),
    (b"/api/users/`me`", BAD_HEAD),
    (b"", BAD_HEAD),
    // Neighbours.
    (b"/API/users", NOT_FOUND),
    (b"/API/users/me", NOT_FOUND),
    (b"/Api/Users/Me", NOT_FOUND),
    (b"/e/api/users", Arrives("GET /users HTTP/1.1")),
    (b"/e/api/users/me", NO_TOKEN),
    (b"/e/e/api/users/me", NOT_FOUND),
    (b"/E/api/users/me", NOT_FOUND),
    (b"/e/API/users/me", NOT_FOUND),
    (b"/e//api/users/me", BAD_PATH),
    (b"/users/me", NOT_FOUND),
    (b"/apix/users", NOT_FOUND),
    (b"/api", NO_ROUTE),
    (b"/api/", NO_ROUTE),
    (b"/api/usersme", NO_ROUTE),
    (b"/api/users%3fme", NO_ROUTE),
    (b"/api/users%23/me", NO_ROUTE),
    (b"/api/Users/me", NO_ROUTE),
    (b"/api/AUTH/users/me", NO_ROUTE),
    (b"/api/127.0.0.1:80/", NO_ROUTE),
    (b"/api/nobody/x", NO_ROUTE),
    // Other forms of a target (RFC 9112 §3.2).
    (b"http://x/api/users", Arrives("GET /users HTTP/1.1")),
    (b"HTTP://x/api/users", Arrives("GET /users HTTP/1.1")),
    (b"http://x/api/users/me", NO_TOKEN),
    (b"http://x:80/api/users/me", NO_TOKEN),
    (b"http://x/api/users/../users/me", BAD_PATH),
    (b"http://x//api/users/me", BAD_PATH),
    (b"http://user:password@x/api/users", BAD_HEAD),
    (b"http://x\\@y/api/users", BAD_HEAD),
    (b"http:///api/users/me", BAD_HEAD),
    (b"http:/api/users", BAD_HEAD),
    (b"ftp://x/api/users", BAD_PATH),
    (b"file:///api/users", BAD_HEAD),
    (b"api/users/me", BAD_HEAD),
    (b"x:80", BAD_PATH),
    (b"*", BAD_PATH),
];

#[test]
fn a_path_is_read_in_one_way_or_not_at_all() {
    let setup = Setup::start();
    for (target, verdict) in TARGETS {
        setup.validate(&get(target), verdict);
    }
    setup.validate(&get(&[b"/api/users/".as_slice(), &b"a".repeat(20_000)].concat()), &Refused(431, "head_too_large"));
    setup.validate(&get(&[b"/api/users?".as_slice(), &b"a".repeat(1 << 20)].concat()), &Refused(431, "head_too_large"));
    setup.gateway.is_unharmed();
}

#[test]
fn a_method_opens_no_other_way() {
    let setup = Setup::start();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "X"] {
        let head = format!("{method} /api/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        setup.validate(format!("{head}\r\n").as_bytes(), &NO_TOKEN);
        for trick in ["X-HTTP-Method-Override: OPTIONS", "X-Original-URL: /api/users", "X-Rewrite-URL: /api/users"] {
            setup.validate(format!("{head}{trick}\r\n\r\n").as_bytes(), &NO_TOKEN);
        }
    }
    let other = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes();
    setup.validate(&other("TRACE /api/users"), &Refused(405, "method_not_allowed"));
    setup.validate(&other("TRACE /api/users/me"), &Refused(405, "method_not_allowed"));
    setup.validate(&other("CONNECT x:80"), &Refused(501, "not_implemented"));
    setup.validate(&other("CONNECT /api/users"), &Refused(501, "not_implemented"));
    let asterisk = parse(&setup.gateway.raw(&other("OPTIONS *"))).expect(204);
    assert!(asterisk.header("allow").unwrap().contains("GET") && setup.upstream.take().is_empty());
    setup.gateway.is_unharmed();
}

#[test]
fn a_head_is_read_in_one_way_or_not_at_all() {
    let setup = Setup::start();
    let smuggled = "GET /api/users/me HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = smuggled.len();
    for (head, verdict) in [
        ("GET /api/users HTTP/1.1\r\n".to_owned(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: a\r\nHost: b\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: a\r\nhost: a\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost:\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: a b\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: a/api/users/me\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: user@a\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: a, b\r\n".into(), BAD_HEAD),
        ("GET http://a/api/users HTTP/1.1\r\n".into(), BAD_HEAD),
        // HTTP/1.0 has no `Host`; bytes after such a request are not a request.
        ("GET /api/users HTTP/1.0\r\n".into(), Arrives("GET /users HTTP/1.1")),
        ("GET /api/users\r\nHost: x\r\n".into(), BAD_HEAD),
        ("GET  /api/users HTTP/1.1\r\nHost: x\r\n".into(), BAD_HEAD),
        (" GET /api/users HTTP/1.1\r\nHost: x\r\n".into(), BAD_HEAD),
        ("GET /api/users http/1.1\r\nHost: x\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\nHost: x\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: x\r\n folded\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost : x\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: x\r\nX\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n".into(), BAD_HEAD),
        ("GET /api/users HTTP/0.9\r\nHost: x\r\n".into(), Refused(505, "http_version_not_supported")),
        ("GET /api/users HTTP/2.0\r\nHost: x\r\n".into(), Refused(505, "http_version_not_supported")),
        ("PRI * HTTP/2.0\r\n".into(), Refused(505, "http_version_not_supported")),
        (format!("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nContent-Length: 0\r\n"), BAD_HEAD),
        (format!("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: {length}, {length}\r\n"), BAD_HEAD),
        (format!("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: +{length}\r\n"), BAD_HEAD),
        ("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n".into(), BAD_HEAD),
        ("POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n".into(), BAD_HEAD),
        ("POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n".into(), BAD_HEAD),
        ("POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n".into(), BAD_HEAD),
        ("POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n".into(), BAD_HEAD),
        ("POST /api/users HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".into(), BAD_HEAD),
    ] {
        setup.validate(format!("{head}\r\n{smuggled}").as_bytes(), &verdict);
    }
    let many = "X: y\r\n".repeat(101);
    setup.validate(
        format!("GET /api/users HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes(),
        &Refused(431, "head_too_large"),
    );
    setup.gateway.is_unharmed();
}

#[test]
fn a_request_hidden_in_a_body_stays_there() {
    let setup = Setup::start();
    let smuggled = "GET /api/users/me HTTP/1.1\r\nHost: x\r\n\r\n";
    let (token, _) = setup.gateway.tokens(&json!({}));
    for framed in [
        format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
        format!("Upgrade: h2c\r\nConnection: close, Upgrade\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
    ] {
        for method in ["POST", "GET", "DELETE", "OPTIONS"] {
            let request = format!("{method} /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framed}");
            parse(&setup.gateway.raw(request.as_bytes())).expect(200);
            let [arrived] = &setup.upstream.take()[..] else { panic!("{request}") };
            assert_eq!(arrived.line, format!("{method} /users HTTP/1.1"));
            assert_eq!(arrived.body, smuggled.as_bytes());
            assert!(arrived.all("upgrade").is_empty());
        }
    }
    // The credentials of one request open nothing for the next one on the same connection.
    let two = format!(
        "GET /api/users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n\
         GET /api/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    let responses = String::from_utf8(setup.gateway.raw(two.as_bytes())).unwrap();
    assert!(responses.starts_with("HTTP/1.1 200 ") && responses.contains("HTTP/1.1 401 "), "{responses}");
    assert_eq!(setup.upstream.take().len(), 1);
    setup.gateway.is_unharmed();
}

#[test]
fn a_malformed_chunk_is_refused_wherever_in_the_stream_it_comes() {
    let setup = Setup::start();
    let post = "POST /api/users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in ["zz\r\n", "3\r\nabc\r\nzz\r\n", "3\r\nabcd\r\n", "-1\r\n", "3\nabc\n0\n\n"] {
        // All in one piece, so that head and fault are read together.
        let response = setup.gateway.raw(format!("{post}{chunks}").as_bytes());
        assert!(!response.is_empty(), "no answer to {chunks:?}");
        parse(&response).expect_problem(400, "bad_request");
        // The complete requests before it get responses.
        let livez = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
        let responses = String::from_utf8(setup.gateway.raw(format!("{livez}{post}{chunks}").as_bytes())).unwrap();
        assert!(
            responses.starts_with("HTTP/1.1 200 ") && responses.contains("HTTP/1.1 400 "),
            "{chunks:?}: {responses:?}"
        );
    }
    assert!(setup.upstream.take().is_empty());
    setup.gateway.is_unharmed();
}
