//! Apple, against a stand-in that validates every request as Apple documents.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::*;
use super::{
    fake::{Reply, Seen},
    open_id::id_tokens::Signer,
};
use crate::{
    adapters::providers::protocol::id_token::at_hash, domain::gateway::models::signing_key::SigningAlgorithm,
    ports::testing::TestClock,
};

/// The key of RFC 6979 §A.2.5, in the form of Apple's key files.
pub(super) const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\\nMIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQQgya+p2EW6dRZrXCFX\\n\
                                      Z7HWk05Qw9s26JsSe4piKxIPZyGgCgYIKoZIzj0DAQehRANCAARg/tS6JVqdMclh\\n\
                                      63TGNW1owEm4kjth+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXej\\n\
                                      wpTURiKZ\\n-----END PRIVATE KEY-----\\n";
const X: &str = "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y";
const Y: &str = "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk";
const TEAM: &str = "TEAM567890";
const KEY: &str = "KEY4567890";
pub(super) const CLIENT: &str = "com.example.web";
pub(super) const ISSUER: &str = "https://appleid.apple.com";

/// The settings that enable it, besides the endpoints.
pub(super) fn settings() -> [(&'static str, &'static str); 4] {
    [("APPLE_CLIENT_ID", CLIENT), ("APPLE_TEAM_ID", TEAM), ("APPLE_KEY_ID", KEY), ("APPLE_PRIVATE_KEY", PRIVATE_KEY)]
}

/// Why Apple refuses a client secret, if it does: `invalid_client` ("Creating a client secret", "`ErrorResponse`").
pub(super) fn judge_secret(seen: &Seen, now: i64) -> Result<(), &'static str> {
    const SIX_MONTHS: i64 = 15_777_000;
    let form = seen.form();
    if value(&form, "client_id") != Some(CLIENT) || seen.header("authorization").is_some() {
        return Err("the client id stands in the form, and nothing in a header");
    }
    let secret = value(&form, "client_secret").ok_or("there is no client secret")?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[ISSUER]);
    validation.set_issuer(&[TEAM]);
    validation.sub = Some(CLIENT.to_owned());
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    // By the clock of the test.
    validation.validate_exp = false;
    let key = DecodingKey::from_ec_components(X, Y).unwrap();
    let token = jsonwebtoken::decode::<Value>(secret, &key, &validation).map_err(|_| "it is not signed or not ours")?;
    if token.header.kid.as_deref() != Some(KEY) {
        return Err("it is another key's");
    }
    let time = |claim: &str| token.claims[claim].as_i64().ok_or("a time is missing");
    let (iat, exp) = (time("iat")?, time("exp")?);
    if iat > now || exp <= now || exp - iat > SIX_MONTHS {
        return Err("it is not valid at this time");
    }
    Ok(())
}

/// Apple: one person, one code and one refresh token, and a clock.
struct Apple {
    fake: Fake,
    signer: Signer,
    clock: Arc<TestClock>,
}

impl Apple {
    async fn start() -> Self {
        let apple =
            Self { fake: Fake::start().await, signer: Signer::new(SigningAlgorithm::Rs256), clock: TestClock::at(NOW) };
        apple.fake.on("GET /jwks", apple.signer.jwks());
        apple.says(&Self::claims());
        let clock = apple.clock.clone();
        apple.fake.on_asking("POST /revoke", move |seen| {
            if judge_secret(seen, clock.now().timestamp()).is_err() {
                return (400, json!({"error": "invalid_client"})).into();
            }
            let form = seen.form();
            let is_whole = value(&form, "token").is_some() && value(&form, "token_type_hint").is_some();
            if is_whole { Reply::text(200, "") } else { (400, json!({"error": "invalid_request"})).into() }
        });
        apple
    }

