//! Invalid tokens, at the edge and at `/tokens/verify`.

use serde_json::{Value, json};

use super::forgery::forgeries;
use crate::common::{Gateway, eventually, parse, recorder::Recorder};

const PROTECTED: &str = "/api/users/me";

/// The description in `WWW-Authenticate` for each reason.
fn words(reason: &str) -> &'static str {
    match reason {
        "malformed" => "the token is malformed",
        "bad_signature" => "the token's signature is not valid",
        "unknown_key" => "the token was signed with an unknown key",
        "expired" => "the token has expired",
        "wrong_issuer" => "the token was issued by another issuer",
        "wrong_audience" => "the token is meant for another audience",
        other => panic!("{other}"),
    }
}

/// A gateway in production with a token of its own, in front of a recorder.
struct Production {
    gateway: Gateway,
    upstream: Recorder,
    token: String,
    refresh_token: String,
    _folder: tempfile::TempDir,
}

impl Production {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/gateway.db?mode=rwc", folder.path().display());
        let store =
            [("DATABASE_URL", database.as_str()), ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=")];
        let setup = Gateway::with(&store);
        let (token, refresh_token) = setup.tokens(&json!({"subject": "alice", "expires_in": 3600}));
        setup.terminate();
        let upstream = Recorder::start();
        let url = upstream.url();
        let more = [("GATEWAY_ENV", "production"), ("LOG_FORMAT", "text"), ("AUTH_SERVICE_URL", url.as_str())];
        let gateway = Gateway::with(&[&store[..], &more].concat());
        Self { gateway, upstream, token, refresh_token, _folder: folder }
    }
}

