//! Signing up and in with a password, delays, and new passwords.

use serde_json::{Value, json};

use crate::{
    BEHIND_A_PROXY, PASSWORD, VAULT_KEY,
    common::{
        Gateway,
        browser::Browser,
        database::{Postgres, Sqlite, TestDatabase},
        eventually,
        stand_in::{StandIn, text},
    },
};

#[test]
fn a_person_signs_up_looks_at_the_account_signs_out_and_in_again() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let account = browser.sign_up(&gateway, "Jane@Example.com");
    assert_eq!(
        (&account["email"], &account["name"], &account["has_password"], &account["providers"]),
        (&json!("Jane@Example.com"), &json!("Jane"), &json!(true), &json!([]))
    );
    assert_eq!(browser.me(&gateway).expect(200).json(), account);
    let session = browser.get(&gateway, "/session").expect(200).json();
    assert_eq!(session["subject"], account["id"], "it is the session of a sign-in at a provider");
    browser.get(&gateway, "/oauth").expect(200);

    browser.call_as_our_page(&gateway, "POST", "/logout").expect(200);
    browser.me(&gateway).expect_problem(401, "token_missing");
    let back = browser.log_in(&gateway, "jane@EXAMPLE.com", PASSWORD).expect(200);
    assert_eq!(back.json(), account);
    for response in [back, browser.me(&gateway)] {
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    // Under the prefix, too, and by a program that is no browser.
    let wish = json!({"email": "jane@example.com", "password": PASSWORD});
    let response = gateway.post("/e/accounts/login", &wish).expect(200);
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-gateway_session=") && cookie.contains("; HttpOnly; SameSite=Lax; Secure"));
    let device = response.headers.iter().find(|(_, value)| value.starts_with("__Host-gateway_device=")).unwrap();
    assert!(device.1.ends_with("; Path=/; Max-Age=15552000; HttpOnly; SameSite=Lax; Secure"), "{}", device.1);
    assert!(!gateway.console().contains(PASSWORD) && !gateway.console().contains("example.com"));
    gateway.is_unharmed();
}

#[test]
fn a_session_is_new_after_a_log_in_and_the_old_one_is_over() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let chosen = "A".repeat(43);
    browser.cookies.insert("__Host-gateway_session".into(), chosen.clone());
    browser.sign_up(&gateway, "jane@example.com");
    let first = browser.session().unwrap().clone();
    assert_ne!(first, chosen);
    browser.log_in(&gateway, "jane@example.com", PASSWORD).expect(200);
    assert_ne!(browser.session(), Some(&first));
    for old in [chosen, first] {
        let mut thief = Browser::default();
        thief.cookies.insert("__Host-gateway_session".into(), old);
        thief.get(&gateway, "/session").expect_problem(401, "not_signed_in");
    }
}

