//! Notices that a person revoked a grant at the provider. The literal ones were made with independent tools (Python's
//! hmac, OpenSSL's aes-128-cbc), as the providers document them.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::*;
use crate::domain::gateway::{
    models::notice::NoticeKind,
    services::ports::{
        Acknowledgement, NoticeBody, NoticeEvent, NoticeRefusal, Unacknowledged, UnverifiedNotice, VerifiedNotice,
    },
};

const NOWHERE: &str = "http://127.0.0.1:9";
const ADMIN_KEY: &str = "s3cret-admin-key";

fn provider(prefix: &str) -> Arc<dyn Provider> {
    provider_with(prefix, NOWHERE, &TestClock::at(NOW), &[("KAKAO_ADMIN_KEY", ADMIN_KEY)])
}

fn notice(parameters: &[(&'static str, &str)]) -> UnverifiedNotice {
    let parameters = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body: NoticeBody::Parameters(parameters) }
}

/// A notice without its id.
fn said(verified: VerifiedNotice) -> VerifiedNotice {
    VerifiedNotice { id: None, ..verified }
}

/// This person revoked their grants.
fn about(
    subject: &str,
    sent_at: Option<i64>,
    acknowledgement: Acknowledgement,
    unacknowledged: Unacknowledged,
) -> VerifiedNotice {
    let sent_at = sent_at.map(|seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap());
    VerifiedNotice {
        events: vec![NoticeEvent { subject: subject.to_owned(), kind: NoticeKind::GrantsRevoked }],
        id: None,
        sent_at,
        issued_at: sent_at,
        acknowledgement,
        unacknowledged,
    }
}

fn hmac_of(key: &[u8], text: &str) -> String {
    BASE64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()))
}

mod facebook {
    use super::*;

    const SIGNED: &str = "Ukgu56MV_T_kBombjZqm5y-npPm-6JxAHjbVUKBWNhU.eyJhbGdvcml0aG0iOiAiSE1BQy1TSEEyNTYiLCAiaXNzdWVkX2F0Ij\
                          ogMTgwMDAwMDAwMCwgInVzZXJfaWQiOiAiMTAxNTgifQ";

    async fn outcome_of(signed_request: &str) -> Result<VerifiedNotice, NoticeRefusal> {
        provider("FACEBOOK").verify_notice(&notice(&[("signed_request", signed_request)])).await.map(said)
    }

    /// Signs like Facebook.
    fn signed(payload: &Value) -> String {
        let payload = BASE64.encode(payload.to_string());
        format!("{}.{payload}", hmac_of(b"s3cret/client", &payload))
    }

    #[tokio::test]
    async fn a_signed_request_says_who() {
        let alice = || about("10158", Some(NOW), Acknowledgement::Ok, Unacknowledged::Told);
        assert_eq!(outcome_of(SIGNED).await, Ok(alice()));
        // Padded and in the other alphabet, which PHP's decoder also accepts.
        let (signature, payload) = SIGNED.split_once('.').unwrap();
        let signature = signature.replace('-', "+").replace('_', "/");
        assert_eq!(outcome_of(&format!("{signature}=.{payload}")).await, Ok(alice()));
        let untimed = signed(&json!({"algorithm": "HMAC-SHA256", "user_id": 7}));
        assert_eq!(outcome_of(&untimed).await, Ok(about("7", None, Acknowledgement::Ok, Unacknowledged::Told)));
    }

    #[tokio::test]
    async fn a_notice_with_another_signature_is_not_believed() {
        let (signature, payload) = SIGNED.split_once('.').unwrap();
        let other = BASE64.encode(json!({"algorithm": "HMAC-SHA256", "user_id": "1"}).to_string());
        for forged in [
            format!("{signature}.{other}"),
            format!("{}.{payload}", hmac_of(b"another secret", payload)),
            format!("{}.{payload}", &signature[..20]),
            format!(".{payload}"),
            format!("?.{payload}"),
            format!("{SIGNED}="),
            signed(&json!({"algorithm": "none", "user_id": "10158"})),
            signed(&json!({"user_id": "10158"})),
        ] {
            assert_eq!(outcome_of(&forged).await, Err(NoticeRefusal::Unverified), "{forged}");
        }
    }

