//! Any OpenID Connect provider: discovery and keys.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::id_tokens::{Signer, claims};
use super::*;
use crate::{adapters::providers::tests::fake::Reply, domain::gateway::models::signing_key::SigningAlgorithm};

const DOCUMENT: &str = "GET /.well-known/openid-configuration";

fn document(fake: &Fake) -> Value {
    json!({
        "issuer": fake.url(""),
        "authorization_endpoint": fake.url("/authorize"),
        "token_endpoint": fake.url("/token"),
        "userinfo_endpoint": fake.url("/userinfo"),
        "revocation_endpoint": fake.url("/revoke"),
        "jwks_uri": fake.url("/jwks"),
    })
}

fn id_token(fake: &Fake, signer: &Signer) -> String {
    let mut all = claims(&fake.url(""));
    all.as_object_mut().unwrap().remove("at_hash");
    signer.sign(&all)
}

struct Idp {
    fake: Fake,
    clock: Arc<TestClock>,
    provider: Arc<dyn Provider>,
    signer: Signer,
}

async fn idp() -> Idp {
    let (fake, clock, signer) = (Fake::start().await, TestClock::at(NOW), Signer::new(SigningAlgorithm::Es256));
    fake.on(DOCUMENT, document(&fake))
        .on("GET /jwks", signer.jwks())
        .on("POST /token", json!({"access_token": "s3cret-a", "id_token": id_token(&fake, &signer)}));
    let provider = provider_at("OIDC_MY_IDP", &fake.url(""), &clock);
    Idp { fake, clock, provider, signer }
}

impl Idp {
    fn with(&self, field: &str, value: Value) -> &Self {
        let mut document = document(&self.fake);
        document[field] = value;
        self.fake.on(DOCUMENT, document);
        self
    }
}

#[tokio::test]
async fn everything_is_found_at_the_issuer_once() {
    let Idp { fake, provider, .. } = idp().await;
    assert_eq!((provider.name().as_str(), provider.display_name(), provider.uses_pkce()), ("my-idp", "My Idp", true));
    let query = authorize(&*provider).await;
    is_a_code_request(&query);
    assert_eq!((value(&query, "code_challenge"), value(&query, "nonce")), (CHALLENGE, Some("s3cret-nonce")));
    for _ in 0..3 {
        let (_, identity) = provider.exchange(&code()).await.unwrap();
        assert_eq!((identity.provider.as_str(), identity.subject.as_str()), ("my-idp", "u-1"));
    }
    assert_eq!((fake.count(DOCUMENT), fake.count("GET /jwks")), (1, 1));
    let asked = fake.last("POST /token");
    assert_eq!(asked.header("authorization"), Some("Basic Y2xpZW50JTNBMTpzM2NyZXQlMkZjbGllbnQ="), "the default");
    assert_eq!(value(&asked.form(), "client_secret"), None);
}

#[tokio::test]
async fn a_nonce_is_always_used_and_pkce_unless_it_is_off() {
    let Idp { fake, clock, .. } = idp().await;
    for (setting, uses_pkce) in [("on", true), ("off", false)] {
        let provider = provider_with("OIDC_MY_IDP", &fake.url(""), &clock, &[("OIDC_MY_IDP_PKCE", setting)]);
        assert_eq!((provider.uses_pkce(), provider.uses_nonce()), (uses_pkce, true), "{setting}");
        assert_eq!(value(&authorize(&*provider).await, "code_challenge").is_some(), uses_pkce, "{setting}");
    }
}

#[tokio::test]
async fn a_provider_without_basic_gets_the_secret_in_the_form() {
    let idp = idp().await;
    idp.with("token_endpoint_auth_methods_supported", json!(["client_secret_post", "private_key_jwt"]));
    idp.provider.exchange(&code()).await.unwrap();
    let asked = idp.fake.last("POST /token");
    assert_eq!((asked.header("authorization"), value(&asked.form(), "client_secret")), (None, Some("s3cret/client")));
}

