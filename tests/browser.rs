//! Swagger, the welcome page and connections opened by services' pages, in a real browser.

#[path = "browser/apple.rs"]
mod apple;
#[path = "browser/certificate.rs"]
mod certificate;
#[path = "browser/driver.rs"]
mod driver;
#[path = "browser/signing_in.rs"]
mod signing_in;
#[path = "browser/stage.rs"]
mod stage;
#[path = "browser/streams.rs"]
mod streams;
#[path = "browser/swagger.rs"]
mod swagger;

mod common;

use common::Gateway;
use driver::{Browser, PUBLIC_NAME};
use serde_json::json;
use swagger::Swagger;

/// Every request goes to this origin, and the console is empty.
#[track_caller]
fn assert_nothing_outside(browser: &Browser, origin: &str, page: &str) {
    let requests = browser.requests();
    assert!(requests.contains(&page.to_owned()), "{requests:?}");
    let inside = |url: &String| url.starts_with(origin) || url.starts_with("data:") || url.starts_with("blob:");
    let outside: Vec<_> = requests.iter().filter(|url| !inside(url)).collect();
    assert!(outside.is_empty(), "{page} asks others: {outside:?}");
    assert_eq!(browser.complaints(), [""; 0], "{page}");
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn swagger_contacts_no_other_host_and_reports_no_errors() {
    let gateway = Gateway::start();
    let browser = Browser::start();
    for host in ["127.0.0.1", PUBLIC_NAME] {
        let origin = format!("http://{host}:{}/", gateway.address.port());
        for path in ["docs", "e/docs"] {
            let page = format!("{origin}{path}");
            let swagger = Swagger::open(&browser, &page);
            let operations = swagger.operations();
            for operation in ["POST /tokens/create", "POST /tokens/dummy", "GET /.well-known/jwks.json", "GET /livez"] {
                assert!(operations.iter().any(|it| it == operation), "{operation} is not in {operations:?}");
            }
            swagger.try_it_out("livez");
            assert_eq!(swagger.execute("livez").json()["status"], json!("ok"));
            assert_nothing_outside(&browser, &origin, &page);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn violations_by_swagger_would_be_noticed() {
    let gateway = Gateway::start();
    let browser = Browser::start();
    Swagger::open(&browser, &format!("http://{}/docs", gateway.address));
    browser.requests();
    assert_eq!(browser.complaints(), [""; 0]);
    browser.script("const image = new Image(); image.src = 'http://outside.test/badge'; document.body.append(image)");
    let complaint = browser.wait_for("the policy's complaint", || browser.complaints().pop());
    assert!(complaint.contains("Content Security Policy"), "{complaint}");

    // Without a policy to block it, the request is seen.
    browser.open("data:text/html,<img src='http://outside.test/badge'>");
    browser
        .wait_for("the request", || browser.requests().contains(&"http://outside.test/badge".to_owned()).then_some(()));
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_token_is_created_authorized_with_and_verified() {
    let gateway = Gateway::start();
    let browser = Browser::start();
    let swagger = Swagger::open(&browser, &format!("http://{}/docs", gateway.address));

    swagger.try_it_out("create_token");
    let created = swagger.execute("create_token");
    assert_eq!(created.status, "200", "{}", created.body);
    assert!(!created.curl.contains("Authorization"), "{}", created.curl);
    let token = created.json()["access_token"].as_str().unwrap().to_owned();

    swagger.authorize(&token);
    swagger.try_it_out("verify_token");
    swagger.paste_body("verify_token", &json!({"token": token}).to_string());
    let verified = swagger.execute("verify_token");
    assert_eq!((verified.status.as_str(), &verified.json()["active"]), ("200", &json!(true)), "{}", verified.body);

    swagger.clear("create_token");
    let created = swagger.execute("create_token");
    assert_eq!(created.status, "200", "{}", created.body);
    assert!(created.curl.contains(&format!("-H 'Authorization: Bearer {token}'")), "{}", created.curl);
    // The curl command shows the request as Swagger sends it. By the gateway's rule, a token without a subject is for
    // the signed-in person.
    swagger.clear("create_token");
    swagger.type_body("create_token", "{}");
    let created = swagger.execute("create_token").json();
    let verified = gateway.post("/tokens/verify", &json!({"token": created["access_token"]})).expect(200).json();
    assert_eq!(verified["subject"], json!("alice"), "{verified}");
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn a_text_typed_into_swagger_arrives_on_the_console() {
    let gateway = Gateway::start();
    let browser = Browser::start();
    let swagger = Swagger::open(&browser, &format!("http://{}/docs", gateway.address));
    swagger.try_it_out("create_dummy_token");

    let typed = "안녕하세요, hello from Swagger 123 ☕";
    swagger.type_body("create_dummy_token", &json!({"token": typed}).to_string());
    let response = swagger.execute("create_dummy_token");
    assert_eq!(response.status, "200", "{}", response.body);
    assert_eq!(response.json()["access_token"], json!(typed));
    assert_eq!(gateway.printed(typed), format!("│ {typed}"));

    // Without JSON around it.
    let typed = "그냥 글자 just text";
    swagger.clear("create_dummy_token");
    swagger.choose_media_type("create_dummy_token", "text/plain");
    swagger.type_body("create_dummy_token", typed);
    let response = swagger.execute("create_dummy_token");
    assert_eq!(response.status, "200", "{}", response.body);
    assert_eq!(response.json()["access_token"], json!(typed));
    assert_eq!(gateway.printed(typed), format!("│ {typed}"));
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn swagger_calls_the_gateway_by_the_path_that_it_is_at() {
    let gateway = Gateway::start();
    let browser = Browser::start();
    let origin = format!("http://{}", gateway.address);
    for (docs, server) in [("/docs", ""), ("/e/docs", "/e")] {
        let swagger = Swagger::open(&browser, &format!("{origin}{docs}"));
        swagger.try_it_out("create_token");
        let created = swagger.execute("create_token");
        assert_eq!((created.url, created.status), (format!("{origin}{server}/tokens/create"), "200".to_owned()));
        swagger.try_it_out("auth_list_users");
        let welcome = swagger.execute("auth_list_users");
        assert_eq!(
            (welcome.url.clone(), welcome.status.clone()),
            (format!("{origin}{server}/api/users"), "200".to_owned())
        );
        assert_eq!(welcome.json()["message"], json!("Welcome from AUTH service"));
    }
}

#[test]
#[cfg_attr(not(feature = "browser-tests"), ignore = "scripts/test runs it")]
fn the_welcome_page_leads_on() {
    let gateway = Gateway::start();
    let browser = Browser::start();
    let origin = format!("http://{}", gateway.address);
    for (home, prefix) in [("/", ""), ("/e/", "/e"), ("/e", "/e")] {
        let page = format!("{origin}{home}");
        browser.open(&page);
        assert!(
            browser.page_text().starts_with("Welcome to the gateway of www.jinmini.com"),
            "{}",
            browser.page_text()
        );
        assert_nothing_outside(&browser, &origin, &page);
        for (link, leads_to, shows) in [
            ("Swagger", format!("{prefix}/docs"), "/tokens/create"),
            (&*format!("{prefix}/api/users"), format!("{prefix}/api/users"), "Welcome from AUTH service"),
            ("OpenAPI 문서 · OpenAPI document", format!("{prefix}/openapi.json"), r#""openapi""#),
            ("상태 · Health", format!("{prefix}/readyz"), r#""status""#),
        ] {
            browser.open(&page);
            browser.click_link(link);
            browser.wait_for(&format!("{link} shows {shows}"), || {
                // Swagger breaks long paths with invisible characters.
                let shown = browser.page_text().replace('\u{200b}', "");
                shown.contains(shows).then_some(())
            });
            assert_eq!(browser.url(), format!("{origin}{leads_to}"), "{link} on {home}");
        }
        // Documents that are no pages make the browser request an icon.
        browser.requests();
        browser.complaints();
    }
}
