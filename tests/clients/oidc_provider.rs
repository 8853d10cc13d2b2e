//! Signing in at a certified OpenID Connect provider: npm `oidc-provider`, with a gateway that knows only its issuer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};

use crate::{
    common::{
        Gateway,
        browser::{Away, Browser, target_of},
    },
    programs::{Conversation, Script},
};

const CLIENT_ID: &str = "the:gateway+1";
/// Each of these characters needs form-encoding within HTTP Basic (RFC 6749 §2.3.1).
const CLIENT_SECRET: &str = "s3cret:+/=%&";

/// The script, and the provider in it.
struct Idp {
    script: Conversation,
    issuer: String,
}

impl Idp {
    fn start() -> Self {
        let callback = |provider: &str| format!("https://www.jinmini.com/login/{provider}/callback");
        let arguments = [CLIENT_ID, CLIENT_SECRET, &callback("work"), &callback("mistaken")];
        let script = Conversation::begin(Script::node("provider.mjs", include_str!("provider.mjs")), &arguments);
        let issuer = script.said()["issuer"].as_str().unwrap().to_owned();
        Self { script, issuer }
    }

    fn ask(&mut self, command: &Value) -> Value {
        self.script.ask(command)
    }

    /// Signs in and consents on the provider's pages, or cancels; returns the target of the callback.
    #[track_caller]
    fn decides(&mut self, away: &Away, person: Option<&str>) -> String {
        let response = self.ask(&json!({"do": "visit", "url": away.authorize.as_str(), "person": person}));
        target_of(response["back"].as_str().unwrap_or_else(|| panic!("{response}")))
    }

    fn introspect(&mut self, token: &Value) -> Value {
        self.ask(&json!({"do": "introspect", "token": token}))
    }

    /// The outcomes of token requests since the last call.
    fn happened(&mut self) -> Value {
        self.ask(&json!({"do": "happened"}))
    }

