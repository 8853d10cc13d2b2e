//! Security Event Tokens (RFC 8417): each check, with a token that is valid except for this, and the effects of the
//! documented events.

use std::collections::BTreeMap;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::open_id::id_tokens::{Signer, claims as id_token_claims};
use super::*;
use crate::domain::gateway::{
    models::{
        notice::NoticeKind::{self, EverythingRevoked, GrantsRevoked, SessionsRevoked},
        signing_key::SigningAlgorithm,
    },
    services::ports::{Acknowledgement, NoticeBody, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice},
};

const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const OAUTH: &str = "https://schemas.openid.net/secevent/oauth/event-type/";
const KAKAO: &str = "https://schemas.kakao.com/events/oauth/";
/// As in Google's and Kakao's configurations.
const GOOGLE_ISSUER: &str = "https://accounts.google.com/";
const KAKAO_ISSUER: &str = "https://kauth.kakao.com";

/// An issuer of events, and the provider that receives them.
struct Scene {
    fake: Fake,
    signer: Signer,
    provider: Arc<dyn Provider>,
    clock: Arc<TestClock>,
}

impl Scene {
    async fn of(prefix: &str) -> Self {
        let (issuer, variable) = match prefix {
            "GOOGLE" => (GOOGLE_ISSUER, "GOOGLE_RISC_URL"),
            _ => (KAKAO_ISSUER, "KAKAO_SSE_URL"),
        };
        let (fake, signer) = (Fake::start().await, Signer::new(SigningAlgorithm::Rs256));
        fake.on("GET /events", json!({"issuer": issuer, "jwks_uri": fake.url("/keys")})).on("GET /keys", signer.jwks());
        let (url, clock) = (fake.url("/events"), TestClock::at(NOW));
        let provider = provider_with(prefix, &fake.url(""), &clock, &[(variable, &url)]);
        Self { fake, signer, provider, clock }
    }

    async fn google() -> Self {
        Self::of("GOOGLE").await
    }

    async fn receive(&self, token: &str) -> Result<VerifiedNotice, NoticeRefusal> {
        let body = NoticeBody::SecurityEvent(Secret::new(token));
        self.provider.verify_notice(&UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body }).await
    }

    async fn outcome_of(&self, claims: &Value) -> Result<Vec<(String, NoticeKind)>, NoticeRefusal> {
        let verified = self.receive(&self.signer.sign(claims)).await?;
        Ok(verified.events.into_iter().map(|event| (event.subject, event.kind)).collect())
    }
}

/// The example of developers.google.com/identity/protocols/risc, for our client id.
fn example() -> Value {
    json!({
        "iss": "https://accounts.google.com/", "aud": "client:1", "iat": 1_508_184_845,
        "jti": "756E69717565206964656E746966696572",
        "events": {"https://schemas.openid.net/secevent/risc/event-type/account-disabled": {
            "subject": {"subject_type": "iss-sub", "iss": "https://accounts.google.com/", "sub": "7375626A656374"},
            "reason": "hijacking"
        }}
    })
}

fn with(mut claims: Value, claim: &str, value: Value) -> Value {
    let object = claims.as_object_mut().unwrap();
    match value {
        Value::Null => drop(object.remove(claim)),
        value => drop(object.insert(claim.to_owned(), value)),
    }
    claims
}

fn event(event_type: &str, event: Value) -> Value {
    with(example(), "events", Value::Object([(event_type.to_owned(), event)].into_iter().collect()))
}

fn about(person: &str, kind: NoticeKind) -> Vec<(String, NoticeKind)> {
    vec![(person.to_owned(), kind)]
}

