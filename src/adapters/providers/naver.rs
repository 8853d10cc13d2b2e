//! Naver: wants the state at the token endpoint too, nests the profile, numbers its results as text, may report errors
//! with status 200, and both signs and encrypts its notices, with a key that it derives from the client secret. Its
//! OpenID Connect has endpoints of its own (developers.naver.com/docs/login/devguide, 3.5). The id token contains no
//! more than `sub`, so the gateway requests the profile all the same.

use async_trait::async_trait;
use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use md5::{Digest, Md5};
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            error_codes::{Described, ErrorResponse, Fault},
            flow::{ClientAuth, Flow, TokenTypeHint},
            notice::{base64, grants_revoked, parameter, time, verify_hmac},
            response::{name, subject, text, text_subject},
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, oauth::ProviderTokens, provider::Endpoints, values::secret::Secret},
        services::ports::{
            Acknowledgement, CodeExchange, NoticeRefusal, ProviderError, Unacknowledged, UnverifiedNotice,
            VerifiedNotice,
        },
    },
};

/// Messages for a refresh token and for a code that is invalid: their code, `invalid_request`, also means everything
/// else. Messages for a wrong client id or secret: of the token endpoint, and of the revocation endpoint.
const DESCRIBED: Described = Described {
    grant: &["invalid refresh_token", "no valid data in session"],
    client: &["wrong client id / client secret pair", "client authentication failed"],
};

/// As written in its metadata (nid.naver.com/.well-known/openid-configuration).
const ISSUER: &str = "https://nid.naver.com";
const REMEDY: &str = "make sure that NAVER_AUTHORIZE_URL does not take openid out of the scope, or set NAVER_OIDC=off";

/// The specifics of Naver.
pub(super) struct Naver;

/// Creates the provider. `jwks` turns id tokens on.
pub(super) fn naver(flow: Flow, endpoints: Endpoints, jwks: Option<Url>) -> Plain<Naver> {
    Plain::new(flow.with_errors(error_of), endpoints, Naver).with_id_tokens(ISSUER, jwks, REMEDY)
}

/// Reads `{"error": "invalid_request"}` of the token endpoint, `{"resultcode": "024"}` of the profile.
fn error_of(status: StatusCode, body: &Value) -> Option<ErrorResponse> {
    if let Some(error) = DESCRIBED.error(status, body) {
        return Some(error);
    }
    let code = text(body, "resultcode").or_else(|| text(body, "errorCode")).filter(|code| code != "00")?;
    // 5xx as text: the profile is down.
    let is_down = code.len() == 3 && code.starts_with('5');
    let fault = if is_down { Fault::Provider } else { Fault::Unknown };
    Some(ErrorResponse::new(format!("resultcode:{code}"), fault))
}

#[async_trait]
impl Quirks for Naver {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let response = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        if text(&response, "resultcode").as_deref() != Some("00") {
            return Err(ProviderError::BadResponse("it lacks resultcode".to_owned()));
        }
        let profile = response.get("response").unwrap_or(&Value::Null);
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            subject: subject(profile, "id")?,
            // A contact address that people can change: it is not proven.
            verified_email: None,
            name: name(profile, "name").or_else(|| name(profile, "nickname")),
        })
    }

    /// Naver does not document that `sub` equals the profile's `id`, though both are made for this app alone. So `id`
    /// is the subject, with OpenID Connect and without, and the two are not compared. They need not be: both tokens
    /// came in one response.
    fn compare(&self, claims: &Value, _: &ProviderIdentity) -> Result<(), ProviderError> {
        text_subject(claims, "sub").map(drop)
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        site.flow.revoke(&site.endpoints.revoke, ClientAuth::Form, tokens, TokenTypeHint::Sent).await
    }

    fn auth_types(&self) -> &'static [&'static str] {
        &["reprompt", "reauthenticate"]
    }

    fn exchange_parameters<'e>(&self, exchange: &'e CodeExchange) -> Vec<(&'static str, &'e str)> {
        vec![("state", exchange.state.expose())]
    }

    /// Naver expects a 204, and sends each notice once (developers.naver.com, 네이버 로그인, 연결끊기 Callback).
    async fn verify_notice(&self, site: &Site, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        let [client_id, encrypted, timestamp, signature] =
            ["clientId", "encryptUniqueId", "timestamp", "signature"].map(|name| parameter(notice, name));
        let (client_id, encrypted, timestamp) = (client_id?, encrypted?, timestamp?);
        let key = notice_key(&site.flow.settings.client_secret);
        let signed = format!("clientId={client_id}&encryptUniqueId={encrypted}&timestamp={timestamp}");
        let signature = signature?;
        verify_hmac(&key, &signed, signature)?;
        if client_id != site.flow.settings.client_id {
            return Err(NoticeRefusal::Unverified);
        }
        let person = json!({"id": decrypted(&key, encrypted)?});
        let sent_at = time(timestamp.parse().map_err(|_| NoticeRefusal::Malformed)?)?;
        Ok(VerifiedNotice {
            events: grants_revoked(subject(&person, "id").map_err(|_| NoticeRefusal::Malformed)?),
            id: Some(signed),
            sent_at: Some(sent_at),
            issued_at: Some(sent_at),
            acknowledgement: Acknowledgement::NoContent,
            unacknowledged: Unacknowledged::Lost,
        })
    }
}

