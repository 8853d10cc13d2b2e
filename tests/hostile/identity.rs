//! Headers that services trust, forged by a client.

use std::collections::BTreeSet;

use serde_json::json;

use crate::common::{
    Gateway, parse,
    recorder::{Recorder, Seen},
};

const LIE: &str = "forged";

/// Names that a service could confuse with ours, by the way it folds them (CGI, WSGI, PHP).
fn spellings() -> Vec<String> {
    let mut spellings = Vec::new();
    for name in [
        "X-User-Id",
        "X-User-Scope",
        "X-User-Email",
        "X-User-Anything",
        "X-Gateway-Secret",
        "X-Auth-Request-User",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Real-IP",
        "X-Request-Id",
        "Forwarded",
        "X-Middleware-Subrequest",
    ] {
        for separator in ["-", "_", "."] {
            let spelled = name.replace('-', separator);
            spellings.extend([spelled.to_lowercase(), spelled.to_uppercase(), spelled]);
        }
        // Each letter in turn in another case, and the separators mixed.
        let mixed = name.char_indices().map(|(at, c)| match (c, at % 2) {
            ('-', _) if at < 4 => '_',
            (_, 0) => c.to_ascii_lowercase(),
            _ => c.to_ascii_uppercase(),
        });
        spellings.push(mixed.collect());
    }
    spellings
}

fn holds_a_lie(request: &Seen) -> bool {
    request.headers.iter().any(|(name, value)| name.contains(LIE) || value.contains(LIE))
        || request.trailers.iter().any(|trailer| trailer.contains(LIE))
}

struct Setup {
    gateway: Gateway,
    upstream: Recorder,
    /// A token of alice, with the scope `users:read`.
    token: String,
}

impl Setup {
    fn start() -> Self {
        let upstream = Recorder::start();
        let gateway = Gateway::with(&[("AUTH_SERVICE_URL", &upstream.url())]);
        let (token, _) = gateway.tokens(&json!({"subject": "alice", "scope": "users:read"}));
        Self { gateway, upstream, token }
    }

    /// The headers that arrive for a request with these header lines.
    #[track_caller]
    fn arrives(&self, path: &str, headers: &str) -> Seen {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        parse(&self.gateway.raw(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())).expect(200);
        let mut arrived = self.upstream.take();
        assert_eq!(arrived.len(), 1, "{headers}");
        arrived.remove(0)
    }
}

