//! Machine clients through the real binary: adding and removing, authentication, and the limits of each client.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use crate::common::{
    Gateway, Response,
    clients::{MachineClient, Registry, read},
    eventually,
};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const ASSERTION_TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

fn token_of(gateway: &Gateway, client: &MachineClient) -> String {
    let granted = gateway.post_as(client, "/oauth2/token", &[GRANT]).expect(200).json();
    granted["access_token"].as_str().unwrap().to_owned()
}

/// The one documented way to the first token in production.
#[test]
fn in_production_the_first_client_is_added_by_one_command() {
    let registry = Registry::new(&[("GATEWAY_ENV", "production"), ("LOG_FORMAT", "text")]);
    let hint = |registry: &Registry| String::from_utf8(registry.run(&["check"]).stderr).unwrap();
    assert!(hint(&registry).contains("gateway client add NAME --scope tokens:issue"), "{}", hint(&registry));
    let operator = registry.add("operator", "tokens:issue");
    assert_eq!(hint(&registry), "");

    let gateway = registry.gateway();
    let token = token_of(&gateway, &operator);
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let pair = gateway.call("POST", "/tokens/create", &headers, br#"{"subject": "alice"}"#).expect(200).json();
    let refresh_token = pair["refresh_token"].as_str().unwrap();
    let exchange = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    gateway.post_as(&operator, "/oauth2/token", &exchange).expect(200);
    assert!(!gateway.console().contains(&operator.secret));
    gateway.is_unharmed();
}

#[test]
fn clients_are_added_listed_rotated_and_removed_beside_a_gateway_at_work() {
    let registry = Registry::new(&[]);
    let [one, two] = [registry.gateway(), registry.gateway()];
    let client = registry.add("reports", "read");
    let other = registry.add("other", "read");
    let listed = registry.client(&["list"]);
    assert!(listed.contains(&client.id) && listed.contains("reports") && !listed.contains(&client.secret), "{listed}");
    assert_eq!(registry.run(&["client", "add", "reports"]).status.code(), Some(1), "the name is taken");

    let rotated = read(&registry.client(&["rotate", &client.id]));
    assert_eq!(rotated.id, client.id);
    one.post_as(&client, "/oauth2/token", &[GRANT]).expect_oauth_error(401, "invalid_client");
    let token = token_of(&one, &rotated);
    let others = token_of(&one, &other);
    for gateway in [&one, &two] {
        gateway.get_with_token("/api/users/me", &token).expect(200);
    }

    registry.client(&["remove", &client.id]);
    two.post_as(&rotated, "/oauth2/token", &[GRANT]).expect_oauth_error(401, "invalid_client");
    for gateway in [&one, &two] {
        eventually("its tokens end", || gateway.get_with_token("/api/users/me", &token).status == 401);
        gateway.get_with_token("/api/users/me", &others).expect(200);
        assert_eq!(gateway.introspect_as(&other, &token), json!({"active": false}));
    }
    assert_eq!(registry.run(&["client", "remove", &client.id]).status.code(), Some(1));
    assert_eq!(registry.run(&["client", "remove", "reports"]).status.code(), Some(64));
}

#[test]
fn without_a_store_no_client_can_be_added() {
    let folder = tempfile::tempdir().unwrap();
    let output = crate::common::command(folder.path(), &[]).args(["client", "add", "a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("DATABASE_URL"));
}

/// RFC 6749 §6, §10.4; RFC 7009 §2.1.
#[test]
fn tokens_of_one_client_are_not_for_another() {
    let registry = Registry::new(&[]);
    let gateway = registry.gateway();
    let [one, other] = ["one", "other"].map(|name| registry.add(name, "tokens:issue"));
    let bearer = format!("Bearer {}", token_of(&gateway, &one));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let pair = gateway.call("POST", "/tokens/create", &headers, br#"{"subject": "alice"}"#).expect(200).json();
    let refresh = pair["refresh_token"].as_str().unwrap();
    let exchange = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    gateway.post_as(&other, "/oauth2/token", &exchange).expect_oauth_error(400, "invalid_grant");
    gateway.post_as(&other, "/oauth2/revoke", &[("token", refresh)]).expect_oauth_error(400, "invalid_grant");
    // Without the client's authentication it is invalid, too (§6), and the attempt does not use it up.
    let nobodys = gateway.post("/tokens/refresh", &json!({"refresh_token": refresh}));
    assert!(nobodys.expect_problem(403, "client_required").text().contains("/oauth2/token"));
    gateway.post_form("/oauth2/token", &[], &exchange).expect_oauth_error(401, "invalid_client");
    let next = gateway.post_as(&one, "/oauth2/token", &exchange).expect(200).json();
    let next_refresh = json!({"refresh_token": next["refresh_token"]});
    gateway.post("/tokens/refresh", &next_refresh).expect_problem(403, "client_required");
    gateway.post_as(&one, "/oauth2/revoke", &[("token", next["refresh_token"].as_str().unwrap())]).expect(200);
    assert_eq!(gateway.introspect_as(&other, next["access_token"].as_str().unwrap()), json!({"active": false}));
}

/// A client that may create tokens must not gain scopes by that.
#[test]
fn a_client_hands_out_no_scope_that_it_does_not_have() {
    for environment in ["production", "development"] {
        let registry = Registry::new(&[("GATEWAY_ENV", environment), ("LOG_FORMAT", "text")]);
        let gateway = registry.gateway();
        let issuer = registry.add("issuer", "tokens:issue users:read");
        let create = |token: &str, wish: &Value| {
            let bearer = format!("Bearer {token}");
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
            gateway.call("POST", "/tokens/create", &headers, wish.to_string().as_bytes())
        };
        let whole = token_of(&gateway, &issuer);
        for scope in ["", "users:read", "users:read tokens:issue"] {
            create(&whole, &json!({"subject": "alice", "scope": scope})).expect(200);
        }
        for scope in ["users:write", "users:read users:write", "USERS:READ", "users:rea"] {
            let refused = create(&whole, &json!({"scope": scope})).expect_problem(403, "insufficient_scope");
            assert!(refused.header("www-authenticate").unwrap().contains(r#"error="insufficient_scope""#));
        }
        // A narrowed token cannot be widened again, at any depth.
        let pairs = [GRANT, ("scope", "tokens:issue")];
        let narrow = gateway.post_as(&issuer, "/oauth2/token", &pairs).expect(200).json();
        let narrow = narrow["access_token"].as_str().unwrap();
        create(narrow, &json!({"scope": "users:read"})).expect_problem(403, "insufficient_scope");
        let next = create(narrow, &json!({"scope": "tokens:issue"})).expect(200).json();
        let next = next["access_token"].as_str().unwrap();
        create(next, &json!({"scope": "users:read"})).expect_problem(403, "insufficient_scope");
        gateway.is_unharmed();
    }
}

#[test]
fn a_key_that_is_weak_or_broken_is_refused_with_the_reason() {
    let registry = Registry::new(&[]);
    let refused = |content: &str, reason: &str| {
        let file = registry.write("key", content);
        let output = registry.run(&["client", "add", "signs", "--jwks", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
        assert_eq!(output.stdout, b"", "{reason}");
    };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let point = key.public_key_raw();
    let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let rsa = |bytes: usize| json!({"kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(vec![0xff; bytes])});
    refused(&rsa(128).to_string(), "its RSA modulus must have 2048 to 8192 bits, not 1024");
    refused(&with("crv", json!("secp256k1")).to_string(), "it must be EC with the curve P-256");
    refused(&with("d", json!("AQAB")).to_string(), "a private key");
    refused(&key.serialize_pem(), "a private key");
    refused(r#"{"kty": "oct", "k": "c2VjcmV0"}"#, "a symmetric key");
    refused(&with("use", json!("enc")).to_string(), "its `use` and `key_ops` must allow verifying signatures");
    refused(&with("alg", json!("RS256")).to_string(), "its `alg` must be ES256 for this type of key");
    refused(&with("x", json!(y)).to_string(), "its numbers must be those of a point on its curve");
    let not_a_point = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([0xff; 32])});
    refused(&not_a_point.to_string(), "its numbers must be those of a point on its curve");
    let named = with("kid", json!("1"));
    refused(&json!({"keys": [named, named]}).to_string(), "its key 2 cannot be used: it is the same as key 1");
    refused(&jwk.to_string().replacen('{', r#"{"kty":"RSA","#, 1), "one of its members is repeated");
    refused(&json!({"keys": [jwk, rsa(128)]}).to_string(), "its key 2 cannot be used");
    assert_eq!(registry.client(&["list"]), "");
}

/// The gateway revokes and introspects tokens for another audience, though it does not accept them itself.
#[test]
fn tokens_for_other_audiences_are_issued_told_of_and_ended() {
    let registry = Registry::new(&[]);
    let gateway = registry.gateway();
    let asks = registry.add("asks", "");
    let abroad = read(&registry.client(&["add", "abroad", "--audience", "https://orders.test"]));
    let pairs = [GRANT, ("resource", "https://orders.test")];
    let granted = gateway.post_as(&abroad, "/oauth2/token", &pairs).expect(200).json();
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(gateway.introspect_as(&asks, token)["aud"], json!(["https://orders.test"]));
    gateway.get_with_token("/api/users/me", token).expect_problem(401, "invalid_token");
    gateway.post_as(&abroad, "/oauth2/revoke", &[("token", token)]).expect(200);
    assert_eq!(gateway.introspect_as(&asks, token), json!({"active": false}));
    // The same by our own API.
    let (foreign, _) = gateway.tokens(&json!({"audience": "https://orders.test"}));
    gateway.post("/tokens/revoke", &json!({"token": foreign})).expect(200);
    assert_eq!(gateway.introspect_as(&asks, &foreign), json!({"active": false}));
}

/// A client with a key, and two gateways.
struct Signed {
    registry: Registry,
    gateways: [Gateway; 2],
    key: KeyPair,
    id: String,
}

impl Signed {
    fn new() -> Self {
        let registry = Registry::new(&[]);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let id = registry.add_with_key("signs", "read", &key.public_key_pem());
        Self { gateways: [registry.gateway(), registry.gateway()], registry, key, id }
    }

    fn claims(&self, jti: &str) -> Value {
        #[expect(clippy::disallowed_methods, reason = "the client's assertions contain its own time")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let exp = (now + Duration::from_mins(1)).as_secs();
        json!({"iss": self.id, "sub": self.id, "aud": "https://www.jinmini.com", "jti": jti, "exp": exp})
    }

    fn sends(&self, gateway: &Gateway, claims: &Value) -> Response {
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &key).unwrap();
        gateway.post_form("/oauth2/token", &[], &[GRANT, ASSERTION_TYPE, ("client_assertion", &assertion)])
    }
}

/// RFC 7523 §3: `jti` prevents the replay of an assertion, at every replica.
#[test]
fn an_assertion_is_good_once_over_all_replicas() {
    let scene = Signed::new();
    let [one, two] = &scene.gateways;
    let claims = scene.claims("1");
    scene.sends(one, &claims).expect(200);
    for gateway in [one, two] {
        scene.sends(gateway, &claims).expect_oauth_error(401, "invalid_client");
    }
    let claims = scene.claims("2");
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..8)
            .map(|n| {
                let (scene, claims) = (&scene, &claims);
                scope.spawn(move || scene.sends(&scene.gateways[n % 2], claims).status)
            })
            .collect();
        racing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

/// RFC 7523 §3, RFC 7521 §4.2.
#[test]
fn an_assertion_is_judged_by_all_it_says() {
    let scene = Signed::new();
    let gateway = &scene.gateways[0];
    for (n, (name, value)) in [
        ("aud", json!("https://www.jinmini.com/oauth2/token")),
        ("aud", json!("https://www.jinmini.com/e/oauth2/token")),
        ("aud", json!(["https://other.test", "https://www.jinmini.com"])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = scene.claims(&format!("good {n}"));
        claims[name] = value;
        scene.sends(gateway, &claims).expect(200);
    }
    for (name, value) in [
        ("aud", json!("https://other.test")),
        ("aud", json!("https://www.jinmini.com/")),
        ("iss", json!("another")),
        ("sub", json!("another")),
        ("exp", json!(1)),
        ("exp", json!(4_000_000_000_u32)),
        ("exp", Value::Null),
        ("jti", Value::Null),
        ("nbf", json!(4_000_000_000_u32)),
    ] {
        let mut claims = scene.claims("bad");
        claims[name] = value;
        scene.sends(gateway, &claims).expect_oauth_error(401, "invalid_client");
    }
    // None of these attempts used up the id.
    scene.sends(gateway, &scene.claims("bad")).expect(200);
}

#[test]
fn a_client_with_a_key_has_no_secret_and_its_key_can_be_replaced() {
    let mut scene = Signed::new();
    assert_eq!(scene.registry.run(&["client", "rotate", &scene.id]).status.code(), Some(1));
    let pretender = MachineClient { id: scene.id.clone(), secret: "x".into() };
    scene.gateways[0].post_as(&pretender, "/oauth2/token", &[GRANT]).expect_oauth_error(401, "invalid_client");

    let next = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let file = scene.registry.write("next.pem", &next.public_key_pem());
    scene.registry.client(&["rotate", &scene.id, "--jwks", file.to_str().unwrap()]);
    scene.sends(&scene.gateways[0], &scene.claims("1")).expect_oauth_error(401, "invalid_client");
    scene.key = next;
    scene.sends(&scene.gateways[0], &scene.claims("1")).expect(200);
    // A private key is refused, and not shown.
    let private = scene.key.serialize_pem();
    let file = scene.registry.write("private.pem", &private);
    let output = scene.registry.run(&["client", "add", "careless", "--jwks", file.to_str().unwrap()]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(complaint.contains("private key") && !complaint.contains(private.lines().nth(1).unwrap()), "{complaint}");
}

/// RFC 6749 §2.3.1: "The parameters can only be transmitted in the request-body and MUST NOT be included in the request
/// URI".
#[test]
fn credentials_in_the_url_or_in_another_form_are_no_proof() {
    let registry = Registry::new(&[]);
    let gateway = registry.gateway();
    let client = registry.add("reports", "read");
    let query = format!("/oauth2/token?client_id={}&client_secret={}", client.id, client.secret);
    gateway.post_form(&query, &[], &[GRANT]).expect_oauth_error(401, "invalid_client");
    let basic = client.basic();
    let json_body = [("Content-Type", "application/json"), ("Authorization", basic.as_str())];
    gateway.call("POST", "/oauth2/token", &json_body, b"{}").expect_oauth_error(415, "invalid_request");
    let twice = [("Authorization", basic.as_str()), ("Authorization", basic.as_str())];
    gateway.post_form("/oauth2/token", &twice, &[GRANT]).expect_oauth_error(400, "invalid_request");
    let large = "x".repeat(300 * 1024);
    gateway.post_as(&client, "/oauth2/token", &[GRANT, ("x", &large)]).expect_oauth_error(413, "invalid_request");
    gateway.get("/oauth2/token").expect_problem(405, "method_not_allowed");
    gateway.post_as(&client, "/oauth2/token", &[GRANT]).expect(200);
    gateway.is_unharmed();
}