#[tokio::test]
async fn the_issuer_must_be_the_one_that_was_asked() {
    let idp = idp().await;
    for issuer in [json!("https://accounts.google.com"), json!(idp.fake.url("/")), json!(null)] {
        idp.with("issuer", issuer);
        idp.clock.pass(TimeDelta::minutes(1));
        let outcome = idp.provider.exchange(&code()).await;
        assert_eq!(bad_response(outcome), "its metadata belong to another issuer");
    }
    assert_eq!(idp.fake.count("POST /token"), 0, "the code went nowhere");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_not_asked_at_once_again_and_its_fault_is_still_known() {
    let idp = idp().await;
    idp.fake.on(DOCUMENT, Reply::text(503, "maintenance"));
    let refresh = async || idp.provider.refresh(&tokens(Some("s3cret-r"))).await;
    for _ in 0..3 {
        assert_eq!(refresh().await, Err(ProviderError::Unavailable("http_503".into())));
    }
    assert_eq!(idp.fake.count(DOCUMENT), 1);
    idp.clock.pass(TimeDelta::seconds(5));
    // A fault in the metadata is not a fault of the grant.
    idp.fake.on(DOCUMENT, (400, json!({"error": "invalid_grant"})));
    assert_eq!(refresh().await, Err(refused("http_400")));
    idp.clock.pass(TimeDelta::seconds(5));
    idp.fake.on(DOCUMENT, document(&idp.fake));
    assert!(refresh().await.is_ok());
}

#[tokio::test]
async fn no_endpoint_is_less_safe_than_the_issuer() {
    let idp = idp().await;
    for endpoint in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        idp.with(endpoint, json!("http://idp.example.com/x"));
        idp.clock.pass(TimeDelta::minutes(1));
        let outcome = idp.provider.exchange(&code()).await;
        assert_eq!(bad_response(outcome), format!("its {endpoint} is not an https address"));
    }
    for parameter in ["state", "nonce", "redirect_uri"] {
        idp.with("authorization_endpoint", json!(idp.fake.url(&format!("/authorize?p=b2c&{parameter}=x"))));
        idp.clock.pass(TimeDelta::minutes(1));
        let flaw = format!("its authorization_endpoint sets {parameter}, which binds a request to its browser");
        assert_eq!(bad_response(idp.provider.exchange(&code()).await), flaw);
    }
    idp.with("jwks_uri", json!(null));
    idp.clock.pass(TimeDelta::minutes(1));
    assert_eq!(bad_response(idp.provider.exchange(&code()).await), "its metadata lack jwks_uri");
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_asked_by_every_request() {
    let idp = idp().await;
    idp.fake.on(DOCUMENT, Reply::text(503, ""));
    for _ in 0..3 {
        assert!(matches!(idp.provider.exchange(&code()).await, Err(ProviderError::Unavailable(_))));
    }
    assert_eq!(idp.fake.count(DOCUMENT), 1);
    idp.with("issuer", json!(idp.fake.url("")));
    idp.clock.pass(TimeDelta::seconds(6));
    assert!(idp.provider.exchange(&code()).await.is_ok());
}

#[tokio::test]
async fn old_metadata_and_keys_outlive_a_failure() {
    let idp = idp().await;
    idp.provider.exchange(&code()).await.unwrap();
    idp.fake.on(DOCUMENT, Reply::text(503, "")).on("GET /jwks", Reply::text(503, ""));
    idp.clock.pass(TimeDelta::minutes(59));
    let fresh = |fake: &Fake| {
        let mut all = claims(&fake.url(""));
        all.as_object_mut().unwrap().remove("at_hash");
        all["exp"] = json!(NOW + 30 * 86_400);
        json!({"access_token": "s3cret-a", "id_token": idp.signer.sign(&all)})
    };
    idp.fake.on("POST /token", fresh(&idp.fake));
    idp.provider.exchange(&code()).await.unwrap();
    assert_eq!((idp.fake.count(DOCUMENT), idp.fake.count("GET /jwks")), (1, 1), "young enough");
    idp.clock.pass(TimeDelta::minutes(2));
    for _ in 0..3 {
        idp.provider.exchange(&code()).await.unwrap();
    }
    assert_eq!((idp.fake.count(DOCUMENT), idp.fake.count("GET /jwks")), (2, 2), "asked again, once");
}

#[tokio::test]
async fn a_new_key_is_fetched_and_an_invented_one_at_most_once_a_minute() {
    let idp = idp().await;
    idp.provider.exchange(&code()).await.unwrap();

    let next = Signer::new(SigningAlgorithm::Es256);
    idp.fake.on("POST /token", json!({"access_token": "s3cret-a", "id_token": id_token(&idp.fake, &next)}));
    for _ in 0..3 {
        let outcome = idp.provider.exchange(&code()).await;
        assert_eq!(bad_response(outcome), "the id token is signed with a key that the provider does not publish");
    }
    assert_eq!(idp.fake.count("GET /jwks"), 1, "within the cooldown of the first fetch");

    idp.clock.pass(TimeDelta::seconds(61));
    idp.fake.on("GET /jwks", json!({"keys": [idp.signer.jwk, next.jwk]}));
    for _ in 0..3 {
        idp.provider.exchange(&code()).await.unwrap();
    }
    assert_eq!(idp.fake.count("GET /jwks"), 2);

    let invented = Signer::new(SigningAlgorithm::Es256);
    idp.clock.pass(TimeDelta::seconds(61));
    idp.fake
        .on("GET /jwks", Reply::text(500, ""))
        .on("POST /token", json!({"access_token": "s3cret-a", "id_token": id_token(&idp.fake, &invented)}));
    for _ in 0..3 {
        assert!(idp.provider.exchange(&code()).await.is_err());
    }
    assert_eq!(idp.fake.count("GET /jwks"), 3);
    idp.fake.on("POST /token", json!({"access_token": "s3cret-a", "id_token": id_token(&idp.fake, &next)}));
    assert!(idp.provider.exchange(&code()).await.is_ok(), "the old keys stay");
}

#[tokio::test]
async fn userinfo_completes_the_id_token_of_the_same_person() {
    let idp = idp().await;
    let mut few = claims(&idp.fake.url(""));
    for claim in ["at_hash", "name", "email", "email_verified"] {
        few.as_object_mut().unwrap().remove(claim);
    }
    idp.fake.on("POST /token", json!({"access_token": "s3cret-a", "id_token": idp.signer.sign(&few)}));
    let told = json!({"sub": "u-1", "name": "Mina", "email": "mina@example.com", "email_verified": "true"});
    idp.fake.on("GET /userinfo", told.clone());
    let (_, identity) = idp.provider.exchange(&code()).await.unwrap();
    assert_eq!(
        (identity.name.as_deref(), identity.verified_email.as_deref()),
        (Some("Mina"), Some("mina@example.com"))
    );

    idp.fake.on("GET /userinfo", (500, told.clone()));
    let (_, identity) = idp.provider.exchange(&code()).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.name, identity.verified_email), ("u-1", None, None));

    for (subject, flaw) in [
        (json!("u-2"), "its userinfo belongs to another person"),
        (json!("U-1"), "its userinfo belongs to another person"),
        (json!(null), "it does not identify the person (sub)"),
        (json!(1), "it identifies the person by a number instead of text (sub)"),
    ] {
        let mut other = told.clone();
        other["sub"] = subject;
        idp.fake.on("GET /userinfo", other);
        assert_eq!(bad_response(idp.provider.exchange(&code()).await), flaw);
    }
}

