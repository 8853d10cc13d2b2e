use std::sync::atomic::Ordering;

use crate::{
    domain::gateway::models::{
        access::{Accepted, Access, Demands},
        service::Route,
        values::{
            digest::Sha256Digest,
            id::FamilyId,
            identity::{Identity, email_claim},
            scope::Scope,
        },
    },
    edge::tests::{
        harness::{Gateway, Response, Setup, Upstream, bearer, get},
        support::{NOW, revocation, route, token_id},
    },
};

const SAME_ORIGIN: &str = "Sec-Fetch-Site: same-origin\r\n";

/// A gateway whose service `auth` accepts sessions at `/api/session`, and tokens as well at `/api/either`.
fn gateway(upstream: &Upstream) -> Gateway {
    let mut setup = Setup::of(&[upstream.address]);
    let takes = |credentials| Access::Callers(Demands { credentials, ..Demands::default() });
    setup.routes.extend([
        Route { access: takes(Accepted::Session), ..route("/api/session", "auth", "/session") },
        Route { access: takes(Accepted::TokenOrSession), ..route("/api/either", "auth", "/either") },
    ]);
    setup.start()
}

/// The value of a browser's cookie: one letter, repeated.
fn secret(letter: char) -> String {
    letter.to_string().repeat(43)
}

fn cookie(letter: char) -> String {
    format!("Cookie: theme=dark; gateway_session={}\r\n", secret(letter))
}

/// Opens the session of this number; its idle timeout is 100 seconds.
fn open(gateway: &Gateway, letter: char, number: u8) {
    let identity = Identity {
        subject: format!("person {number}"),
        scope: Scope::default(),
        token_id: token_id(number),
        family: FamilyId::from_random([number; 16]),
        expires_at: chrono::DateTime::from_timestamp(NOW + 100, 0).unwrap(),
        claims: email_claim((number == 1).then_some("mina@example.com")),
    };
    gateway.resolver.sessions.lock().unwrap().insert(Sha256Digest::of(secret(letter).as_bytes()), identity);
}

fn close(gateway: &Gateway, letter: char) {
    gateway.resolver.sessions.lock().unwrap().remove(&Sha256Digest::of(secret(letter).as_bytes()));
}

fn times_asked(gateway: &Gateway) -> usize {
    gateway.resolver.asked_for_sessions.load(Ordering::Relaxed)
}

