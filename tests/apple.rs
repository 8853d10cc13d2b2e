//! Signing in with Apple through the real binary, at the stand-in that imitates Apple: forms, names, notices.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{
    Gateway, Response,
    browser::{Away, Browser},
    call,
    stand_in::{StandIn, text},
};
use serde_json::{Value, json};

const LOGIN: &str = "/login/stand-in-apple";
const CALLBACK: &str = "/login/stand-in-apple/callback";
const JSON: (&str, &str) = ("Content-Type", "application/json");
/// The headers of a browser for a form that another site sends.
const CROSS_SITE: [(&str, &str); 4] = [
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Origin", "https://appleid.apple.com"),
];

/// A browser sends this form from another site: without our cookies.
fn post(gateway: &Gateway, path: &str, form: &[(String, String)]) -> Response {
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Browser::with_pages().send_form_from(gateway, path, &form, &CROSS_SITE)
}

/// The target of the redirect: below the path of the form.
#[track_caller]
fn sent_on(response: &Response, callback: &str) -> String {
    assert_eq!(response.status, 303, "{}", response.text());
    assert_eq!(response.header("set-cookie"), None);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    let location = response.header("location").unwrap();
    assert!(location.starts_with("callback?posted="), "{location}");
    callback.replace("callback", location)
}

/// Returns with the person's choice.
fn come_back(gateway: &Gateway, browser: &mut Browser, away: &Away, choice: &str) -> Response {
    let target = sent_on(&post(gateway, CALLBACK, &away.decide_by_form(choice)), CALLBACK);
    browser.get(gateway, &target)
}

fn sign_in(gateway: &Gateway, browser: &mut Browser, person: &str) -> Value {
    let away = browser.leave(gateway, LOGIN);
    come_back(gateway, browser, &away, &format!("person={person}")).expect(303);
    browser.get(gateway, "/session").expect(200).json()
}

fn value<'f>(form: &'f [(String, String)], name: &str) -> Option<&'f str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_person_comes_back_with_a_form_and_their_name_once() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    for prefix in ["", "/e"] {
        let away = browser.leave(&gateway, &format!("{prefix}{LOGIN}?return_to=%2Forders"));
        assert_eq!(
            (away.parameter("response_mode"), away.parameter("scope")),
            ("form_post".into(), "name email".into())
        );
        let form = away.decide_by_form("person=jini");
        assert_eq!(value(&form, "user").is_some(), prefix.is_empty(), "{form:?}");
        let callback = format!("{prefix}{CALLBACK}");
        let target = sent_on(&post(&gateway, &callback, &form), &callback);
        for (_, secret) in &form {
            assert!(!target.contains(secret.as_str()), "{target}");
        }
        let back = browser.get(&gateway, &target).expect(303);
        assert_eq!(back.header("location"), Some("/orders"));
        let session = browser.get(&gateway, "/session").expect(200).json();
        assert_eq!(session["providers"][0]["provider"], "stand-in-apple");
        assert_eq!(
            (&session["name"], &session["providers"][0]["email"]),
            (&json!("김지니"), &json!("jini@example.com"))
        );
        assert_eq!(session["providers"][0]["email_is_relay"], json!(null));
        assert!(!gateway.console().contains(value(&form, "code").unwrap()));
        assert!(!gateway.console().contains("posted="), "{}", gateway.console());
    }
    let hidden = sign_in(&gateway, &mut browser, "carol");
    assert_eq!(hidden["providers"][0]["email"], "carol@privaterelay.appleid.com");
    assert_eq!(hidden["providers"][0]["email_is_relay"], true);
    gateway.is_unharmed();
}

#[test]
fn the_session_before_ends_and_a_provider_is_added_to_the_session_that_is() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    sign_in(&gateway, &mut browser, "alice");
    let before = browser.session().unwrap().clone();
    let bob = sign_in(&gateway, &mut browser, "bob");
    let mut old = Browser::default();
    old.cookies.insert("__Host-gateway_session".into(), before);
    old.get(&gateway, "/session").expect_problem(401, "not_signed_in");

    // To the account of a person who signed in elsewhere.
    let mut browser = Browser::default();
    let away = browser.leave(&gateway, "/login/stand-in");
    browser.get(&gateway, &away.decide("person=jini")).expect(303);
    let account = browser.get(&gateway, "/session").expect(200).json();
    let begun = browser.send_form(&gateway, &format!("{LOGIN}/link"), &[]).expect(303);
    let back = come_back(&gateway, &mut browser, &Away::following(&begun), "person=jini").expect(303);
    assert_eq!(back.header("set-cookie"), None, "the browser keeps its session");
    let linked = browser.get(&gateway, "/session").expect(200).json();
    assert_eq!((&linked["subject"], linked["providers"].as_array().unwrap().len()), (&account["subject"], 2));
    // Not another person's, and in no other browser.
    let begun = browser.send_form(&gateway, &format!("{LOGIN}/link"), &[]).expect(303);
    come_back(&gateway, &mut browser, &Away::following(&begun), "person=bob").expect_problem(409, "linked_elsewhere");
    let begun = browser.send_form(&gateway, &format!("{LOGIN}/link"), &[]).expect(303);
    browser.cookies.remove("__Host-gateway_session");
    come_back(&gateway, &mut browser, &Away::following(&begun), "person=carol").expect_problem(409, "other_session");
    assert_ne!(bob["subject"], account["subject"]);
    gateway.is_unharmed();
}