fn reason(gateway: &Gateway, token: &str) -> String {
    let verified = gateway.post("/tokens/verify", &json!({"token": token})).expect(200).json();
    assert_eq!(verified["active"], json!(false), "{token:.200}");
    assert_eq!(verified.as_object().unwrap().len(), 2, "a bad token tells nothing else: {verified}");
    verified["reason"].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(gateway: &Gateway, token: &str, what: &str) -> String {
    let response = gateway.get_with_token(PROTECTED, token);
    assert_eq!(response.status, 401, "{what}: {}", response.text());
    let response = response.expect_problem(401, "invalid_token");
    assert!(token.len() < 10 || !response.text().contains(token), "{what}");
    let challenge = response.header("www-authenticate").unwrap().to_owned();
    let marker = r#"Bearer realm="gateway", error="invalid_token", error_description=""#;
    let description = challenge.strip_prefix(marker).unwrap_or_else(|| panic!("{what}: {challenge}"));
    description.trim_end_matches('"').to_owned()
}

#[test]
fn no_forgery_passes_in_production_and_each_is_told_why() {
    let Production { gateway, upstream, token, refresh_token, .. } = Production::start();
    let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
    gateway.get_with_token(PROTECTED, &token).expect(200);
    assert_eq!(upstream.take().len(), 1);
    let forgeries = forgeries(&token, &keys["keys"][0]);
    assert!(forgeries.len() > 500, "{}", forgeries.len());
    for forgery in &forgeries {
        let told = refused(&gateway, &forgery.token, &forgery.what);
        let reason = reason(&gateway, &forgery.token);
        assert_eq!(told, words(&reason), "the edge and the API differ about {}", forgery.what);
        assert!(forgery.reason.is_empty() || forgery.reason == reason, "{}: {reason}", forgery.what);
    }
    assert_eq!(refused(&gateway, &refresh_token, "a refresh token"), words("malformed"));
    assert!(upstream.take().is_empty());
    // None of them has evicted the valid one from the cache.
    gateway.get_with_token(PROTECTED, &token).expect(200);
    let console = gateway.console();
    assert!(forgeries.iter().all(|forgery| forgery.token.len() < 40 || !console.contains(&forgery.token)));
    assert!(!console.contains("panicked") && !console.contains("ERROR"), "{console}");
}

#[test]
fn no_forgery_passes_in_development() {
    let upstream = Recorder::start();
    let gateway = Gateway::with(&[("AUTH_SERVICE_URL", &upstream.url())]);
    let (token, _) = gateway.tokens(&json!({"subject": "alice", "expires_in": 3600}));
    let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
    for forgery in forgeries(&token, &keys["keys"][0]) {
        refused(&gateway, &forgery.token, &forgery.what);
        reason(&gateway, &forgery.token);
    }
    assert!(upstream.take().is_empty());
    gateway.is_unharmed();
}

#[test]
fn a_token_is_taken_from_one_place_alone() {
    let Production { gateway, upstream, token, .. } = Production::start();
    let missing = (401, "token_missing");
    let twice = (400, "invalid_request");
    let bad_head = (400, "bad_request");
    let (start, end) = token.split_at(20);
    for (headers, (status, code)) in [
        (String::new(), missing),
        ("Authorization:\r\n".into(), missing),
        ("Authorization: Basic YWxpY2U6c2VjcmV0\r\n".into(), missing),
        (format!("Authorization: Basic {token}\r\n"), missing),
        (format!("Authorization: {token}\r\n"), missing),
        (format!("Authorization: Bearer{token}\r\n"), missing),
        (format!("Authorization: Token {token}\r\n"), missing),
        (format!("Authorization: DPoP {token}\r\n"), missing),
        (format!("Authorization: \"Bearer\" {token}\r\n"), missing),
        (format!("Proxy-Authorization: Bearer {token}\r\n"), missing),
        (format!("X-Authorization: Bearer {token}\r\n"), missing),
        (format!("Cookie: access_token={token}; token={token}; Authorization=Bearer {token}\r\n"), missing),
        (format!("Connection: Authorization\r\nAuthorization: Bearer {token}\r\n"), missing),
        ("Authorization: Bearer\r\n".into(), twice),
        ("Authorization: bearer  \r\n".into(), twice),
        (format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"), twice),
        (format!("Authorization: Bearer {token}\r\nauthorization: Bearer x\r\n"), twice),
        (format!("Authorization: Basic x\r\nAUTHORIZATION: Bearer {token}\r\n"), twice),
        (format!("Authorization:\r\nAuthorization: Bearer {token}\r\n"), twice),
        (format!("Authorization: Bearer {start}\0{end}\r\n"), bad_head),
        (format!("Authorization: Bearer {start}\n{end}\r\n"), bad_head),
        (format!("Authorization: Bearer {start}\r{end}\r\n"), bad_head),
        (format!("Authorization: Bearer {start}\r\n {end}\r\n"), bad_head),
        (format!("Authorization: Bearer\r\n {token}\r\n"), bad_head),
        (format!("Authorization : Bearer {token}\r\n"), bad_head),
        (format!("Authorization: Bearer {start} {end}\r\n"), (401, "invalid_token")),
        (format!("Authorization: Bearer {}\r\n", "x".repeat(1024 * 1024)), (431, "head_too_large")),
    ] {
        let request = format!("GET {PROTECTED} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
        let response = parse(&gateway.raw(request.as_bytes()));
        let shown = headers.replace(&token, "<token>");
        assert_eq!(response.status, status, "{shown:.200}: {}", response.text());
        response.expect_problem(status, code);
    }
    let form = format!("access_token={token}");
    let form_type = [("Content-Type", "application/x-www-form-urlencoded")];
    gateway.call("POST", PROTECTED, &form_type, form.as_bytes()).expect_problem(401, "token_missing");
    for query in [format!("?access_token={token}"), format!("?token={token}&authorization=Bearer%20{token}")] {
        gateway.get(&format!("{PROTECTED}{query}")).expect_problem(401, "token_missing");
    }
    let raw = [b"Authorization: Bearer \xff\xfe".as_slice(), start.as_bytes()].concat();
    let request =
        [b"GET /api/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", raw.as_slice(), b"\r\n\r\n"].concat();
    parse(&gateway.raw(&request)).expect_problem(401, "invalid_token");
    assert!(upstream.take().is_empty());
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR   "] {
        gateway.call("GET", PROTECTED, &[("aUTHORIZATION", &format!("{scheme}{token}"))], b"").expect(200);
    }
    assert_eq!(upstream.take().len(), 4);
    assert!(!gateway.console().contains(&token));
}

#[test]
fn the_api_asks_for_a_token_the_same_way() {
    let Production { gateway, token, .. } = Production::start();
    let create = |headers: &[(&str, &str)]| {
        gateway.call("POST", "/tokens/create", &[&[("Content-Type", "application/json")], headers].concat(), b"{}")
    };
    let bearer = format!("Bearer {token}");
    for headers in [&[][..], &[("Authorization", "Basic x")], &[("Authorization", "")], &[("Authorization", &token)]] {
        create(headers).expect_problem(401, "token_missing");
    }
    for headers in [&[("Authorization", "Bearer")][..], &[("Authorization", &bearer), ("Authorization", &bearer)]] {
        let response = create(headers).expect_problem(400, "invalid_request");
        assert!(response.header("www-authenticate").unwrap().contains(r#"error="invalid_request""#));
    }
    create(&[("Authorization", "Bearer x")]).expect_problem(401, "invalid_token");
    // A valid token that does not allow it.
    create(&[("Authorization", &bearer)]).expect_problem(403, "insufficient_scope");
}

#[test]
fn strange_texts_are_looked_at_without_harm() {
    let gateway = Gateway::start();
    let verify = |token: &str| gateway.post("/tokens/verify", &json!({"token": token}));
    verify("").expect_problem(422, "validation_failed");
    verify(&"a".repeat(1024 * 1024)).expect_problem(413, "body_too_large");
    for text in [
        "\0",
        "a\0b",
        "a\r\nb",
        "\u{1b}[31m",
        "\u{202e}",
        " ",
        "gwr_",
        "gwr_x",
        "%s%s%n",
        "' OR 1=1 --",
        "{{7*7}}",
        "${jndi:ldap://127.0.0.1:1/}",
        &"a".repeat(200 * 1024),
        &".".repeat(200 * 1024),
        &"안".repeat(60_000),
    ] {
        let verified = verify(text).expect(200).json();
        assert_eq!(verified["active"], json!(false), "{text:.20}");
        gateway.post("/tokens/revoke", &json!({"token": text})).expect(200);
        gateway.post("/tokens/refresh", &json!({"refresh_token": text})).expect_problem(401, "invalid_grant");
    }
    gateway.is_unharmed();
}

#[test]
fn a_token_of_another_gateway_is_refused() {
    let (ours, theirs) = (Gateway::start(), Gateway::start());
    let (token, refresh_token) = theirs.tokens(&json!({"subject": "mallory"}));
    assert_eq!(reason(&ours, &token), "unknown_key");
    assert_eq!(refused(&ours, &token, "another's"), words("unknown_key"));
    assert_eq!(reason(&ours, &refresh_token), "unknown");
    ours.post("/tokens/refresh", &json!({"refresh_token": refresh_token})).expect_problem(401, "invalid_grant");
    ours.post("/tokens/revoke", &json!({"token": token})).expect(200);
    theirs.get_with_token(PROTECTED, &token).expect(200);
}

#[test]
fn another_issuer_and_another_audience_are_refused_although_the_key_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/gateway.db?mode=rwc", folder.path().display());
    let at = |public_url: &str| {
        let vault = ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=");
        Gateway::with(&[("DATABASE_URL", database.as_str()), vault, ("PUBLIC_URL", public_url)])
    };
    let (ours, theirs) = (at("https://www.jinmini.com"), at("https://evil.jinmini.com"));
    let (token, _) = theirs.tokens(&json!({"audience": "https://www.jinmini.com"}));
    assert_eq!(reason(&ours, &token), "wrong_issuer");
    assert_eq!(refused(&ours, &token, "another issuer"), words("wrong_issuer"));
    for audience in ["https://www.jinmini.com/", "https://WWW.jinmini.com", "www.jinmini.com", "*", "other"] {
        let (token, _) = ours.tokens(&json!({"audience": audience}));
        assert_eq!(reason(&ours, &token), "wrong_audience", "{audience}");
        assert_eq!(refused(&ours, &token, audience), words("wrong_audience"));
    }
}

#[test]
fn an_expired_token_is_refused_although_it_was_seen_good() {
    let gateway = Gateway::start();
    let (token, _) = gateway.tokens(&json!({"expires_in": 1}));
    gateway.get_with_token(PROTECTED, &token).expect(200);
    eventually("the token expires", || gateway.get_with_token(PROTECTED, &token).status == 401);
    assert_eq!(refused(&gateway, &token, "an expired token"), words("expired"));
    assert_eq!(reason(&gateway, &token), "expired");
}

#[test]
fn a_text_that_is_typed_as_a_dummy_token_is_nothing_else() {
    let gateway = Gateway::start();
    let (access, refresh) = gateway.tokens(&json!({"subject": "alice"}));
    let dummy = |text: &str| gateway.post("/tokens/dummy", &json!({"token": text}));
    // It would be printed, and revoking it would end the family and leave the dummy valid.
    let unknown = format!("gwr_{}", "A".repeat(43));
    for text in [refresh.as_str(), &unknown] {
        dummy(text).expect_problem(422, "validation_failed");
        gateway.get_with_token(PROTECTED, text).expect_problem(401, "invalid_token");
    }
    assert!(!gateway.console().contains(&refresh));
    // Every accepted text passes, verifies, and is invalid once revoked.
    for text in ["gwr_hello", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "null", "\u{202e}x", "안 녕", &"x".repeat(4096)] {
        dummy(text).expect(200);
        gateway.get_with_token(PROTECTED, text).expect(200);
        let verified: Value = gateway.post("/tokens/verify", &json!({"token": text})).expect(200).json();
        assert_eq!(verified["token_type"], json!("dummy_token"), "{text:.20}");
        gateway.post("/tokens/revoke", &json!({"token": text})).expect(200);
        gateway.get_with_token(PROTECTED, text).expect_problem(401, "invalid_token");
    }
    // A signed token stays a signed token when it is typed: revoked, it is not valid as a dummy token either.
    dummy(&access).expect(200);
    gateway.post("/tokens/revoke", &json!({"token": access})).expect(200);
    gateway.get_with_token(PROTECTED, &access).expect_problem(401, "invalid_token");
    gateway.is_unharmed();
}

#[test]
fn the_longest_token_that_can_be_had_passes() {
    let gateway = Gateway::start();
    let (token, _) = gateway.tokens(&json!({
        "subject": "안".repeat(255), "audience": null, "scope": "s".repeat(1024), "claims": {"a": "x".repeat(4088)},
    }));
    assert_eq!(gateway.post("/tokens/verify", &json!({"token": token})).expect(200).json()["active"], json!(true));
    gateway.get_with_token(PROTECTED, &token).expect(200);
}
