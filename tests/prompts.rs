//! Options of authorization requests, through the real binary: consent where a refresh token requires it and none is
//! held, and the additional scopes of one sign-in.

mod common;

use common::{
    Gateway, Response,
    browser::{Away, Browser},
    recorder::Recorder,
    stand_in::StandIn,
};
use serde_json::{Value, json};

const OFFLINE: (&str, &str) = ("OIDC_WORK_SCOPES", "openid email profile offline_access");

/// A gateway that uses another gateway's stand-in provider as `work`, which issues refresh tokens only after consent.
struct Scene {
    gateway: Gateway,
    stand_in: StandIn,
    _host: Gateway,
}

impl Scene {
    fn new(more: &[(&str, &str)]) -> Self {
        let host = Gateway::start();
        let stand_in = StandIn::of(&host);
        stand_in
            .switch(&json!({"refresh": {"takes_consent": true, "rotate": false}, "access_token_ttl_seconds": 3600}));
        let issuer = format!("http://{}", stand_in.address);
        let work = [
            ("OIDC_WORK_ISSUER", issuer.as_str()),
            ("OIDC_WORK_CLIENT_ID", "gateway"),
            ("OIDC_WORK_CLIENT_SECRET", "development"),
            ("OAUTH_REFRESH_AHEAD", "0s"),
        ];
        let gateway = Gateway::with(&[&work[..], more].concat());
        Self { gateway, stand_in, _host: host }
    }

    /// The response of the callback after the person's choice.
    fn back(&self, browser: &mut Browser, away: &Away, choice: &str) -> Response {
        browser.get(&self.gateway, &away.decide(choice)).expect(303)
    }

    fn grant(&self, browser: &mut Browser) -> Value {
        browser.get(&self.gateway, "/oauth").expect(200).json()["grants"][0].clone()
    }
}

#[test]
fn consent_is_asked_for_once_and_never_again_while_its_refresh_token_is_held() {
    let scene = Scene::new(&[OFFLINE]);
    let mut browser = Browser::default();
    let first = browser.leave(&scene.gateway, "/e/login/work?return_to=%2Fthere");
    assert_eq!((first.sent("prompt"), first.sent("login_hint")), (None, None));
    let second = Away::following(&scene.back(&mut browser, &first, "person=alice"));
    assert_eq!(browser.get(&scene.gateway, "/session").expect(200).json()["name"], "Alice", "who is signed in already");
    assert_eq!(scene.grant(&mut browser)["refreshable"], false);
    assert_eq!(
        (second.parameter("prompt"), second.parameter("login_hint")),
        ("consent".into(), "alice@example.com".into())
    );
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(first.parameter(name), second.parameter(name), "{name}");
    }
    let session = browser.session().unwrap().clone();
    let back = scene.back(&mut browser, &second, "person=alice");
    assert_eq!((back.header("location"), browser.session()), (Some("/there"), Some(&session)));
    let grant = scene.grant(&mut browser);
    assert_eq!(grant["refreshable"], true);

    // The next sign-in yields none, and the held one still works.
    let away = browser.leave(&scene.gateway, "/login/work?return_to=%2Fthere");
    assert_eq!(away.sent("prompt"), None);
    assert_eq!(scene.back(&mut browser, &away, "person=alice").header("location"), Some("/there"));
    assert_eq!(scene.grant(&mut browser)["refreshable"], true);
    let refresh = format!("/oauth/{}/refresh", grant["id"].as_str().unwrap());
    let refreshed = browser.call_as_our_page(&scene.gateway, "POST", &refresh).expect(200).json();
    assert!(refreshed["refresh_token"].is_string());
    assert_eq!((scene.stand_in.statistic("exchanges"), scene.stand_in.statistic("refreshes")), (3, 1));
}

#[test]
fn cancelling_the_second_time_keeps_the_session_and_returns() {
    let scene = Scene::new(&[OFFLINE]);
    let mut browser = Browser::with_pages();
    let first = browser.leave(&scene.gateway, "/login/work?return_to=%2Fthere");
    let second = Away::following(&scene.back(&mut browser, &first, "person=alice"));
    let callback = second.decide("cancel=1");
    assert!(callback.contains("error=access_denied"), "{callback}");
    assert_eq!(browser.get(&scene.gateway, &callback).expect(303).header("location"), Some("/there"));
    assert!(browser.get(&scene.gateway, "/session").expect(200).text().contains("Signed in as Alice"));
}

#[test]
fn a_provider_that_gives_none_for_consent_either_is_not_asked_a_third_time_and_the_log_says_what_to_set() {
    let scene = Scene::new(&[OFFLINE]);
    let mut browser = Browser::default();
    let first = browser.leave(&scene.gateway, "/login/work?return_to=%2Fthere");
    let second = Away::following(&scene.back(&mut browser, &first, "person=alice"));
    // As if the provider ignored it.
    let back = scene.back(&mut browser, &second.with("prompt", None), "person=alice");
    assert_eq!(back.header("location"), Some("/there"));
    let said = scene.gateway.printed("returned no refresh token");
    assert!(said.contains("work") && said.contains("OIDC_<NAME>_PROMPT=never"), "{said}");
}

#[test]
fn the_settings_have_the_last_word() {
    for (more, prompt) in [
        (&[OFFLINE, ("OIDC_WORK_PROMPT", "never")][..], None),
        (&[OFFLINE, ("OIDC_WORK_PROMPT", "login")], Some("login")),
        (&[], None),
    ] {
        let scene = Scene::new(more);
        let mut browser = Browser::default();
        let away = browser.leave(&scene.gateway, "/login/work?return_to=%2Fthere");
        assert_eq!(away.sent("prompt").as_deref(), prompt);
        assert_eq!(scene.back(&mut browser, &away, "person=alice").header("location"), Some("/there"), "{more:?}");
    }
}

