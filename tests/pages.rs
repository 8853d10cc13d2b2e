//! The pages for people, as a browser without scripts uses them.

mod common;

use common::{Gateway, browser::Browser, parse};

const MINA: &str = "mina@example.com";
const PASSWORD: &str = "correct horse";

#[test]
fn people_sign_up_and_in_with_the_forms_of_the_pages() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let page = browser.get(&gateway, "/e/login?return_to=%2Fe%2F").expect(200);
    for part in [r#"action="login""#, r#"type="password""#, r#"href="signup?return_to=%2Fe%2F""#, r#"value="/e/""#] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert_eq!(page.header("referrer-policy"), Some("same-origin"), "or browsers send `Origin: null`");

    let back = ("return_to", "/e/");
    let short = [("email", MINA), ("password", "short"), ("name", ""), back];
    let page = browser.send_form(&gateway, "/e/signup", &short).expect(422).text();
    assert!(page.contains("8자 이상") && page.contains(r#"value="mina@example.com""#), "{page}");
    assert!(!page.contains("short"), "{page}");
    let mina = [("email", MINA), ("password", PASSWORD), ("name", ""), back];
    let made = browser.send_form(&gateway, "/e/signup", &mina).expect(303);
    assert_eq!(made.header("location"), Some("/e/"));
    let welcome = browser.get(&gateway, "/e/").expect(200).text();
    assert!(welcome.contains("You are signed in as mina@example.com.") && welcome.contains("님으로"), "{welcome}");
    let login = browser.get(&gateway, "/e/login").expect(200).text();
    assert!(login.contains("You are signed in as mina@example.com."), "{login}");
    let again = browser.send_form(&gateway, "/e/signup", &mina).expect(409).text();
    assert!(again.contains("이미 가입된 이메일입니다."), "{again}");

    browser.call_as_our_page(&gateway, "POST", "/e/logout").expect(303);
    let welcome = browser.get(&gateway, "/").expect(200).text();
    assert!(!welcome.contains("mina") && welcome.contains(r#"href="/login?return_to=%2Fsession""#), "{welcome}");

    let wrong = browser.send_form(&gateway, "/login", &[("email", MINA), ("password", "wrong horse")]).expect(401);
    assert!(wrong.header("www-authenticate").is_some(), "RFC 9110 §11.6.1");
    let page = wrong.text();
    assert!(page.contains("이메일 또는 비밀번호가") && page.contains("the e-mail or the password is wrong"), "{page}");
    assert!(page.contains(r#"value="mina@example.com""#) && !page.contains("wrong horse"), "{page}");
    assert_eq!(browser.session(), None);
    let right = [("email", MINA), ("password", PASSWORD), ("return_to", "/session")];
    let done = browser.send_form(&gateway, "/login", &right).expect(303);
    assert_eq!(done.header("location"), Some("/session"));
    let page = browser.get(&gateway, "/session").expect(200).text();
    assert!(page.contains("Signed in as mina@example.com"), "{page}");
}

#[test]
fn a_form_leads_nowhere_else_and_is_taken_from_our_pages_alone() {
    let gateway = Gateway::with(&[("ALLOWED_ORIGINS", "https://app.jinmini.com")]);
    let mut browser = Browser::with_pages();
    let form = |return_to| [("email", MINA), ("password", PASSWORD), ("return_to", return_to)];
    let made = browser.send_form(&gateway, "/signup", &form("https://app.jinmini.com/in")).expect(303);
    assert_eq!(made.header("location"), Some("https://app.jinmini.com/in"));
    let policy = browser.get(&gateway, "/login").expect(200);
    let policy = policy.header("content-security-policy").unwrap();
    assert!(policy.ends_with("; form-action 'self' https://www.jinmini.com https://app.jinmini.com"), "{policy}");
    for evil in ["//evil.example", "https://evil.example", "https://app.jinmini.com.evil.example"] {
        for path in ["/login", "/signup"] {
            let nowhere = browser.send_form(&gateway, path, &form(evil)).expect(400);
            assert!(nowhere.header("location").is_none() && nowhere.text().contains("return_to"), "{evil}");
            let page = format!("{path}?return_to={evil}");
            assert!(!browser.get(&gateway, &page).expect(400).text().contains("evil.example"), "{page}");
        }
    }
    // Login CSRF: a form of another site would sign this browser in as another person.
    let evil = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")];
    for path in ["/login", "/signup"] {
        let foreign = browser.send_form_from(&gateway, path, &form("/"), &evil).expect(403);
        assert!(foreign.header("set-cookie").is_none() && foreign.text().contains("이 사이트의 페이지에서만"));
    }
}

#[test]
fn a_form_that_failed_too_often_says_how_long_to_wait() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let wrong = [("email", MINA), ("password", "wrong horse")];
    let delayed =
        (0..20).map(|_| browser.send_form(&gateway, "/login", &wrong)).find(|response| response.status == 429);
    let delayed = delayed.expect("somebody who fails twenty times has to wait");
    assert!(delayed.header("retry-after").is_some());
    assert!(delayed.text().contains("잠시 후 다시 시도해 주세요."), "{}", delayed.text());
}

#[test]
fn names_and_mistakes_stay_text_on_every_page() {
    let gateway = Gateway::start();
    let mut browser = Browser::with_pages();
    let evil = "\"><script>alert(1)</script>";
    for (path, form) in [
        ("/login", [("email", evil), ("password", "x"), ("return_to", "/\"><script>alert(1)</script>")]),
        ("/signup", [("email", evil), ("password", "x"), ("name", evil)]),
        ("/signup", [("email", MINA), ("password", PASSWORD), ("name", evil)]),
    ] {
        let response = browser.send_form(&gateway, path, &form);
        assert!(!response.text().contains("<script>alert"), "{path}: {}", response.text());
    }
    for page in ["/", "/login", "/session"] {
        let text = browser.get(&gateway, page).expect(200).text();
        assert!(text.contains("&lt;script&gt;alert(1)") && !text.contains("<script>alert"), "{page}: {text}");
    }
}

/// For plain http at an address of a LAN or the name of a container, browsers send `Origin`, but no `Sec-Fetch-Site`.
#[test]
fn in_development_the_forms_work_by_the_address_that_one_came_by() {
    let gateway = Gateway::on_localhost();
    let post = |host: &str, origin: &str, email: &str| {
        let form = format!("email={email}&password=correct+horse");
        let head = format!(
            "POST /signup HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nAccept: text/html\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        parse(&gateway.raw(head.as_bytes()))
    };
    post("192.168.0.7:8080", "http://192.168.0.7:8080", "a%40example.com").expect(303);
    post("gateway:8080", "http://gateway:8080", "b%40example.com").expect(303);
    for (host, origin) in [
        ("192.168.0.7:8080", "http://192.168.0.8:8080"),
        ("192.168.0.7:8080", "null"),
        ("rebound.example", "http://rebound.example"),
    ] {
        let refused = post(host, origin, "c%40example.com").expect(403);
        assert!(refused.header("set-cookie").is_none(), "{host} {origin}");
    }
}
