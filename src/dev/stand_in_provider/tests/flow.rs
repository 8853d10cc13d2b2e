//! Successful flows.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

use super::*;

/// The claims of an id token with a valid signature.
fn verified(id_token: &str, keys: &Value) -> Value {
    let keys: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let header = jsonwebtoken::decode_header(id_token).unwrap();
    assert_eq!(header.alg, Algorithm::ES256);
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    // The clock of the test is fixed at another time.
    validation.validate_exp = false;
    validation.set_audience(&[CLIENT]);
    jsonwebtoken::decode(id_token, &key, &validation).unwrap().claims
}

/// One request on a connection of its own.
async fn over_socket(url: &str, method: &str, headers: &str, body: &str) -> Received {
    let url = Url::parse(url).unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Received { status, headers, body: body.to_owned() }
}

#[tokio::test]
async fn a_person_signs_in_over_a_socket() {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}/idp", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let provider = provider(&issuer, TestClock::at(NOW));
    let server = tokio::spawn(serve(listener, provider, async { drop(stopped.await) }));

    let metadata = over_socket(&format!("{issuer}/.well-known/openid-configuration"), "GET", "", "").await.json();
    assert_eq!(metadata["issuer"], json!(issuer));
    let place = |name: &str| metadata[name].as_str().unwrap().to_owned();

    let page = over_socket(&format!("{}?{}", place("authorization_endpoint"), form(&wish(&[]))), "GET", "", "").await;
    assert!(page.status == 200 && page.body.contains("김지니"), "{}", page.body);
    let choice = form(&wish(&[("person", "김지니")]));
    let back = over_socket(&place("authorization_endpoint"), "POST", FORM, &choice).await;
    let parameters = back.sent_back();
    let [(_, via), (code, code_value), (state, state_value), (iss, iss_value)] = &parameters[..] else {
        panic!("{parameters:?}")
    };
    assert_eq!((via.as_str(), code.as_str(), state.as_str(), iss.as_str()), ("stand-in", "code", "state", "iss"));
    assert_eq!((state_value.as_str(), iss_value), (STATE, &issuer));

    let exchange = form(&exchange_of(code_value, &[("client_secret", "")]));
    let headers = format!("{FORM}Authorization: {}\r\n", basic(CLIENT, SECRET));
    let response = over_socket(&place("token_endpoint"), "POST", &headers, &exchange).await;
    assert_eq!((response.status, response.header("cache-control")), (200, "no-store"), "{}", response.body);
    let tokens = response.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(60)));

    let keys = over_socket(&place("jwks_uri"), "GET", "", "").await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0].get("d"), None);
    let claims = verified(tokens["id_token"].as_str().unwrap(), &keys);
    let access_token = tokens["access_token"].as_str().unwrap();
    let at_hash = base64::Engine::encode(&URL_SAFE_NO_PAD, &Sha256::digest(access_token)[..16]);
    let expected = json!({
        "iss": issuer, "sub": "jini", "aud": CLIENT, "iat": NOW, "exp": NOW + 300, "auth_time": NOW, "nonce": NONCE,
        "at_hash": at_hash, "name": "김지니", "email": "jini@example.com", "email_verified": true,
    });
    assert_eq!(claims, expected);

    let bearer = format!("Authorization: Bearer {access_token}\r\n");
    let person = over_socket(&place("userinfo_endpoint"), "GET", &bearer, "").await.json();
    assert_eq!(person, json!({"sub": "jini", "name": "김지니", "email": "jini@example.com", "email_verified": true}));

    let revocation = form(&[("token", tokens["refresh_token"].as_str().unwrap())]);
    assert_eq!(over_socket(&place("revocation_endpoint"), "POST", &headers, &revocation).await.status, 200);
    assert_eq!(over_socket(&place("userinfo_endpoint"), "GET", &bearer, "").await.status, 401);

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_does_not_listen_beyond_this_machine() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = serve(listener, provider(ISSUER, TestClock::at(NOW)), async {}).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn an_issuer_is_a_url_without_query_and_fragment() {
    for issuer in ["", "localhost:9000", "ftp://localhost", "http://localhost?a", "http://localhost#a"] {
        assert!(Issuer::parse(issuer.to_owned()).is_err(), "{issuer}");
    }
    let issuer = Issuer::parse("http://localhost:9000/".to_owned()).unwrap();
    assert_eq!((issuer.text.as_str(), issuer.path.as_str()), ("http://localhost:9000/", ""));
    assert_eq!(issuer.at("/jwks"), "http://localhost:9000/jwks");
}