#[tokio::test]
async fn the_documented_example_is_understood_years_later() {
    let scene = Scene::google().await;
    let verified = scene.receive(&scene.signer.sign(&example())).await.unwrap();
    assert_eq!(verified.events.len(), 1);
    let event = &verified.events[0];
    assert_eq!((event.subject.as_str(), event.kind), ("7375626A656374", EverythingRevoked));
    assert_eq!(verified.id.as_deref(), Some("756E69717565206964656E746966696572"));
    assert_eq!(verified.sent_at.unwrap().timestamp(), 1_508_184_845);
    assert_eq!((verified.acknowledgement, verified.unacknowledged), (Acknowledgement::Ok, Unacknowledged::Told));
}

#[tokio::test]
async fn google_decides_by_the_type_of_event() {
    let scene = Scene::google().await;
    let subject = json!({"subject": {"subject_type": "iss-sub", "iss": GOOGLE_ISSUER, "sub": "7"}});
    for (event_type, kind) in [
        (format!("{RISC}sessions-revoked"), Some(SessionsRevoked)),
        (format!("{OAUTH}tokens-revoked"), Some(EverythingRevoked)),
        (format!("{OAUTH}token-revoked"), Some(GrantsRevoked)),
        (format!("{RISC}account-disabled"), Some(EverythingRevoked)),
        (format!("{RISC}account-purged"), Some(EverythingRevoked)),
        (format!("{RISC}account-enabled"), None),
        (format!("{RISC}account-credential-change-required"), None),
        (format!("{RISC}of-tomorrow"), None),
        (format!("{RISC}sessions-revoked/"), None),
    ] {
        let expected: Vec<_> = kind.map(|kind| ("7".to_owned(), kind)).into_iter().collect();
        assert_eq!(scene.outcome_of(&event(&event_type, subject.clone())).await, Ok(expected), "{event_type}");
    }
    let test = event(&format!("{RISC}verification"), json!({"state": "ABC"}));
    assert_eq!(scene.outcome_of(&test).await, Ok(Vec::new()), "it is about nobody");
}

#[tokio::test]
async fn kakao_decides_by_the_type_of_event() {
    let scene = Scene::of("KAKAO").await;
    for (event_type, kind) in [
        (format!("{KAKAO}user-unlinked"), Some(GrantsRevoked)),
        (format!("{KAKAO}tokens-revoked"), Some(GrantsRevoked)),
        (format!("{KAKAO}user-linked"), None),
        (format!("{KAKAO}user-scope-withdraw"), None),
        (format!("{RISC}sessions-revoked"), Some(SessionsRevoked)),
        (format!("{RISC}credential-compromise"), Some(SessionsRevoked)),
        (format!("{RISC}account-disabled"), Some(EverythingRevoked)),
        ("https://schemas.openid.net/secevent/caep/event-type/credential-change".to_owned(), None),
    ] {
        let claims = json!({
            "iss": KAKAO_ISSUER, "aud": "client:1", "iat": NOW, "toe": NOW - 60, "jti": "j", "sub": "123456789",
            "events": { event_type.clone(): {} }
        });
        let expected: Vec<_> = kind.map(|kind| ("123456789".to_owned(), kind)).into_iter().collect();
        assert_eq!(scene.outcome_of(&claims).await, Ok(expected), "{event_type}");
        let verified = scene.receive(&scene.signer.sign(&claims)).await.unwrap();
        assert_eq!(verified.sent_at.unwrap().timestamp(), NOW - 60, "when it happened, not when it was told");
        assert_eq!(verified.issued_at.unwrap().timestamp(), NOW);
    }
}