    /// As in "Authenticating users with Sign in with Apple".
    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": CLIENT, "exp": NOW + 86400, "iat": NOW, "sub": "001234.abcd.0123", "nonce": "s3cret-nonce",
            "at_hash": at_hash(&Secret::new("s3cret-access"), Algorithm::RS256), "email": "mina@example.com",
            "email_verified": "true", "auth_time": NOW, "nonce_supported": true,
        })
    }

    /// Signs these claims in exchange for the code.
    fn says(&self, claims: &Value) {
        let (clock, id_token) = (self.clock.clone(), self.signer.sign(claims));
        self.fake.on_asking("POST /token", move |seen| {
            if judge_secret(seen, clock.now().timestamp()).is_err() {
                return (400, json!({"error": "invalid_client"})).into();
            }
            let form = seen.form();
            let with = |name: &str| value(&form, name).map(str::to_owned);
            let tokens = json!({
                "access_token": "s3cret-access", "token_type": "Bearer", "expires_in": 3600, "id_token": id_token,
            });
            match (with("grant_type").as_deref(), with("code").as_deref(), with("refresh_token").as_deref()) {
                (Some("authorization_code"), Some("s3cret-code"), None)
                    if with("redirect_uri").as_deref() == Some(CALLBACK)
                        && with("code_verifier").as_deref() == Some("s3cret-verifier") =>
                {
                    let mut tokens = tokens;
                    tokens["refresh_token"] = json!("s3cret-refresh");
                    tokens.into()
                }
                (Some("refresh_token"), None, Some("s3cret-refresh")) => tokens.into(),
                (Some("authorization_code" | "refresh_token"), ..) => (400, json!({"error": "invalid_grant"})).into(),
                _ => (400, json!({"error": "unsupported_grant_type"})).into(),
            }
        });
    }

    fn provider(&self) -> Arc<dyn Provider> {
        self.provider_with(&[])
    }

    fn provider_with(&self, more: &[(&str, &str)]) -> Arc<dyn Provider> {
        provider_with("APPLE", &self.fake.url(""), &self.clock, more)
    }
}

#[tokio::test]
async fn the_scopes_decide_how_the_browser_comes_back() {
    let apple = Apple::start().await;
    let url = async |more: &[(&str, &str)], wish: &[&str]| {
        let provider = apple.provider_with(more);
        let more_scopes: Vec<_> = wish.iter().map(|&word| word.to_owned()).collect();
        let by_form = provider.responds_by_form(&more_scopes);
        let query = query(&*provider, &AuthorizationRequest { more_scopes, ..request(&*provider) }).await;
        assert_eq!(value(&query, "response_mode") == Some("form_post"), by_form, "{query:?}");
        query
    };
    let usual = url(&[], &[]).await;
    let pairs: Vec<_> = usual.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", CALLBACK),
            ("state", "s3cret-state"),
            ("scope", "name email"),
            ("code_challenge", CHALLENGE.unwrap()),
            ("code_challenge_method", "S256"),
            ("response_mode", "form_post"),
            ("nonce", "s3cret-nonce"),
        ]
    );
    for (scopes, wish, mode) in [
        ("email", &[][..], "form_post"),
        ("name", &[], "form_post"),
        ("openid", &[], "query"),
        ("openid", &["email"], "form_post"),
    ] {
        let query = url(&[("APPLE_SCOPES", scopes), ("APPLE_MORE_SCOPES", "email"), ("APPLE_PKCE", "off")], wish).await;
        assert_eq!(value(&query, "response_mode"), Some(mode), "{scopes} {wish:?}");
        assert_eq!(value(&query, "code_challenge"), None);
    }
}

#[tokio::test]
async fn a_code_is_exchanged_with_a_secret_of_its_own() {
    let apple = Apple::start().await;
    let provider = apple.provider();
    let (tokens, identity) = provider.exchange(&code()).await.unwrap();
    assert_eq!(tokens.refresh_token, Some(Secret::new("s3cret-refresh")));
    assert_eq!((identity.provider.as_str(), identity.subject.as_str()), ("apple", "001234.abcd.0123"));
    assert_eq!((identity.verified_email.as_deref(), identity.name), (Some("mina@example.com"), None));
    let named = CodeExchange { name: Some("Mina".to_owned()), ..code() };
    assert_eq!(provider.exchange(&named).await.unwrap().1.name.as_deref(), Some("Mina"));
    let secret = || value(&apple.fake.last("POST /token").form(), "client_secret").unwrap().to_owned();
    let first = secret();

    // A year later, without any renewal.
    apple.clock.pass(TimeDelta::days(365));
    let refreshed = provider.refresh(&tokens).await.unwrap();
    assert_eq!(tokens.refreshed(refreshed).refresh_token, Some(Secret::new("s3cret-refresh")));
    assert_ne!(secret(), first);
}

