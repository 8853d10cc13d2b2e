//! Signing in through the real binary, with the stand-in provider, as a browser would: state, cookies, sessions,
//! refusals.

mod common;

use common::{
    Gateway,
    browser::{Away, Browser},
    stand_in::StandIn,
};
use serde_json::json;

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

#[test]
fn a_person_signs_in_looks_around_and_signs_out() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    // Without a session the browser is sent to sign in.
    let sent = browser.get(&gateway, "/session").expect(303);
    assert_eq!(sent.header("location"), Some("login?return_to=%2Fsession"));
    let page = browser.get(&gateway, "/e/login?return_to=%2Fsession").expect(200).text();
    assert!(page.contains(r#"href="login/stand-in?return_to=%2Fsession""#), "{page}");

    let away = browser.leave(&gateway, "/e/login/stand-in?return_to=%2Fsession");
    for (name, value) in
        [("response_type", "code"), ("code_challenge_method", "S256"), ("scope", "openid email profile")]
    {
        assert_eq!(away.parameter(name), value);
    }
    assert_eq!((away.parameter("state").len(), away.parameter("nonce").len()), (43, 64));
    let callback = away.decide("person=alice");
    let back = browser.get(&gateway, &callback).expect(303);
    assert_eq!((back.header("location"), back.header("cache-control")), (Some("/session"), Some("no-store")));
    assert_eq!(back.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(browser.attempts(), 1, "the attempt stays until it expires: the browser may come back to the callback");

    let page = browser.get(&gateway, "/session").expect(200);
    assert!(page.text().contains("Signed in as Alice") && page.text().contains("alice@example.com"));
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    browser.wants_pages = false;
    let session = browser.get(&gateway, "/session").expect(200).json();
    assert_eq!(session["providers"][0]["provider"], "stand-in");
    assert_eq!(session["providers"][0]["email"], "alice@example.com");

    // The session is enough to read the person's own data.
    let grants = browser.get(&gateway, "/oauth").expect(200).json();
    let id = grants["grants"][0]["id"].as_str().unwrap().to_owned();
    let grant = browser.get(&gateway, &format!("/oauth/{id}")).expect(200).json();
    assert!(grant["access_token"].is_string());
    let mut stranger = Browser::default();
    stranger.get(&gateway, &format!("/oauth/{id}")).expect_problem(401, "token_missing");

    let same_origin = [("Sec-Fetch-Site", "same-origin")];
    let deleted = browser.call(&gateway, "DELETE", &format!("/oauth/{id}"), &same_origin).expect(200).json();
    assert_eq!(deleted, json!({"revoked_at_provider": true}));

    let old = browser.session().unwrap().clone();
    browser.call(&gateway, "POST", "/logout", &same_origin).expect(200);
    assert_eq!(browser.session(), None);
    browser.cookies.insert("__Host-gateway_session".into(), old);
    browser.get(&gateway, "/session").expect_problem(401, "not_signed_in");
    gateway.is_unharmed();
}

#[test]
fn cookies_are_for_this_host_alone_and_for_no_script() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let begun = browser.get(&gateway, "/login/stand-in").expect(303);
    let away = Away::following(&begun);
    let finished = browser.get(&gateway, &away.decide("person=alice")).expect(303);
    for response in [begun, finished] {
        for (_, cookie) in response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            assert!(cookie.starts_with("__Host-gateway_"), "{cookie}");
            for attribute in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
                assert!(cookie.contains(attribute), "{attribute}: {cookie}");
            }
            assert!(!cookie.contains("Domain"), "{cookie}");
            let is_session = cookie.starts_with("__Host-gateway_session=");
            let life = if cookie.contains("=; ") {
                "0"
            } else if is_session {
                "2592000"
            } else {
                "600"
            };
            assert!(cookie.contains(&format!("; Max-Age={life};")), "{cookie}");
        }
    }
    // A cookie without the prefix, which another host could have set, is ignored.
    let value = browser.cookies.remove("__Host-gateway_session").unwrap();
    browser.cookies.insert("gateway_session".into(), value);
    browser.get(&gateway, "/session").expect_problem(401, "not_signed_in");
}

