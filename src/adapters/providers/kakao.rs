//! Kakao: nests the account, marks e-mail addresses as proven with two flags, numbers its errors, revokes grants by the
//! access token alone, and authenticates its notices with the app's admin key. Its id token contains an e-mail address
//! but not whether it is proven, so the gateway requests the account all the same; `sub` is the account's number
//! (developers.kakao.com/docs/latest/ko/kakaologin/utilize#oidc-id-token).

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::{
    adapters::providers::{
        plain::{Plain, Quirks, Site},
        protocol::{
            error_codes::{ErrorCodes, ErrorResponse, Fault},
            flow::{ClientAuth, Flow},
            notice::{grants_revoked, parameter},
            response::{email, is_true, name, number, subject, text},
            security_event::SecurityEvents,
        },
    },
    domain::gateway::{
        models::{account::ProviderIdentity, oauth::ProviderTokens, provider::Endpoints, values::secret::Secret},
        services::ports::{
            Acknowledgement, NoticeBody, NoticeRefusal, ProviderError, Unacknowledged, UnverifiedNotice, VerifiedNotice,
        },
    },
};

/// The error codes of the token endpoint (`KOE…`) and of the API (`code:…`).
const CODES: ErrorCodes = ErrorCodes {
    // No refresh token; an invalid code; a used or expired refresh token; a person who is not linked; an invalid access
    // token.
    grant: &["KOE319", "KOE320", "KOE322", "code:-101", "code:-401"],
    // Kakao Login is off; the platform is not registered; the secret is wrong; the app key is wrong.
    client: &["KOE004", "KOE009", "KOE010", "KOE101", "misconfigured"],
    // A fault of its OAuth server; too many token requests. An internal fault; maintenance; too many requests; a
    // timeout; maintenance again.
    provider: &["KOE003", "KOE237", "code:-1", "code:-7", "code:-10", "code:-603", "code:-9798"],
};
/// The scheme of the `Authorization` header of its notices.
const SCHEME: &str = "KakaoAK";

/// As written in its metadata (kauth.kakao.com/.well-known/openid-configuration).
const ISSUER: &str = "https://kauth.kakao.com";
/// Kakao issues id tokens only while a switch of the app is on
/// (developers.kakao.com/docs/latest/ko/kakaologin/prerequisite#kakao-login-oidc).
const REMEDY: &str = "switch OpenID Connect on at https://developers.kakao.com/console/app (your app > 카카오 로그인 > OpenID Connect \
                      활성화 > ON), or set KAKAO_OIDC=off";

/// The specifics of Kakao.
pub(super) struct Kakao {
    admin_key: Option<Secret>,
    events: SecurityEvents,
}

/// Creates the provider. `jwks` turns id tokens on; without the admin key, notices cannot be verified. `events` is for
/// the signed notices about accounts.
pub(super) fn kakao(
    flow: Flow,
    endpoints: Endpoints,
    jwks: Option<Url>,
    events: Url,
    admin_key: Option<Secret>,
) -> Plain<Kakao> {
    let events = SecurityEvents::new(events, &flow.clock);
    let kakao = Plain::new(flow.with_errors(error_of), endpoints, Kakao { admin_key, events });
    kakao.with_id_tokens(ISSUER, jwks, REMEDY)
}

/// Reads `{"error": "invalid_grant", "error_code": "KOE320"}` of the token endpoint, where the number is more exact
/// than the word, and `{"code": -401}` of the API.
fn error_of(_: StatusCode, body: &Value) -> Option<ErrorResponse> {
    let Some(word) = text(body, "error") else {
        let code = number(body, "code").filter(|code| *code < 0)?;
        let code = format!("code:{code}");
        return Some(ErrorResponse { fault: CODES.fault(&code), code });
    };
    let number = text(body, "error_code");
    let fault = number.as_deref().map(|number| CODES.fault(number)).filter(|fault| *fault != Fault::Unknown);
    Some(ErrorResponse { fault: fault.unwrap_or_else(|| CODES.fault(&word)), code: number.unwrap_or(word) })
}

