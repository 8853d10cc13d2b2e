//! Facebook: no refresh tokens, but a valid access token can be exchanged for one of about 60 days; errors are objects;
//! calls with an access token must also prove knowledge of the app's secret, with which Facebook signs its notices.

use std::fmt::Write;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            error_codes::{ErrorResponse, Fault, registered_error},
            flow::{ClientAuth, Flow},
            notice::{base64, named, time, verify_hmac},
            response::{is_true, name, number, subject, text},
        },
    },
    domain::gateway::{
        models::{
            account::ProviderIdentity, notice::NoticeKind, oauth::ProviderTokens, provider::Endpoints,
            values::secret::Secret,
        },
        services::ports::{
            Acknowledgement, NoticeBody, NoticeEvent, NoticeRefusal, ProviderError, Unacknowledged, UnverifiedNotice,
            VerifiedNotice,
        },
    },
};

/// Of the Graph API: the access token is expired, revoked or invalid.
const BAD_TOKEN: i64 = 190;
/// The app's own id or secret is wrong.
const BAD_CLIENT: i64 = 101;
/// The message for a wrong secret, under a code with many meanings.
const BAD_SECRET: &str = "Error validating client secret";
/// Facebook is down, the rate limit is reached, or the app is blocked for a while.
const PASSING: [i64; 8] = [1, 2, 4, 17, 32, 341, 368, 613];

/// The specifics of Facebook.
pub(super) struct Facebook;

/// Creates the provider.
pub(super) fn facebook(flow: Flow, endpoints: Endpoints) -> Plain<Facebook> {
    Plain::new(flow.with_errors(error_of), endpoints, Facebook)
}

/// A URL of the Graph API, with the proof that the app itself holds the token.
fn proven(flow: &Flow, url: &Url, access_token: &Secret) -> Url {
    let mut url = url.clone();
    let proof = appsecret_proof(&flow.settings.client_secret, access_token);
    url.query_pairs_mut().append_pair("appsecret_proof", &proof);
    url
}

/// Reads `{"error": {"type": "OAuthException", "code": 190}}`.
fn error_of(status: StatusCode, body: &Value) -> Option<ErrorResponse> {
    let error = body.get("error").filter(|error| error.is_object());
    let Some(error) = error else { return registered_error(status, body) };
    let kind = text(error, "type").unwrap_or_else(|| "error".to_owned());
    let code = number(error, "code");
    let is_bad_secret = text(error, "message").is_some_and(|message| message.starts_with(BAD_SECRET));
    let fault = match code {
        Some(BAD_TOKEN) => Fault::Grant,
        Some(BAD_CLIENT) => Fault::Client,
        _ if is_bad_secret => Fault::Client,
        Some(code) if PASSING.contains(&code) => Fault::Provider,
        _ if is_true(error, "is_transient") => Fault::Provider,
        _ => Fault::Unknown,
    };
    Some(ErrorResponse::new(code.map_or_else(|| kind.clone(), |code| format!("{kind}:{code}")), fault))
}