#[test]
fn a_provider_that_is_added_is_asked_for_consent_in_the_same_session() {
    let scene = Scene::new(&[OFFLINE]);
    let mut browser = Browser::with_pages();
    let wish = [("email", "mina@example.com"), ("password", "correct horse"), ("return_to", "/")];
    browser.send_form(&scene.gateway, "/signup", &wish).expect(303);
    let form = [("password", "correct horse"), ("return_to", "/there")];
    let begun = browser.send_form(&scene.gateway, "/login/work/link", &form).expect(303);
    let second = Away::following(&scene.back(&mut browser, &Away::following(&begun), "person=alice"));
    assert_eq!(second.parameter("prompt"), "consent");
    assert_eq!(scene.back(&mut browser, &second, "person=alice").header("location"), Some("/there"));
    browser.wants_pages = false;
    assert_eq!(scene.grant(&mut browser)["refreshable"], true);
    let session = browser.get(&scene.gateway, "/session").expect(200).json();
    assert_eq!(session["providers"].as_array().unwrap().len(), 1, "{session}");
}

#[test]
fn one_sign_in_may_name_a_person_and_more_scopes() {
    let scene = Scene::new(&[
        ("OIDC_WORK_MORE_SCOPES", "calendar,groups"),
        ("NAVER_CLIENT_ID", "n"),
        ("NAVER_CLIENT_SECRET", "s"),
    ]);
    let mut browser = Browser::default();
    let away = browser.leave(&scene.gateway, "/login/work?login_hint=mina%40example.com&scope=groups%20calendar");
    assert_eq!(away.parameter("login_hint"), "mina@example.com");
    assert_eq!(away.parameter("scope"), "openid email profile groups calendar");
    scene.back(&mut browser, &away, "person=alice");
    let id = scene.grant(&mut browser)["id"].as_str().unwrap().to_owned();
    let grant = browser.get(&scene.gateway, &format!("/oauth/{id}")).expect(200).json();
    assert_eq!(grant["scope"], "openid email profile groups calendar");
    let naver = browser.leave(&scene.gateway, "/login/naver?auth_type=reprompt&login_hint=mina");
    assert_eq!((naver.parameter("auth_type"), naver.sent("login_hint")), ("reprompt".into(), None));

    for (query, code, says) in [
        ("work?scope=mail", "scope_not_allowed", "calendar groups"),
        ("naver?scope=calendar", "scope_not_allowed", "ask the operator of this site"),
        ("work?auth_type=reprompt", "unknown_auth_type", "leave it out"),
        ("naver?auth_type=rerequest", "unknown_auth_type", "one of: reprompt, reauthenticate"),
        ("work?login_hint=%07", "invalid_login_hint", "254"),
        ("work?login_hint=", "invalid_login_hint", "254"),
    ] {
        let attempts = browser.attempts();
        let refused = browser.get(&scene.gateway, &format!("/login/{query}")).expect_problem(400, code).json();
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
        assert_eq!(browser.attempts(), attempts, "nothing was begun");
    }
    let mut person = Browser::with_pages();
    let page = person.get(&scene.gateway, "/login/work?scope=mail&return_to=%2Fthere").expect(400).text();
    assert!(page.contains("scope 는") && page.contains(r#"href="../login?return_to=%2Fthere""#), "{page}");
}

/// `POST /oauth` cannot redirect a browser; the held refresh token stays.
#[test]
fn a_code_of_a_front_end_without_a_refresh_token_keeps_the_one_that_is_held() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let first = stand_in.exchange(&gateway, "alice");
    stand_in.switch(&json!({"refresh": {"takes_consent": true}}));
    let again = stand_in.exchange(&gateway, "alice");
    assert_eq!(again["id"], first["id"]);
    assert!(first["refresh_token"].is_string() && again["refresh_token"] == first["refresh_token"], "{again}");
    assert_ne!(again["access_token"], first["access_token"]);
    assert_eq!(stand_in.exchange(&gateway, "bob").get("refresh_token"), None);
}

#[test]
fn naver_is_told_a_state_of_the_front_end_or_any() {
    let (naver, own) = (Recorder::start(), "https://app.jinmini.com/callback");
    let gateway = Gateway::with(&[
        ("NAVER_CLIENT_ID", "n"),
        ("NAVER_CLIENT_SECRET", "s3cret"),
        ("NAVER_TOKEN_URL", &naver.url()),
        ("NAVER_OIDC", "off"),
        ("NAVER_UNBOUND_CODES", "accept"),
        ("OAUTH_REDIRECT_URIS", own),
    ]);
    let state = |more: Value| {
        let mut request = json!({"provider": "naver", "code": "c", "redirect_uri": own});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        // The token endpoint is called, and its response is not a token.
        gateway.post("/oauth", &request).expect_problem(502, "provider_bad_answer");
        let asked = naver.take();
        let form = url::form_urlencoded::parse(&asked[0].body);
        form.into_owned().find(|(name, _)| name == "state").unwrap().1
    };
    assert_eq!(state(json!({"state": "a state & more"})), "a state & more");
    let [one, other] = [state(json!({})), state(json!({}))];
    assert!(one.len() == 43 && other.len() == 43 && one != other, "{one} {other}");
    let long = json!({"provider": "naver", "code": "c", "redirect_uri": own, "state": "x".repeat(513)});
    gateway.post("/oauth", &long).expect_problem(422, "validation_failed");
}