/// DNS rebinding: a page at the attacker's own name, which now resolves to this gateway, has the same origin as its
/// requests.
#[test]
fn a_page_of_a_foreign_name_gets_no_token_for_nothing() {
    let gateway = Gateway::start();
    let ask = |path: &str, body: &str, host: &str, more: &str| {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{more}\r\n{body}"
        );
        parse(&gateway.raw(request.as_bytes()))
    };
    for (path, body) in [
        ("/tokens/create", "{}"),
        ("/e/tokens/create", "{}"),
        ("/tokens/dummy", r#"{"token": "typed"}"#),
        ("/accounts/signup", r#"{"email": "jane@example.com", "password": "correct horse"}"#),
        ("/oauth", r#"{"provider": "stand-in", "code": "c"}"#),
    ] {
        for said in ["Origin: http://attacker.example:8080\r\n", "Sec-Fetch-Site: same-origin\r\n"] {
            ask(path, body, "attacker.example:8080", said).expect_problem(403, "foreign_host");
        }
    }
    let origin = "Origin: http://localhost:8080\r\nSec-Fetch-Site: same-origin\r\n";
    for host in ["localhost:8080", "127.0.0.1:8080", "www.jinmini.com"] {
        ask("/tokens/create", "{}", host, origin).expect(200);
    }
    ask("/tokens/create", "{}", "gateway:8080", "").expect(200);
}

/// Behind a proxy, the proxy's header names the page's host, whatever the gateway is called there.
#[test]
fn the_name_of_a_page_is_taken_from_trusted_proxies_only() {
    for (trusted, host, told, status) in [
        ("127.0.0.1", "gateway.example", "localhost:3000", 200),
        ("127.0.0.1", "localhost:8080", "attacker.example", 403),
        ("", "gateway.example", "localhost:3000", 403),
        ("", "localhost:8080", "attacker.example", 200),
    ] {
        let gateway = Gateway::with(&[("TRUSTED_PROXIES", trusted)]);
        let request = format!(
            "POST /tokens/create HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {told}\r\nConnection: close\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let response = parse(&gateway.raw(request.as_bytes()));
        assert_eq!(response.status, status, "{trusted:?} {host} {told}: {}", response.text());
    }
}

#[test]
fn nothing_forged_arrives_and_ours_arrives_once() {
    let setup = Setup::start();
    let authorization = format!("Authorization: Bearer {}\r\n", setup.token);
    for name in spellings() {
        for lines in [
            format!("{name}: {LIE}\r\n"),
            format!("{name}: {LIE}\r\n{name}: {LIE}\r\n"),
            format!("{name}:{LIE}\r\nConnection: {name}\r\n"),
            format!("Connection: x, {name} ,\r\n{name}: {LIE}\r\n"),
        ] {
            let anonymous = setup.arrives("/api/users", &lines);
            assert!(!holds_a_lie(&anonymous), "{lines}: {anonymous:?}");
            assert!(anonymous.all("x-user-id").is_empty() && anonymous.all("x-user-scope").is_empty(), "{lines}");
            let known = setup.arrives("/api/users/me", &format!("{authorization}{lines}"));
            assert!(!holds_a_lie(&known), "{lines}: {known:?}");
            assert_eq!(known.all("x-user-id"), ["alice"], "{lines}");
            assert_eq!(known.all("x-user-scope"), ["users:read"], "{lines}");
            assert_eq!(known.all("x-forwarded-for"), ["127.0.0.1"], "{lines}");
            assert_eq!(known.all("x-forwarded-host"), ["x"], "{lines}");
            assert_eq!(known.all("x-forwarded-proto"), ["http"], "{lines}");
            assert_eq!(known.all("x-request-id").len(), 1, "{lines}");
        }
    }
    setup.gateway.is_unharmed();
}

#[test]
fn connection_takes_none_of_ours_away() {
    let setup = Setup::start();
    let names: BTreeSet<String> = {
        let plain = setup.arrives("/api/users/me", &format!("Authorization: Bearer {}\r\n", setup.token));
        plain.headers.iter().map(|(name, _)| name.to_lowercase()).collect()
    };
    assert!(names.contains("x-user-id") && names.contains("traceparent") && names.contains("via"), "{names:?}");
    for name in &names {
        let lines = format!("Authorization: Bearer {}\r\nConnection: {name}, {}\r\n", setup.token, name.to_uppercase());
        let arrived = setup.arrives("/api/users/me", &lines);
        assert_eq!(arrived.all(name).len(), 1, "{name}: {arrived:?}");
    }
    // All at once, and the headers that a client may remove from its own request.
    let all = names.iter().cloned().collect::<Vec<_>>().join(", ");
    let lines = format!("Authorization: Bearer {}\r\nX-Own: 1\r\nConnection: {all}, x-own\r\n", setup.token);
    let arrived = setup.arrives("/api/users/me", &lines);
    assert!(names.iter().all(|name| arrived.all(name).len() == 1), "{arrived:?}");
    assert!(arrived.all("x-own").is_empty());
}

#[test]
fn credentials_for_the_gateway_stay_here() {
    let setup = Setup::start();
    let lines = format!(
        "Authorization: Bearer {}\r\nProxy-Authorization: Basic forged\r\nCookie: theme=dark; gateway_session=forged\r\n\
         Cookie: __Host-gateway_session=forged; __Secure-gateway_x=forged; lang=ko\r\n",
        setup.token
    );
    for path in ["/api/users", "/api/users/me", "/api/user/login"] {
        let arrived = setup.arrives(path, &lines);
        assert!(arrived.all("authorization").is_empty() && arrived.all("proxy-authorization").is_empty(), "{path}");
        assert!(!holds_a_lie(&arrived), "{path}: {arrived:?}");
        assert!(arrived.headers.iter().all(|(_, value)| !value.contains(&setup.token)), "{path}");
        assert_eq!(arrived.all("cookie").join("; "), "theme=dark; lang=ko", "{path}");
    }
    // Credentials of another scheme are not forwarded either.
    let basic = setup.arrives("/api/users", "Authorization: Basic forged\r\n");
    assert!(basic.all("authorization").is_empty() && basic.all("x-user-id").is_empty());
    assert!(!setup.gateway.console().contains(LIE));
}

#[test]
fn a_trailer_is_no_header() {
    let setup = Setup::start();
    let request = format!(
        "POST /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-User-Id, Authorization\r\nTE: trailers\r\n\r\n\
         3\r\nabc\r\n0\r\nX-User-Id: {LIE}\r\nX_User_Id: {LIE}\r\nAuthorization: Bearer {LIE}\r\n\r\n"
    );
    parse(&setup.gateway.raw(request.as_bytes())).expect(200);
    let [arrived] = &setup.upstream.take()[..] else { panic!("not one request") };
    assert!(!holds_a_lie(arrived), "{arrived:?}");
    assert!(arrived.all("trailer").is_empty(), "{arrived:?}");
    assert_eq!(arrived.body, b"abc");
}

#[test]
fn a_subject_cannot_write_headers() {
    let setup = Setup::start();
    for (subject, arrives) in [
        ("안녕", "%EC%95%88%EB%85%95"),
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("a,b;c=\"d\"", "a,b;c=\"d\""),
        ("alice\u{2028}X-User-Scope: admin", "alice%E2%80%A8X-User-Scope:%20admin"),
        ("\u{feff}alice", "%EF%BB%BFalice"),
    ] {
        let (token, _) = setup.gateway.tokens(&json!({"subject": subject}));
        let arrived = setup.arrives("/api/users/me", &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(arrived.all("x-user-id"), [arrives]);
        assert!(arrived.all("x-user-scope").iter().all(|scope| scope.is_empty()));
    }
    for subject in ["a\r\nX-User-Scope: admin", "a\nb", "a\0b", "\u{7f}", "\u{85}"] {
        setup.gateway.post("/tokens/create", &json!({"subject": subject})).expect_problem(422, "validation_failed");
    }
}
