//! The provider's imitations of others.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;

/// The claims of an id token; clients verify the signature.
fn claims(tokens: &Value) -> Value {
    let part = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

impl Site {
    async fn code_at(&self, path: &str, person: &str, changes: &[(&str, &str)]) -> String {
        let form = changed(&wish(changes), &[("person", person)]);
        self.post(&format!("{path}/authorize"), &form).await.sent_back_with("code").unwrap()
    }

    async fn tokens_at(&self, path: &str, person: &str, changes: &[(&str, &str)]) -> Value {
        let code = self.code_at(path, person, changes).await;
        let response = self.post(&format!("{path}/token"), &exchange_of(&code, &[("state", STATE)])).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response.json()
    }

    async fn userinfo_at(&self, path: &str, tokens: &Value) -> Value {
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        self.ask(Method::GET, &format!("{path}/userinfo"), &[("Authorization", &bearer)], "").await.json()
    }
}

#[tokio::test]
async fn naver_wants_the_state_with_the_code_nests_the_profile_and_cuts_a_nonce() {
    let site = Site::new();
    site.get(&format!("/naver/authorize?{}", form(&wish(&[("state", "")])))).await.sent_back_with("error").unwrap();
    let code = site.code_at("/naver", "alice", &[]).await;
    site.post("/naver/token", &exchange_of(&code, &[])).await.is_refused(400, "invalid_request");
    let tokens = site.tokens_at("/naver", "alice", &[("nonce", "abcAA")]).await;
    let claims = claims(&tokens);
    assert_eq!((&claims["iss"], &claims["nonce"]), (&json!("https://nid.naver.com"), &json!("abc")));
    assert_eq!((&claims["email"], &claims["at_hash"]), (&Value::Null, &Value::Null));
    let told = site.userinfo_at("/naver", &tokens).await;
    assert_eq!((&told["resultcode"], &told["response"]["name"]), (&json!("00"), &json!("Alice")));
    let response = site.post("/naver/authorize", &changed(&wish(&[]), &[("person", "alice")])).await;
    assert_eq!(response.sent_back_with("iss"), None);
}

#[tokio::test]
async fn kakao_numbers_people_and_ends_a_grant_by_its_access_token() {
    let site = Site::new();
    let tokens = site.tokens_at("/kakao", "carol", &[("scope", "openid,account_email")]).await;
    let told = site.userinfo_at("/kakao", &tokens).await;
    assert_eq!(claims(&tokens)["sub"], json!(told["id"].to_string()));
    assert_eq!(told["kakao_account"]["is_email_verified"], json!(false));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let unlink = async || site.ask(Method::POST, "/kakao/unlink", &[("Authorization", &bearer)], "").await;
    assert_eq!(unlink().await.json()["id"], told["id"]);
    assert_eq!(unlink().await.json()["code"], json!(-401));
}

#[tokio::test]
async fn entra_has_a_template_for_an_issuer_and_keys_that_say_whose_they_are() {
    let site = Site::new();
    let metadata = site.get("/entra/common/v2.0/.well-known/openid-configuration").await.json();
    let template = format!("{ISSUER}/entra/{{tenantid}}/v2.0");
    assert_eq!((&metadata["issuer"], &metadata["revocation_endpoint"]), (&json!(template), &Value::Null));
    let key = &site.get("/entra/common/jwks").await.json()["keys"][0];
    assert_eq!((&key["issuer"], &key["kty"], &key["alg"]), (&json!(template), &json!("RSA"), &Value::Null));
    let mut tenants = Vec::new();
    for person in ["alice", "carol"] {
        let claims = claims(&site.tokens_at("/entra/common", person, &[]).await);
        let tenant = claims["tid"].as_str().unwrap().to_owned();
        assert_eq!(claims["iss"], json!(template.replace("{tenantid}", &tenant)));
        tenants.push(tenant);
    }
    assert_ne!(tenants[0], tenants[1]);
}

#[tokio::test]
async fn an_id_token_is_wrong_as_told() {
    let site = Site::new();
    site.switch(json!({"id_token": "missing"})).await;
    assert_eq!(site.tokens_at("", "alice", &[]).await.get("id_token"), None);
    for (flaw, claim, is) in [
        ("wrong_nonce", "nonce", json!("of another request")),
        ("wrong_audience", "aud", json!("another client")),
        ("wrong_issuer", "iss", json!("https://another.example")),
        ("expired", "exp", json!(NOW - 300)),
    ] {
        site.switch(json!({"id_token": flaw})).await;
        assert_eq!(claims(&site.tokens_at("/naver", "alice", &[]).await)[claim], is, "{flaw}");
    }
    for (flaw, header) in
        [("unsigned", "eyJhbGciOiJub25lIn0"), ("signed_with_public_key", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIs")]
    {
        site.switch(json!({"id_token": flaw})).await;
        let tokens = site.tokens_at("/kakao", "alice", &[]).await;
        assert!(tokens["id_token"].as_str().unwrap().starts_with(header), "{tokens}");
    }
}
