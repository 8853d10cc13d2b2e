//! Adding a second provider to an account, and removing it.

use serde_json::{Value, json};

use crate::{
    PASSWORD,
    common::{
        Gateway,
        browser::{Away, Browser},
        stand_in::StandIn,
    },
};

const LINK: &str = "/login/stand-in/link";
const FORM: [(&str, &str); 2] = [("password", PASSWORD), ("return_to", "/accounts/me")];

fn providers(account: &Value) -> Vec<&str> {
    account["providers"].as_array().unwrap().iter().map(|one| one["provider"].as_str().unwrap()).collect()
}

/// Adds the stand-in provider to the signed-in account.
#[track_caller]
fn link(gateway: &Gateway, browser: &mut Browser, person: &str) {
    let away = Away::following(&browser.send_form(gateway, LINK, &FORM).expect(303));
    let back = browser.get(gateway, &away.decide(&format!("person={person}"))).expect(303);
    assert_eq!(back.header("location"), Some("/accounts/me"));
}

#[test]
fn a_provider_is_added_to_the_account_that_asks_and_signs_in_to_it_from_then_on() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let account = browser.sign_up(&gateway, "jane@example.com");
    let before = browser.session().unwrap().clone();
    link(&gateway, &mut browser, "alice");
    assert_eq!(browser.session(), Some(&before), "nobody signed in");
    let linked = browser.me(&gateway).expect(200).json();
    assert_eq!((&linked["id"], providers(&linked)), (&account["id"], vec!["stand-in"]));
    assert_eq!(browser.get(&gateway, "/oauth").expect(200).json()["grants"].as_array().unwrap().len(), 1);

    let mut elsewhere = Browser::default();
    let callback = elsewhere.leave(&gateway, "/login/stand-in").decide("person=alice");
    elsewhere.get(&gateway, &callback).expect(303);
    assert_eq!(elsewhere.me(&gateway).expect(200).json(), linked);
}

#[test]
fn without_being_asked_to_nothing_is_linked_not_even_by_the_same_email() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    // The stand-in provider proves this very address.
    let account = browser.sign_up(&gateway, "alice@example.com");
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let other = browser.me(&gateway).expect(200).json();
    assert_ne!(other["id"], account["id"]);
    assert_eq!((&other["email"], &other["has_password"]), (&Value::Null, &json!(false)));
    let mut back = Browser::default();
    let mine = back.log_in(&gateway, "alice@example.com", PASSWORD).expect(200).json();
    assert_eq!((&mine["id"], providers(&mine).len()), (&account["id"], 0));
}

#[test]
fn an_identity_of_another_account_is_refused_and_accounts_are_not_merged() {
    let gateway = Gateway::start();
    let (mut alice, mut jane) = (Browser::default(), Browser::default());
    let callback = alice.leave(&gateway, "/login/stand-in").decide("person=alice");
    alice.get(&gateway, &callback).expect(303);
    let hers = alice.me(&gateway).expect(200).json();
    let janes = jane.sign_up(&gateway, "jane@example.com");
    let away = Away::following(&jane.send_form(&gateway, LINK, &FORM).expect(303));
    let callback = away.decide("person=alice");
    jane.get(&gateway, &callback).expect_problem(409, "linked_elsewhere");
    assert_eq!(jane.me(&gateway).expect(200).json(), janes);
    assert_eq!(alice.me(&gateway).expect(200).json(), hers);
    // Her grant stays hers.
    assert_eq!(jane.get(&gateway, "/oauth").expect(200).json()["grants"], json!([]));
}

#[test]
fn an_attempt_of_one_session_adds_nothing_in_another() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    browser.sign_up(&gateway, "jane@example.com");
    let away = Away::following(&browser.send_form(&gateway, LINK, &FORM).expect(303));
    let callback = away.decide("person=bob");
    // Another person signs in in this browser meanwhile.
    let other = browser.sign_up(&gateway, "john@example.com");
    browser.get(&gateway, &callback).expect_problem(409, "other_session");
    assert_eq!(browser.me(&gateway).expect(200).json(), other);

    let away = Away::following(&browser.send_form(&gateway, LINK, &FORM).expect(303));
    let callback = away.decide("person=bob");
    browser.call_as_our_page(&gateway, "POST", "/logout").expect(200);
    browser.get(&gateway, &callback).expect_problem(409, "other_session");
    assert_eq!(browser.session(), None, "and signs nobody in");
}

