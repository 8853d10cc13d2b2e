//! Refused requests and their errors.

use chrono::TimeDelta;

use super::*;

#[tokio::test]
async fn an_unknown_client_or_return_address_stays_on_the_page() {
    let site = Site::new();
    let addresses = [
        "",
        "callback",
        "http://example.com/callback",
        "http://localhost.example.com/",
        "https://me@example.com/",
        "https://example.com/#a",
        "javascript:alert(1)",
        "ftp://localhost/",
        "http://app.example.com/",
    ];
    for address in addresses {
        let response = site.authorize(&[("redirect_uri", address)]).await;
        assert_eq!((response.status, response.header("location")), (400, ""), "{address}");
    }
    for client in ["", "another"] {
        let response = site.authorize(&[("client_id", client), ("response_type", "token")]).await;
        assert_eq!((response.status, response.header("location")), (400, ""), "{client}");
    }
    let twice = site.get(&format!("/authorize?{}&state=again", form(&wish(&[])))).await;
    assert_eq!((twice.status, twice.header("location")), (400, ""));
}

#[tokio::test]
async fn any_https_or_nearby_return_address_will_do() {
    let site = Site::new();
    for address in [
        "https://example.com/cb",
        "http://localhost:1/",
        "http://[::1]:1/cb",
        "http://127.9.9.9/",
        "http://a.localhost/",
        "http://192.168.0.7:8080/cb",
        "http://gateway:8080/cb",
    ] {
        let response = site.authorize(&[("redirect_uri", address)]).await;
        assert_eq!(response.status, 200, "{address}");
    }
}

#[tokio::test]
async fn a_bad_wish_goes_back_as_an_error() {
    let site = Site::new();
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[("response_type", "")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("scope", "openid \"email\"")], "invalid_scope"),
        (&[("prompt", "none")], "login_required"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (&[("request_uri", "https://example.com/r")], "request_uri_not_supported"),
    ];
    for (changes, code) in cases {
        let response = site.authorize(changes).await;
        assert_eq!(response.sent_back_with("error").as_deref(), Some(code), "{changes:?}");
        assert_eq!(response.sent_back_with("state").as_deref(), Some(STATE));
        assert_eq!(response.sent_back_with("iss").as_deref(), Some(ISSUER));
        assert_eq!(response.sent_back_with("code"), None);
    }
}

#[tokio::test]
async fn a_code_must_come_with_its_verifier() {
    let site = Site::new();
    let other = "a".repeat(43);
    for verifier in ["", &other, CHALLENGE, "short"] {
        let code = site.code(&[]).await;
        let response = site.post("/token", &exchange_of(&code, &[("code_verifier", verifier)])).await;
        response.is_refused(400, "invalid_grant");
        // The attempt used up the code.
        site.post("/token", &exchange_of(&code, &[])).await.is_refused(400, "invalid_grant");
    }
    let code = site.code(&[("code_challenge", ""), ("code_challenge_method", "")]).await;
    site.post("/token", &exchange_of(&code, &[])).await.is_refused(400, "invalid_grant");
}

/// The digest of a verifier that is too short, or has other characters, matches and is refused all the same.
#[tokio::test]
async fn a_verifier_has_43_to_128_letters() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::{Digest, Sha256};

    let site = Site::new();
    let cases = [
        ("a".repeat(42), 400),
        ("a".repeat(43), 200),
        ("~".repeat(128), 200),
        ("a".repeat(129), 400),
        ("+".repeat(43), 400),
    ];
    for (verifier, status) in cases {
        let challenge = base64::Engine::encode(&URL_SAFE_NO_PAD, Sha256::digest(&verifier));
        let code = site.code(&[("code_challenge", &challenge)]).await;
        let response = site.post("/token", &exchange_of(&code, &[("code_verifier", &verifier)])).await;
        assert_eq!(response.status, status, "{verifier}: {}", response.body);
    }
}

