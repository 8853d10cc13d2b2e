//! The standards for tokens, where the gateway is an authorization server and protects resources.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::common::{
    Gateway,
    clients::{MachineClient, Registry, form},
};

/// A gateway with a client that may `read` and `write`.
struct Scene {
    gateway: Gateway,
    client: MachineClient,
    registry: Registry,
}

impl Scene {
    fn new(more: &[(&str, &str)]) -> Self {
        let registry = Registry::new(more);
        let client = registry.add("reports", "read write");
        Self { gateway: registry.gateway(), client, registry }
    }

    fn token(&self, pairs: &[(&str, &str)]) -> crate::common::Response {
        self.gateway.post_as(&self.client, "/oauth2/token", pairs)
    }

    fn granted(&self) -> Value {
        self.token(&[("grant_type", "client_credentials")]).expect(200).json()
    }

    fn refreshed(&self, refresh_token: &str) -> crate::common::Response {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(crate) fn there_is_no_implicit_and_no_password_grant() {
    let scene = Scene::new(&[]);
    for grant in ["password", "authorization_code", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "x"] {
        let pairs = [("grant_type", grant), ("username", "alice"), ("password", "secret"), ("code", "x")];
        scene.token(&pairs).expect_oauth_error(400, "unsupported_grant_type");
    }
    let metadata = scene.gateway.get("/.well-known/oauth-authorization-server").expect(200).json();
    assert_eq!(metadata["authorization_endpoint"], Value::Null);
    assert_eq!(metadata["response_types_supported"], json!([]));
}

pub(crate) fn reuse_of_a_refresh_token_ends_the_family() {
    let scene = Scene::new(&[("REFRESH_GRACE", "0s")]);
    let (access, first) = scene.gateway.tokens(&json!({"subject": "alice"}));
    let next = scene.refreshed(&first).expect(200).json();
    assert_ne!(next["refresh_token"], json!(first));
    scene.refreshed(&first).expect_oauth_error(400, "invalid_grant");
    scene.refreshed(text(&next["refresh_token"])).expect_oauth_error(400, "invalid_grant");
    for token in [access.as_str(), text(&next["access_token"])] {
        scene.gateway.get_with_token("/api/users/me", token).expect_problem(401, "invalid_token");
    }
}

pub(crate) fn responses_with_tokens_are_not_kept() {
    let scene = Scene::new(&[]);
    let (_, refresh) = scene.gateway.tokens(&json!({}));
    let standard = scene.refreshed(&refresh).expect(200);
    assert_eq!(standard.header("pragma"), Some("no-cache"));
    let next = standard.json()["refresh_token"].clone();
    for response in [
        standard,
        scene.token(&[("grant_type", "client_credentials")]).expect(200),
        scene.gateway.post("/tokens/create", &json!({})).expect(200),
        scene.gateway.post("/tokens/refresh", &json!({"refresh_token": next})).expect(200),
        scene.gateway.post_as(&scene.client, "/oauth2/introspect", &[("token", "x")]).expect(200),
    ] {
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert!(response.header("content-type").unwrap().starts_with("application/json"));
    }
}

pub(crate) fn errors_have_registered_codes() {
    let scene = Scene::new(&[]);
    let wrong = MachineClient { secret: "another".into(), ..scene.client.clone() };
    let credentials = ("grant_type", "client_credentials");
    for (pairs, status, code) in [
        (vec![], 400, "invalid_request"),
        (vec![("grant_type", "")], 400, "invalid_request"),
        (vec![credentials, credentials], 400, "invalid_request"),
        (vec![credentials, ("scope", "read"), ("scope", "read")], 400, "invalid_request"),
        (vec![credentials, ("client_secret", "x")], 400, "invalid_request"),
        (vec![credentials, ("client_id", "another")], 400, "invalid_request"),
        (vec![("grant_type", "refresh_token")], 400, "invalid_request"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "x")], 400, "invalid_grant"),
        (vec![credentials, ("scope", "read admin")], 400, "invalid_scope"),
        (vec![credentials, ("scope", "read  write")], 400, "invalid_scope"),
        (vec![credentials, ("resource", "https://other.test")], 400, "invalid_target"),
        (vec![("grant_type", "password")], 400, "unsupported_grant_type"),
    ] {
        scene.token(&pairs).expect_oauth_error(status, code);
    }
    scene.gateway.post_as(&wrong, "/oauth2/token", &[credentials]).expect_oauth_error(401, "invalid_client");
    // Unknown parameters are ignored, and empty ones count as missing (§3.2).
    scene.token(&[credentials, ("scope", ""), ("nonsense", "x")]).expect(200);
}