    #[tokio::test]
    async fn a_signed_request_for_deletion_says_whose_data() {
        let request = |text: &str| {
            let parameters = BTreeMap::from([("signed_request", text.to_owned())]);
            UnverifiedNotice { body: NoticeBody::DeletionRequest(parameters), ..notice(&[]) }
        };
        let verified = provider("FACEBOOK").verify_notice(&request(SIGNED)).await.unwrap();
        let event = NoticeEvent { subject: "10158".to_owned(), kind: NoticeKind::DataDeletion };
        assert_eq!((verified.events, verified.sent_at.unwrap().timestamp()), (vec![event], NOW));
        let forged = SIGNED.replace("Ukgu", "Ukgv");
        assert_eq!(provider("FACEBOOK").verify_notice(&request(&forged)).await, Err(NoticeRefusal::Unverified));
        assert_eq!(provider("FACEBOOK").verify_notice(&request("")).await, Err(NoticeRefusal::Malformed));
        // The text is the request: its signature may be encoded in several ways.
        let (signature, payload) = SIGNED.split_once('.').unwrap();
        let otherwise = format!("{}=.{payload}", signature.replace('-', "+").replace('_', "/"));
        let id = async |text: &str| provider("FACEBOOK").verify_notice(&request(text)).await.unwrap().id;
        assert_eq!(id(&otherwise).await, id(SIGNED).await);
        // A signed request that the SDK gives a browser for signing in, and one without a time.
        for payload in [
            json!({"algorithm": "HMAC-SHA256", "user_id": "7", "issued_at": NOW, "code": "c"}),
            json!({"algorithm": "HMAC-SHA256", "user_id": "7", "issued_at": NOW, "oauth_token": "t"}),
            json!({"algorithm": "HMAC-SHA256", "user_id": "7"}),
            // Invalid times.
            json!({"algorithm": "HMAC-SHA256", "user_id": "7", "issued_at": 8_210_266_876_799_i64}),
            json!({"algorithm": "HMAC-SHA256", "user_id": "7", "issued_at": 253_402_300_800_i64}),
            json!({"algorithm": "HMAC-SHA256", "user_id": "7", "issued_at": -1}),
            json!({"algorithm": "HMAC-SHA256", "user_id": "7", "issued_at": i64::MIN}),
        ] {
            let outcome = provider("FACEBOOK").verify_notice(&request(&signed(&payload))).await;
            assert_eq!(outcome, Err(NoticeRefusal::Malformed), "{payload}");
        }
        // No other provider has such a callback, whatever the proof.
        for prefix in ["NAVER", "KAKAO", "GITHUB", "GOOGLE", "OIDC_OKTA"] {
            let request =
                UnverifiedNotice { authorization: Some(Secret::new("KakaoAK s3cret-admin-key")), ..request(SIGNED) };
            let secrets = [("KAKAO_ADMIN_KEY", ADMIN_KEY), ("GITHUB_WEBHOOK_SECRET", "s3cret")];
            let provider = provider_with(prefix, NOWHERE, &TestClock::at(NOW), &secrets);
            assert_eq!(provider.verify_notice(&request).await, Err(NoticeRefusal::Unsupported), "{prefix}");
        }
    }

    #[tokio::test]
    async fn an_invalid_signed_request_is_malformed() {
        let signed_text = |text: &str| format!("{}.{text}", hmac_of(b"s3cret/client", text));
        for malformed in [
            String::new(),
            "no dot".to_owned(),
            signed_text("?"),
            signed_text(&BASE64.encode("no JSON")),
            signed(&json!({"algorithm": "HMAC-SHA256"})),
            signed(&json!({"algorithm": "HMAC-SHA256", "user_id": "a\u{0}b"})),
            signed(&json!({"algorithm": "HMAC-SHA256", "user_id": "a".repeat(256)})),
        ] {
            assert_eq!(outcome_of(&malformed).await, Err(NoticeRefusal::Malformed), "{malformed}");
        }
        assert_eq!(provider("FACEBOOK").verify_notice(&notice(&[])).await, Err(NoticeRefusal::Malformed));
    }
}

mod naver {
    use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
    use md5::{Digest, Md5};

    use super::*;

    const ENCRYPTED: &str = "AAECAwQFBgcICQoLDA0OD4VdbplMX_uvcO7cikD9sME";
    const SIGNATURE: &str = "n_vGQ6-GYfQAbwl94n4kSK9yHPYIWcKjIMmEhR5kMaQ";
    const TIME: &str = "1800000000";