#[tokio::test]
async fn a_code_used_twice_revokes_what_it_gave() {
    let site = Site::new();
    let code = site.code(&[]).await;
    let tokens = site.post("/token", &exchange_of(&code, &[])).await.json();
    let next = site.refresh(&tokens["refresh_token"]).await.json();
    site.clock.pass(TimeDelta::minutes(30));
    site.post("/token", &exchange_of(&code, &[])).await.is_refused(400, "invalid_grant");
    site.refresh(&next["refresh_token"]).await.is_refused(400, "invalid_grant");
    site.userinfo(&tokens["access_token"]).await.is_refused(401, "invalid_token");
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes() {
    let site = Site::new();
    let (first, second) = (site.code(&[]).await, site.code(&[]).await);
    site.clock.pass(TimeDelta::minutes(10) - TimeDelta::seconds(1));
    assert_eq!(site.post("/token", &exchange_of(&first, &[])).await.status, 200);
    site.clock.pass(TimeDelta::seconds(1));
    site.post("/token", &exchange_of(&second, &[])).await.is_refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_code_is_bound_to_its_redirect_uri_as_it_was_written() {
    let site = Site::new();
    let others = [
        "http://127.0.0.1:8080/callback",
        "http://127.0.0.1:8080/callback?via=stand-in&",
        "HTTP://127.0.0.1:8080/callback?via=stand-in",
    ];
    for other in others {
        let code = site.code(&[]).await;
        let response = site.post("/token", &exchange_of(&code, &[("redirect_uri", other)])).await;
        response.is_refused(400, "invalid_grant");
    }
    let code = site.code(&[]).await;
    site.post("/token", &exchange_of(&code, &[("redirect_uri", "")])).await.is_refused(400, "invalid_request");
}

#[tokio::test]
async fn the_client_must_prove_who_it_is_in_one_way() {
    let site = Site::new();
    let code = site.code(&[]).await;
    for changes in
        [[("client_secret", "wrong")], [("client_secret", "")], [("client_id", "another")], [("client_id", "")]]
    {
        site.post("/token", &exchange_of(&code, &changes)).await.is_refused(401, "invalid_client");
    }
    let with = async |authorization: &str, changes: &[(&str, &str)]| {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", authorization)];
        site.ask(Method::POST, "/token", &headers, &form(&exchange_of(&code, changes))).await
    };
    for bad in [basic(CLIENT, "wrong"), basic("another", SECRET), "Basic !".to_owned(), "Bearer x".to_owned()] {
        let response = with(&bad, &[("client_secret", ""), ("client_id", "")]).await;
        response.is_refused(401, "invalid_client");
        assert!(response.header("www-authenticate").starts_with("Basic "));
    }
    let good = basic(CLIENT, SECRET);
    with(&good, &[]).await.is_refused(400, "invalid_request");
    with(&good, &[("client_secret", ""), ("client_id", "another")]).await.is_refused(400, "invalid_request");
    // None of these attempts used up the code: they did not come from the client.
    assert_eq!(with(&good, &[("client_secret", "")]).await.status, 200);

    site.post("/revoke", &[("token", "x"), ("client_id", CLIENT), ("client_secret", "wrong")])
        .await
        .is_refused(401, "invalid_client");
}

#[tokio::test]
async fn a_refresh_token_must_be_known_and_unspent() {
    let site = Site::new();
    site.refresh(&json!("unknown")).await.is_refused(400, "invalid_grant");
    let tokens = site.tokens().await;
    site.refresh(&tokens["access_token"]).await.is_refused(400, "invalid_grant");
    let next = site.refresh(&tokens["refresh_token"]).await.json();
    site.refresh(&tokens["refresh_token"]).await.is_refused(400, "invalid_grant");
    // The reuse revoked the whole grant.
    site.refresh(&next["refresh_token"]).await.is_refused(400, "invalid_grant");
    site.userinfo(&next["access_token"]).await.is_refused(401, "invalid_token");
}

#[tokio::test]
async fn a_token_request_must_be_one() {
    let site = Site::new();
    let code = site.code(&[]).await;
    let password = exchange_of(&code, &[("grant_type", "password")]);
    site.post("/token", &password).await.is_refused(400, "unsupported_grant_type");
    site.post("/token", &exchange_of(&code, &[("grant_type", "")])).await.is_refused(400, "invalid_request");
    site.post("/token", &exchange_of(&code, &[("code", "")])).await.is_refused(400, "invalid_request");
    site.post("/token", &refresh_of("", &[])).await.is_refused(400, "invalid_request");
    let mut twice = exchange_of(&code, &[]);
    twice.push(("code", "another"));
    site.post("/token", &twice).await.is_refused(400, "invalid_request");
    let json = [("Content-Type", "application/json")];
    site.ask(Method::POST, "/token", &json, "{}").await.is_refused(400, "invalid_request");
    let endless = "a".repeat(65 * 1024);
    site.post("/token", &exchange_of(&code, &[("more", &endless)])).await.is_refused(400, "invalid_request");
    site.get("/token").await.is_refused(405, "invalid_request");
    site.get("/nothing").await.is_refused(404, "invalid_request");
    assert_eq!(site.post("/token", &exchange_of(&code, &[])).await.status, 200);
}

#[tokio::test]
async fn revoking_what_is_not_there_is_no_error_but_revoking_nothing_is() {
    let site = Site::new();
    assert_eq!(site.revoke("unknown").await.status, 200);
    site.revoke("").await.is_refused(400, "invalid_request");
}

#[tokio::test]
async fn a_request_without_a_token_gets_no_error_code() {
    let site = Site::new();
    let response = site.get("/userinfo").await;
    assert_eq!((response.status, response.header("www-authenticate"), response.body.as_str()), (401, "Bearer", ""));
    let tokens = site.tokens().await;
    // A token in the query is ignored (RFC 9700 §4.3.2).
    let response = site.get(&format!("/userinfo?access_token={}", tokens["access_token"].as_str().unwrap())).await;
    assert_eq!(response.status, 401);
    site.userinfo(&tokens["refresh_token"]).await.is_refused(401, "invalid_token");
}