pub(crate) fn revoking_an_unknown_token_succeeds() {
    let scene = Scene::new(&[]);
    for (token, hint) in [("unknown", "access_token"), ("gwr_x", "refresh_token"), ("x.y.z", "nonsense")] {
        let pairs = [("token", token), ("token_type_hint", hint)];
        let response = scene.gateway.post_as(&scene.client, "/oauth2/revoke", &pairs).expect(200);
        assert_eq!(response.text(), "");
        scene.gateway.post("/tokens/revoke", &json!({"token": token})).expect(200);
    }
    scene.gateway.post_as(&scene.client, "/oauth2/revoke", &[]).expect_oauth_error(400, "invalid_request");
}

pub(crate) fn revoking_a_refresh_token_ends_its_access_tokens() {
    let scene = Scene::new(&[]);
    let (first, refresh) = scene.gateway.tokens(&json!({"subject": "alice"}));
    let next = scene.refreshed(&refresh).expect(200).json();
    let second = text(&next["access_token"]);
    for token in [first.as_str(), second] {
        scene.gateway.get_with_token("/api/users/me", token).expect(200);
    }
    // With the wrong hint, too.
    let pairs = [("token", text(&next["refresh_token"])), ("token_type_hint", "access_token")];
    scene.gateway.post_as(&scene.client, "/oauth2/revoke", &pairs).expect(200);
    for token in [first.as_str(), second] {
        scene.gateway.get_with_token("/api/users/me", token).expect_problem(401, "invalid_token");
    }
    scene.refreshed(text(&next["refresh_token"])).expect_oauth_error(400, "invalid_grant");
}

pub(crate) fn introspection_is_authenticated_and_tight_lipped() {
    let scene = Scene::new(&[]);
    let (access, refresh) = scene.gateway.tokens(&json!({"subject": "alice", "scope": "a b"}));
    scene.gateway.post_form("/oauth2/introspect", &[], &[("token", &access)]).expect_oauth_error(401, "invalid_client");
    // A token does not authenticate a client.
    let bearer = format!("Bearer {access}");
    let by_bearer = [("Authorization", bearer.as_str())];
    scene
        .gateway
        .post_form("/oauth2/introspect", &by_bearer, &[("token", &access)])
        .expect_oauth_error(401, "invalid_client");

    let told = scene.gateway.introspect_as(&scene.client, &access);
    let members: BTreeSet<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["active", "aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub", "token_type"];
    assert_eq!(members, BTreeSet::from(wanted));
    let stated = ["active", "sub", "scope", "client_id", "token_type"].map(|name| &told[name]);
    assert_eq!(json!(stated), json!([true, "alice", "a b", "gateway", "Bearer"]));
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 900);
    assert_eq!(scene.gateway.introspect_as(&scene.client, &refresh)["active"], true);

    scene.gateway.post("/tokens/revoke", &json!({"token": refresh})).expect(200);
    let (header_and_claims, _) = access.rsplit_once('.').unwrap();
    for inactive in [access.as_str(), &refresh, &format!("{header_and_claims}.AAAA"), "unknown"] {
        assert_eq!(scene.gateway.introspect_as(&scene.client, inactive), json!({"active": false}));
    }
}

