//! Sessions behind the gateway: only services that accept them, and only pages that may use them.

use serde_json::json;

use crate::{
    OURS,
    common::{
        Gateway,
        browser::{Away, Browser},
        recorder::Recorder,
    },
    sessions, signed_in, signed_in_with, text, token_pair,
};

const ROUTES: &str = r#"
[[routes]]
path = "/api/orders"
service = "orders"
access = "session"
assertion = true

[[routes]]
path = "/api/orders/either"
service = "orders"
access = "token-or-session"

[[routes]]
path = "/api/orders/people"
service = "orders"
access = "token-or-session"
provider = "stand-in"

[[routes]]
path = "/api/orders/alice"
service = "orders"
access = "session"
claims = { email = "alice@example.com" }
"#;

fn scene() -> (Gateway, Recorder) {
    let service = Recorder::start();
    let variables = [("ORDERS_SERVICE_URL", &*service.url()), ("ALLOWED_ORIGINS", "https://shop.jinmini.com")];
    (Gateway::with_routes(&variables, Some(ROUTES)), service)
}

#[test]
fn the_shipped_route_says_who_is_signed_in() {
    let gateway = Gateway::start();
    let mut browser = signed_in(&gateway, "alice");
    let subject = browser.get(&gateway, "/session").expect(200).json()["subject"].clone();
    let me = browser.get(&gateway, "/api/users/me").expect(200).json();
    assert_eq!(me, json!({"subject": subject, "scope": [], "email": "alice@example.com"}));
    let (access, _) = token_pair(&mut browser, &gateway);
    assert_eq!(gateway.get_with_token("/api/users/me", &access).expect(200).json(), me, "its tokens say the same");
    browser.call(&gateway, "POST", "/logout", &OURS).expect(200);
    browser.get(&gateway, "/api/users/me").expect_problem(401, "token_missing");
}

#[test]
fn a_service_learns_who_calls_and_never_the_session() {
    let (gateway, service) = scene();
    let mut browser = signed_in(&gateway, "alice");
    let secret = browser.session().unwrap().clone();
    browser.cookies.insert("theme".to_owned(), "dark".to_owned());
    browser.call(&gateway, "GET", "/api/orders/1", &[("X-User-Id", "boss")]).expect(200);
    browser.call(&gateway, "POST", "/api/orders", &OURS).expect(200);
    let subject = browser.get(&gateway, "/session").expect(200).json()["subject"].clone();
    let seen = service.take();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(request.all("x-user-id"), [text(&subject)]);
        assert_eq!(request.all("x-user-email"), ["alice@example.com"]);
        assert_eq!(request.all("cookie"), ["theme=dark"]);
        assert!(!request.headers.iter().any(|(_, value)| value.contains(&secret)));
    }
    assert!(!gateway.console().contains(&secret));
}

#[test]
fn a_page_of_another_site_can_do_nothing_with_it() {
    let (gateway, service) = scene();
    let mut browser = signed_in(&gateway, "alice");
    for page in [
        &[][..],
        &[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "https://api.jinmini.com"), ("Sec-Fetch-Site", "same-site")],
        &[("Origin", "null")],
    ] {
        for (method, path) in [("POST", "/api/orders"), ("DELETE", "/api/orders/1"), ("PUT", "/api/orders/either")] {
            browser.call(&gateway, method, path, page).expect_problem(403, "cross_site_request");
        }
    }
    assert!(service.take().is_empty());
    for page in [
        &OURS[..],
        &[("Origin", "https://www.jinmini.com")],
        &[("Origin", "https://shop.jinmini.com"), ("Sec-Fetch-Site", "same-site")],
    ] {
        browser.call(&gateway, "POST", "/api/orders", page).expect(200);
    }
    let (access, _) = token_pair(&mut browser, &gateway);
    let bearer = format!("Bearer {access}");
    let headers = [("Authorization", &*bearer), ("Origin", "https://evil.example")];
    browser.call(&gateway, "POST", "/api/orders/either", &headers).expect(200);
    assert_eq!(service.take().len(), 4);
}

