//! The standards for signing in, where the gateway is a client of providers.

use serde_json::{Value, json};

use crate::common::{
    Gateway,
    browser::{Browser, target_of},
    stand_in::{StandIn, text},
};

/// A gateway with the provider of another gateway.
struct Scene {
    gateway: Gateway,
    stand_in: StandIn,
    _host: Gateway,
}

impl Scene {
    fn new(more: &[(&str, &str)]) -> Self {
        let host = Gateway::start();
        let stand_in = StandIn::of(&host);
        let settings = stand_in.settings();
        let mut variables: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend(more);
        Self { gateway: Gateway::with(&variables), stand_in, _host: host }
    }

    fn exchange(&self, more: &Value) -> crate::common::Response {
        let mut request = self.stand_in.request(&self.stand_in.code_of("alice"));
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.gateway.post("/oauth", &request)
    }
}

pub(crate) fn redirect_uris_are_exact_strings() {
    let scene = Scene::new(&[]);
    let exact = scene.stand_in.redirect_uri.clone();
    for other in [
        exact.trim_end_matches('/').to_owned(),
        format!("{exact}x"),
        format!("{exact}?a=b"),
        exact.replace("www", "WWW"),
        exact.replace("https", "http"),
        exact.replace(".com", ".com:443"),
    ] {
        let refused = scene.exchange(&json!({"redirect_uri": other}));
        assert!((400..500).contains(&refused.status), "{other}: {}", refused.text());
    }
    assert_eq!(scene.stand_in.statistic("exchanges"), 0, "no code went anywhere");
    scene.exchange(&json!({})).expect(200);
}

pub(crate) fn pkce_is_s256_and_a_verifier_has_its_length() {
    let scene = Scene::new(&[]);
    let away = Browser::default().leave(&scene.gateway, "/login/stand-in");
    assert_eq!(
        (away.parameter("code_challenge_method").as_str(), away.parameter("code_challenge").len()),
        ("S256", 43)
    );
    for length in [42, 129] {
        scene.exchange(&json!({"code_verifier": "v".repeat(length)})).expect_problem(422, "validation_failed");
    }
}

pub(crate) fn a_pkce_downgrade_is_refused() {
    let scene = Scene::new(&[]);
    let mut browser = Browser::default();
    // An attacker removes the challenge on the way to the provider: the verifier is sent all the same.
    let away = browser.leave(&scene.gateway, "/login/stand-in").with("code_challenge", None);
    let callback = away.with("code_challenge_method", None).decide("person=alice");
    browser.get(&scene.gateway, &callback).expect_problem(400, "provider_refused");
    assert_eq!(browser.session(), None);
    // Or an attacker sends a stolen code with a challenge, without its verifier.
    let away = browser.leave(&scene.gateway, "/login/stand-in");
    let callback = away.with("redirect_uri", Some(&scene.stand_in.redirect_uri)).decide("person=alice");
    let code = callback.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
    scene.exchange(&json!({"code": code, "code_verifier": null})).expect_problem(422, "validation_failed");
    scene.exchange(&json!({"code": code})).expect_problem(400, "invalid_grant");
}

pub(crate) fn a_state_is_used_once_in_its_browser() {
    let scene = Scene::new(&[]);
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let callback = browser.leave(&scene.gateway, "/login/stand-in").decide("person=alice");
    other.get(&scene.gateway, &callback).expect_problem(400, "unknown_attempt");
    let mut again = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
    browser.get(&scene.gateway, &callback).expect(303);
    again.get(&scene.gateway, &callback).expect_problem(400, "unknown_attempt");
}

pub(crate) fn an_id_token_has_the_nonce_of_its_attempt() {
    let scene = Scene::new(&[]);
    for nonce in [Some("another"), None] {
        let mut browser = Browser::default();
        let callback = browser.leave(&scene.gateway, "/login/stand-in").with("nonce", nonce).decide("person=alice");
        browser.get(&scene.gateway, &callback).expect_problem(502, "provider_bad_answer");
        assert_eq!(browser.session(), None, "{nonce:?}");
    }
    // A caller who sends a code needs it, too.
    scene.exchange(&json!({"nonce": "another"})).expect_problem(400, "nonce_mismatch");
    let lacking = scene.exchange(&json!({"nonce": null})).expect_problem(422, "validation_failed");
    assert_eq!(lacking.json()["errors"][0]["field"], "nonce");
    // Its other claims are tested in src/adapters/providers/tests/id_tokens.rs, with keys of the test itself.
}