#[test]
fn only_a_form_of_ours_begins_it_and_only_in_a_session() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    Browser::default().send_form(&gateway, LINK, &FORM).expect_problem(401, "not_signed_in");
    let mut browser = Browser::default();
    browser.sign_up(&gateway, "jane@example.com");
    for foreign in [
        vec![],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Referer", "https://app.jinmini.com/")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Referer", "https://www.jinmini.com/api/shop")],
        vec![("Referer", "https://app.jinmini.com/")],
        vec![("Origin", "null")],
        vec![("Origin", "https://app.jinmini.com.evil.example")],
    ] {
        let response = browser.send_form_from(&gateway, LINK, &FORM, &foreign);
        response.expect_problem(403, "cross_site_request");
        assert_eq!(browser.attempts(), 0, "{foreign:?}");
    }
    for ours in [
        vec![("Sec-Fetch-Site", "same-origin")],
        vec![("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        vec![("Sec-Fetch-Site", "same-site"), ("Origin", "https://app.jinmini.com")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.jinmini.com")],
        vec![("Origin", "https://www.jinmini.com")],
    ] {
        browser.send_form_from(&gateway, LINK, &FORM, &ours).expect(303);
    }
    // A script cannot follow to the provider.
    let by_script = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    browser.send_form_from(&gateway, LINK, &FORM, &by_script).expect_problem(403, "not_a_navigation");
    browser.send_form(&gateway, "/login/nobody/link", &FORM).expect_problem(404, "unknown_provider");
    let elsewhere = [("password", PASSWORD), ("return_to", "//evil.example")];
    browser.send_form(&gateway, LINK, &elsewhere).expect_problem(400, "invalid_return_to");
    browser.send_form(&gateway, LINK, &[("x", "y")]).expect_problem(422, "validation_failed");
}

#[test]
fn a_link_of_old_neither_adds_nor_signs_in() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    let mut browser = Browser::default();
    browser.sign_up(&gateway, "jane@example.com");
    for headers in [
        vec![("Sec-Fetch-Site", "same-origin")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Referer", "https://app.jinmini.com/")],
        vec![],
    ] {
        let old = browser.call(&gateway, "GET", "/login/stand-in?return_to=/&link=true", &headers);
        old.expect_problem(400, "link_is_a_post");
        assert_eq!(browser.attempts(), 0);
    }
}

#[test]
fn a_page_asks_for_it_and_for_the_password_if_there_is_one() {
    let gateway = Gateway::start();
    let mut people = Browser::with_pages();
    let sent = people.get(&gateway, "/login/stand-in/link").expect(303);
    assert_eq!(sent.header("location"), Some("../../login?return_to=%2Flogin%2Fstand-in%2Flink"));
    people.get(&gateway, "/login/nobody/link").expect(404);
    let mut browser = Browser::default();
    browser.get(&gateway, LINK).expect_problem(401, "not_signed_in");
    browser.sign_up(&gateway, "jane@example.com");
    let form = browser.get(&gateway, "/login/stand-in/link?return_to=/session").expect(200).json();
    let expected = json!({
        "provider": "stand-in", "display_name": "Stand-in", "needs_password": true, "return_to": "/session",
    });
    assert_eq!(form, expected);
    browser.get(&gateway, "/login/stand-in/link?return_to=//evil.example").expect_problem(400, "invalid_return_to");
    browser.wants_pages = true;
    let page = browser.get(&gateway, "/login/stand-in/link?return_to=/a%22b").expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("form-action"), "{policy}");
    let page = page.text();
    for part in [
        r#"<form method="post" action="link">"#,
        r#"name="return_to" value="/a&quot;b""#,
        r#"type="password" name="password""#,
        "Add Stand-in to your account",
        "로그인 추가",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let session = browser.get(&gateway, "/session").expect(200).text();
    assert!(session.contains(r#"href="login/stand-in/link?return_to=%2Fsession""#), "{session}");
    let wrong = browser.send_form(&gateway, LINK, &[("password", "wrong password")]).expect(403).text();
    assert!(wrong.contains("계정의 비밀번호가 아닙니다") && wrong.contains(r#"href="link""#), "{wrong}");

    let mut bare = Browser::with_pages();
    let callback = bare.leave(&gateway, "/login/stand-in").decide("person=alice");
    bare.get(&gateway, &callback).expect(303);
    let page = bare.get(&gateway, LINK).expect(200).text();
    assert!(!page.contains("type=\"password\""), "{page}");
    let session = bare.get(&gateway, "/session").expect(200).text();
    assert!(!session.contains("login/stand-in/link"), "she has it already: {session}");
}

#[test]
fn a_link_that_fails_says_so_and_leads_back_to_where_one_wanted_to_go() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let account = browser.sign_up(&gateway, "jane@example.com");
    browser.wants_pages = true;
    let away = Away::following(&browser.send_form(&gateway, LINK, &FORM).expect(303));
    let failed = browser.get(&gateway, &away.decide("cancel=1")).expect(403).text();
    for part in
        ["Nothing was added to your account", "계정에 추가하지 못했습니다", r#"href="link?return_to=%2Faccounts%2Fme""#]
    {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert!(!failed.contains("sign-in failed") && !failed.contains("signed in"), "{failed}");
    let wrong = [("password", "wrong password"), ("return_to", "/session")];
    let refused = browser.send_form(&gateway, LINK, &wrong).expect(403).text();
    assert!(refused.contains(r#"href="link?return_to=%2Fsession""#), "{refused}");
    browser.wants_pages = false;
    assert_eq!(browser.me(&gateway).expect(200).json(), account, "she is signed in as before");

    // For a sign-in it is another page, and it appears as well.
    let mut bob = Browser::with_pages();
    let callback = bob.leave(&gateway, "/login/stand-in?return_to=/api/users/me").decide("cancel=1");
    let failed = bob.get(&gateway, &callback).expect(403).text();
    assert!(failed.contains("The sign-in failed"), "{failed}");
    assert!(failed.contains(r#"href="../../login?return_to=%2Fapi%2Fusers%2Fme""#), "{failed}");
    // A person who must sign in first returns to the question, and from there to the original destination.
    let sent = bob.get(&gateway, "/login/stand-in/link?return_to=/session").expect(303);
    let back = "../../login?return_to=%2Flogin%2Fstand-in%2Flink%3Freturn_to%3D%252Fsession";
    assert_eq!(sent.header("location"), Some(back));
}

#[test]
fn a_provider_can_be_removed_unless_it_is_the_last_way_in() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let account = browser.me(&gateway).expect(200).json();
    let unlink = |browser: &mut Browser, provider: &str| {
        browser.call_as_our_page(&gateway, "DELETE", &format!("/accounts/me/providers/{provider}"))
    };
    unlink(&mut browser, "stand-in").expect_problem(409, "last_way_in");
    unlink(&mut browser, "google").expect_problem(404, "provider_not_linked");

    // A first password needs no current one, but an e-mail to sign in with.
    let set = |email: Option<&str>| json!({"new_password": PASSWORD, "email": email});
    let bare = json!({"new_password": PASSWORD});
    browser.send(&gateway, "POST", "/accounts/password", &bare).expect_problem(422, "validation_failed");
    browser.send(&gateway, "POST", "/accounts/password", &set(Some("alice@example.com"))).expect(200);

    let path = "/accounts/me/providers/stand-in";
    browser.call(&gateway, "DELETE", path, &[]).expect_problem(403, "cross_site_request");
    // From now on it requires the password.
    unlink(&mut browser, "stand-in").expect_problem(422, "validation_failed");
    let right = json!({"password": PASSWORD});
    let taken = browser.send(&gateway, "DELETE", path, &right).expect(200).json();
    assert_eq!(
        taken,
        json!({"provider": "stand-in", "grants": [{"provider": "stand-in", "revoked_at_provider": true}]})
    );
    assert_eq!(stand_in.statistic("revocations"), 1);
    assert_eq!(browser.get(&gateway, "/oauth").expect(200).json()["grants"], json!([]));
    let mut back = Browser::default();
    let mine = back.log_in(&gateway, "alice@example.com", PASSWORD).expect(200).json();
    assert_eq!((&mine["id"], providers(&mine).len()), (&account["id"], 0));
    let callback = back.leave(&gateway, "/login/stand-in").decide("person=alice");
    back.get(&gateway, &callback).expect(303);
    assert_ne!(back.me(&gateway).expect(200).json()["id"], account["id"]);
}