#[tokio::test]
async fn the_metadata_names_what_there_is() {
    let metadata = Site::new().get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], json!(true));
    for (name, path) in
        [("authorization", "authorize"), ("token", "token"), ("userinfo", "userinfo"), ("revocation", "revoke")]
    {
        assert_eq!(metadata[format!("{name}_endpoint")], json!(format!("{ISSUER}/{path}")));
    }
}

#[tokio::test]
async fn a_refresh_rotates_and_says_the_same_person_without_a_nonce() {
    let site = Site::new();
    let tokens = site.tokens().await;
    site.clock.pass(TimeDelta::seconds(30));
    let response = site.refresh(&tokens["refresh_token"]).await;
    assert_eq!((response.status, response.header("cache-control")), (200, "no-store"), "{}", response.body);
    let next = response.json();
    assert_ne!(next["access_token"], tokens["access_token"]);
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let claims = verified(next["id_token"].as_str().unwrap(), &site.get("/jwks").await.json());
    assert_eq!((&claims["sub"], &claims["iat"]), (&json!("alice"), &json!(NOW + 30)));
    assert_eq!((&claims["auth_time"], claims.get("nonce")), (&json!(NOW), None));
    for token in [&tokens, &next] {
        assert_eq!(site.userinfo(&token["access_token"]).await.status, 200);
    }
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_but_not_for_more() {
    let site = Site::new();
    let tokens = site.tokens().await;
    let token = tokens["refresh_token"].as_str().unwrap();
    site.post("/token", &refresh_of(token, &[("scope", "openid admin")])).await.is_refused(400, "invalid_scope");
    let less = site.post("/token", &refresh_of(token, &[("scope", "openid email")])).await.json();
    assert_eq!(less["scope"], json!("openid email"));
    let person = site.userinfo(&less["access_token"]).await.json();
    assert_eq!(person, json!({"sub": "alice", "email": "alice@example.com", "email_verified": true}));
    let whole = site.refresh(&less["refresh_token"]).await.json();
    assert_eq!(whole["scope"], json!("openid profile email"));
}

#[tokio::test]
async fn access_tokens_live_a_minute() {
    let site = Site::new();
    let tokens = site.tokens().await;
    site.clock.pass(TimeDelta::seconds(59));
    assert_eq!(site.userinfo(&tokens["access_token"]).await.status, 200);
    site.clock.pass(TimeDelta::seconds(1));
    site.userinfo(&tokens["access_token"]).await.is_refused(401, "invalid_token");
    assert_eq!(site.refresh(&tokens["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn without_openid_there_is_no_id_token_and_without_a_challenge_no_verifier() {
    let site = Site::new();
    let changes = [("scope", "profile"), ("code_challenge", ""), ("code_challenge_method", ""), ("nonce", "")];
    let code = site.code(&changes).await;
    let tokens = site.post("/token", &exchange_of(&code, &[("code_verifier", "")])).await.json();
    assert_eq!((&tokens["scope"], tokens.get("id_token")), (&json!("profile"), None));
    site.userinfo(&tokens["access_token"]).await.is_refused(403, "insufficient_scope");
}

#[tokio::test]
async fn an_access_token_can_be_revoked_alone() {
    let site = Site::new();
    let tokens = site.tokens().await;
    let revoked = site.revoke(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!((revoked.status, revoked.body.as_str(), revoked.header("cache-control")), (200, "", "no-store"));
    site.userinfo(&tokens["access_token"]).await.is_refused(401, "invalid_token");
    assert_eq!(site.refresh(&tokens["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_is_revoked_with_all_that_came_of_it() {
    let site = Site::new();
    let (tokens, others) = (site.tokens().await, site.tokens().await);
    let next = site.refresh(&tokens["refresh_token"]).await.json();
    for _ in 0..2 {
        assert_eq!(site.revoke(next["refresh_token"].as_str().unwrap()).await.status, 200);
    }
    site.refresh(&next["refresh_token"]).await.is_refused(400, "invalid_grant");
    for token in [&tokens, &next] {
        site.userinfo(&token["access_token"]).await.is_refused(401, "invalid_token");
    }
    assert_eq!(site.refresh(&others["refresh_token"]).await.status, 200);
}