#[test]
fn the_response_must_be_a_form_and_a_form_is_for_apple_alone() {
    let gateway = Gateway::start();
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let away = browser.leave(&gateway, LOGIN);
    let form = away.decide_by_form("person=alice");
    let (state, code) = (value(&form, "state").unwrap(), value(&form, "code").unwrap());
    let target = sent_on(&post(&gateway, CALLBACK, &form), CALLBACK);
    // Login CSRF: the browser of a person who did not start this.
    other.leave(&gateway, LOGIN);
    other.get(&gateway, &target).expect_problem(400, "unknown_attempt");
    // The parameters of another response in addition.
    browser.get(&gateway, &format!("{target}&state={state}")).expect_problem(400, "unknown_attempt");
    browser.get(&gateway, &format!("{target}&posted=x")).expect_problem(400, "unknown_attempt");
    browser.get(&gateway, &target.replace("stand-in-apple", "stand-in")).expect_problem(400, "unknown_attempt");
    browser.get(&gateway, &target).expect(303);
    let again = browser.get(&gateway, &target).expect(303);
    assert_eq!(again.header("location"), Some("../../login?return_to=%2F"), "it counts once");

    let away = browser.leave(&gateway, LOGIN);
    let form = away.decide_by_form("person=alice");
    let query = format!("{CALLBACK}?state={}&code={code}", value(&form, "state").unwrap());
    browser.get(&gateway, &query).expect_problem(400, "unknown_attempt");

    let pairs = |form: &[(&str, &str)]| -> Vec<(String, String)> {
        form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let send = |path: &str, form: &[(String, String)]| {
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Browser::default().send_form_from(&gateway, path, &form, &CROSS_SITE)
    };
    send("/login/stand-in/callback", &form).expect_problem(404, "no_form_response");
    send("/login/nobody/callback", &form).expect_problem(404, "unknown_provider");
    send(CALLBACK, &pairs(&[("state", "a\u{0}b")])).expect_problem(400, "malformed_callback");
    send(CALLBACK, &pairs(&[("state", &"a".repeat(1025))])).expect_problem(400, "malformed_callback");
    send(CALLBACK, &pairs(&[("state", "a"), ("state", "b")])).expect_problem(400, "malformed_request");
    let json = gateway.call("POST", CALLBACK, &[JSON], b"{}");
    json.expect_problem(415, "unsupported_media_type");
    let unknown = sent_on(&send(CALLBACK, &pairs(&[("state", "a"), ("code", "b")])), CALLBACK);
    browser.get(&gateway, &unknown).expect_problem(400, "unknown_attempt");
    gateway.is_unharmed();
}

#[test]
fn cancelling_is_reported_as_a_refusal() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let away = browser.leave(&gateway, LOGIN);
    come_back(&gateway, &mut browser, &away, "cancel=1").expect_problem(403, "access_denied");
    assert_eq!(browser.session(), None);
    gateway.is_unharmed();
}

#[test]
fn revocations_are_reported_in_both_directions() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let mut browser = Browser::default();
    sign_in(&gateway, &mut browser, "alice");
    let status = |browser: &mut Browser| {
        let grants = browser.get(&gateway, "/oauth").expect(200).json();
        (text(&grants["grants"][0]["status"]).to_owned(), text(&grants["grants"][0]["id"]).to_owned())
    };
    let told = |kind: &str| {
        let path = format!("/apple/notice?type={kind}&person=alice");
        call(stand_in.address, "GET", &path, &[], b"").expect(200).text()
    };
    let notify = |body: &str| gateway.call("POST", "/oauth/webhooks/stand-in-apple", &[JSON], body.as_bytes());
    for kind in ["email-disabled", "email-enabled"] {
        notify(&told(kind)).expect(200);
        assert_eq!(status(&mut browser).0, "active", "{kind}");
    }
    gateway.printed("email-disabled");
    let notice = told("consent-revoked");
    // The signature of another notice.
    let other = told("account-deleted");
    let (other, notice_parts) = (other.split('.').collect::<Vec<_>>(), notice.split('.').collect::<Vec<_>>());
    let forged = [notice_parts[0], notice_parts[1], other[2]].join(".");
    notify(&forged).expect_problem(403, "notice_not_verified");
    notify("{}").expect_problem(400, "malformed_request");
    notify(r#"{"payload": "a.b.c"}"#).expect_problem(400, "malformed_request");
    notify(r#"{"payload": 7}"#).expect_problem(400, "malformed_request");
    assert_eq!(status(&mut browser).0, "active");
    for _ in 0..2 {
        let response = notify(&notice).expect(200);
        assert_eq!(response.text(), "");
    }
    assert_eq!(status(&mut browser).0, "revoked");

    sign_in(&gateway, &mut browser, "alice");
    let (active, id) = status(&mut browser);
    assert_eq!(active, "active");
    let grant = browser.get(&gateway, &format!("/oauth/{id}")).expect(200).json();
    let deleted = browser.call_as_our_page(&gateway, "DELETE", &format!("/oauth/{id}")).expect(200).json();
    assert_eq!(deleted, json!({"revoked_at_provider": true}));
    assert!(!gateway.console().contains(text(&grant["access_token"])));
    gateway.is_unharmed();
}