/// The key of its notices, for signature and encryption alike, as Naver documents. The secret is random, so the
/// weaknesses of MD5 do not matter here.
fn notice_key(client_secret: &Secret) -> [u8; 16] {
    Md5::digest(client_secret.expose()).into()
}

/// Decrypts AES-128-CBC with the initialization vector in front. Call it only after verifying the signature: otherwise
/// an attacker could learn from the response whether the padding was valid.
fn decrypted(key: &[u8; 16], encrypted: &str) -> Result<String, NoticeRefusal> {
    let encrypted = base64(encrypted)?;
    let (vector, text) = encrypted.split_first_chunk::<16>().ok_or(NoticeRefusal::Malformed)?;
    let mut text = text.to_vec();
    let decrypted = UnboundCipherKey::new(&AES_128, key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| key.decrypt(&mut text, DecryptionContext::Iv128(vector.into())).map(|text| text.to_vec()))
        .map_err(|_| NoticeRefusal::Malformed)?;
    String::from_utf8(decrypted).map_err(|_| NoticeRefusal::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_body_may_be_an_error() {
        let of = |body: Value| error_of(StatusCode::OK, &body).map(|error| (error.code, error.fault));
        assert_eq!(of(json!({"resultcode": "00", "message": "success"})), None);
        assert_eq!(of(json!({"resultcode": "024"})), Some(("resultcode:024".into(), Fault::Unknown)));
        assert_eq!(of(json!({"errorCode": "024"})), Some(("resultcode:024".into(), Fault::Unknown)));
        assert_eq!(of(json!({"resultcode": "500"})), Some(("resultcode:500".into(), Fault::Provider)));
        assert_eq!(of(json!({"error": "invalid_grant"})), Some(("invalid_grant".into(), Fault::Grant)));
    }

    #[test]
    fn a_description_tells_what_the_code_does_not() {
        for (code, description, fault) in [
            ("invalid_request", "invalid refresh_token", Fault::Grant),
            ("invalid_request", "Invalid refresh_token.", Fault::Grant),
            ("invalid_request", "no valid data in session", Fault::Grant),
            ("invalid_request", "wrong client id / client secret pair", Fault::Client),
            ("unauthorized_client", "Client authentication failed.", Fault::Client),
            ("unauthorized_client", "", Fault::Unknown),
            ("invalid_request", "refresh_token is missing", Fault::Unknown),
            ("invalid_request", "no invalid refresh_token", Fault::Unknown),
            ("invalid_request", "", Fault::Unknown),
        ] {
            let body = json!({"error": code, "error_description": description});
            let read = error_of(StatusCode::OK, &body).unwrap();
            assert_eq!((read.code.as_str(), read.fault), (code, fault), "{description}");
        }
    }
}