#[tokio::test]
async fn a_secret_is_good_for_minutes() {
    let apple = Apple::start().await;
    apple.provider().exchange(&code()).await.unwrap();
    let seen = apple.fake.last("POST /token");
    for (now, is_good) in [(NOW, true), (NOW - 60, true), (NOW + 299, true), (NOW + 300, false), (NOW - 61, false)] {
        assert_eq!(judge_secret(&seen, now).is_ok(), is_good, "{}", now - NOW);
    }
}

#[tokio::test]
async fn a_client_that_apple_does_not_know_is_the_operators_to_mend() {
    let apple = Apple::start().await;
    for wrong in [
        [("APPLE_TEAM_ID", "TEAM567891")],
        [("APPLE_KEY_ID", "KEY4567891")],
        [("APPLE_CLIENT_ID", "com.example.other")],
    ] {
        let provider = apple.provider_with(&wrong);
        assert_eq!(provider.exchange(&code()).await.map(drop), Err(misconfigured("invalid_client")), "{wrong:?}");
        assert_eq!(provider.refresh(&tokens(Some("s3cret-refresh"))).await, Err(misconfigured("invalid_client")));
        assert_eq!(provider.revoke(&tokens(None)).await, Err(misconfigured("invalid_client")));
    }
    // The provider echoes the request.
    apple.fake.on_asking("POST /token", |seen| (400, json!({"error": value(&seen.form(), "client_secret")})).into());
    assert_eq!(apple.provider().exchange(&code()).await.map(drop), Err(refused("unnamed_error")));
}

