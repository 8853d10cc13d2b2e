//! The list of a person's sessions, and signing out of them.

use serde_json::json;

use crate::{OURS, common::Gateway, common::browser::Browser, sessions, signed_in, signed_in_with, text, token_pair};

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[test]
fn a_person_sees_where_they_are_signed_in_and_nothing_of_others() {
    let gateway = Gateway::with(&[("TRUSTED_PROXIES", "127.0.0.1"), ("TIMEZONE", "Asia/Seoul")]);
    let mut here = signed_in_with(&gateway, "alice", &[("User-Agent", FIREFOX), ("X-Forwarded-For", "203.0.113.77")]);
    let mut there = signed_in_with(&gateway, "alice", &[("User-Agent", "curl/8.5.0")]);
    signed_in(&gateway, "bob");

    let listed = sessions(&mut here, &gateway);
    assert_eq!(listed.len(), 2, "{listed:?}");
    // The other one signed in later.
    assert_eq!((&listed[0]["current"], &listed[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!((&listed[0]["browser"], &listed[0]["network"]), (&json!("curl"), &json!("127.0.0.0/24")));
    assert_eq!(
        (&listed[1]["browser"], &listed[1]["network"]),
        (&json!("Firefox on Windows"), &json!("203.0.113.0/24"))
    );
    for time in ["signed_in_at", "used_at", "idle_until", "expires_at"] {
        assert!(text(&listed[1][time]).ends_with("+09:00"), "{listed:?}");
    }
    let shown = format!("{listed:?}");
    for hidden in ["203.0.113.77", "Mozilla", here.session().unwrap(), there.session().unwrap()] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    let theirs = sessions(&mut there, &gateway);
    assert_eq!((&theirs[0]["current"], &theirs[0]["id"]), (&json!(true), &listed[0]["id"]));
}

#[test]
fn one_session_is_ended_and_only_by_its_owner() {
    let gateway = Gateway::start();
    let [mut here, mut there, mut bob] = ["alice", "alice", "bob"].map(|person| signed_in(&gateway, person));
    let (access, _) = token_pair(&mut there, &gateway);
    let listed = sessions(&mut here, &gateway);
    let other = listed.iter().find(|one| one["current"] == json!(false)).unwrap();
    let path = format!("/sessions/{}", text(&other["id"]));

    bob.call(&gateway, "DELETE", &path, &OURS).expect_problem(404, "session_not_found");
    here.call(&gateway, "DELETE", "/sessions/x", &OURS).expect_problem(404, "session_not_found");
    let ended = here.call(&gateway, "DELETE", &path, &OURS).expect(200);
    assert_eq!((ended.json(), ended.header("set-cookie")), (json!({"ended": 1}), None));
    here.call(&gateway, "DELETE", &path, &OURS).expect_problem(404, "session_not_found");
    there.get(&gateway, "/session").expect_problem(401, "not_signed_in");
    gateway.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");

    // This browser's own session: its cookie is deleted, too.
    let own = sessions(&mut here, &gateway);
    here.call(&gateway, "DELETE", &format!("/sessions/{}", text(&own[0]["id"])), &OURS).expect(200);
    assert_eq!(here.session(), None);
    bob.get(&gateway, "/session").expect(200);
}

#[test]
fn all_other_sessions_are_ended_with_their_tokens() {
    let gateway = Gateway::start();
    let mut here = signed_in(&gateway, "alice");
    let mut others = [signed_in(&gateway, "alice"), signed_in(&gateway, "alice")];
    let mut bob = signed_in(&gateway, "bob");
    let (mine, _) = token_pair(&mut here, &gateway);
    let theirs: Vec<_> = others.iter_mut().map(|other| token_pair(other, &gateway).0).collect();
    assert_eq!(here.call(&gateway, "DELETE", "/sessions", &OURS).expect(200).json(), json!({"ended": 2}));
    for (other, access) in others.iter_mut().zip(&theirs) {
        other.get(&gateway, "/session").expect_problem(401, "not_signed_in");
        gateway.get_with_token("/api/users/me", access).expect_problem(401, "invalid_token");
    }
    gateway.get_with_token("/api/users/me", &mine).expect(200);
    assert_eq!(sessions(&mut here, &gateway).len(), 1);
    bob.get(&gateway, "/session").expect(200);
    assert_eq!(here.call(&gateway, "DELETE", "/sessions", &OURS).expect(200).json(), json!({"ended": 0}));
}

#[test]
fn only_signed_in_people_may_call_and_only_from_a_page_of_ours() {
    let gateway = Gateway::start();
    let mut here = signed_in(&gateway, "alice");
    let (access, _) = token_pair(&mut here, &gateway);
    let (mut stranger, bearer) = (Browser::default(), format!("Bearer {access}"));
    for (method, path) in
        [("GET", "/sessions"), ("DELETE", "/sessions"), ("DELETE", "/sessions/x"), ("POST", "/session/token")]
    {
        stranger.call(&gateway, method, path, &OURS).expect_problem(401, "not_signed_in");
        // A token is not enough: it could have been given to another program.
        gateway.call(method, path, &[("Authorization", &bearer)], b"").expect_problem(401, "not_signed_in");
        if method == "GET" {
            continue;
        }
        for forged in [
            vec![],
            vec![("Sec-Fetch-Site", "cross-site")],
            vec![("Sec-Fetch-Site", "same-site")],
            vec![("Origin", "https://evil.example")],
            vec![("Origin", "null")],
        ] {
            here.call(&gateway, method, path, &forged).expect_problem(403, "cross_site_request");
        }
    }
    assert_eq!(sessions(&mut here, &gateway).len(), 1);
    gateway.is_unharmed();
}

/// A script, or a sibling of our domain, may set a cookie of any bytes.
#[test]
fn a_cookie_of_another_program_in_any_encoding_hides_no_session() {
    let gateway = Gateway::start();
    let alice = signed_in(&gateway, "alice");
    let session = alice.session().unwrap();
    let call =
        |method: &str, path: &str, cookie: &str| gateway.call(method, path, &[("Cookie", cookie), OURS[0]], b"").status;
    let beside = format!("theme=한글; __Host-gateway_session={session}; \u{80}=\u{ff}");
    assert_eq!(call("GET", "/session", &beside), 200);
    assert_eq!(call("GET", "/api/users/me", &beside), 200);
    assert_eq!(call("POST", "/logout", &beside), 200);
    let alone = format!("__Host-gateway_session={session}");
    assert_eq!(call("GET", "/session", &alone), 401, "signed out is signed out");
    assert_eq!(call("GET", "/api/users/me", &alone), 401);
}
