//! Kakao: nests the account, proves e-mail addresses with two flags, numbers its errors, takes grants back with the access
//! token alone, and proves its notices with the app's admin key.

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::{Value, json};

use super::{
    answer::{Complaint, email, is_true, name, number, oauth_complaint, subject},
    flow::{ClientAuth, Flow},
    notice::parameter,
    plain::{Plain, Quirks, Site},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        oauth::{ProviderTokens, Secret},
        provider::Endpoints,
    },
    services::ports::{Acknowledgement, ProviderError, UnlinkError, UnlinkNotice, Unlinked},
};

/// Errors of its API that pass: an internal one, maintenance, too many requests, too slow, maintenance again.
const PASSING: [i64; 5] = [-1, -7, -10, -603, -9798];
/// The scheme of the `Authorization` header of its notices.
const SCHEME: &str = "KakaoAK";

/// What is peculiar to Kakao.
pub(super) struct Kakao {
    admin_key: Option<Secret>,
}

/// Makes it. Without the admin key its notices cannot be verified.
pub(super) fn kakao(flow: Flow, endpoints: Endpoints, admin_key: Option<Secret>) -> Plain<Kakao> {
    Plain::new(flow.complaining(complaint), endpoints, Kakao { admin_key })
}

/// `{"error": "invalid_grant", "error_code": "KOE320"}` of the token endpoint, `{"code": -401}` of the API.
fn complaint(body: &Value) -> Option<Complaint> {
    oauth_complaint(body).or_else(|| {
        let code = number(body, "code").filter(|code| *code < 0)?;
        let told = format!("code:{code}");
        Some(if PASSING.contains(&code) { Complaint::Passing(told) } else { Complaint::Permanent(told) })
    })
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

    async fn revoke(&self, site: &Site, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let Site { flow, endpoints } = site;
        let access_token = flow.living_access_token(&endpoints.token, ClientAuth::Form, tokens).await?;
        let request = flow.http.client()?.post(endpoints.revoke.clone());
        flow.with_token(request, &access_token).await.map(drop)
    }

    /// The key is the app's own, so there is no need to know the number of the app that the notice names, too.
    fn unlinked(&self, _: &Site, notice: &UnlinkNotice) -> Result<Unlinked, UnlinkError> {
        let admin_key = self.admin_key.as_ref().ok_or(UnlinkError::Unsupported)?;
        let (scheme, key) = notice
            .authorization
            .as_ref()
            .and_then(|header| header.expose().split_once(' '))
            .ok_or(UnlinkError::Unverified)?;
        let is_good = verify_slices_are_equal(key.trim().as_bytes(), admin_key.expose().as_bytes()).is_ok();
        if !is_good || !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UnlinkError::Unverified);
        }
        let person = json!({"user_id": parameter(notice, "user_id")?});
        let subject = subject(&person, "user_id").map_err(|_| UnlinkError::Malformed)?;
        Ok(Unlinked { subject, sent_at: None, acknowledgement: Acknowledgement::Ok })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn complaints_have_words_or_numbers() {
        let grant = json!({"error": "invalid_grant", "error_code": "KOE320", "error_description": "d"});
        assert_eq!(complaint(&grant), Some(Complaint::Permanent("invalid_grant".into())));
        assert_eq!(complaint(&json!({"code": -401, "msg": "m"})), Some(Complaint::Permanent("code:-401".into())));
        assert_eq!(complaint(&json!({"code": -603, "msg": "m"})), Some(Complaint::Passing("code:-603".into())));
        assert_eq!(complaint(&json!({"id": 1})), None);
    }
}
