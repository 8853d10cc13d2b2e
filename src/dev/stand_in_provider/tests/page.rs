//! The page in a browser.

use super::*;

#[tokio::test]
async fn it_offers_people_a_field_and_a_way_out_in_two_languages() {
    let page = Site::new().authorize(&[]).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let words =
        ["Sign in as …", "누구로 로그인할까요?", "Alice", "Bob", "김지니", "Carol", "Cancel", "취소", "다른 이름"];
    for word in words {
        assert!(page.body.contains(word), "{word}");
    }
    assert_eq!(page.body.matches(r#"<form method="post" action="authorize">"#).count(), 6);
    assert_eq!(page.body.matches(r#"name="state" value="a state &amp; more""#).count(), 6);
}

#[tokio::test]
async fn it_runs_no_script_and_cannot_be_framed() {
    let site = Site::new();
    for page in [site.authorize(&[]).await, site.authorize(&[("client_id", "another")]).await] {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        assert_eq!((page.header("x-frame-options"), page.header("x-content-type-options")), ("DENY", "nosniff"));
        assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("no-referrer", "no-store"));
    }
}

/// The page has one style element, and the policy contains its digest; otherwise a browser would show no styles.
#[tokio::test]
async fn its_style_is_let_through() {
    use sha2::{Digest, Sha256};

    let page = Site::new().authorize(&[]).await;
    let style = page.body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = base64::Engine::encode(&STANDARD, Sha256::digest(style));
    assert!(page.header("content-security-policy").contains(&format!("'sha256-{digest}'")));
}

#[tokio::test]
async fn it_escapes_what_it_shows() {
    let attack = r#""'><script>alert(1)</script>&amp;"#;
    let site = Site::new();
    let scope = "<script>alert(1)</script>";
    for response in [
        site.authorize(&[("state", attack), ("nonce", attack), (attack, attack), ("scope", scope)]).await,
        site.authorize(&[("state", attack), ("redirect_uri", "http://localhost/?\"><script>")]).await,
        // Not a name: the page is shown again.
        site.post("/authorize", &wish(&[("state", attack), ("person", " ")])).await,
        site.authorize(&[("client_id", attack)]).await,
        site.authorize(&[("redirect_uri", attack)]).await,
    ] {
        assert!(!response.body.contains("<script") && response.body.contains("</html>"), "{}", response.body);
    }
    let shown = site.authorize(&[("state", attack)]).await.body;
    assert!(shown.contains(r#"value="&quot;'&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;""#), "{shown}");
}

#[tokio::test]
async fn cancel_goes_back_with_access_denied() {
    let response = Site::new().post("/authorize", &wish(&[("cancel", "1")])).await;
    assert_eq!(response.sent_back_with("error").as_deref(), Some("access_denied"));
    assert_eq!(response.sent_back_with("state").as_deref(), Some(STATE));
    assert_eq!(response.sent_back_with("iss").as_deref(), Some(ISSUER));
    assert_eq!(response.sent_back_with("code"), None);
}

#[tokio::test]
async fn people_sign_in_by_name_and_keep_their_identity() {
    let site = Site::new();
    let mut subjects = Vec::new();
    for name in ["Mina <script>", " Mina <script> ", "mina", "Alice", "alice", "carol"] {
        let code = site.post("/authorize", &wish(&[("person", name)])).await.sent_back_with("code").unwrap();
        let tokens = site.post("/token", &exchange_of(&code, &[])).await.json();
        let person = site.userinfo(&tokens["access_token"]).await.json();
        assert_eq!(person["email_verified"], json!(name != "carol"));
        assert_eq!(person["email"], json!(format!("{}@example.com", person["sub"].as_str().unwrap())));
        subjects.push(person["sub"].clone());
    }
    assert_eq!((&subjects[0], &subjects[3]), (&subjects[1], &subjects[4]));
    assert_eq!(subjects[3], json!("alice"));
    assert_ne!(subjects[0], subjects[2]);
}

#[tokio::test]
async fn an_invalid_name_brings_the_page_again() {
    let site = Site::new();
    for name in [" ".to_owned(), "a".repeat(101), "a\nb".to_owned()] {
        let response = site.post("/authorize", &wish(&[("person", &name)])).await;
        assert_eq!(response.status, 400);
        assert!(response.body.contains("That is no name") && response.body.contains("이름은"), "{}", response.body);
        assert!(!response.body.contains(r#"<input type="hidden" name="person""#), "{}", response.body);
    }
}

#[tokio::test]
async fn a_request_may_come_by_post_and_get_chooses_no_person() {
    let site = Site::new();
    assert_eq!(site.post("/authorize", &wish(&[])).await.status, 200);
    assert_eq!(site.authorize(&[("person", "alice")]).await.status, 200);
}