#[tokio::test]
async fn an_email_is_proven_by_the_source_that_names_it() {
    let idp = idp().await;
    let (mine, other) = ("mina@example.com", "other@example.com");
    // The id token's claims on e-mails, those of userinfo, and the proven e-mail.
    for (said, told, proven, asked) in [
        (json!({"email": mine, "email_verified": true}), json!({}), Some(mine), false),
        (json!({"email": mine, "email_verified": false}), json!({"email_verified": true}), None, false),
        (json!({"email": mine}), json!({"email": mine, "email_verified": true}), Some(mine), true),
        (json!({"email": mine, "email_verified": null}), json!({"email_verified": true}), Some(mine), true),
        (json!({"email": mine}), json!({"email": mine}), None, true),
        (json!({"email": mine}), json!({"email": mine, "email_verified": false}), None, true),
        (json!({"email": mine}), json!({"email": other, "email_verified": true}), Some(other), true),
        (json!({"email_verified": true}), json!({"email": other}), None, true),
        (json!({}), json!({}), None, true),
    ] {
        let mut claims = claims(&idp.fake.url(""));
        let of_token = claims.as_object_mut().unwrap();
        for claim in ["at_hash", "email", "email_verified"] {
            of_token.remove(claim);
        }
        of_token.extend(said.as_object().unwrap().clone());
        let mut userinfo = told.clone();
        userinfo["sub"] = json!("u-1");
        idp.fake
            .on("POST /token", json!({"access_token": "s3cret-a", "id_token": idp.signer.sign(&claims)}))
            .on("GET /userinfo", userinfo);
        let before = idp.fake.count("GET /userinfo");
        let (_, identity) = idp.provider.exchange(&code()).await.unwrap();
        assert_eq!(identity.verified_email.as_deref(), proven, "{said} {told}");
        assert_eq!(idp.fake.count("GET /userinfo") - before, usize::from(asked), "{said} {told}");
    }
}