    async fn outcome_of(
        client_id: &str,
        encrypted: &str,
        timestamp: &str,
        signature: &str,
    ) -> Result<VerifiedNotice, NoticeRefusal> {
        let notice = notice(&[
            ("clientId", client_id),
            ("encryptUniqueId", encrypted),
            ("timestamp", timestamp),
            ("signature", signature),
        ]);
        provider("NAVER").verify_notice(&notice).await.map(said)
    }

    /// Signs like Naver.
    async fn signed(client_id: &str, encrypted: &str, timestamp: &str) -> Result<VerifiedNotice, NoticeRefusal> {
        let text = format!("clientId={client_id}&encryptUniqueId={encrypted}&timestamp={timestamp}");
        let signature = hmac_of(&Md5::digest("s3cret/client"), &text);
        outcome_of(client_id, encrypted, timestamp, &signature).await
    }

    fn encrypted(subject: &str) -> String {
        let key = UnboundCipherKey::new(&AES_128, &Md5::digest("s3cret/client")).unwrap();
        let mut text = subject.as_bytes().to_vec();
        let context = EncryptionContext::Iv128([9; 16].into());
        PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap().less_safe_encrypt(&mut text, context).unwrap();
        BASE64.encode([&[9; 16][..], &text].concat())
    }

    #[tokio::test]
    async fn a_signed_notice_says_who() {
        let mina = || about("32742776", Some(NOW), Acknowledgement::NoContent, Unacknowledged::Lost);
        assert_eq!(outcome_of("client:1", ENCRYPTED, TIME, SIGNATURE).await, Ok(mina()));
        assert_eq!(outcome_of("client:1", ENCRYPTED, TIME, &format!("{SIGNATURE}=")).await, Ok(mina()));
        let long = "가".repeat(80);
        assert_eq!(
            signed("client:1", &encrypted(&long), "5").await,
            Ok(about(&long, Some(5), Acknowledgement::NoContent, Unacknowledged::Lost))
        );
    }

    #[tokio::test]
    async fn a_notice_with_another_signature_is_not_believed() {
        let other = encrypted("1");
        for (client_id, encrypted, timestamp, signature) in [
            ("client:2", ENCRYPTED, TIME, SIGNATURE),
            ("client:1", other.as_str(), TIME, SIGNATURE),
            ("client:1", ENCRYPTED, "1800000001", SIGNATURE),
            ("client:1", ENCRYPTED, TIME, &SIGNATURE[..40]),
            ("client:1", ENCRYPTED, TIME, "?"),
        ] {
            let outcome = outcome_of(client_id, encrypted, timestamp, signature).await;
            assert_eq!(outcome, Err(NoticeRefusal::Unverified), "{client_id} {encrypted} {timestamp} {signature}");
        }
        assert_eq!(
            signed("client:2", ENCRYPTED, TIME).await,
            Err(NoticeRefusal::Unverified),
            "another app of the same secret"
        );
    }

    #[tokio::test]
    async fn a_signed_notice_without_sense_is_malformed() {
        let [cut, empty, control] = [&ENCRYPTED[..30], &encrypted(""), &encrypted("a\u{0}b")];
        for (encrypted, timestamp) in [
            ("?", TIME),
            ("AAAA", TIME),
            (cut, TIME),
            (empty, TIME),
            (control, TIME),
            (ENCRYPTED, "now"),
            (ENCRYPTED, "8210266876799"),
        ] {
            assert_eq!(
                signed("client:1", encrypted, timestamp).await,
                Err(NoticeRefusal::Malformed),
                "{encrypted} {timestamp}"
            );
        }
        for missing in ["clientId", "encryptUniqueId", "timestamp", "signature"] {
            let parameters = [
                ("clientId", "client:1"),
                ("encryptUniqueId", ENCRYPTED),
                ("timestamp", TIME),
                ("signature", SIGNATURE),
            ];
            let others: Vec<_> = parameters.into_iter().filter(|(name, _)| *name != missing).collect();
            let outcome = provider("NAVER").verify_notice(&notice(&others)).await;
            assert_eq!(outcome, Err(NoticeRefusal::Malformed), "{missing}");
        }
    }
}

mod kakao {
    use super::*;

