//! The binding of a code to the browser that requested it: each provider's codes are exchanged with that, or not at
//! all.

use serde_json::{Value, json};

use crate::common::{Gateway, stand_in::StandIn};

const OWN: &str = "https://app.jinmini.com/callback";

/// Every provider, with unavailable endpoints: such refusals come before any request.
const PROVIDERS: [(&str, &str); 7] = [
    ("GOOGLE", "google"),
    ("GITHUB", "github"),
    ("FACEBOOK", "facebook"),
    ("NAVER", "naver"),
    ("KAKAO", "kakao"),
    ("OIDC_WORK", "work"),
    ("OIDC_STAND_IN", "stand-in"),
];

fn gateway(more: &[(&str, &str)]) -> Gateway {
    let mut variables = vec![("OAUTH_REDIRECT_URIS".to_owned(), OWN.to_owned())];
    for (prefix, _) in PROVIDERS {
        variables.push((format!("{prefix}_CLIENT_ID"), "an-id".to_owned()));
        variables.push((format!("{prefix}_CLIENT_SECRET"), "s3cret".to_owned()));
        let endpoint = if prefix.starts_with("OIDC") { "ISSUER" } else { "TOKEN_URL" };
        variables.push((format!("{prefix}_{endpoint}"), "http://127.0.0.1:1/".to_owned()));
    }
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Gateway::with(&variables)
}

/// The field of a request with a code alone that is refused, and the error.
fn flaw(gateway: &Gateway, provider: &str) -> Value {
    let request = json!({"provider": provider, "code": "stolen from a sign-in at /login", "redirect_uri": OWN});
    let mut problem = gateway.post("/oauth", &request).expect_problem(422, "validation_failed").json();
    let error = problem["errors"][0].take();
    json!([error["field"], error["code"]])
}

#[test]
fn a_code_alone_is_exchanged_at_no_provider() {
    let all = gateway(&[]);
    for (_, provider) in PROVIDERS {
        let expected = match provider {
            "facebook" => continue,
            "github" => json!(["code_verifier", "required"]),
            _ => json!(["nonce", "required"]),
        };
        assert_eq!(flaw(&all, provider), expected, "{provider}");
    }
    let unbound = json!(["provider", "unbound_codes"]);
    let without_open_id = gateway(&[("NAVER_OIDC", "off"), ("KAKAO_OIDC", "off")]);
    assert_eq!(flaw(&without_open_id, "naver"), unbound);
    assert_eq!(flaw(&without_open_id, "kakao"), json!(["code_verifier", "required"]));
    let off = [("NAVER_OIDC", "off"), ("KAKAO_OIDC", "off"), ("KAKAO_PKCE", "off"), ("GITHUB_PKCE", "off")];
    let without_pkce = gateway(&[&off[..], &[("NAVER_PKCE", "on")]].concat());
    for (provider, expected) in
        [("github", unbound.clone()), ("kakao", unbound), ("naver", json!(["code_verifier", "required"]))]
    {
        assert_eq!(flaw(&without_pkce, provider), expected, "{provider}");
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let request = json!({"provider": "google", "code": "c", "redirect_uri": OWN});
    let problem = gateway(&[]).post("/oauth", &request).expect_problem(422, "validation_failed").json();
    let fields: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["nonce", "code_verifier"]);
}

#[test]
fn the_operator_may_rely_on_what_a_provider_compares_and_not_on_the_callback() {
    let relying = gateway(&[("NAVER_OIDC", "off"), ("NAVER_UNBOUND_CODES", "accept")]);
    // Facebook documents that it compares them.
    for provider in ["naver", "facebook"] {
        let exchange = |redirect_uri: &str| {
            relying.post("/oauth", &json!({"provider": provider, "code": "c", "redirect_uri": redirect_uri}))
        };
        // The provider is called, but unavailable.
        exchange(OWN).expect_problem(503, "provider_unavailable");
        let callback = format!("https://www.jinmini.com/login/{provider}/callback");
        exchange(&callback).expect_problem(422, "validation_failed");
    }
    let distrusting = gateway(&[("FACEBOOK_UNBOUND_CODES", "refuse")]);
    assert_eq!(flaw(&distrusting, "facebook"), json!(["provider", "unbound_codes"]));
}

#[test]
fn without_a_redirect_uri_of_a_front_end_nothing_is_exchanged() {
    let without = gateway(&[("OAUTH_REDIRECT_URIS", "")]);
    for (_, provider) in PROVIDERS {
        assert_eq!(flaw(&without, provider), json!(["redirect_uri", "not_configured"]), "{provider}");
    }
}

#[test]
fn another_nonce_is_the_callers_fault_and_said_so() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let mut request = stand_in.request(&stand_in.code_of("alice"));
    request["nonce"] = json!("another");
    let refused = gateway.post("/oauth", &request).expect_problem(400, "nonce_mismatch").json();
    assert!(refused["detail"].as_str().unwrap().contains("`nonce`"), "{refused}");
    stand_in.exchange(&gateway, "alice");
}