#[tokio::test]
async fn codes_and_refresh_tokens_that_are_no_good_end_the_grant() {
    let apple = Apple::start().await;
    let provider = apple.provider();
    for exchange in [
        CodeExchange { code: Secret::new("s3cret-other"), ..code() },
        CodeExchange { code_verifier: None, ..code() },
        CodeExchange { redirect_uri: "https://evil.example/".to_owned(), ..code() },
    ] {
        assert_eq!(provider.exchange(&exchange).await.map(drop), Err(invalid_grant("invalid_grant")));
    }
    assert_eq!(provider.refresh(&tokens(Some("s3cret-other"))).await, Err(invalid_grant("invalid_grant")));
    assert_eq!(provider.refresh(&tokens(None)).await, Err(ProviderError::Unsupported));
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_is_refused() {
    let apple = Apple::start().await;
    for (claim, wrong, outcome) in [
        ("nonce", json!("another"), ProviderError::NonceMismatch),
        ("nonce", json!(null), ProviderError::NonceMismatch),
        ("aud", json!("com.example.other"), ProviderError::BadResponse("the id token has another aud".into())),
        ("iss", json!("https://appleid.apple.com/"), ProviderError::BadResponse("the id token has another iss".into())),
        ("exp", json!(NOW - 60), ProviderError::BadResponse("the id token has expired".into())),
        (
            "at_hash",
            json!("AAAAAAAAAAAAAAAAAAAAAA"),
            ProviderError::BadResponse("the id token belongs to another access token (at_hash)".into()),
        ),
        ("sub", json!(null), ProviderError::BadResponse("it does not identify the person (sub)".into())),
    ] {
        let mut claims = Apple::claims();
        claims[claim] = wrong;
        apple.says(&claims);
        let refused = apple.provider().exchange(&code()).await.map(drop);
        is_discreet(refused.as_ref().unwrap_err());
        assert_eq!(refused, Err(outcome), "{claim}");
    }
    let other = Signer::new(SigningAlgorithm::Rs256);
    apple.fake.on("POST /token", json!({"access_token": "s3cret-access", "id_token": other.sign(&Apple::claims())}));
    let refused = bad_response(apple.provider().exchange(&code()).await);
    assert_eq!(refused, "the id token is signed with a key that the provider does not publish");
    apple.fake.on("POST /token", json!({"access_token": "s3cret-access"}));
    let outcome = apple.provider().exchange(&code()).await.map(drop);
    assert!(matches!(outcome, Err(ProviderError::NoIdToken { .. })), "{outcome:?}");
}

#[tokio::test]
async fn an_address_counts_if_apple_vouches_for_it_and_a_relay_is_one() {
    let apple = Apple::start().await;
    let relay = "x7k2@privaterelay.appleid.com";
    for (email, verified, private, counts) in [
        ("mina@example.com", json!(true), json!(null), true),
        ("mina@example.com", json!("true"), json!("false"), true),
        (relay, json!("true"), json!("true"), true),
        (relay, json!(true), json!(true), true),
        ("mina@school.example", json!(false), json!(false), false),
        ("mina@school.example", json!("false"), json!(false), false),
        ("mina@school.example", json!(null), json!(null), false),
    ] {
        let mut claims = Apple::claims();
        (claims["email"], claims["email_verified"], claims["is_private_email"]) = (json!(email), verified, private);
        apple.says(&claims);
        let (_, identity) = apple.provider().exchange(&code()).await.unwrap();
        assert_eq!(identity.verified_email.as_deref(), Some(email).filter(|_| counts), "{claims}");
        assert_eq!(identity.has_relay_email(), email == relay, "{claims}");
    }
}

#[tokio::test]
async fn a_grant_is_taken_back_by_its_refresh_token() {
    let apple = Apple::start().await;
    for (kept, token, hint) in [
        (tokens(Some("s3cret-refresh")), "s3cret-refresh", "refresh_token"),
        (tokens(None), "s3cret-access", "access_token"),
    ] {
        assert_eq!(apple.provider().revoke(&kept).await, Ok(()));
        let form = apple.fake.last("POST /revoke").form();
        let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["token", "token_type_hint", "client_id", "client_secret"]);
        assert_eq!((value(&form, "token"), value(&form, "token_type_hint")), (Some(token), Some(hint)));
    }
}

/// The signature has the form of the example in RFC 7515 §A.3: two numbers, not DER.
#[tokio::test]
async fn a_secret_signed_by_another_key_is_told_apart() {
    let apple = Apple::start().await;
    apple.provider().exchange(&code()).await.unwrap();
    let seen = apple.fake.last("POST /token");
    let form = seen.form();
    let secret = value(&form, "client_secret").unwrap();
    let claims: Value = json!({"iss": TEAM, "sub": CLIENT, "aud": ISSUER, "iat": NOW, "exp": NOW + 60});
    let other = crate::adapters::jwt::AwsLcKeyGenerator;
    let other =
        crate::domain::gateway::services::ports::KeyGenerator::generate(&other, SigningAlgorithm::Es256).unwrap();
    let header = Header { kid: Some(KEY.to_owned()), ..Header::new(Algorithm::ES256) };
    let forged = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(&other.private_key.0)).unwrap();
    let forged = Seen { body: seen.body.replace(secret, &forged), ..seen.clone() };
    assert_eq!((judge_secret(&seen, NOW), judge_secret(&forged, NOW)), (Ok(()), Err("it is not signed or not ours")));
}

#[test]
fn the_private_key_does_not_print() {
    let provider = Settings::from_sources(
        &Sources::default().with_environment(settings().into_iter().chain([("GATEWAY_ENV", "development")])),
    );
    let provider = provider.unwrap_or_else(|mistakes| panic!("{mistakes}")).providers.remove(0);
    assert!(!format!("{provider:?}").contains("MIGTAgEA"), "{provider:?}");
}

mod notices {
    use std::collections::BTreeMap;

    use chrono::DateTime;

    use super::*;
    use crate::domain::gateway::{
        models::notice::NoticeKind,
        services::ports::{
            Acknowledgement, NoticeBody, NoticeEvent, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice,
        },
    };