    /// A gateway that signs people in here, as `work`; as `mistaken` it has a wrong secret.
    fn gateway(&self) -> Gateway {
        Gateway::with(&[
            ("OIDC_WORK_ISSUER", &self.issuer),
            ("OIDC_WORK_CLIENT_ID", CLIENT_ID),
            ("OIDC_WORK_CLIENT_SECRET", CLIENT_SECRET),
            ("OIDC_WORK_SCOPES", "openid profile email offline_access"),
            ("OIDC_MISTAKEN_ISSUER", &self.issuer),
            ("OIDC_MISTAKEN_CLIENT_ID", CLIENT_ID),
            ("OIDC_MISTAKEN_CLIENT_SECRET", "another"),
        ])
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn a_person_signs_in_at_oidc_provider_and_the_grant_lives_its_life() {
    let mut idp = Idp::start();
    let gateway = idp.gateway();
    let mut browser = Browser::default();
    let away = browser.leave(&gateway, "/login/work?return_to=/session");
    let callback = idp.decides(&away, Some("mina"));
    let issuer: String = url::form_urlencoded::byte_serialize(idp.issuer.as_bytes()).collect();
    assert!(callback.contains(&format!("iss={issuer}")), "{callback}");
    // It issues a refresh token only after the person's consent.
    let consent = Away::following(&browser.get(&gateway, &callback).expect(303));
    assert_eq!(consent.parameter("prompt"), "consent");
    let back = browser.get(&gateway, &idp.decides(&consent, Some("mina"))).expect(303);
    assert_eq!(back.header("location"), Some("/session"));
    assert_eq!(idp.happened(), json!(["authorization_code", "authorization_code"]));
    // Its id token contains only the subject; its userinfo endpoint has the rest.
    let session = browser.get(&gateway, "/session").expect(200).json();
    assert_eq!(
        session["providers"],
        json!([{"provider": "work", "subject": "mina", "email": "mina@example.com", "name": "mina of the provider"}])
    );

    let grants = browser.get(&gateway, "/oauth").expect(200).json();
    assert_eq!(grants["grants"][0]["refreshable"], true, "{grants}");
    let path = format!("/oauth/{}", grants["grants"][0]["id"].as_str().unwrap());
    let mut grant = browser.get(&gateway, &path).expect(200).json();
    assert_eq!(grant["scope"], "openid profile email offline_access");
    let told = idp.introspect(&grant["access_token"]);
    assert_eq!((&told["active"], &told["sub"], &told["client_id"]), (&json!(true), &json!("mina"), &json!(CLIENT_ID)));

    // Each refresh token is valid once, and the next one must be stored.
    for _ in 0..3 {
        let next = browser.call_as_our_page(&gateway, "POST", &format!("{path}/refresh")).expect(200).json();
        assert_ne!(grant["access_token"], next["access_token"]);
        assert_ne!(grant["refresh_token"], next["refresh_token"]);
        assert_eq!(idp.introspect(&next["access_token"])["active"], true);
        assert_eq!(idp.happened(), json!(["refresh_token"]));
        grant = next;
    }

    let deleted = browser.call_as_our_page(&gateway, "DELETE", &path).expect(200).json();
    assert_eq!(deleted, json!({"revoked_at_provider": true}));
    assert_eq!(idp.happened(), json!(["revoked"]));
    for token in ["access_token", "refresh_token"] {
        assert_eq!(idp.introspect(&grant[token]), json!({"active": false}), "{token}");
    }
    gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn responses_for_another_attempt_at_oidc_provider_are_refused() {
    let mut idp = Idp::start();
    let gateway = idp.gateway();
    let mut browser = Browser::default();
    let other_challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (parameter, value, status, code, happened) in [
        // The id token of another attempt.
        ("nonce", Some("another"), 502, "provider_bad_answer", json!(["authorization_code"])),
        ("nonce", None, 502, "provider_bad_answer", json!(["authorization_code"])),
        // A stolen code: its verifier is in another browser.
        ("code_challenge", Some(other_challenge), 400, "provider_refused", json!(["invalid_grant"])),
        // The provider requires PKCE.
        ("code_challenge", None, 400, "provider_refused", json!([])),
    ] {
        let away = browser.leave(&gateway, "/login/work").with(parameter, value);
        let callback = idp.decides(&away, Some("mina"));
        browser.get(&gateway, &callback).expect_problem(status, code);
        assert_eq!((idp.happened(), browser.session()), (happened, None), "{parameter}: {value:?}");
    }
    // The rewriting of the request alone makes no difference.
    let away = browser.leave(&gateway, "/login/work").with("display", Some("page"));
    let callback = idp.decides(&away, Some("mina"));
    browser.get(&gateway, &callback).expect(303);
    assert_eq!(
        (idp.happened(), browser.cookies.remove("__Host-gateway_session").is_some()),
        (json!(["authorization_code"]), true)
    );

    // It announces that every response names the issuer, so one that does not is another's (RFC 9207 §2.4).
    let away = browser.leave(&gateway, "/login/work");
    let callback = idp.decides(&away, Some("mina"));
    let anonymous: Vec<_> = callback.split('&').filter(|part| !part.starts_with("iss=")).collect();
    browser.get(&gateway, &anonymous.join("&")).expect_problem(502, "provider_bad_answer");
    assert_eq!(idp.happened(), json!([]), "the code went nowhere");

    let away = browser.leave(&gateway, "/login/work");
    let callback = idp.decides(&away, None);
    browser.get(&gateway, &callback).expect_problem(403, "access_denied");

    // A wrong client secret is not the person's fault.
    let away = browser.leave(&gateway, "/login/mistaken");
    let callback = idp.decides(&away, Some("mina"));
    browser.get(&gateway, &callback).expect_problem(503, "provider_unavailable");
    assert_eq!((idp.happened(), browser.session()), (json!(["invalid_client"]), None));
    // The operator can mend that, and finds an error in the log.
    gateway.printed("the provider does not accept our client: invalid_client");
    gateway.is_unharmed_but_for(&[&gateway.printed("the provider refuses the gateway itself")]);
}