#[async_trait]
impl Quirks for Kakao {
    async fn identity(&self, site: &Site, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = site.flow.get(&site.endpoints.userinfo, access_token).await?;
        let nothing = Value::Null;
        let account = user.get("kakao_account").unwrap_or(&nothing);
        let proven = is_true(account, "is_email_valid") && is_true(account, "is_email_verified");
        let nickname = |of: Option<&Value>| of.and_then(|of| name(of, "nickname"));
        Ok(ProviderIdentity {
            provider: site.flow.name().clone(),
            subject: subject(&user, "id")?,
            verified_email: email(account, "email").filter(|_| proven),
            name: nickname(account.get("profile")).or_else(|| nickname(user.get("properties"))),
        })
    }

    fn login_hint_parameter(&self) -> Option<&'static str> {
        Some("login_hint")
    }

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let Site { flow, endpoints } = site;
        let access_token = flow.living_access_token(&endpoints.token, ClientAuth::Form, tokens).await?;
        let request = flow.http.client()?.post(endpoints.revoke.clone());
        flow.with_token(request, &access_token).await.map(drop)
    }

    /// The key belongs to the app, so the app id in the notice need not be checked. Kakao expects a 200 within three
    /// seconds, even after an error, and sends each notice once (developers.kakao.com, Kakao Login, Webhook).
    async fn verify_notice(&self, site: &Site, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        match &notice.body {
            NoticeBody::SecurityEvent(token) => return self.events.verify(&site.flow, token).await,
            NoticeBody::DeletionRequest(_) => return Err(NoticeRefusal::Unsupported),
            NoticeBody::Parameters(_) | NoticeBody::Json(_) => {}
        }
        let admin_key = self.admin_key.as_ref().ok_or(NoticeRefusal::Unsupported)?;
        let (scheme, key) = notice
            .authorization
            .as_ref()
            .and_then(|header| header.expose().split_once(' '))
            .ok_or(NoticeRefusal::Unverified)?;
        let is_good = verify_slices_are_equal(key.trim().as_bytes(), admin_key.expose().as_bytes()).is_ok();
        if !is_good || !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(NoticeRefusal::Unverified);
        }
        let person = json!({"user_id": parameter(notice, "user_id")?});
        let subject = subject(&person, "user_id").map_err(|_| NoticeRefusal::Malformed)?;
        Ok(VerifiedNotice {
            events: grants_revoked(subject),
            id: None,
            sent_at: None,
            issued_at: None,
            acknowledgement: Acknowledgement::Ok,
            unacknowledged: Unacknowledged::Lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_have_words_and_numbers() {
        let of = |body: Value| error_of(StatusCode::BAD_REQUEST, &body).map(|error| (error.code, error.fault));
        let error =
            |word: &str, number: &str| of(json!({"error": word, "error_code": number, "error_description": "d"}));
        assert_eq!(error("invalid_grant", "KOE320"), Some(("KOE320".into(), Fault::Grant)));
        assert_eq!(error("invalid_request", "KOE237"), Some(("KOE237".into(), Fault::Provider)));
        assert_eq!(error("invalid_client", "KOE999"), Some(("KOE999".into(), Fault::Client)));
        assert_eq!(of(json!({"error": "invalid_grant"})), Some(("invalid_grant".into(), Fault::Grant)));
        assert_eq!(of(json!({"code": -401, "msg": "m"})), Some(("code:-401".into(), Fault::Grant)));
        assert_eq!(of(json!({"code": -603, "msg": "m"})), Some(("code:-603".into(), Fault::Provider)));
        assert_eq!(of(json!({"code": -2, "msg": "m"})), Some(("code:-2".into(), Fault::Unknown)));
        assert_eq!((of(json!({"id": 1})), of(json!({"code": 0}))), (None, None));
    }
}
