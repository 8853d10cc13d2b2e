//! Security Event Tokens through the real binary: Kakao's events about an account end its sessions here.

use std::{
    io::{BufReader, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::{
    common::{self, Gateway, Response, eventually, recorder::read_request},
    gateway,
};

/// Signs like Kakao, and serves its configuration and keys.
struct Issuer {
    key: EcdsaKeyPair,
    url: String,
}

impl Issuer {
    fn start() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        // A point in the format of X9.62: 4, x, y.
        let point = key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| BASE64.encode(half));
        let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": x, "y": y}]});
        let address = common::upstream(move |stream| {
            let base = format!("http://{}", stream.local_addr().unwrap());
            let mut reader = BufReader::new(&stream);
            while let Some(request) = read_request(&mut reader) {
                let configuration = json!({"issuer": "https://kauth.kakao.com", "jwks_uri": format!("{base}/keys")});
                let response = if request.line.contains("/keys") { &keys } else { &configuration }.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", response.len());
                (&stream).write_all(format!("{head}{response}").as_bytes()).unwrap();
            }
        });
        Self { key, url: format!("http://{address}/sse-configuration") }
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "k", "typ": "secevent+jwt"});
        let signed = [&header, claims].map(|part| BASE64.encode(part.to_string())).join(".");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// Kakao's event about this person.
fn event(event_type: &str, person: &str, id: &str) -> Value {
    json!({
        "iss": "https://kauth.kakao.com", "aud": "kakao-id", "iat": 1_700_000_000, "jti": id, "sub": person,
        "events": { event_type: {} }
    })
}

fn send(gateway: &Gateway, token: &str) -> Response {
    gateway.call("POST", "/oauth/events/kakao", &[("Content-Type", "application/secevent+jwt")], token.as_bytes())
}

#[test]
fn an_account_that_kakao_has_disabled_is_signed_out_and_its_grants_are_taken_back() {
    let issuer = Issuer::start();
    let gateway = gateway(&[("KAKAO_SSE_URL", &issuer.url)]);
    let request = json!({"provider": "kakao", "code": "123456789", "code_verifier": "v".repeat(43)});
    let signed_in = gateway.post("/oauth", &request).expect(200).json();
    let [access, refresh] = ["access_token", "refresh_token"].map(|name| signed_in["tokens"][name].as_str().unwrap());
    gateway.get_with_token("/api/users/me", access).expect(200);

    #[expect(clippy::disallowed_methods, reason = "Kakao's tokens contain its own time")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
    let with_time = |mut claims: Value| {
        claims["iat"] = json!(now);
        claims
    };
    let mut for_another = with_time(event(disabled, "123456789", "1"));
    for_another["aud"] = json!("another-app");
    let refused = send(&gateway, &issuer.token(&for_another)).expect(400).json();
    assert_eq!(refused["err"], "invalid_audience");
    let forged = Issuer::start().token(&with_time(event(disabled, "123456789", "2")));
    assert_eq!(send(&gateway, &forged).expect(400).json()["err"], "invalid_key");
    let harmless = "https://schemas.kakao.com/events/oauth/user-linked";
    assert_eq!(send(&gateway, &issuer.token(&with_time(event(harmless, "123456789", "3")))).expect(202).text(), "");
    // The event is old, and might be a repetition.
    send(&gateway, &issuer.token(&event(disabled, "123456789", "4"))).expect(202);
    gateway.get_with_token("/api/users/me", access).expect(200);

    let token = issuer.token(&with_time(event(disabled, "123456789", "5")));
    for _ in 0..2 {
        let response = send(&gateway, &token).expect(202);
        assert_eq!(response.text(), "");
    }
    eventually("the token is refused", || gateway.get_with_token("/api/users/me", access).status == 401);
    gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect_problem(401, "invalid_grant");
    let again = gateway.post("/oauth", &request).expect(200).json();
    assert_eq!(again["id"], signed_in["id"], "the person signs in again");
    gateway.is_unharmed();
}