    async fn outcome_of(
        authorization: Option<&str>,
        parameters: &[(&'static str, &str)],
    ) -> Result<VerifiedNotice, NoticeRefusal> {
        let notice = UnverifiedNotice { authorization: authorization.map(Secret::new), ..notice(parameters) };
        provider("KAKAO").verify_notice(&notice).await
    }

    #[tokio::test]
    async fn the_admin_key_proves_a_notice() {
        for authorization in ["KakaoAK s3cret-admin-key", "kakaoak  s3cret-admin-key"] {
            let outcome = outcome_of(Some(authorization), &[("user_id", "123456789")]).await;
            assert_eq!(outcome, Ok(about("123456789", None, Acknowledgement::Ok, Unacknowledged::Lost)));
        }
    }

    #[tokio::test]
    async fn a_notice_without_the_admin_key_is_refused() {
        for authorization in [
            None,
            Some(""),
            Some("KakaoAK"),
            Some("KakaoAK "),
            Some("KakaoAK s3cret-admin-ke"),
            Some("KakaoAK s3cret-admin-keys"),
            Some("KakaoAK S3CRET-ADMIN-KEY"),
            Some("Bearer s3cret-admin-key"),
            Some("s3cret-admin-key"),
            // Public values prove nothing.
            Some("KakaoAK client:1"),
        ] {
            let outcome = outcome_of(authorization, &[("user_id", "123456789")]).await;
            assert_eq!(outcome, Err(NoticeRefusal::Unverified), "{authorization:?}");
            assert_eq!(outcome_of(authorization, &[]).await, Err(NoticeRefusal::Unverified), "the proof comes first");
        }
    }

    #[tokio::test]
    async fn a_missing_user_and_nonsense_are_malformed() {
        let known = Some("KakaoAK s3cret-admin-key");
        for parameters in [&[][..], &[("user_id", "")], &[("user_id", "a\u{0}")], &[("signature", "1")]] {
            assert_eq!(outcome_of(known, parameters).await, Err(NoticeRefusal::Malformed), "{parameters:?}");
        }
    }

    #[tokio::test]
    async fn without_an_admin_key_no_notice_is_believed() {
        let kakao = provider_at("KAKAO", NOWHERE, &TestClock::at(NOW));
        for authorization in ["KakaoAK ", "KakaoAK s3cret-admin-key"] {
            let notice = UnverifiedNotice {
                authorization: Some(Secret::new(authorization)),
                ..notice(&[("user_id", "123456789")])
            };
            assert_eq!(kakao.verify_notice(&notice).await, Err(NoticeRefusal::Unsupported));
        }
    }
}

mod github {
    use super::*;

    /// The example of docs.github.com, "Validating webhook deliveries".
    const DOCUMENTED: (&str, &str, &str) = (
        "It's a Secret to Everybody",
        "Hello, World!",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    );
    const WEBHOOK_SECRET: &str = "s3cret-webhook";

    fn delivery(event: Option<&str>, body: &str, signature: Option<&str>) -> UnverifiedNotice {
        let headers =
            [("x-github-event", event), ("x-hub-signature-256", signature), ("x-github-delivery", Some("d-1"))];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect();
        UnverifiedNotice { authorization: None, headers, body: NoticeBody::Json(body.as_bytes().to_vec()) }
    }

    fn signature_of(body: &str) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_SECRET.as_bytes()), body.as_bytes());
        tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    async fn outcome_of(notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        let secret = [("GITHUB_WEBHOOK_SECRET", WEBHOOK_SECRET)];
        provider_with("GITHUB", NOWHERE, &TestClock::at(NOW), &secret).verify_notice(notice).await
    }

    async fn signed(event: &str, body: &Value) -> Result<VerifiedNotice, NoticeRefusal> {
        let body = body.to_string();
        outcome_of(&delivery(Some(event), &body, Some(&signature_of(&body)))).await
    }

    #[tokio::test]
    async fn a_revoked_authorization_says_who() {
        let body = json!({"action": "revoked", "sender": {"login": "octocat", "id": 583_231, "type": "User"}});
        let expected = VerifiedNotice {
            id: Some("d-1".to_owned()),
            ..about("583231", None, Acknowledgement::Ok, Unacknowledged::Told)
        };
        assert_eq!(signed("github_app_authorization", &body).await, Ok(expected));
    }

    #[tokio::test]
    async fn every_other_event_is_acknowledged_and_asks_for_nothing() {
        let body = json!({"zen": "Keep it logically awesome.", "action": "revoked", "sender": {"id": 1}});
        for event in ["ping", "installation", "push"] {
            assert_eq!(signed(event, &body).await.unwrap().events, [], "{event}");
        }
        assert_eq!(signed("github_app_authorization", &json!({"action": "of tomorrow"})).await.unwrap().events, []);
    }

