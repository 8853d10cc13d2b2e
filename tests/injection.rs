//! The injection of a person's provider token into requests to a service, through the real binary with the stand-in
//! provider: only on routes that ask for it, and never an expired one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Gateway, eventually, recorder::Recorder, stand_in::StandIn};
use serde_json::{Value, json};

const ROUTES: &str = r#"
[[routes]]
path = "/api/mail"
service = "mail"
provider_token = "stand-in"

[[routes]]
path = "/api/mail/header"
service = "mail"
provider_token = "stand-in"
provider_token_header = "X-Stand-In-Token"

[[routes]]
path = "/api/plain"
service = "mail"
"#;

/// A gateway with these routes, its provider, and the service behind it.
fn scene() -> (Gateway, StandIn, Recorder) {
    let service = Recorder::start();
    let gateway = Gateway::with_routes(&[("MAIL_SERVICE_URL", &service.url())], Some(ROUTES));
    let stand_in = StandIn::of(&gateway);
    (gateway, stand_in, service)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The value of this header at the service when the caller requests this path.
fn arrives(gateway: &Gateway, service: &Recorder, token: &str, path: &str, header: &str) -> Vec<String> {
    gateway.get_with_token(path, token).expect(200);
    let seen = service.take();
    assert_eq!(seen.len(), 1);
    seen[0].all(header).into_iter().map(str::to_owned).collect()
}

#[test]
fn the_token_that_arrives_is_the_persons_and_fresh() {
    let (gateway, stand_in, service) = scene();
    stand_in.switch(&json!({"access_token_ttl_seconds": 3600}));
    let signed_in = stand_in.exchange(&gateway, "alice");
    let (alice, provider_token) = (text(&signed_in["tokens"]["access_token"]), text(&signed_in["access_token"]));
    let arrives = |path, header| arrives(&gateway, &service, alice, path, header);

    let bearer = format!("Bearer {provider_token}");
    assert_eq!(arrives("/api/mail/1", "authorization"), [bearer]);
    assert_eq!(arrives("/api/mail/header", "x-stand-in-token"), [provider_token]);
    assert_eq!(arrives("/api/mail/header", "authorization"), [""; 0]);
    gateway.get_with_token("/api/plain", alice).expect(200);
    let plain = service.take();
    assert!(plain[0].headers.iter().all(|(_, value)| !value.contains(provider_token) && !value.contains(alice)));
    assert_eq!(stand_in.statistic("refreshes"), 0);

    // A refresh takes effect on the next request, and so does the end of the grant.
    let path = format!("/oauth/{}", text(&signed_in["id"]));
    let authorization = format!("Bearer {alice}");
    let authorization = [("Authorization", authorization.as_str())];
    let refreshed = gateway.call("POST", &format!("{path}/refresh"), &authorization, b"").expect(200).json();
    assert_eq!(arrives("/api/mail", "authorization"), [format!("Bearer {}", text(&refreshed["access_token"]))]);
    gateway.call("DELETE", &path, &authorization, b"").expect(200);
    let missing = gateway.get_with_token("/api/mail", alice).expect_problem(403, "provider_grant_missing");
    assert!(text(&missing.json()["detail"]).contains("/login/stand-in"), "{}", missing.text());
    assert!(service.take().is_empty());
    for token in [provider_token, text(&refreshed["access_token"])] {
        assert!(!gateway.console().contains(token), "a token is in the log");
    }
    gateway.is_unharmed();
}

#[test]
fn an_expired_token_is_followed_by_a_fresh_one_or_by_none() {
    let (gateway, stand_in, service) = scene();
    stand_in.switch(&json!({"access_token_ttl_seconds": 1}));
    let signed_in = stand_in.exchange(&gateway, "alice");
    let alice = text(&signed_in["tokens"]["access_token"]);
    stand_in.switch(&json!({"access_token_ttl_seconds": 1, "refresh": {"fail": "server_error"}}));
    eventually("the provider's token has expired", || gateway.get_with_token("/api/mail", alice).status == 503);
    service.take();
    let down = gateway.get_with_token("/api/mail", alice).expect_problem(503, "provider_unavailable");
    assert!(down.header("retry-after").is_some() && service.take().is_empty());

    stand_in.switch(&json!({"access_token_ttl_seconds": 3600}));
    let before = stand_in.statistic("refreshes");
    let fresh = arrives(&gateway, &service, alice, "/api/mail", "authorization");
    assert_ne!(fresh, [format!("Bearer {}", text(&signed_in["access_token"]))]);
    for _ in 0..5 {
        assert_eq!(arrives(&gateway, &service, alice, "/api/mail", "authorization"), fresh);
    }
    assert_eq!(stand_in.statistic("refreshes") - before, 1);

    stand_in.switch(&json!({"refresh": {"fail": "invalid_grant"}}));
    let authorization = format!("Bearer {alice}");
    let refresh = format!("/oauth/{}/refresh", text(&signed_in["id"]));
    gateway
        .call("POST", &refresh, &[("Authorization", &authorization)], b"")
        .expect_problem(409, "reauthorization_required");
    let ended = gateway.get_with_token("/api/mail", alice).expect_problem(409, "reauthorization_required");
    assert!(text(&ended.json()["detail"]).contains("/login/stand-in"), "{}", ended.text());
    assert!(service.take().is_empty());
}

#[test]
fn a_caller_who_never_signed_in_has_no_token_to_send() {
    let (gateway, _, service) = scene();
    let (developer, _) = gateway.tokens(&json!({"subject": "developer"}));
    gateway.get_with_token("/api/mail", &developer).expect_problem(403, "provider_grant_missing");
    gateway.post("/tokens/dummy", &json!({"token": "typed by hand"})).expect(200);
    gateway.get_with_token("/api/mail", "typed by hand").expect_problem(403, "provider_grant_missing");
    gateway.get("/api/mail").expect_problem(401, "token_missing");
    assert!(service.take().is_empty());
    gateway.get_with_token("/api/plain", "typed by hand").expect(200);
}