pub(crate) fn metadata_is_found_and_true() {
    let registry = Registry::new(&[]);
    let (gateway, issuer) = registry.gateway_on_localhost();
    let client = registry.add("reports", "read");
    let response = gateway.get("/.well-known/oauth-authorization-server").expect(200);
    assert!(response.header("content-type").unwrap().starts_with("application/json"));
    let metadata = response.json();
    let granted = gateway.post_as(&client, "/oauth2/token", &[("grant_type", "client_credentials")]).expect(200).json();
    let claims = decoded(text(&granted["access_token"]).split('.').nth(1).unwrap());
    assert_eq!((&metadata["issuer"], &claims["iss"]), (&json!(issuer), &json!(issuer)));
    for (name, status) in [
        ("token_endpoint", 401),
        ("revocation_endpoint", 401),
        ("introspection_endpoint", 401),
        ("jwks_uri", 200),
        ("service_documentation", 200),
    ] {
        let path = text(&metadata[name]).strip_prefix(&issuer).unwrap().to_owned();
        let method = if status == 401 { "POST" } else { "GET" };
        let response = gateway.call(method, &path, &[crate::common::clients::FORM], b"");
        assert_eq!(response.status, status, "{name}: {}", response.text());
    }
    // It is not an OpenID provider, and does not claim to be.
    gateway.get("/.well-known/openid-configuration").expect_problem(404, "not_found");
    let production = Gateway::start().get("/.well-known/oauth-authorization-server").expect(200).json();
    assert!(text(&production["issuer"]).starts_with("https://"), "PUBLIC_URL is what counts");
}

