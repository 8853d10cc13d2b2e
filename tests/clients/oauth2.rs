//! Independent OAuth clients at our endpoints, which they discover by our metadata (RFC 8414): every authentication
//! method, and with a key every algorithm.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use serde_json::{Value, json};

use crate::{
    common::clients::Registry,
    programs::{Script, finished},
};

/// The requests of the client's whole life, by one library.
#[track_caller]
fn lives(library: &Script, wish: &Value) -> Value {
    let output = finished(library.command(), wish.to_string().as_bytes());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", wish["method"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}: {errors}", wish["method"]))
}

/// A private key and its public half, in PEM.
fn pair(kind: &'static SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(kind).unwrap();
    (key.serialize_pem(), key.public_key_pem())
}

/// In a form that OpenSSL reads: without the public half in it (RFC 5208, not RFC 5958).
fn ed25519_pair() -> (String, String) {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let public_key = KeyPair::try_from(document.as_ref()).unwrap().public_key_pem();
    let private_key = BASE64_STANDARD.encode(document.as_ref());
    (format!("-----BEGIN PRIVATE KEY-----\n{private_key}\n-----END PRIVATE KEY-----\n"), public_key)
}

fn with_every_way_to_authenticate(library: &Script) {
    lives_at_an_issuer(library, "");
}

/// At the issuer `http://localhost:PORT`, with this path.
fn lives_at_an_issuer(library: &Script, path: &str) {
    let registry = Registry::new(&[]);
    let (gateway, issuer) = registry.gateway_on_localhost_at(path);
    let lives = |client_id: &str, mut wish: Value| {
        let (_, refresh_token) = gateway.tokens(&json!({"subject": "alice", "scope": "a b"}));
        wish["issuer"] = json!(issuer);
        wish["client_id"] = json!(client_id);
        wish["refresh_token"] = json!(refresh_token);
        let got = lives(library, &wish);
        let method = &wish["method"];

        let granted = &got["granted"];
        assert_eq!((&granted["scope"], &granted["expires_in"]), (&json!("read"), &json!(900)), "{method}: {granted}");
        assert!(granted["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"), "{method}: {granted}");
        assert_eq!(granted["refresh_token"], Value::Null, "{method}: {granted}");
        let active = &got["active"];
        let told = ["active", "iss", "sub", "client_id", "scope"].map(|name| &active[name]);
        assert_eq!(json!(told), json!([true, issuer, client_id, client_id, "read"]), "{method}: {active}");

        let refreshed = &got["refreshed"];
        assert_eq!(refreshed["scope"], "a", "{method}: {refreshed}");
        assert_ne!(refreshed["refresh_token"], json!(refresh_token), "{method}");
        let refreshable = &got["refreshable"];
        assert_eq!((&refreshable["sub"], &refreshable["scope"]), (&json!("alice"), &json!("a b")), "{method}");
        for ended in ["ended", "family"] {
            assert_eq!(got[ended], json!({"active": false}), "{method}: {ended}");
        }
        assert_eq!(got["refused"], "invalid_scope", "{method}");
    };

    let client = registry.add("with a secret", "read write");
    for method in ["client_secret_basic", "client_secret_post"] {
        lives(&client.id, json!({"method": method, "secret": client.secret}));
    }
    for (algorithm, (private_key, public_key)) in
        [("ES256", pair(&PKCS_ECDSA_P256_SHA256)), ("RS256", pair(&PKCS_RSA_SHA256)), ("EdDSA", ed25519_pair())]
    {
        let id = registry.add_with_key(&format!("signs with {algorithm}"), "read write", &public_key);
        lives(&id, json!({"method": "private_key_jwt", "key": private_key, "alg": algorithm}));
    }
    gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn openid_client_lives_with_every_way_to_authenticate() {
    with_every_way_to_authenticate(&Script::node("openid_client.mjs", include_str!("openid_client.mjs")));
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn oauth4webapi_lives_with_every_way_to_authenticate() {
    with_every_way_to_authenticate(&Script::node("oauth4webapi.mjs", include_str!("oauth4webapi.mjs")));
}

/// They know the issuer alone, and find its metadata as in RFC 8414 §3.1. authlib needs the URL of the metadata.
#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn libraries_find_an_issuer_that_has_a_path() {
    for library in [
        Script::node("openid_client.mjs", include_str!("openid_client.mjs")),
        Script::node("oauth4webapi.mjs", include_str!("oauth4webapi.mjs")),
    ] {
        lives_at_an_issuer(&library, "/e");
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn authlib_lives_with_every_way_to_authenticate() {
    with_every_way_to_authenticate(&Script::python("authlib_client.py", include_str!("authlib_client.py")));
}