async fn send(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Response {
    gateway.ask(&get(path, lines).replacen("GET", method, 1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_identifies_the_caller_and_is_not_forwarded() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    open(&gateway, 'b', 2);
    for path in ["/api/session/x", "/api/either/x"] {
        assert_eq!(
            gateway.get(path, &format!("{}X-User-Id: admin\r\nX-User-Email: boss\r\n", cookie('a'))).await.status,
            200
        );
        assert_eq!(gateway.get(path, &cookie('b')).await.status, 200);
    }
    let received = upstream.received();
    for pair in received.chunks(2) {
        let told = |at: usize, name| pair[at].header(name);
        assert_eq!((told(0, "x-user-id"), told(1, "x-user-id")), (Some("person%201"), Some("person%202")));
        assert_eq!((told(0, "x-user-scope"), told(0, "x-user-email")), (Some(""), Some("mina@example.com")));
        assert_eq!((told(1, "x-user-email"), told(1, "cookie")), (None, Some("theme=dark")));
    }
    assert_eq!(times_asked(&gateway), 2, "each is asked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_accepted_only_where_the_route_says_so() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    assert_eq!(gateway.get("/api/auth", &cookie('a')).await.problem(), (401, "token_missing".to_owned()));
    assert_eq!(gateway.get("/api/users", &cookie('a')).await.status, 200);
    assert_eq!(upstream.only().header("x-user-id"), None, "on an open route it is not looked at");
    assert_eq!(times_asked(&gateway), 0);
    assert_eq!(gateway.get("/api/session", &bearer("jwt.u1..1")).await.problem(), (401, "session_missing".to_owned()));
    assert_eq!(gateway.get("/api/either", &bearer("jwt.u1..1")).await.status, 200);
    let both = format!("{}{}", bearer("jwt.u1..1"), cookie('a'));
    assert_eq!(gateway.get("/api/either", &both).await.status, 200);
    assert_eq!(upstream.received().last().unwrap().header("x-user-id"), Some("u1"), "a token counts first");
    let bad = format!("{}{}", bearer("jwt.u1..1!"), cookie('a'));
    assert_eq!(gateway.get("/api/either", &bad).await.problem(), (401, "invalid_token".to_owned()));
    assert_eq!(gateway.get("/api/session", &bad).await.status, 200, "where no token is taken none is looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_session_cookie_is_refused() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    for line in [
        String::new(),
        cookie('x'),
        "Cookie: gateway_session=\r\n".to_owned(),
        "Cookie: gateway_session=short\r\n".to_owned(),
        format!("Cookie: gateway_session={}\r\n", "x".repeat(5000)),
        format!("Cookie: __Host-gateway_session={}\r\n", secret('a')),
    ] {
        let response = gateway.get("/api/session", &line).await;
        assert_eq!(response.problem(), (401, "session_missing".to_owned()), "{line}");
        assert!(response.header("www-authenticate").is_some());
        assert_eq!(gateway.get("/api/either", &line).await.problem().1, "token_missing", "{line}");
    }
    assert_eq!(times_asked(&gateway), 2, "what has not even the form is not looked up");
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_change_something_need_a_trusted_page() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    let listed = "Origin: https://app.jinmini.com\r\nSec-Fetch-Site: same-site\r\n";
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for from in [SAME_ORIGIN, listed] {
            let lines = format!("{}{from}Content-Length: 0\r\n", cookie('a'));
            assert_eq!(send(&gateway, method, "/api/session", &lines).await.status, 200, "{method} {from}");
        }
        for from in [
            "",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Sec-Fetch-Site: none\r\n",
            "Origin: https://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: https://app.jinmini.com.evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        ] {
            for path in ["/api/session", "/api/either"] {
                let lines = format!("{}{from}Content-Length: 0\r\n", cookie('a'));
                let response = send(&gateway, method, path, &lines).await;
                assert_eq!(response.problem(), (403, "cross_site_request".to_owned()), "{method} {path} {from}");
            }
        }
    }
    assert_eq!(upstream.received().len(), 8);
    let elsewhere = "Origin: https://evil.example\r\nContent-Length: 0\r\n";
    let with_token = format!("{}{}{elsewhere}", bearer("jwt.u1..1"), cookie('a'));
    assert_eq!(send(&gateway, "POST", "/api/either", &with_token).await.status, 200, "a token does not come by itself");
    assert_eq!(send(&gateway, "GET", "/api/session", &format!("{}{elsewhere}", cookie('a'))).await.status, 200);
    let missing = send(&gateway, "POST", "/api/session", elsewhere).await;
    assert_eq!(missing.problem().1, "session_missing", "without a session there is nothing to forge");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_needs_a_trusted_page() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let evil = format!("{}{handshake}Origin: https://evil.example\r\n", cookie('a'));
    assert_eq!(gateway.get("/api/session", &evil).await.problem(), (403, "cross_site_request".to_owned()));
    let ours = format!("{}{handshake}{SAME_ORIGIN}", cookie('a'));
    assert_eq!(gateway.get("/api/session", &ours).await.status, 200);
    let nobody = format!("{handshake}Accept: text/html\r\n");
    assert_eq!(gateway.get("/api/session", &nobody).await.status, 401, "a WebSocket goes to no page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_redirected_to_the_login_and_back() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    let page = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    for (path, line) in [("/api/session/a%20b?x=1", String::new()), ("/api/either/a%20b?x=1", cookie('x'))] {
        for method in ["GET", "HEAD"] {
            let response = send(&gateway, method, path, &format!("{page}{line}")).await;
            assert_eq!(response.status, 303, "{method} {path}");
            let back = path.replace('/', "%2F").replace("%20", "%2520").replace('?', "%3F").replace('=', "%3D");
            assert_eq!(response.header("location"), Some(&*format!("/e/login?return_to={back}")));
            assert_eq!((response.header("cache-control"), response.text()), (Some("no-store"), ""));
            assert!(response.header("x-request-id").is_some());
        }
    }
    for (method, lines) in [
        ("GET", "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n"),
        ("GET", "Accept: application/json\r\n"),
        ("POST", "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\nContent-Length: 0\r\n"),
    ] {
        assert_eq!(send(&gateway, method, "/api/session", lines).await.status, 401, "{method} {lines}");
    }
    assert_eq!(gateway.get("/api/auth", page).await.status, 401, "to sign in would not help there");
    assert_eq!(upstream.received(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_is_refused_at_the_next_request_on_every_core() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup { cores: 3, ..Setup::of(&[upstream.address]) };
    let access = Access::Callers(Demands { credentials: Accepted::Session, ..Demands::default() });
    setup.routes.push(Route { access, ..route("/api/session", "auth", "/session") });
    let gateway = setup.start();
    open(&gateway, 'a', 1);
    open(&gateway, 'b', 2);
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = gateway.connect().await;
        assert_eq!(client.ask(&get("/api/session", &cookie('a'))).await.status, 200);
        clients.push(client);
    }
    // In the same order as when a session is ended: it is denied first, then deleted.
    gateway.revoke(1);
    for client in &mut clients {
        assert_eq!(client.ask(&get("/api/session", &cookie('a'))).await.status, 401);
        assert_eq!(client.ask(&get("/api/session", &cookie('b'))).await.status, 200, "another goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_looked_up_again_so_that_its_use_is_recorded() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    let at = async |seconds: i64| {
        gateway.clock.set(NOW + seconds);
        gateway.get("/api/session", &cookie('a')).await.status
    };
    assert_eq!((at(0).await, at(9).await, times_asked(&gateway)), (200, 200, 1));
    assert_eq!((at(10).await, times_asked(&gateway)), (200, 2));
    // The session has ended, and this replica does not know that yet.
    close(&gateway, 'a');
    assert_eq!((at(19).await, times_asked(&gateway)), (200, 2));
    assert_eq!((at(20).await, times_asked(&gateway)), (401, 3));
    open(&gateway, 'a', 1);
    assert_eq!(at(99).await, 200);
    assert_eq!(at(100).await, 401, "it lay idle for too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_looked_up_is_a_503_and_not_invalid() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    gateway.resolver.down.store(true, Ordering::Relaxed);
    let response = gateway.get("/api/session", &format!("{}Accept: text/html\r\n", cookie('a'))).await;
    assert_eq!((response.problem(), response.header("retry-after")), ((503, "unavailable".to_owned()), Some("1")));
    gateway.resolver.down.store(false, Ordering::Relaxed);
    assert_eq!(gateway.get("/api/session", &cookie('a')).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_ends_with_the_session() {
    let upstream = Upstream::start(|mut connection| async move {
        connection.request().await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").await;
        connection.is_closed().await;
    })
    .await;
    let gateway = gateway(&upstream);
    open(&gateway, 'a', 1);
    let mut client = gateway.connect().await;
    client.send(&get("/api/session", &cookie('a'))).await;
    let mut seen = String::new();
    while !seen.ends_with("data: 1\n\n\r\n") {
        seen += &client.some().await;
    }
    gateway.snapshots.update(|next| next.revocations.insert(revocation(1)));
    assert_eq!(client.some().await, "", "it is cut off");
}