pub(crate) fn metadata_is_found_by_the_path_of_the_issuer() {
    const PLACE: &str = "/.well-known/oauth-authorization-server";
    let of_path = |path: &str| Gateway::with(&[("PUBLIC_URL", &format!("https://www.jinmini.com{path}"))]);
    for path in ["/e", "/e/", "/a/b"] {
        let gateway = of_path(path);
        let path = path.trim_end_matches('/');
        let metadata = gateway.get(PLACE).expect(200);
        assert_eq!(metadata.json()["issuer"], format!("https://www.jinmini.com{path}"));
        let place = format!("{PLACE}{path}");
        let found = gateway.get(&place).expect(200);
        assert_eq!((found.json(), found.header("cache-control")), (metadata.json(), metadata.header("cache-control")));
        assert_eq!(found.header("access-control-allow-origin"), Some("*"));
        let refused = gateway.call("POST", &place, &[], b"").expect(405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        let asked = [("Origin", "https://page.example"), ("Access-Control-Request-Method", "GET")];
        let allowed = gateway.call("OPTIONS", &place, &asked, b"").expect(204);
        assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, HEAD"));
        for other in ["/", "/x", "/E", &format!("{path}/"), &format!("{path}/x"), &format!("{path}{path}")] {
            gateway.get(&format!("{PLACE}{other}")).expect_problem(404, "not_found");
        }
    }
    for path in ["/e", "/"] {
        of_path("").get(&format!("{PLACE}{path}")).expect_problem(404, "not_found");
    }
}

pub(crate) fn the_key_set_is_public() {
    for algorithm in ["ES256", "RS256", "EdDSA", "HS256"] {
        let gateway = Gateway::with(&[("TOKEN_ALGORITHM", algorithm), ("KEY_ROTATION", "1m")]);
        let set = gateway.get("/.well-known/jwks.json").expect(200).json();
        let keys = set["keys"].as_array().unwrap();
        assert_eq!(keys.is_empty(), algorithm == "HS256", "{set}");
        let kids: BTreeSet<_> = keys.iter().map(|key| text(&key["kid"])).collect();
        assert_eq!(kids.len(), keys.len(), "{set}");
        for (key, member) in keys.iter().flat_map(|key| ["d", "p", "q", "dp", "dq", "qi", "k"].map(|m| (key, m))) {
            assert_eq!(key[member], Value::Null, "{algorithm}");
        }
    }
}

pub(crate) fn the_algorithm_is_the_keys() {
    let scene = Scene::new(&[]);
    let token = text(&scene.granted()["access_token"]).to_owned();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let with = |name: &str, value: &str| {
        let mut header = decoded(header);
        header[name] = json!(value);
        format!("{}.{claims}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    for forged in [
        format!("{}.", with("alg", "none")),
        format!("{}.{signature}", with("alg", "HS256")),
        format!("{}.{signature}", with("alg", "ES384")),
        format!("{}.{signature}", with("typ", "JWT")),
    ] {
        scene.gateway.get_with_token("/api/users/me", &forged).expect_problem(401, "invalid_token");
        assert_eq!(scene.gateway.introspect_as(&scene.client, &forged), json!({"active": false}));
    }
}

pub(crate) fn access_tokens_say_what_they_must() {
    let scene = Scene::new(&[]);
    let (of_alice, _) = scene.gateway.tokens(&json!({"subject": "alice", "scope": "a"}));
    let own = scene.granted();
    for (token, subject, client) in [
        (of_alice.as_str(), "alice", "gateway"),
        (text(&own["access_token"]), scene.client.id.as_str(), scene.client.id.as_str()),
    ] {
        let mut parts = token.split('.');
        let (header, claims) = (decoded(parts.next().unwrap()), decoded(parts.next().unwrap()));
        assert_eq!((text(&header["typ"]), text(&header["alg"])), ("at+jwt", "ES256"));
        assert!(header["kid"].is_string());
        let stated = ["iss", "aud", "sub", "client_id"].map(|name| text(&claims[name]));
        assert_eq!(stated, ["https://www.jinmini.com", "https://www.jinmini.com", subject, client]);
        assert!(claims["exp"].is_i64() && claims["iat"].is_i64() && claims["jti"].is_string(), "{claims}");
    }
}

pub(crate) fn refusals_have_their_status() {
    let routes =
        "[[routes]]\npath = \"/api/reports\"\nservice = \"auth\"\nupstream_path = \"/users\"\nscope = [\"reports\"]\n";
    let gateway = Gateway::with_routes(&[], Some(routes));
    let (token, _) = gateway.tokens(&json!({"scope": "other"}));
    let refused = gateway.get_with_token("/api/reports", &token).expect_problem(403, "insufficient_scope");
    assert!(refused.header("www-authenticate").unwrap().contains(r#"error="insufficient_scope""#));
    let refused = gateway.get_with_token("/api/reports", "x").expect_problem(401, "invalid_token");
    assert!(refused.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    // Without a token, no error is named.
    let refused = gateway.get("/api/reports").expect_problem(401, "token_missing");
    assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer realm="gateway""#));
}

pub(crate) fn every_401_has_a_challenge() {
    let scene = Scene::new(&[]);
    let body = form(&[("grant_type", "client_credentials")]);
    for (method, path, body) in [
        ("GET", "/api/users/me", ""),
        ("GET", "/oauth", ""),
        ("GET", "/session", ""),
        ("POST", "/oauth2/token", body.as_str()),
        ("POST", "/oauth2/introspect", "token=x"),
        ("POST", "/oauth2/revoke", "token=x"),
    ] {
        let response = scene.gateway.call(method, path, &[crate::common::clients::FORM], body.as_bytes()).expect(401);
        let scheme = if path.starts_with("/oauth2/") { "Basic realm=" } else { "Bearer realm=" };
        assert!(response.header("www-authenticate").unwrap().starts_with(scheme), "{path}");
    }
    scene.gateway.post("/tokens/refresh", &json!({"refresh_token": "x"})).expect_problem(401, "invalid_grant");
    assert_eq!(scene.registry.client(&["list"]).lines().count(), 1);
}