#[test]
fn two_tabs_sign_in_at_once_and_the_later_one_stays() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let [first, second] = ["/1", "/2"].map(|to| browser.leave(&gateway, &format!("/login/stand-in?return_to={to}")));
    let second = browser.get(&gateway, &second.decide("person=alice")).expect(303);
    assert_eq!(second.header("location"), Some("/2"));
    let before = browser.session().unwrap().clone();
    let first = browser.get(&gateway, &first.decide("person=bob")).expect(303);
    assert_eq!(first.header("location"), Some("/1"));
    assert_ne!(browser.session(), Some(&before), "a session id is new after a sign-in");
    assert_eq!(browser.get(&gateway, "/session").expect(200).json()["name"], "Bob");
    browser.cookies.insert("__Host-gateway_session".into(), before);
    browser.get(&gateway, "/session").expect_problem(401, "not_signed_in");
}

#[test]
fn a_callback_counts_once_and_only_in_the_browser_that_left() {
    let gateway = Gateway::start();
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    // Login CSRF: a victim's browser is sent to an attacker's callback.
    other.leave(&gateway, "/login/stand-in");
    other.get(&gateway, &callback).expect_problem(400, "unknown_attempt");
    assert_eq!(other.session(), None);

    let before = browser.cookies.clone();
    browser.get(&gateway, &callback).expect(303);
    // A replay with all cookies that the browser had then.
    let mut replay = Browser { cookies: before, ..Browser::default() };
    replay.get(&gateway, &callback).expect_problem(400, "unknown_attempt");
    assert_eq!(replay.session(), None);
}

/// Reload, the back button, a duplicate request: a person who signed in by it sees that, with a link to continue.
#[test]
fn a_repeated_callback_shows_the_signed_in_person() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let callback = browser.leave(&gateway, "/login/stand-in?return_to=%2Fthere").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let session = browser.session().unwrap().clone();
    for _ in 0..2 {
        let told = browser.get(&gateway, &callback).expect(303);
        assert_eq!(told.header("location"), Some("../../login?return_to=%2Fthere"));
        assert_eq!(browser.session(), Some(&session), "nothing but the way is repeated");
    }
    browser.call_as_our_page(&gateway, "POST", "/logout").expect(303);
    let refused = browser.get(&gateway, &callback).expect(400).text();
    assert!(refused.contains("has already finished"), "{refused}");

    // A failed one has no such link, though another person is signed in.
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let cancelled = browser.leave(&gateway, "/login/stand-in?return_to=%2Fthere").decide("cancel=1");
    browser.get(&gateway, &cancelled).expect(403);
    browser.get(&gateway, &cancelled).expect(400);
}

#[test]
fn one_browser_has_five_attempts_under_way_and_the_oldest_gives_way() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    for _ in 0..9 {
        browser.leave(&gateway, "/login/stand-in");
    }
    assert_eq!(browser.attempts(), 5);
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
}

/// Browsers send fetch metadata; a client without them is no current browser.
#[test]
fn only_a_navigation_begins_a_sign_in() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    for [site, mode, destination, purpose] in [
        ["same-site", "no-cors", "image", ""],
        ["same-origin", "no-cors", "image", ""],
        ["cross-site", "cors", "empty", ""],
        ["same-origin", "same-origin", "empty", ""],
        ["cross-site", "navigate", "iframe", ""],
        ["cross-site", "navigate", "object", ""],
        ["same-site", "navigate", "document", "prefetch"],
        ["same-site", "navigate", "document", "prefetch;prerender"],
    ] {
        let mut headers = vec![("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", destination)];
        headers.extend(Some(("Sec-Purpose", purpose)).filter(|_| !purpose.is_empty()));
        let refused = browser.call(&gateway, "GET", "/login/stand-in", &headers);
        refused.expect_problem(403, "not_a_navigation");
        assert_eq!(browser.attempts(), 0, "{headers:?}");
    }
    for site in ["none", "same-origin", "same-site", "cross-site"] {
        let headers = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
        browser.call(&gateway, "GET", "/login/stand-in", &headers).expect(303);
    }
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
}