#[tokio::test]
async fn a_grant_is_taken_back_where_the_provider_says() {
    let idp = idp().await;
    idp.fake.on("POST /revoke", Reply::text(200, ""));
    assert_eq!(idp.provider.revoke(&tokens(Some("s3cret-r"))).await, Ok(()));
    assert!(idp.fake.last("POST /revoke").header("authorization").unwrap().starts_with("Basic "));
    idp.with("revocation_endpoint", json!(null));
    idp.clock.pass(TimeDelta::hours(2));
    assert_eq!(idp.provider.revoke(&tokens(Some("s3cret-r"))).await, Err(ProviderError::Unsupported));
}

/// RFC 8414 §2 would require Basic, but a provider that lists its methods once means both endpoints.
#[tokio::test]
async fn where_grants_are_taken_back_the_token_endpoints_method_counts_if_none_is_listed() {
    let (token, revoke) = ("token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported");
    for (listed, is_basic) in [
        (json!({}), true),
        (json!({token: ["client_secret_post"]}), false),
        (json!({token: ["client_secret_basic"]}), true),
        (json!({token: ["client_secret_post"], revoke: ["client_secret_basic"]}), true),
        (json!({token: ["client_secret_basic"], revoke: ["client_secret_post"]}), false),
    ] {
        let Idp { fake, provider, .. } = idp().await;
        let mut document = document(&fake);
        document.as_object_mut().unwrap().extend(listed.as_object().unwrap().clone());
        fake.on(DOCUMENT, document).on("POST /revoke", Reply::text(200, ""));
        assert_eq!(provider.revoke(&tokens(Some("s3cret-r"))).await, Ok(()));
        let asked = fake.last("POST /revoke");
        assert_eq!(asked.header("authorization").is_some(), is_basic, "{listed}");
        assert_eq!(value(&asked.form(), "client_secret").is_some(), !is_basic, "{listed}");
    }
}