pub(crate) fn a_response_is_of_the_provider_that_was_asked() {
    let issuer_of = |scene: &Scene| format!("http://{}", scene.stand_in.address);
    let scene = Scene::new(&[]);
    let issuer = issuer_of(&scene);
    let gateway = Gateway::with(&[
        ("OIDC_WORK_ISSUER", &issuer),
        ("OIDC_WORK_CLIENT_ID", "gateway"),
        ("OIDC_WORK_CLIENT_SECRET", "development"),
        ("OIDC_HOME_ISSUER", &issuer),
        ("OIDC_HOME_CLIENT_ID", "gateway"),
        ("OIDC_HOME_CLIENT_SECRET", "development"),
    ]);
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/work").decide("person=alice");
    // A redirect URI for each provider.
    let mixed_up = callback.replace("/login/work/", "/login/home/");
    browser.get(&gateway, &mixed_up).expect_problem(400, "unknown_attempt");
    // And the issuer in the response.
    let callback = browser.leave(&gateway, "/login/work").decide("person=alice");
    let other_issuer: Vec<_> = callback.split('&').filter(|part| !part.starts_with("iss=")).collect();
    let other_issuer = format!("{}&iss=https%3A%2F%2Fother.example", other_issuer.join("&"));
    browser.get(&gateway, &other_issuer).expect_problem(502, "provider_bad_answer");
    assert_eq!((browser.session(), scene.stand_in.statistic("exchanges")), (None, 0), "the code went nowhere");
}

/// The gateway issues no codes itself, so this concerns the providers' codes.
pub(crate) fn a_code_is_good_once() {
    let scene = Scene::new(&[]);
    let code = scene.stand_in.code_of("alice");
    scene.exchange(&json!({"code": code})).expect(200);
    scene.exchange(&json!({"code": code})).expect_problem(400, "invalid_grant");
}

pub(crate) fn a_refresh_response_without_a_token_keeps_the_old_one() {
    let scene = Scene::new(&[]);
    scene.stand_in.switch(&json!({"refresh": {"rotate": false}}));
    let grant = scene.exchange(&json!({})).expect(200).json();
    let path = format!("/oauth/{}/refresh", text(&grant["id"]));
    let bearer = format!("Bearer {}", text(&grant["tokens"]["access_token"]));
    for _ in 0..2 {
        let next = scene.gateway.call("POST", &path, &[("Authorization", &bearer)], b"").expect(200).json();
        assert_eq!(next["refresh_token"], grant["refresh_token"]);
        assert_ne!(next["access_token"], grant["access_token"]);
    }
}

pub(crate) fn no_token_travels_in_a_url() {
    let gateway = Gateway::start();
    let (access, _) = gateway.tokens(&json!({"subject": "alice"}));
    for path in ["/api/users/me", "/oauth"] {
        let response = gateway.get(&format!("{path}?access_token={access}"));
        response.expect_problem(401, "token_missing");
    }
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/stand-in?return_to=/session").decide("person=alice");
    let back = browser.get(&gateway, &callback).expect(303);
    assert_eq!(back.header("location"), Some("/session"));
    assert_eq!(back.header("referrer-policy"), Some("no-referrer"));
}

pub(crate) fn there_is_no_open_redirector() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    for bad in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "https%3A%2F%2Fapp.jinmini.com.evil.example",
        "https%3A%2F%2Fapp.jinmini.com%40evil.example",
    ] {
        gateway.get(&format!("/login/stand-in?return_to={bad}")).expect_problem(400, "invalid_return_to");
    }
}

pub(crate) fn what_follows_a_post_is_303() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let away = browser.leave(&gateway, "/login/stand-in");
    // `decide` posts a form at the provider and expects 303.
    let callback = away.decide("person=alice");
    assert!(target_of(&format!("http://a{callback}")).starts_with("/login/stand-in/callback?"));
    browser.get(&gateway, &callback).expect(303);
    browser.call_as_our_page(&gateway, "POST", "/logout").expect(303);
}

pub(crate) fn no_page_can_be_framed() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    for target in ["/", "/docs", "/login", "/session", "/login/stand-in", &callback, "/session", "/nowhere"] {
        let response = browser.get(&gateway, target);
        let policy = response.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'"), "{target}: {policy}");
    }
}