#[test]
fn however_many_attempts_begin_at_once_what_a_browser_sends_along_stays_small() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let long = "a".repeat(500);
    for n in 0..60 {
        // None of these knows of the others yet.
        let mut at_once = Browser::default();
        at_once.leave(&gateway, &format!("/login/stand-in?return_to=/{n}{long}"));
        browser.cookies.extend(at_once.cookies);
    }
    assert_eq!(browser.attempts(), 5);
    let bytes: usize = browser.cookies.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes < 8 * 1024, "{bytes}");
    browser.get(&gateway, "/livez").expect(200);
    let callback = browser.leave(&gateway, "/login/stand-in?return_to=/x").decide("person=alice");
    let back = browser.get(&gateway, &callback).expect(303);
    assert_eq!((back.header("location"), browser.attempts()), (Some("/x"), 5));
    browser.get(&gateway, "/session").expect(200);
}

#[test]
fn a_person_who_does_not_agree_is_told_so_in_both_languages() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("cancel=1");
    assert!(callback.contains("error=access_denied"), "{callback}");
    let page = browser.get(&gateway, &callback).expect(403);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("동의하지 않아") && page.text().contains("you did not agree"), "{}", page.text());
    assert!(page.text().contains(r#"href="../../login""#));
    assert_eq!((browser.session(), browser.attempts()), (None, 0));

    let mut program = Browser::default();
    let callback = program.leave(&gateway, "/login/stand-in").decide("cancel=1");
    program.get(&gateway, &callback).expect_problem(403, "access_denied");
}

#[test]
fn a_provider_that_is_down_is_a_page_too() {
    // The stand-in provider ends with the gateway that started it.
    let host = Gateway::start();
    let issuer = &format!("http://{}", StandIn::of(&host).address);
    let gateway = Gateway::with(&[
        ("OIDC_WORK_ISSUER", issuer),
        ("OIDC_WORK_CLIENT_ID", "gateway"),
        ("OIDC_WORK_CLIENT_SECRET", "development"),
    ]);
    let mut browser = Browser::with_pages();
    let callback = browser.leave(&gateway, "/login/work").decide("person=alice");
    host.kill();
    let page = browser.get(&gateway, &callback).expect(503).text();
    assert!(page.contains("연결할 수 없습니다") && page.contains("cannot be reached"), "{page}");
    assert_eq!(browser.session(), None);

    // It cannot be discovered when a sign-in begins either.
    let late = Gateway::with(&[
        ("OIDC_WORK_ISSUER", issuer),
        ("OIDC_WORK_CLIENT_ID", "gateway"),
        ("OIDC_WORK_CLIENT_SECRET", "development"),
    ]);
    let mut program = Browser::default();
    program.get(&late, "/login/work").expect_problem(503, "provider_unavailable");
}

#[test]
fn a_callback_that_is_not_one_is_refused() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let away = browser.leave(&gateway, "/login/stand-in");
    let callback = away.decide("person=alice");
    let state = format!("state={}", away.parameter("state"));
    for bad in [
        "/login/stand-in/callback".to_owned(),
        "/login/stand-in/callback?code=x".to_owned(),
        "/login/stand-in/callback?code=x&state=y".to_owned(),
        // The same parameter twice.
        format!("{callback}&{state}"),
        format!("{callback}&code=x"),
    ] {
        browser.get(&gateway, &bad).expect_problem(400, "unknown_attempt");
    }
    // None of these used up the attempt; another issuer does.
    let mut wrong_issuer: Vec<_> = callback.split('&').filter(|part| !part.starts_with("iss=")).collect();
    wrong_issuer.push("iss=https%3A%2F%2Fevil.example");
    browser.get(&gateway, &wrong_issuer.join("&")).expect_problem(502, "provider_bad_answer");
    browser.get(&gateway, &callback).expect_problem(400, "unknown_attempt");
    assert_eq!(browser.session(), None);
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback.replace("/stand-in/", "/google/")).expect_problem(404, "unknown_provider");
    browser.get(&gateway, "/login/nobody").expect_problem(404, "unknown_provider");
}