    impl Apple {
        /// As in "Processing changes for Sign in with Apple accounts".
        fn notice_of(kind: &str) -> Value {
            json!({
                "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 86400, "jti": "abede...67890",
                "events": event(kind).to_string(),
            })
        }

        async fn outcome_of(&self, provider: &dyn Provider, claims: &Value) -> Result<VerifiedNotice, NoticeRefusal> {
            told(provider, &self.signer.sign(claims)).await
        }
    }

    fn event(kind: &str) -> Value {
        json!({"type": kind, "sub": "001234.abcd.0123", "event_time": NOW * 1000 + 7})
    }

    async fn told(provider: &dyn Provider, payload: &str) -> Result<VerifiedNotice, NoticeRefusal> {
        let body = NoticeBody::Json(json!({ "payload": payload }).to_string().into_bytes());
        provider.verify_notice(&UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body }).await
    }

    /// A verified notice that Mina revoked the grant, if `took_back`.
    fn mina(took_back: bool) -> VerifiedNotice {
        let event = || NoticeEvent { subject: "001234.abcd.0123".to_owned(), kind: NoticeKind::GrantsRevoked };
        VerifiedNotice {
            events: took_back.then(event).into_iter().collect(),
            id: Some("abede...67890".to_owned()),
            sent_at: DateTime::from_timestamp_millis(NOW * 1000 + 7),
            issued_at: DateTime::from_timestamp(NOW, 0),
            acknowledgement: Acknowledgement::Ok,
            unacknowledged: Unacknowledged::Told,
        }
    }

    #[tokio::test]
    async fn revoking_or_deleting_ends_the_grants() {
        let apple = Apple::start().await;
        let provider = apple.provider();
        for kind in ["consent-revoked", "account-delete", "account-deleted"] {
            assert_eq!(apple.outcome_of(&*provider, &Apple::notice_of(kind)).await, Ok(mina(true)), "{kind}");
        }
        // The documentation shows seconds.
        let mut in_seconds = Apple::notice_of("consent-revoked");
        in_seconds["events"] =
            json!({"type": "consent-revoked", "sub": "001234.abcd.0123", "event_time": NOW}).to_string().into();
        let told = apple.outcome_of(&*provider, &in_seconds).await.unwrap();
        assert_eq!(told.sent_at, DateTime::from_timestamp(NOW, 0));
        for no_time in [-1, i64::MAX, i64::MIN] {
            let mut claims = Apple::notice_of("consent-revoked");
            claims["events"] = json!({"type": "consent-revoked", "sub": "001234.abcd.0123", "event_time": no_time});
            assert_eq!(apple.outcome_of(&*provider, &claims).await, Err(NoticeRefusal::Malformed), "{no_time}");
        }
        let mut as_object = Apple::notice_of("consent-revoked");
        as_object["events"] = event("consent-revoked");
        assert_eq!(apple.outcome_of(&*provider, &as_object).await, Ok(mina(true)));
        for kind in ["email-disabled", "email-enabled", "of-tomorrow"] {
            assert_eq!(apple.outcome_of(&*provider, &Apple::notice_of(kind)).await, Ok(mina(false)), "{kind}");
        }
        assert_eq!(apple.fake.count("GET /jwks"), 1, "the keys are kept");
    }

    #[tokio::test]
    async fn only_what_apple_signed_for_us_is_believed() {
        let apple = Apple::start().await;
        let provider = apple.provider();
        let good = Apple::notice_of("consent-revoked");
        for (claim, wrong) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!(null)),
            ("aud", json!("com.example.other")),
            ("aud", json!("com.example.app")),
            ("aud", json!([])),
            ("aud", json!(null)),
        ] {
            let mut claims = good.clone();
            claims[claim] = wrong;
            assert_eq!(apple.outcome_of(&*provider, &claims).await, Err(NoticeRefusal::Unverified), "{claims}");
        }
        let mut of_app = good.clone();
        of_app["aud"] = json!("com.example.app");
        let provider_of_app = apple.provider_with(&[("APPLE_APP_ID", "com.example.app")]);
        assert_eq!(apple.outcome_of(&*provider_of_app, &of_app).await, Ok(mina(true)));
        // The keys are fetched again, to be sure that this one is unknown.
        apple.clock.pass(TimeDelta::seconds(60));

        let other = Signer::new(SigningAlgorithm::Rs256).sign(&good);
        let good = apple.signer.sign(&good);
        let parts: Vec<_> = good.split('.').collect();
        let forged = other.split('.').nth(1).unwrap().replace('0', "1");
        for payload in [
            other.clone(),
            format!("{}.{forged}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], other.rsplit('.').next().unwrap()),
        ] {
            let outcome = told(&*provider, &payload).await;
            assert!(matches!(outcome, Err(NoticeRefusal::Unverified | NoticeRefusal::Malformed)), "{outcome:?}");
        }
        // An id token is no notice.
        assert_eq!(apple.outcome_of(&*provider, &Apple::claims()).await, Err(NoticeRefusal::Malformed));
    }

    #[tokio::test]
    async fn an_invalid_notice_is_malformed() {
        let apple = Apple::start().await;
        let provider = apple.provider();
        let without = |member: &str| {
            let mut event = event("consent-revoked");
            event[member] = json!(null);
            json!(event.to_string())
        };
        for events in [
            json!(null),
            json!("no JSON"),
            json!([event("consent-revoked")]),
            json!("[]"),
            without("type"),
            without("sub"),
        ] {
            let mut claims = Apple::notice_of("consent-revoked");
            claims["events"] = events;
            assert_eq!(apple.outcome_of(&*provider, &claims).await, Err(NoticeRefusal::Malformed), "{claims}");
        }
        for payload in ["", "a.b", "a.b.c"] {
            assert_eq!(told(&*provider, payload).await, Err(NoticeRefusal::Malformed), "{payload}");
        }
        let body = NoticeBody::Parameters(BTreeMap::new());
        let form = UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body };
        assert_eq!(provider.verify_notice(&form).await, Err(NoticeRefusal::Malformed));
    }

    #[tokio::test]
    async fn an_unknown_key_is_refused_only_when_apple_was_asked_and_costs_no_sign_in_its_keys() {
        let mut apple = Apple::start().await;
        let provider = apple.provider();
        let exchange = async |apple: &Apple| {
            apple.says(&Apple::claims());
            provider.exchange(&code()).await
        };
        exchange(&apple).await.unwrap();
        apple.clock.pass(TimeDelta::seconds(60));
        // A sender of notices uses keys of their own.
        let forged = Signer::new(SigningAlgorithm::Rs256).sign(&Apple::notice_of("consent-revoked"));
        assert_eq!(told(&*provider, &forged).await, Err(NoticeRefusal::Unverified));
        assert_eq!(apple.fake.count("GET /jwks"), 2);
        // Meanwhile Apple begins to use another key.
        apple.signer = Signer::new(SigningAlgorithm::Rs256);
        apple.fake.on("GET /jwks", apple.signer.jwks());
        let notice = Apple::notice_of("consent-revoked");
        let outcome = apple.outcome_of(&*provider, &notice).await;
        assert!(matches!(outcome, Err(NoticeRefusal::KeysUnavailable(_))), "{outcome:?}");
        exchange(&apple).await.expect("sign-ins have a cooldown of their own");
        apple.clock.pass(TimeDelta::seconds(60));
        assert_eq!(apple.outcome_of(&*provider, &notice).await, Ok(mina(true)));
    }

    #[tokio::test]
    async fn without_the_keys_apple_is_to_send_it_again() {
        let apple = Apple::start().await;
        apple.fake.on("GET /jwks", Reply::text(503, ""));
        let provider = apple.provider();
        let outcome = apple.outcome_of(&*provider, &Apple::notice_of("consent-revoked")).await;
        assert!(matches!(outcome, Err(NoticeRefusal::KeysUnavailable(_))), "{outcome:?}");
        apple.fake.on("GET /jwks", apple.signer.jwks());
        apple.clock.pass(TimeDelta::seconds(5));
        assert_eq!(apple.outcome_of(&*provider, &Apple::notice_of("consent-revoked")).await, Ok(mina(true)));
    }
}