#[tokio::test]
async fn a_person_is_named_in_the_ways_of_the_standards() {
    let scene = Scene::google().await;
    let event_type = format!("{RISC}sessions-revoked");
    let iss_sub = |kind: &str, format: &str, iss: &str| json!({kind: format, "iss": iss, "sub": "7"});
    for subject in [
        iss_sub("subject_type", "iss-sub", GOOGLE_ISSUER),
        iss_sub("subject_type", "iss_sub", GOOGLE_ISSUER),
        iss_sub("subject_type", "id_token_claims", "https://accounts.google.com"),
        iss_sub("format", "iss_sub", GOOGLE_ISSUER),
        json!({"format": "complex", "user": {"format": "iss_sub", "iss": GOOGLE_ISSUER, "sub": "7"}}),
    ] {
        let in_event = event(&event_type, json!({"subject": subject}));
        assert_eq!(scene.outcome_of(&in_event).await, Ok(about("7", SessionsRevoked)), "{subject}");
        // RFC 9493 §4.1
        let beside = with(event(&event_type, json!({})), "sub_id", subject.clone());
        assert_eq!(scene.outcome_of(&beside).await, Ok(about("7", SessionsRevoked)), "{subject}");
    }
    let on_top = with(event(&event_type, json!({})), "sub", json!("8"));
    assert_eq!(scene.outcome_of(&on_top).await, Ok(about("8", SessionsRevoked)));
}

#[tokio::test]
async fn subjects_that_are_no_person_of_the_issuer_have_no_effect() {
    let scene = Scene::google().await;
    for subject in [
        json!({"subject_type": "iss-sub", "iss": "https://accounts.example.com", "sub": "7"}),
        json!({"subject_type": "email", "email": "mina@example.com"}),
        json!({"subject_type": "id_token_claims", "email": "mina@example.com"}),
        json!({"format": "opaque", "id": "7"}),
        // A single refresh token: the next refresh finds it invalid.
        json!({"subject_type": "oauth_token", "token_type": "refresh_token", "token_identifier_alg": "prefix", "token": "7"}),
        json!({"sub": "7"}),
        json!("7"),
        json!({"format": "iss_sub", "iss": GOOGLE_ISSUER, "sub": ""}),
    ] {
        for name in ["sessions-revoked", "account-disabled"] {
            let claims = with(event(&format!("{RISC}{name}"), json!({"subject": subject})), "sub", json!("another"));
            assert_eq!(scene.outcome_of(&claims).await, Ok(Vec::new()), "{subject}");
        }
    }
}

#[tokio::test]
async fn several_events_are_all_heard() {
    let scene = Scene::google().await;
    let subject = json!({"subject": {"subject_type": "iss-sub", "iss": GOOGLE_ISSUER, "sub": "7"}});
    let events = json!({
        format!("{RISC}sessions-revoked"): subject, format!("{RISC}account-enabled"): subject, format!("{OAUTH}token-revoked"): subject,
    });
    let mut heard = scene.outcome_of(&with(example(), "events", events)).await.unwrap();
    heard.sort_by_key(|(_, kind)| *kind);
    assert_eq!(heard, [("7".to_owned(), GrantsRevoked), ("7".to_owned(), SessionsRevoked)]);
}

