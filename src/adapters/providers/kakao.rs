//! Kakao: nests the account, proves e-mail addresses with two flags, numbers its errors, and takes grants back with the
//! access token alone.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    answer::{Complaint, email, is_true, name, number, oauth_complaint, subject},
    flow::{ClientAuth, Flow},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        oauth::{ProviderName, ProviderTokens, Secret},
        provider::Endpoints,
    },
    services::ports::{AuthorizationRequest, CodeExchange, Provider, ProviderError},
};

/// Errors of its API that pass: an internal one, maintenance, too many requests, too slow, maintenance again.
const PASSING: [i64; 5] = [-1, -7, -10, -603, -9798];

/// Kakao.
pub(super) struct Kakao {
    flow: Flow,
    endpoints: Endpoints,
}

impl Kakao {
    pub(super) fn new(flow: Flow, endpoints: Endpoints) -> Self {
        Self { flow: flow.complaining(complaint), endpoints }
    }

    async fn identity(&self, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let user = self.flow.get(&self.endpoints.userinfo, access_token).await?;
        let nothing = Value::Null;
        let account = user.get("kakao_account").unwrap_or(&nothing);
        let proven = is_true(account, "is_email_valid") && is_true(account, "is_email_verified");
        let nickname = |of: Option<&Value>| of.and_then(|of| name(of, "nickname"));
        Ok(ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: subject(&user, "id")?,
            verified_email: email(account, "email").filter(|_| proven),
            name: nickname(account.get("profile")).or_else(|| nickname(user.get("properties"))),
        })
    }
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
impl Provider for Kakao {
    fn name(&self) -> &ProviderName {
        self.flow.name()
    }

    fn display_name(&self) -> &str {
        &self.flow.settings.display_name
    }

    fn uses_pkce(&self) -> bool {
        self.flow.settings.pkce
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        Ok(self.flow.authorize_url(&self.endpoints.authorize, request, &[]))
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let tokens = self.flow.exchange(&self.endpoints.token, ClientAuth::Form, exchange, &[]).await?;
        let identity = self.identity(&tokens.access_token).await?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.flow.refresh(&self.endpoints.token, ClientAuth::Form, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let access_token = self.flow.living_access_token(&self.endpoints.token, ClientAuth::Form, tokens).await?;
        let request = self.flow.http.client().post(self.endpoints.revoke.clone());
        self.flow.with_token(request, &access_token).await.map(drop)
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