#[test]
fn a_code_of_one_provider_is_not_for_the_callback_of_another() {
    let host = Gateway::start();
    let stand_in = StandIn::of(&host);
    let issuer = format!("http://{}", stand_in.address);
    let gateway = Gateway::with(&two_providers(&issuer));
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/work").decide("person=alice");
    let mixed_up = callback.replace("/login/work/", "/login/home/");
    browser.get(&gateway, &mixed_up).expect_problem(400, "unknown_attempt");
    assert_eq!((browser.session(), stand_in.statistic("exchanges")), (None, 0), "the code went nowhere");
}

#[test]
fn no_browser_is_sent_elsewhere() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    let mut browser = Browser::default();
    for bad in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "https%3A%2F%2Fapp.jinmini.com%2F%2Fevil.example",
        "https%3A%2F%2Fapp.jinmini.com%3A444%2F",
        "https%3A%2F%2Fapp.jinmini.com%40evil.example",
        "%2F%09%2Fevil.example",
        "javascript%3Aalert(1)",
        "",
    ] {
        for path in ["/login", "/login/stand-in"] {
            let response = browser.get(&gateway, &format!("{path}?return_to={bad}"));
            response.expect_problem(400, "invalid_return_to");
        }
    }
    let away = browser.leave(&gateway, "/login/stand-in?return_to=https%3A%2F%2Fapp.jinmini.com");
    let finished = browser.get(&gateway, &away.decide("person=alice")).expect(303);
    assert_eq!(finished.header("location"), Some("https://app.jinmini.com"));
}

#[test]
fn only_pages_of_ours_change_things_in_a_persons_name() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    let mut browser = Browser::default();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    let grants = browser.get(&gateway, "/oauth").expect(200).json();
    let refresh = format!("/oauth/{}/refresh", grants["grants"][0]["id"].as_str().unwrap());
    for forged in [
        vec![],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Origin", "null")],
        vec![("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        vec![("Origin", "https://www.jinmini.com.evil.example")],
    ] {
        for (method, path) in
            [("POST", refresh.as_str()), ("POST", "/logout"), ("DELETE", &refresh[..refresh.len() - 8])]
        {
            browser.call(&gateway, method, path, &forged).expect_problem(403, "cross_site_request");
        }
    }
    for ours in [
        [("Sec-Fetch-Site", "same-origin")],
        [("Origin", "https://www.jinmini.com")],
        [("Origin", "https://app.jinmini.com")],
    ] {
        browser.call(&gateway, "POST", &refresh, &ours).expect(200);
    }
}

/// Anyone can begin attempts, so a valid state must not allow flooding the provider with codes.
#[test]
fn made_up_codes_are_short_and_after_fifty_the_client_waits() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let mut come_back_with = |code: &str| {
        let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
        let (before, rest) = callback.split_once("code=").unwrap();
        let behind = rest.split_once('&').map_or(String::new(), |(_, behind)| format!("&{behind}"));
        browser.get(&gateway, &format!("{before}code={code}{behind}"))
    };
    come_back_with(&"a".repeat(4097)).expect_problem(400, "malformed_callback");
    for _ in 0..50 {
        come_back_with(&"a".repeat(4096)).expect_problem(400, "provider_refused");
    }
    let refused = come_back_with("guess").expect_problem(429, "too_many_attempts");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn secrets_of_a_sign_in_are_not_logged() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let away = browser.leave(&gateway, "/login/stand-in");
    let callback = away.decide("person=alice");
    let cookie = browser.cookies.values().next().unwrap().clone();
    browser.get(&gateway, &callback).expect(303);
    browser.get(&gateway, &callback).expect(303);
    let code = callback.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap().to_owned();
    let session = browser.session().unwrap().clone();
    let console = gateway.console();
    for secret in [away.parameter("state"), away.parameter("nonce"), code, cookie, session] {
        assert!(!console.contains(&secret), "{secret} in\n{console}");
    }
}