/// As LINE does on the web, despite its metadata (developers.line.biz/en/docs/line-login/verify-id-token).
#[tokio::test]
async fn the_client_secret_signs_id_tokens_where_the_settings_say_so_and_nowhere_else() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header};

    let idp = idp().await;
    let marked = [("OIDC_MY_IDP_ID_TOKEN_ALG", "HS256")];
    let marked = provider_with("OIDC_MY_IDP", &idp.fake.url(""), &idp.clock, &marked);
    let mut claims = claims(&idp.fake.url(""));
    claims.as_object_mut().unwrap().remove("at_hash");
    let kid = idp.signer.jwk["kid"].as_str().unwrap();
    let hmac = |algorithm, secret: &str, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let (algorithm, signature) = ("is not signed with the algorithm of its key", "has an invalid signature");
    let none = idp.signer.sign(&claims);
    let none = format!("eyJhbGciOiJub25lIn0.{}.", none.split('.').nth(1).unwrap());
    for (what, token, by_keys, by_secret) in [
        ("the secret", hmac(Algorithm::HS256, "s3cret/client", None), Some(algorithm), None),
        ("the secret, under a key's id", hmac(Algorithm::HS256, "s3cret/client", Some(kid)), Some(algorithm), None),
        ("another secret", hmac(Algorithm::HS256, "s3cret", None), Some(algorithm), Some(signature)),
        ("no secret", hmac(Algorithm::HS256, "", None), Some(algorithm), Some(signature)),
        (
            "a public key",
            hmac(Algorithm::HS256, &idp.signer.jwk.to_string(), Some(kid)),
            Some(algorithm),
            Some(signature),
        ),
        ("another hash", hmac(Algorithm::HS512, "s3cret/client", None), Some(algorithm), Some(algorithm)),
        ("a published key", idp.signer.sign(&claims), None, Some(algorithm)),
        ("nothing", none, Some(algorithm), Some(algorithm)),
    ] {
        idp.fake.on("POST /token", json!({"access_token": "s3cret-a", "id_token": token}));
        for (provider, flaw) in [(&idp.provider, by_keys), (&marked, by_secret)] {
            match (provider.exchange(&code()).await, flaw) {
                (Ok((_, identity)), None) => assert_eq!(identity.subject, "u-1", "{what}"),
                (outcome, Some(flaw)) => assert_eq!(bad_response(outcome), format!("the id token {flaw}"), "{what}"),
                (outcome, None) => panic!("{what}: {outcome:?}"),
            }
        }
    }
}

#[tokio::test]
async fn without_an_id_token_the_operator_is_told_what_to_do() {
    let idp = idp().await;
    idp.fake.on("POST /token", json!({"access_token": "s3cret-a"}));
    let missing = idp.provider.exchange(&code()).await.unwrap_err();
    let told = "the provider returned no id token: make sure that openid is among the scopes, and that the app may use OpenID Connect \
                at the provider";
    assert_eq!(missing.to_string(), told);
}

#[tokio::test]
async fn a_response_names_its_issuer_if_the_provider_says_that_it_does() {
    let idp = idp().await;
    let (issuer, other) = (idp.fake.url(""), idp.fake.url("/"));
    let foreign = "the authorization response has another issuer";
    assert_eq!(idp.provider.check_issuer(None).await, Ok(()), "it does not say so");
    assert_eq!(idp.provider.check_issuer(Some(&issuer)).await, Ok(()));
    assert_eq!(bad_response(idp.provider.check_issuer(Some(&other)).await), foreign);

    idp.with("authorization_response_iss_parameter_supported", json!(true));
    idp.clock.pass(TimeDelta::hours(2));
    let outcome = idp.provider.check_issuer(None).await;
    assert_eq!(bad_response(outcome), "the authorization response does not name its issuer");
    assert_eq!(idp.provider.check_issuer(Some(&issuer)).await, Ok(()));
    assert_eq!(bad_response(idp.provider.check_issuer(Some("https://evil.example")).await), foreign);
}

#[tokio::test]
async fn a_provider_without_an_issuer_is_known_by_its_callback() {
    let github = provider("GITHUB", &Fake::start().await);
    assert_eq!(github.check_issuer(None).await, Ok(()));
}