#[test]
fn opening_a_page_leads_to_the_sign_in_and_back() {
    let (gateway, service) = scene();
    let mut browser = Browser::with_pages();
    let away = browser.get(&gateway, "/api/orders/a%20b?page=2&x=%2F").expect(303);
    let choice = away.header("location").unwrap().to_owned();
    assert!(choice.starts_with("/e/login?return_to="), "{choice}");
    let page = browser.get(&gateway, &choice).expect(200).text();
    let link = page.split("href=\"").find(|part| part.starts_with("login/stand-in?")).unwrap();
    let link = format!("/e/{}", link.split('"').next().unwrap());
    let away = Away::following(&browser.get(&gateway, &link).expect(303));
    let back = browser.get(&gateway, &away.decide("person=alice")).expect(303);
    assert_eq!(back.header("location"), Some("/api/orders/a%20b?page=2&x=%2F"));
    browser.get(&gateway, back.header("location").unwrap()).expect(200);
    assert_eq!(service.take().len(), 1);

    let program = gateway.get("/api/orders").expect_problem(401, "session_missing");
    assert!(program.header("www-authenticate").is_some());
}

#[test]
fn a_session_that_was_ended_elsewhere_opens_nothing() {
    let (gateway, service) = scene();
    let [mut here, mut there] =
        [signed_in(&gateway, "alice"), signed_in_with(&gateway, "alice", &[("User-Agent", "curl/8")])];
    // Cached by every core.
    for _ in 0..8 {
        there.get(&gateway, "/api/orders").expect(200);
        here.get(&gateway, "/api/orders").expect(200);
    }
    let listed = sessions(&mut here, &gateway);
    let other = listed.iter().find(|session| session["current"] == json!(false)).unwrap();
    here.call(&gateway, "DELETE", &format!("/sessions/{}", text(&other["id"])), &OURS).expect(200);
    service.take();
    for _ in 0..8 {
        there.get(&gateway, "/api/orders").expect_problem(401, "session_missing");
    }
    assert!(service.take().is_empty());
    here.get(&gateway, "/api/orders").expect(200);
    here.call(&gateway, "POST", "/logout", &OURS).expect(200);
    here.get(&gateway, "/api/orders").expect_problem(401, "session_missing");
}

#[test]
fn a_route_may_demand_a_claim_or_a_provider() {
    let (gateway, service) = scene();
    let [mut alice, mut bob] = [signed_in(&gateway, "alice"), signed_in(&gateway, "bob")];
    alice.get(&gateway, "/api/orders/alice").expect(200);
    bob.get(&gateway, "/api/orders/alice").expect_problem(403, "claim_missing");
    alice.get(&gateway, "/api/orders/people").expect(200);
    let (access, _) = token_pair(&mut bob, &gateway);
    gateway.get_with_token("/api/orders/people", &access).expect(200);
    assert_eq!(service.take().len(), 3);
    let (machine, _) = gateway.tokens(&json!({"subject": "machine"}));
    gateway.get_with_token("/api/orders/people", &machine).expect_problem(403, "provider_missing");

    let person = json!({"email": "jane@example.com", "password": "correct horse battery"});
    let mut jane = Browser::default();
    let json_type = ("Content-Type", "application/json");
    let headers = [json_type, OURS[0]];
    jane.call_with(&gateway, "POST", "/accounts/signup", &headers, person.to_string().as_bytes()).expect(200);
    jane.get(&gateway, "/api/orders/people").expect_problem(403, "provider_missing");
    let arrived = |jane: &mut Browser| {
        jane.get(&gateway, "/api/orders").expect(200);
        service.take().remove(0).all("x-user-email").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(arrived(&mut jane).is_empty(), "nobody vouches for what was typed in");
    let form = [("Content-Type", "application/x-www-form-urlencoded"), OURS[0]];
    let password = b"password=correct+horse+battery";
    let away = jane.call_with(&gateway, "POST", "/login/stand-in/link", &form, password).expect(303);
    let linking = Away::following(&away).decide("person=carol");
    jane.get(&gateway, &linking).expect(303);
    jane.get(&gateway, "/api/orders/people").expect(200);
    let proof = json!({"password": "correct horse battery"}).to_string();
    let unlinked = jane.call_with(&gateway, "DELETE", "/accounts/me/providers/stand-in", &headers, proof.as_bytes());
    assert!(unlinked.status < 300, "{}", unlinked.text());
    jane.get(&gateway, "/api/orders/people").expect_problem(403, "provider_missing");
}