/// Two providers of one gateway, `work` and `home`: both are the same stand-in, with the same people and addresses.
fn two_providers(issuer: &str) -> [(&'static str, &str); 6] {
    [
        ("OIDC_WORK_ISSUER", issuer),
        ("OIDC_WORK_CLIENT_ID", "gateway"),
        ("OIDC_WORK_CLIENT_SECRET", "development"),
        ("OIDC_HOME_ISSUER", issuer),
        ("OIDC_HOME_CLIENT_ID", "gateway"),
        ("OIDC_HOME_CLIENT_SECRET", "development"),
    ]
}

#[test]
fn the_same_address_at_two_providers_is_two_accounts_that_see_nothing_of_each_other() {
    let host = Gateway::start();
    let issuer = format!("http://{}", StandIn::of(&host).address);
    let gateway = Gateway::with(&two_providers(&issuer));
    let mut browser = Browser::default();
    // The second sign-in happens in the session of the first, and links nothing either.
    let [work, home] = ["work", "home"].map(|provider| {
        let callback = browser.leave(&gateway, &format!("/login/{provider}")).decide("person=alice");
        browser.get(&gateway, &callback).expect(303);
        let session = browser.get(&gateway, "/session").expect(200).json();
        let identities = session["providers"].as_array().unwrap();
        assert_eq!((identities.len(), &identities[0]["provider"]), (1, &json!(provider)), "{session}");
        assert_eq!(identities[0]["email"], "alice@example.com");
        let grants = browser.get(&gateway, "/oauth").expect(200).json();
        assert_eq!(grants["grants"].as_array().unwrap().len(), 1, "{grants}");
        (session["subject"].clone(), grants["grants"][0]["id"].as_str().unwrap().to_owned())
    });
    assert_ne!(work.0, home.0);
    browser.get(&gateway, &format!("/oauth/{}", work.1)).expect_problem(404, "grant_not_found");
}

#[test]
fn any_replica_finishes_an_attempt_and_of_many_that_do_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/gateway.db?mode=rwc", folder.path().display());
    let host = Gateway::start();
    let stand_in = StandIn::of(&host);
    let issuer = format!("http://{}", stand_in.address);
    let store = [("DATABASE_URL", database.as_str()), ("VAULT_KEY", VAULT_KEY)];
    let variables = [&store[..], &two_providers(&issuer)].concat();
    let [one, two] = [Gateway::with(&variables), Gateway::with(&variables)];
    let mut browser = Browser::default();
    let callback = browser.leave(&one, "/login/home").decide("person=bob");
    browser.get(&two, &callback).expect(303);
    assert_eq!(browser.get(&one, "/session").expect(200).json()["name"], "Bob");

    let before = stand_in.statistic("exchanges");
    let callback = browser.leave(&one, "/login/work").decide("person=alice");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..20)
            .map(|n| {
                let (gateway, callback) = (if n % 2 == 0 { &two } else { &one }, &callback);
                let mut browser = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
                scope.spawn(move || (browser.get(gateway, callback), browser))
            })
            .collect();
        racing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut winners = Vec::new();
    for (response, it) in outcomes {
        if it.session() != browser.session() {
            response.expect(303);
            winners.push(it);
        } else if response.status == 303 {
            assert_eq!(response.header("location"), Some("../../login?return_to=%2F"));
        } else {
            // The browser's previous session is over by now, so these cookies sign no one in.
            response.expect_problem(400, "unknown_attempt");
        }
    }
    assert_eq!((winners.len(), stand_in.statistic("exchanges") - before), (1, 1));
    for gateway in [&one, &two] {
        assert_eq!(winners[0].get(gateway, "/session").expect(200).json()["name"], "Alice");
    }
}