#[tokio::test]
async fn every_claim_is_checked() {
    let scene = Scene::google().await;
    for (claim, value, refusal) in [
        ("iss", json!("https://accounts.google.com"), NoticeRefusal::WrongIssuer),
        ("iss", json!(KAKAO_ISSUER), NoticeRefusal::WrongIssuer),
        ("iss", json!(null), NoticeRefusal::WrongIssuer),
        ("aud", json!("client:2"), NoticeRefusal::WrongAudience),
        ("aud", json!(["client:2"]), NoticeRefusal::WrongAudience),
        ("aud", json!([]), NoticeRefusal::WrongAudience),
        ("aud", json!(null), NoticeRefusal::WrongAudience),
        ("jti", json!(null), NoticeRefusal::Malformed),
        ("jti", json!(""), NoticeRefusal::Malformed),
        ("iat", json!(null), NoticeRefusal::Malformed),
        ("iat", json!("soon"), NoticeRefusal::Malformed),
        ("iat", json!(NOW + 61), NoticeRefusal::Malformed),
        ("iat", json!(-1), NoticeRefusal::Malformed),
        ("iat", json!(i64::MIN), NoticeRefusal::Malformed),
        ("events", json!(null), NoticeRefusal::Malformed),
        ("events", json!({}), NoticeRefusal::Malformed),
        ("events", json!([format!("{RISC}sessions-revoked")]), NoticeRefusal::Malformed),
    ] {
        let claims = with(example(), claim, value);
        assert_eq!(scene.outcome_of(&claims).await, Err(refusal), "{claims}");
    }
    for (claim, value) in [
        ("aud", json!(["client:2", "client:1"])),
        ("iat", json!(NOW + 60)),
        // No expiry is needed, and one that exists is ignored.
        ("exp", json!(NOW - 9999)),
        ("toe", json!("soon")),
    ] {
        let claims = with(example(), claim, value);
        assert!(scene.outcome_of(&claims).await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn a_token_with_another_signature_is_not_believed() {
    let scene = Scene::google().await;
    let token = scene.signer.sign(&example());
    let other = Signer::new(SigningAlgorithm::Rs256);
    assert_eq!(scene.receive(&other.sign(&example())).await, Err(NoticeRefusal::WrongKey));
    let forged = scene.signer.sign(&with(example(), "jti", json!("another")));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (other_head, _) = forged.rsplit_once('.').unwrap();
    assert_eq!(scene.receive(&format!("{other_head}.{signature}")).await, Err(NoticeRefusal::WrongKey));
    assert_eq!(scene.receive(&format!("{head}.")).await, Err(NoticeRefusal::WrongKey));
    // The client secret is not a key.
    let header = Header { kid: None, ..Header::default() };
    let symmetric = jsonwebtoken::encode(&header, &example(), &EncodingKey::from_secret(b"s3cret/client")).unwrap();
    assert_eq!(scene.receive(&symmetric).await, Err(NoticeRefusal::WrongKey));
    for malformed in ["", "a.b", "a.b.c", "no token"] {
        assert_eq!(scene.receive(malformed).await, Err(NoticeRefusal::Malformed), "{malformed}");
    }
}

#[tokio::test]
async fn a_token_may_say_what_it_is_and_nothing_else() {
    let scene = Scene::google().await;
    for typ in [None, Some("secevent+jwt"), Some("SecEvent+JWT"), Some("application/secevent+jwt"), Some("JWT")] {
        let token = scene.signer.sign_as(typ, &example());
        assert!(scene.receive(&token).await.is_ok(), "{typ:?}");
    }
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt", ""] {
        let token = scene.signer.sign_as(Some(typ), &example());
        assert_eq!(scene.receive(&token).await, Err(NoticeRefusal::Malformed), "{typ}");
    }
}

#[tokio::test]
async fn no_id_token_is_an_event_and_no_event_an_id_token() {
    let scene = Scene::google().await;
    let issuer = "https://accounts.google.com";
    scene.fake.on("GET /events", json!({"issuer": issuer, "jwks_uri": scene.fake.url("/keys")}));
    scene.fake.on("GET /jwks", scene.signer.jwks());
    assert_eq!(scene.outcome_of(&id_token_claims(issuer)).await, Err(NoticeRefusal::Malformed));

    let exchange = async |typ: Option<&str>, claims: &Value| {
        let id_token = scene.signer.sign_as(typ, claims);
        scene.fake.on("POST /token", json!({"access_token": "s3cret-access", "id_token": id_token}));
        scene.provider.exchange(&code()).await
    };
    // With all the claims of an id token.
    let both = with(with(id_token_claims(issuer), "events", example()["events"].clone()), "at_hash", json!(null));
    for typ in [None, Some("JWT"), Some("secevent+jwt")] {
        assert_eq!(bad_response(exchange(typ, &both).await), "the id token is another kind of token", "{typ:?}");
    }
    assert!(exchange(Some("JWT"), &with(both, "events", json!(null))).await.is_ok(), "it is good but for that");
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_change_and_kept_meanwhile() {
    let mut scene = Scene::google().await;
    for _ in 0..3 {
        assert!(scene.outcome_of(&example()).await.is_ok());
    }
    assert_eq!((scene.fake.count("GET /events"), scene.fake.count("GET /keys")), (1, 1));
    scene.signer = Signer::new(SigningAlgorithm::Es256);
    scene.fake.on("GET /keys", scene.signer.jwks());
    scene.clock.pass(chrono::TimeDelta::minutes(2));
    assert!(scene.outcome_of(&example()).await.is_ok());
    assert_eq!((scene.fake.count("GET /events"), scene.fake.count("GET /keys")), (1, 2));
}

#[tokio::test]
async fn a_key_is_unknown_only_if_the_issuer_was_asked_for_it() {
    let mut scene = Scene::google().await;
    let forged = Signer::new(SigningAlgorithm::Rs256).sign(&example());
    assert_eq!(scene.receive(&forged).await, Err(NoticeRefusal::WrongKey), "the keys were just fetched");
    // The issuer begins to use another key, and the keys cannot be fetched again so soon.
    scene.signer = Signer::new(SigningAlgorithm::Es256);
    scene.fake.on("GET /keys", scene.signer.jwks());
    for token in [scene.signer.sign(&example()), forged.clone()] {
        let outcome = scene.receive(&token).await;
        assert!(matches!(outcome, Err(NoticeRefusal::KeysUnavailable(_))), "{outcome:?}");
    }
    assert_eq!(scene.fake.count("GET /keys"), 1);
    scene.clock.pass(chrono::TimeDelta::seconds(60));
    assert!(scene.outcome_of(&example()).await.is_ok());
    assert!(matches!(scene.receive(&forged).await, Err(NoticeRefusal::KeysUnavailable(_))));
    scene.clock.pass(chrono::TimeDelta::seconds(60));
    assert_eq!(scene.receive(&forged).await, Err(NoticeRefusal::WrongKey));
    // While they cannot be fetched, there is no verdict either.
    scene.clock.pass(chrono::TimeDelta::seconds(60));
    scene.fake.on("GET /keys", json!({}));
    assert!(matches!(scene.receive(&forged).await, Err(NoticeRefusal::KeysUnavailable(_))));
    assert!(scene.outcome_of(&example()).await.is_ok(), "those that are known go on");
}

#[tokio::test]
async fn without_the_keys_nothing_is_judged() {
    let away = |what: &str, reply: Value| {
        let what = what.to_owned();
        async move {
            let scene = Scene::google().await;
            scene.fake.on(&what, reply);
            scene.outcome_of(&example()).await
        }
    };
    for configuration in [
        json!({"jwks_uri": "https://a/b"}),
        json!({"issuer": GOOGLE_ISSUER}),
        json!({"issuer": GOOGLE_ISSUER, "jwks_uri": "http://idp.example.com/keys"}),
        json!([]),
    ] {
        let outcome = away("GET /events", configuration.clone()).await;
        assert!(matches!(outcome, Err(NoticeRefusal::KeysUnavailable(_))), "{configuration}: {outcome:?}");
    }
    let outcome = away("GET /keys", json!({})).await;
    assert!(matches!(outcome, Err(NoticeRefusal::KeysUnavailable(_))), "{outcome:?}");
}

#[tokio::test]
async fn other_providers_have_no_events() {
    for prefix in ["GITHUB", "FACEBOOK", "NAVER", "OIDC_OKTA"] {
        let secret = [("GITHUB_WEBHOOK_SECRET", "s3cret")];
        let provider = provider_with(prefix, "http://127.0.0.1:9", &TestClock::at(NOW), &secret);
        let body = NoticeBody::SecurityEvent(Secret::new("a.b.c"));
        let notice = UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body };
        assert_eq!(provider.verify_notice(&notice).await, Err(NoticeRefusal::Unsupported), "{prefix}");
    }
}