/// HMAC-SHA256 of the access token under the app's secret, in hexadecimal.
pub(super) fn appsecret_proof(app_secret: &Secret, access_token: &Secret) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, app_secret.expose().as_bytes());
    hmac::sign(&key, access_token.expose().as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[async_trait]
impl Quirks for Facebook {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let mut url = proven(&site.flow, &site.endpoints.userinfo, access_token);
        url.query_pairs_mut().append_pair("fields", "id,name,email");
        let me = site.flow.get(&url, access_token).await?;
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            subject: subject(&me, "id")?,
            // It may contain an address, but not whether the address is proven.
            verified_email: None,
            name: name(&me, "name"),
        })
    }

    fn auth_types(&self) -> &'static [&'static str] {
        &["rerequest", "reauthenticate"]
    }

    fn renews_living_tokens(&self) -> bool {
        true
    }

    async fn refresh(&self, site: &Site, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        let form = vec![("grant_type", "fb_exchange_token"), ("fb_exchange_token", tokens.access_token.expose())];
        site.flow.token(&site.endpoints.token, ClientAuth::Form, form).await
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let url = proven(&site.flow, &site.endpoints.revoke, &tokens.access_token);
        let response = site.flow.with_token(site.flow.http.client()?.delete(url), &tokens.access_token).await?;
        if is_true(&response, "success") {
            Ok(())
        } else {
            Err(ProviderError::BadResponse("it does not confirm that the permissions are revoked".to_owned()))
        }
    }

    /// Verifies a signed request: the signature, a dot, and JSON, both in base64. The signature covers the encoded
    /// JSON. Whether Facebook repeats a notice is not documented.
    async fn verify_notice(&self, site: &Site, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        let (parameters, kind) = match &notice.body {
            NoticeBody::Parameters(parameters) => (parameters, NoticeKind::GrantsRevoked),
            NoticeBody::DeletionRequest(parameters) => (parameters, NoticeKind::DataDeletion),
            NoticeBody::Json(_) => return Err(NoticeRefusal::Malformed),
            NoticeBody::SecurityEvent(_) => return Err(NoticeRefusal::Unsupported),
        };
        let signed_request = named(parameters, "signed_request")?;
        let (signature, signed) = signed_request.split_once('.').ok_or(NoticeRefusal::Malformed)?;
        verify_hmac(site.flow.settings.client_secret.expose().as_bytes(), signed, signature)?;
        let payload: Value = serde_json::from_slice(&base64(signed)?).map_err(|_| NoticeRefusal::Malformed)?;
        if !text(&payload, "algorithm").is_some_and(|name| name.eq_ignore_ascii_case("HMAC-SHA256")) {
            return Err(NoticeRefusal::Unverified);
        }
        // The SDK gives browsers a signed request with a code, for signing in: that is no notice.
        if text(&payload, "code").is_some() || text(&payload, "oauth_token").is_some() {
            return Err(NoticeRefusal::Malformed);
        }
        let sent_at = number(&payload, "issued_at").map(time).transpose()?;
        // Without a time, an old request to delete could not be told from a new one.
        if kind == NoticeKind::DataDeletion && sent_at.is_none() {
            return Err(NoticeRefusal::Malformed);
        }
        Ok(VerifiedNotice {
            events: vec![NoticeEvent {
                subject: subject(&payload, "user_id").map_err(|_| NoticeRefusal::Malformed)?,
                kind,
            }],
            // Without a time in it, the text is the same each time. The signature may be encoded in several ways.
            id: sent_at.map(|_| format!("{}.{signed}", canonical(signature))),
            sent_at,
            issued_at: sent_at,
            acknowledgement: Acknowledgement::Ok,
            unacknowledged: Unacknowledged::Told,
        })
    }
}

/// A signature in base64, in one of its encodings.
fn canonical(signature: &str) -> String {
    base64(signature).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_proof_is_an_hmac_in_hexadecimal() {
        // RFC 4231 §4.3
        let proof = appsecret_proof(&Secret::new("Jefe"), &Secret::new("what do ya want for nothing?"));
        assert_eq!(proof, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn errors_are_objects_with_numbers() {
        let of = |error: Value| {
            let read = error_of(StatusCode::BAD_REQUEST, &json!({ "error": error })).unwrap();
            (read.code, read.fault)
        };
        let oauth = |code: i64| json!({"message": "m", "type": "OAuthException", "code": code, "fbtrace_id": "t"});
        assert_eq!(of(oauth(190)), ("OAuthException:190".into(), Fault::Grant));
        assert_eq!(of(oauth(4)), ("OAuthException:4".into(), Fault::Provider));
        assert_eq!(of(oauth(101)), ("OAuthException:101".into(), Fault::Client));
        for unlisted in [10, 100, 102, 200, 294] {
            assert_eq!(of(oauth(unlisted)).1, Fault::Unknown, "{unlisted}");
        }
        let mut bad_secret = oauth(1);
        assert_eq!(of(bad_secret.clone()).1, Fault::Provider);
        bad_secret["message"] = json!("Error validating client secret.");
        assert_eq!(of(bad_secret).1, Fault::Client);
        assert_eq!(of(json!({"is_transient": true})), ("error".into(), Fault::Provider));
        assert_eq!(of(json!("invalid_grant")), ("invalid_grant".into(), Fault::Grant));
        assert_eq!(error_of(StatusCode::OK, &json!({"id": "1"})), None);
    }
}
