//! Signing in like a person would at Naver, Kakao and Microsoft Entra by OpenID Connect, through the real binary: the
//! stand-in provider responds as these document, and wrongly on request.

mod common;

use common::{Gateway, Response, browser::Browser, stand_in::StandIn};
use serde_json::{Value, json};

const PROVIDERS: [&str; 3] = ["naver", "kakao", "entra"];
/// The tenant of all but Carol, and the group of all but Bob.
const TENANT: &str = "11111111-2222-4333-8444-555555555555";
const GROUP: &str = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff";

struct Scene {
    gateway: Gateway,
    stand_in: StandIn,
    /// The gateway that started the stand-in.
    _host: Gateway,
}

impl Scene {
    fn new(more: &[(&str, &str)]) -> Self {
        let host = Gateway::start();
        let stand_in = StandIn::of(&host);
        let gateway = Self::beside(&stand_in, more);
        Self { gateway, stand_in, _host: host }
    }

    /// A gateway with the stand-in as all three providers.
    fn beside(stand_in: &StandIn, more: &[(&str, &str)]) -> Gateway {
        let settings = stand_in.settings_of_others();
        let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Gateway::with(&settings.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn sign_in(&self, browser: &mut Browser, provider: &str, person: &str) -> Response {
        let callback = browser.leave(&self.gateway, &format!("/login/{provider}?return_to=/there"));
        browser.get(&self.gateway, &callback.decide(&format!("person={person}")))
    }

    /// The identity of the signed-in person.
    fn identity(&self, provider: &str, person: &str) -> Value {
        let mut browser = Browser::default();
        let back = self.sign_in(&mut browser, provider, person).expect(303);
        assert_eq!(back.header("location"), Some("/there"), "{provider}");
        browser.get(&self.gateway, "/session").expect(200).json()["providers"][0].take()
    }
}

#[test]
fn a_person_signs_in_at_each() {
    let scene = Scene::new(&[]);
    for (provider, email) in
        [("naver", None), ("kakao", Some("alice@example.com")), ("entra", Some("alice@example.com"))]
    {
        let mut browser = Browser::default();
        let away = browser.leave(&scene.gateway, &format!("/login/{provider}"));
        assert_eq!((away.parameter("nonce").len(), away.parameter("code_challenge_method").as_str()), (64, "S256"));
        assert!(away.parameter("scope").contains("openid") && away.sent("prompt").is_none(), "{provider}");
        browser.get(&scene.gateway, &away.decide("person=alice")).expect(303);
        let session = browser.get(&scene.gateway, "/session").expect(200).json();
        assert_eq!((&session["name"], &session["providers"][0]["provider"]), (&json!("Alice"), &json!(provider)));
        assert_eq!(session["providers"][0]["email"].as_str(), email, "{provider}");
        // Its grants are refreshed and revoked like any other.
        let grants = browser.get(&scene.gateway, "/oauth").expect(200).json();
        let id = grants["grants"][0]["id"].as_str().unwrap().to_owned();
        let ours = [("Sec-Fetch-Site", "same-origin")];
        browser.call(&scene.gateway, "POST", &format!("/oauth/{id}/refresh"), &ours).expect(200);
        let deleted = browser.call(&scene.gateway, "DELETE", &format!("/oauth/{id}"), &ours).expect(200).json();
        assert_eq!(deleted["revoked_at_provider"], json!(provider != "entra"), "{provider}");
    }
    // Carol's address is not proven.
    for provider in PROVIDERS {
        assert_eq!(scene.identity(provider, "carol")["email"], Value::Null, "{provider}");
    }
    scene.gateway.is_unharmed();
}

#[test]
fn the_plain_flow_and_open_id_connect_lead_to_the_same_account() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/gateway.db?mode=rwc", folder.path().display());
    let store = [("DATABASE_URL", database.as_str()), ("VAULT_KEY", "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=")];
    let plain = Scene::new(&[&store[..], &[("NAVER_OIDC", "off"), ("KAKAO_OIDC", "off")]].concat());
    let account = |gateway: &Gateway, provider: &str| {
        let mut browser = Browser::default();
        let away = browser.leave(gateway, &format!("/login/{provider}"));
        let is_open_id = away.sent("nonce").is_some();
        browser.get(gateway, &away.decide("person=alice")).expect(303);
        (browser.get(gateway, "/session").expect(200).json()["subject"].clone(), is_open_id)
    };
    let yesterday = ["naver", "kakao"].map(|provider| account(&plain.gateway, provider));
    let Scene { gateway, stand_in, _host } = plain;
    drop(gateway);
    let open_id = Scene::beside(&stand_in, &store);
    let today = ["naver", "kakao"].map(|provider| account(&open_id, provider));
    for (yesterday, today) in yesterday.iter().zip(&today) {
        assert!(yesterday.0.is_string() && yesterday.0 == today.0, "{yesterday:?} {today:?}");
        assert_eq!((yesterday.1, today.1), (false, true));
    }
}

#[test]
fn a_wrong_id_token_fails_the_sign_in() {
    let scene = Scene::new(&[]);
    for flaw in ["wrong_nonce", "wrong_audience", "wrong_issuer", "expired", "unsigned", "signed_with_public_key"] {
        scene.stand_in.switch(&json!({"id_token": flaw}));
        for provider in PROVIDERS {
            let mut browser = Browser::default();
            scene.sign_in(&mut browser, provider, "alice").expect_problem(502, "provider_bad_answer");
            assert_eq!(browser.session(), None, "{provider} {flaw}");
        }
    }
    scene.stand_in.switch(&json!({}));
    for provider in PROVIDERS {
        scene.identity(provider, "alice");
    }
}

#[test]
fn without_an_id_token_the_page_and_the_log_say_which_switch_it_takes() {
    let scene = Scene::new(&[]);
    scene.stand_in.switch(&json!({"id_token": "missing"}));
    let mut browser = Browser::with_pages();
    let page = scene.sign_in(&mut browser, "kakao", "alice").expect(502).text();
    assert!(page.contains("developers.kakao.com/console/app") && page.contains("KAKAO_OIDC=off"), "{page}");
    assert!(page.contains("ID 토큰"), "{page}");
    let logged = scene.gateway.printed("the provider returned no id token");
    assert!(logged.contains("OpenID Connect 활성화") && logged.contains("KAKAO_OIDC=off"), "{logged}");
    browser.wants_pages = false;
    scene.sign_in(&mut browser, "naver", "alice").expect_problem(502, "id_token_missing");
    assert_eq!(browser.session(), None);
}

#[test]
fn people_of_other_tenants_and_of_no_group_get_a_page_that_says_so() {
    let scene = Scene::new(&[("ENTRA_ALLOWED_TENANTS", TENANT), ("ENTRA_GROUPS", GROUP)]);
    scene.identity("entra", "alice");
    let mut browser = Browser::default();
    scene.sign_in(&mut browser, "entra", "carol").expect_problem(403, "tenant_not_allowed");
    scene.sign_in(&mut browser, "entra", "bob").expect_problem(403, "group_required");
    assert_eq!(browser.session(), None);
    let mut person = Browser::with_pages();
    let page = scene.sign_in(&mut person, "entra", "carol").expect(403).text();
    assert!(page.contains("이 조직의 계정") && page.contains("ask the operator of this site"), "{page}");
    // People need not know variables; the operator finds them in the log.
    let page = page + &scene.sign_in(&mut person, "entra", "bob").expect(403).text();
    assert!(!page.contains("ENTRA_"), "{page}");
    scene.gateway.printed("contains no group of ENTRA_GROUPS");
}

/// The nonce is in the URL of the redirect, and Naver returns it without an `A` at its end.
#[test]
fn codes_of_a_front_end_are_bound_by_the_nonce_at_naver_too() {
    let own = "https://app.jinmini.com/callback";
    let scene = Scene::new(&[("OAUTH_REDIRECT_URIS", own)]);
    let mut browser = Browser::default();
    let away = browser.leave(&scene.gateway, "/login/naver").with("redirect_uri", Some(own));
    let away = away.with("code_challenge", Some(common::stand_in::CHALLENGE));
    let exchange = |nonce: &str, sent: &str| {
        let back = away.with("nonce", Some(sent)).decide("person=alice");
        let (_, query) = back.split_once('?').unwrap();
        let code =
            url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned();
        let request = json!({
            "provider": "naver", "code": code, "redirect_uri": own, "code_verifier": common::stand_in::VERIFIER, "nonce": nonce,
        });
        scene.gateway.post("/oauth", &request)
    };
    exchange("0a1b", "0a1b").expect(200);
    exchange("another", "0a1b").expect_problem(400, "nonce_mismatch");
    exchange("0a1A", "0a1A").expect_problem(400, "nonce_mismatch");
}