#[test]
fn a_session_chosen_by_an_attacker_is_not_taken_over() {
    let gateway = Gateway::start();
    let mut browser = Browser::default();
    let chosen = "A".repeat(43);
    browser.cookies.insert("__Host-gateway_session".into(), chosen.clone());
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    browser.get(&gateway, &callback).expect(303);
    assert_ne!(browser.session(), Some(&chosen));
    browser.cookies.insert("__Host-gateway_session".into(), chosen);
    browser.get(&gateway, "/session").expect_problem(401, "not_signed_in");
}

#[test]
fn the_host_header_of_a_client_decides_nothing() {
    let lines = "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\n\
                 Forwarded: host=evil.example\r\nConnection: close";
    // A proxy in front tells services the host; PUBLIC_URL is for the gateway alone.
    for trusted in ["", "127.0.0.1"] {
        let gateway = Gateway::with(&[("TRUSTED_PROXIES", trusted)]);
        let ask =
            |target: &str| common::parse(&gateway.raw(format!("GET {target} HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()));
        let begun = ask("/login/stand-in").expect(303);
        let sent = Away::following(&begun).parameter("redirect_uri");
        assert!(!sent.contains("evil.example") && sent.ends_with("/login/stand-in/callback"), "{sent}");
        assert!(begun.header("set-cookie").unwrap().starts_with("__Host-"), "as PUBLIC_URL is https");
        for target in ["/login", "/login/stand-in/callback", "/session", "/.well-known/oauth-authorization-server"] {
            assert!(!ask(target).text().contains("evil.example"), "{target}");
        }
    }
}

#[test]
fn in_development_a_sign_in_returns_to_the_host_that_a_trusted_proxy_tells() {
    let gateway = Gateway::on_localhost_with(&[("TRUSTED_PROXIES", "127.0.0.1")]);
    let request = "GET /login/stand-in HTTP/1.1\r\nHost: gateway:8080\r\nX-Forwarded-Host: 192.168.0.7:3000\r\n\
                   X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let begun = common::parse(&gateway.raw(request.as_bytes())).expect(303);
    let location = begun.header("location").unwrap();
    let callback = "redirect_uri=https%3A%2F%2F192.168.0.7%3A3000%2Flogin%2Fstand-in%2Fcallback";
    assert!(location.contains(callback), "{location}");
}

/// RFC 9700 §4.2.4, §4.12, §4.16.
#[test]
fn no_response_of_a_sign_in_is_framed_kept_or_tells_where_it_was() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let callback = browser.leave(&gateway, "/login/stand-in").decide("person=alice");
    for (method, target, status) in [
        ("GET", "/login", 200),
        ("GET", "/login?return_to=//evil.example", 400),
        ("GET", "/login/stand-in", 303),
        ("GET", "/login/nobody", 404),
        ("GET", "/login/stand-in/callback", 400),
        ("GET", "/login/stand-in?link=true", 400),
        ("GET", "/session", 303),
        ("GET", &callback, 303),
        ("GET", "/session", 200),
        ("GET", "/login/stand-in/link", 200),
        ("POST", "/logout", 303),
    ] {
        let response = browser.call_as_our_page(&gateway, method, target).expect(status);
        assert!(response.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"), "{target}");
        // Without a referrer browsers send forms with `Origin: null`.
        let has_form = status == 200 && response.text().contains("<input");
        let policy = if has_form { "same-origin" } else { "no-referrer" };
        assert_eq!(response.header("referrer-policy"), Some(policy), "{target}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{target}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{target}");
        if let Some(location) = response.header("location").filter(|_| target != "/login/stand-in") {
            assert!(browser.cookies.values().all(|secret| !location.contains(secret)), "{target}: {location}");
            assert!(["/", "./", "login?return_to=%2Fsession"].contains(&location), "{target}: {location}");
        }
    }
}