    #[tokio::test]
    async fn the_documented_signature_is_believed() {
        let (secret, body, signature) = DOCUMENTED;
        let github = provider_with("GITHUB", NOWHERE, &TestClock::at(NOW), &[("GITHUB_WEBHOOK_SECRET", secret)]);
        let notice = delivery(Some("ping"), body, Some(signature));
        // The signature is valid, but the text is not JSON.
        assert_eq!(github.verify_notice(&notice).await, Err(NoticeRefusal::Malformed));
        let notice = delivery(Some("ping"), "Hello, World", Some(signature));
        assert_eq!(github.verify_notice(&notice).await, Err(NoticeRefusal::Unverified));
    }

    #[tokio::test]
    async fn a_notice_with_another_signature_is_not_believed() {
        let body = json!({"action": "revoked", "sender": {"id": 1}}).to_string();
        let good = signature_of(&body);
        for forged in [
            None,
            Some(String::new()),
            Some("sha256=".to_owned()),
            Some(good.replace("sha256=", "sha1=")),
            Some(good.trim_start_matches("sha256=").to_owned()),
            Some(good[..good.len() - 1].to_owned()),
            Some(good[..good.len() - 2].to_owned()),
            Some(format!("{good}00")),
            Some(format!("sha256={}", "+f".repeat(32))),
            Some(signature_of("another body")),
        ] {
            let notice = delivery(Some("github_app_authorization"), &body, forged.as_deref());
            assert_eq!(outcome_of(&notice).await, Err(NoticeRefusal::Unverified), "{forged:?}");
        }
        assert!(
            outcome_of(&delivery(Some("ping"), &body, Some(&good.to_uppercase().replace("SHA", "sha")))).await.is_ok()
        );
    }

    #[tokio::test]
    async fn a_signed_notice_without_sense_is_malformed() {
        let revoked = "github_app_authorization";
        for body in [json!({"action": "revoked"}), json!({"action": "revoked", "sender": {"login": "octocat"}})] {
            assert_eq!(signed(revoked, &body).await, Err(NoticeRefusal::Malformed), "{body}");
        }
        let body = "{}";
        assert_eq!(outcome_of(&delivery(None, body, Some(&signature_of(body)))).await, Err(NoticeRefusal::Malformed));
        assert_eq!(outcome_of(&notice(&[("payload", "{}")])).await, Err(NoticeRefusal::Malformed), "a form");
    }

    #[tokio::test]
    async fn without_a_webhook_secret_no_notice_is_believed() {
        let notice = delivery(Some("ping"), "{}", Some(&signature_of("{}")));
        assert_eq!(provider("GITHUB").verify_notice(&notice).await, Err(NoticeRefusal::Unsupported));
    }
}

#[tokio::test]
async fn a_repeated_delivery_has_the_same_id_where_the_provider_signs_a_time() {
    let id = async |time: Option<i64>| {
        let payload = BASE64.encode(json!({"algorithm": "HMAC-SHA256", "user_id": "1", "issued_at": time}).to_string());
        let signed_request = format!("{}.{payload}", hmac_of(b"s3cret/client", &payload));
        let notice = notice(&[("signed_request", &signed_request)]);
        provider("FACEBOOK").verify_notice(&notice).await.unwrap().id
    };
    assert!(id(Some(5)).await.is_some());
    assert_eq!(id(Some(5)).await, id(Some(5)).await);
    assert_ne!(id(Some(5)).await, id(Some(6)).await);
    assert_eq!(id(None).await, None, "else a second removal would pass for the first");
}

#[tokio::test]
async fn the_others_send_no_notices() {
    for prefix in ["GOOGLE", "GITHUB", "OIDC_OKTA"] {
        let notice = notice(&[("user_id", "1"), ("signed_request", "a.b")]);
        assert_eq!(provider(prefix).verify_notice(&notice).await, Err(NoticeRefusal::Unsupported), "{prefix}");
    }
}

#[test]
fn a_notice_prints_no_key() {
    let notice = UnverifiedNotice { authorization: Some(Secret::new("KakaoAK s3cret-admin-key")), ..notice(&[]) };
    assert!(!format!("{notice:?}").contains(SECRET));
}