#[test]
fn an_unknown_email_and_a_wrong_password_are_answered_the_same() {
    let gateway = Gateway::start();
    Browser::default().sign_up(&gateway, "jane@example.com");
    let told: Vec<Value> =
        [("jane@example.com", "wrong password"), ("john@example.com", PASSWORD), ("john@example.com", "")]
            .into_iter()
            .filter(|(_, password)| !password.is_empty())
            .map(|(email, password)| {
                let response = Browser::default().log_in(&gateway, email, password);
                assert_eq!(response.header("www-authenticate"), Some(r#"Bearer realm="gateway""#));
                assert_eq!(response.header("set-cookie"), None);
                let mut problem = response.expect_problem(401, "invalid_credentials").json();
                problem.as_object_mut().unwrap().remove("request_id");
                problem
            })
            .collect();
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_refused_sign_up_names_the_reason() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    browser.sign_up(&gateway, "jane@example.com");
    let again = json!({"email": "JANE@example.COM", "password": "another password"});
    Browser::default().send(&gateway, "POST", "/accounts/signup", &again).expect_problem(409, "email_taken");
    for (wish, field) in [
        (json!({"email": "jane", "password": PASSWORD}), "email"),
        (json!({"email": "jane@bücher.example", "password": PASSWORD}), "email"),
        (json!({"email": "j@example.com", "password": "1234567"}), "password"),
        (json!({"email": "j@example.com", "password": "x".repeat(257)}), "password"),
        (json!({"email": "j@example.com", "password": PASSWORD, "name": "\u{1b}[31m"}), "name"),
    ] {
        let response =
            browser.send(&gateway, "POST", "/accounts/signup", &wish).expect_problem(422, "validation_failed");
        assert_eq!(response.json()["errors"][0]["field"], field, "{wish}");
        assert!(!response.text().contains("1234567"));
    }
    let unknown = json!({"email": "j@example.com", "password": PASSWORD, "admin": true});
    browser.send(&gateway, "POST", "/accounts/signup", &unknown).expect_problem(400, "malformed_request");
}

#[test]
fn no_page_of_another_site_signs_a_browser_in() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    Browser::default().sign_up(&gateway, "mallory@example.com");
    let login = json!({"email": "mallory@example.com", "password": PASSWORD});
    let signup = json!({"email": "new@example.com", "password": PASSWORD});
    for foreign in [
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Origin", "null")],
        vec![("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
    ] {
        for (path, body) in [("/accounts/login", &login), ("/accounts/signup", &signup)] {
            let mut victim = Browser::default();
            let response = victim.send_from(&gateway, "POST", path, body, &foreign);
            response.expect_problem(403, "cross_site_request");
            assert_eq!(victim.session(), None);
        }
    }
    for ours in [vec![("Origin", "https://app.jinmini.com"), ("Sec-Fetch-Site", "same-site")], vec![]] {
        let mut browser = Browser::default();
        browser.send_from(&gateway, "POST", "/accounts/login", &login, &ours).expect(200);
        assert!(browser.session().is_some());
    }
    // A form of another site is not even read.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    gateway.call("POST", "/accounts/login", &form, b"email=a&password=b").expect_problem(415, "unsupported_media_type");
}

#[test]
fn guesses_are_delayed_on_every_replica_and_the_right_password_ends_it() {
    let database = Sqlite::open();
    let variables = [("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY), BEHIND_A_PROXY];
    let [one, two] = [Gateway::with(&variables), Gateway::with(&variables)];
    Browser::default().sign_up(&one, "jane@example.com");
    let attempt = |gateway: &Gateway, email: &str, password: &str, client: &str| {
        let body = json!({"email": email, "password": password});
        let from = [("X-Forwarded-For", client)];
        Browser::default().send_from(gateway, "POST", "/accounts/login", &body, &from)
    };
    for email in ["jane@example.com", "nobody@example.com"] {
        for n in 0..5 {
            let gateway = if n % 2 == 0 { &one } else { &two };
            attempt(gateway, email, "wrong password", &format!("192.0.2.{n}"))
                .expect_problem(401, "invalid_credentials");
        }
        for gateway in [&one, &two] {
            let refused = attempt(gateway, email, PASSWORD, "192.0.2.1").expect_problem(429, "too_many_attempts");
            assert_eq!(refused.header("retry-after"), Some("1"), "{}", refused.text());
        }
    }
    // Another person is not affected, and the delay is over soon.
    attempt(&one, "john@example.com", "wrong password", "192.0.2.1").expect_problem(401, "invalid_credentials");
    eventually("the delay is over", || attempt(&two, "jane@example.com", PASSWORD, "192.0.2.1").status == 200);
    for _ in 0..4 {
        attempt(&two, "jane@example.com", "wrong password", "192.0.2.9").expect_problem(401, "invalid_credentials");
    }
    attempt(&one, "jane@example.com", PASSWORD, "192.0.2.9").expect(200);
}

#[test]
fn one_address_that_guesses_keeps_no_owner_out() {
    let gateway = Gateway::with(&[BEHIND_A_PROXY]);
    let mut owner = Browser::default();
    owner.sign_up(&gateway, "jane@example.com");
    let log_in = |browser: &mut Browser, password: &str, client: &str| {
        let body = json!({"email": "jane@example.com", "password": password});
        browser.send_from(&gateway, "POST", "/accounts/login", &body, &[("X-Forwarded-For", client)])
    };
    let guess = || {
        for _ in 0..60 {
            log_in(&mut Browser::default(), "a guess", "203.0.113.66");
        }
        log_in(&mut Browser::default(), PASSWORD, "203.0.113.66").expect_problem(429, "too_many_attempts");
    };
    guess();
    // From an address without failures, in a new browser.
    log_in(&mut Browser::default(), PASSWORD, "192.0.2.1").expect(200);
    guess();
    // In a known browser, from any address.
    log_in(&mut owner, PASSWORD, "203.0.113.66").expect(200);
    let device = owner.cookies["__Host-gateway_device"].clone();
    assert!(!device.contains("jane"), "{device}");
}

/// As in an office: without failures there are no delays, at either gateway.
#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn right_passwords_at_once_from_one_address_are_all_let_in() {
    let database = Postgres::open();
    let variables = [("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY), BEHIND_A_PROXY];
    let gateways = [Gateway::with(&variables), Gateway::with(&variables)];
    for n in 0..12 {
        Browser::default().sign_up(&gateways[0], &format!("{n}@example.com"));
    }
    let start = std::sync::Barrier::new(12);
    std::thread::scope(|threads| {
        for n in 0..12 {
            let (gateway, start) = (&gateways[n % 2], &start);
            threads.spawn(move || {
                let body = json!({"email": format!("{n}@example.com"), "password": PASSWORD});
                let from = [("X-Forwarded-For", "192.0.2.1")];
                start.wait();
                Browser::default().send_from(gateway, "POST", "/accounts/login", &body, &from).expect(200);
            });
        }
    });
}

#[test]
fn one_client_is_delayed_for_every_email() {
    let gateway = Gateway::with(&[BEHIND_A_PROXY]);
    let attempt = |n: usize, client: &str| {
        let body = json!({"email": format!("{n}@example.com"), "password": "a guess"});
        let from = [("X-Forwarded-For", client)];
        Browser::default().send_from(&gateway, "POST", "/accounts/login", &body, &from)
    };
    for n in 0..50 {
        attempt(n, &format!("2001:db8::{n:x}")).expect_problem(401, "invalid_credentials");
    }
    attempt(50, "2001:db8::ffff").expect_problem(429, "too_many_attempts");
    attempt(50, "2001:db8:0:1::1").expect_problem(401, "invalid_credentials");
}

#[test]
fn a_new_password_ends_every_other_session_and_every_token() {
    let gateway = Gateway::start();
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let account = browser.sign_up(&gateway, "jane@example.com");
    other.log_in(&gateway, "jane@example.com", PASSWORD).expect(200);
    let (access, refresh) = gateway.tokens(&json!({"subject": account["id"]}));
    gateway.get_with_token("/api/users/me", &access).expect(200);

    let change = |current: Value| json!({"current_password": current, "new_password": "a better password"});
    for (body, status, code) in [
        (json!({"new_password": "a better password"}), 422, "validation_failed"),
        (change(json!("wrong password")), 403, "wrong_password"),
        (json!({"current_password": PASSWORD, "new_password": "short"}), 422, "validation_failed"),
        (
            json!({"current_password": PASSWORD, "new_password": "a better password", "email": "new@example.com"}),
            422,
            "validation_failed",
        ),
    ] {
        browser.send(&gateway, "POST", "/accounts/password", &body).expect_problem(status, code);
    }
    let right = change(json!(PASSWORD));
    let foreign = [("Sec-Fetch-Site", "cross-site")];
    browser
        .send_from(&gateway, "POST", "/accounts/password", &right, &foreign)
        .expect_problem(403, "cross_site_request");
    other.me(&gateway).expect(200);
    other.get(&gateway, "/api/users/me").expect(200);
    browser.send(&gateway, "POST", "/accounts/password", &right).expect(200);

    browser.me(&gateway).expect(200);
    browser.get(&gateway, "/api/users/me").expect(200);
    other.me(&gateway).expect_problem(401, "token_missing");
    other.get(&gateway, "/api/users/me").expect_problem(401, "token_missing");
    gateway.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect_problem(401, "invalid_grant");
    Browser::default().log_in(&gateway, "jane@example.com", PASSWORD).expect_problem(401, "invalid_credentials");
    Browser::default().log_in(&gateway, "jane@example.com", "a better password").expect(200);
}

/// Services see tokens. Each call that changes who may sign in is listed here; new ones must be added.
#[test]
fn a_token_shows_an_account_and_cannot_take_it_over() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let mut browser = Browser::default();
    let account = browser.sign_up(&gateway, "jane@example.com");
    let bare = stand_in.exchange(&gateway, "bob");
    let token = text(&browser.call_as_our_page(&gateway, "POST", "/session/token").expect(200).json()["access_token"])
        .to_owned();
    assert_eq!(gateway.get_with_token("/accounts/me", &token).expect(200).json(), account);
    let of_bob = text(&bare["tokens"]["access_token"]).to_owned();
    let new = json!({"new_password": "a better password", "email": "new@example.com"});
    let password = json!({"password": PASSWORD});
    let mut linking = stand_in.request(&stand_in.code_of("mallory"));
    linking["password"] = json!(PASSWORD);
    // With and without the password, for an account with and without one, with and without a session of another person.
    for token in [&token, &of_bob] {
        for (method, path, body) in [
            ("POST", "/accounts/password", json!({"current_password": PASSWORD, "new_password": "a better password"})),
            ("POST", "/accounts/password", new.clone()),
            ("DELETE", "/accounts/me", password.clone()),
            ("DELETE", "/accounts/me", json!({})),
            ("DELETE", "/accounts/me/providers/stand-in", password.clone()),
            ("DELETE", "/accounts/me/providers/stand-in", json!({})),
            ("POST", "/oauth", linking.clone()),
        ] {
            for mut caller in [Browser::default(), Browser { cookies: browser.cookies.clone(), ..Browser::default() }] {
                let bearer = format!("Bearer {token}");
                let headers = [("Authorization", bearer.as_str()), ("Sec-Fetch-Site", "same-origin")];
                let response = caller.send_from(&gateway, method, path, &body, &headers);
                response.expect_problem(403, "session_required");
            }
        }
        let linking = stand_in.request(&stand_in.code_of("mallory")).to_string();
        let bearer = format!("Bearer {token}");
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        gateway.call("POST", "/oauth", &headers, linking.as_bytes()).expect_problem(403, "identity_not_linked");
        let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", bearer.as_str())];
        let by_form = gateway.call("POST", "/login/stand-in/link", &form, b"password=correct+horse");
        by_form.expect_problem(401, "not_signed_in");
    }
    // These attempts changed nothing.
    assert_eq!(browser.me(&gateway).expect(200).json(), account);
    let mut mallory = Browser::default();
    let callback = mallory.leave(&gateway, "/login/stand-in").decide("person=mallory");
    mallory.get(&gateway, &callback).expect(303);
    let stranger = mallory.me(&gateway).expect(200).json();
    assert!(stranger["id"] != account["id"] && stranger["email"].is_null(), "{stranger}");
    // A token may store a grant of an identity that the account has.
    let again = stand_in.request(&stand_in.code_of("bob")).to_string();
    let bearer = format!("Bearer {of_bob}");
    let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
    let kept = gateway.call("POST", "/oauth", &headers, again.as_bytes()).expect(200).json();
    assert_eq!((&kept["id"], kept.get("tokens")), (&bare["id"], None));

    let (developer, _) = gateway.tokens(&json!({"subject": "developer"}));
    gateway.get_with_token("/accounts/me", &developer).expect_problem(409, "no_account");
    gateway.get_with_token("/accounts/me", "x").expect_problem(401, "invalid_token");
}

/// A stolen session is not enough if there is a password.
#[test]
fn a_session_alone_cannot_take_an_account_over_that_has_a_password() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    let mut browser = Browser::default();
    let account = browser.sign_up(&gateway, "jane@example.com");
    for (wrong, status, code) in [(None, 422, "validation_failed"), (Some("wrong password"), 403, "wrong_password")] {
        let password = json!({"password": wrong});
        browser.send(&gateway, "DELETE", "/accounts/me", &password).expect_problem(status, code);
        browser.send(&gateway, "DELETE", "/accounts/me/providers/stand-in", &password).expect_problem(status, code);
        let form: Vec<_> = wrong.map(|wrong| ("password", wrong)).into_iter().collect();
        browser.send_form(&gateway, "/login/stand-in/link", &form).expect_problem(status, code);
    }
    browser
        .call_as_our_page(&gateway, "DELETE", "/accounts/me/providers/stand-in")
        .expect_problem(422, "validation_failed");
    let mut linking = stand_in.request(&stand_in.code_of("mallory"));
    browser.send(&gateway, "POST", "/oauth", &linking).expect_problem(403, "identity_not_linked");
    linking["password"] = json!("wrong password");
    browser.send(&gateway, "POST", "/oauth", &linking).expect_problem(403, "wrong_password");
    assert_eq!(browser.me(&gateway).expect(200).json(), account);

    // The owner may: the added identity can sign in from then on.
    let mut own = stand_in.request(&stand_in.code_of("alice"));
    own["password"] = json!(PASSWORD);
    let added = browser.send(&gateway, "POST", "/oauth", &own).expect(200).json();
    assert!(added.get("tokens").is_none(), "it was no sign-in");
    let mut elsewhere = Browser::default();
    let callback = elsewhere.leave(&gateway, "/login/stand-in").decide("person=alice");
    elsewhere.get(&gateway, &callback).expect(303);
    assert_eq!(elsewhere.me(&gateway).expect(200).json()["id"], account["id"]);
}

/// Sign-up is not the only call that reveals known e-mails.
#[test]
fn probing_for_emails_is_delayed_at_every_endpoint() {
    let gateway = Gateway::with(&[BEHIND_A_PROXY]);
    let from = |client: &'static str| [("Sec-Fetch-Site", "same-origin"), ("X-Forwarded-For", client)];
    Browser::default().sign_up(&gateway, "taken@example.com");
    // A person without a password, who may set a first one.
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let mut first = |email: &str, client| {
        let wish = json!({"new_password": PASSWORD, "email": email});
        browser.send_from(&gateway, "POST", "/accounts/password", &wish, &from(client))
    };
    for n in 0..50 {
        if n % 2 == 0 {
            first("taken@example.com", "192.0.2.1").expect_problem(409, "email_taken");
        } else {
            let wish = json!({"email": "taken@example.com", "password": PASSWORD});
            Browser::default()
                .send_from(&gateway, "POST", "/accounts/signup", &wish, &from("192.0.2.1"))
                .expect_problem(409, "email_taken");
        }
    }
    let refused = first("free@example.com", "192.0.2.1").expect_problem(429, "too_many_attempts");
    assert!(refused.header("retry-after").is_some());
    first("free@example.com", "192.0.2.2").expect(200);
}
