//! Naver: wants the state once more, nests the profile, numbers its results as text, and may complain with status 200.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    answer::{Complaint, name, oauth_complaint, subject, text},
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

/// Naver.
pub(super) struct Naver {
    flow: Flow,
    endpoints: Endpoints,
}

impl Naver {
    pub(super) fn new(flow: Flow, endpoints: Endpoints) -> Self {
        Self { flow: flow.complaining(complaint), endpoints }
    }

    async fn identity(&self, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let answer = self.flow.get(&self.endpoints.userinfo, access_token).await?;
        if text(&answer, "resultcode").as_deref() != Some("00") {
            return Err(ProviderError::BadAnswer("it has no resultcode".to_owned()));
        }
        let profile = answer.get("response").unwrap_or(&Value::Null);
        Ok(ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: subject(profile, "id")?,
            // A contact address that people can change: nobody vouches for it.
            verified_email: None,
            name: name(profile, "name").or_else(|| name(profile, "nickname")),
        })
    }
}

/// `{"error": "invalid_request"}` of the token endpoint, `{"resultcode": "024"}` of the profile.
fn complaint(body: &Value) -> Option<Complaint> {
    let result = || text(body, "resultcode").or_else(|| text(body, "errorCode")).filter(|code| code != "00");
    oauth_complaint(body).or_else(|| {
        let code = result()?;
        // 5xx as text: the profile is down.
        let passing = code.len() == 3 && code.starts_with('5');
        let told = format!("resultcode:{code}");
        Some(if passing { Complaint::Passing(told) } else { Complaint::Permanent(told) })
    })
}

#[async_trait]
impl Provider for Naver {
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
        // A caller who brings a code alone has no state to tell; Naver wants the parameter all the same.
        let state = exchange.state.as_ref().map_or("", Secret::expose);
        let tokens = self.flow.exchange(&self.endpoints.token, ClientAuth::Form, exchange, &[("state", state)]).await?;
        let identity = self.identity(&tokens.access_token).await?;
        Ok((tokens, identity))
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.flow.refresh(&self.endpoints.token, ClientAuth::Form, tokens).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        self.flow.revoke(&self.endpoints.revoke, ClientAuth::Form, tokens).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_body_may_complain() {
        assert_eq!(complaint(&json!({"resultcode": "00", "message": "success"})), None);
        assert_eq!(complaint(&json!({"resultcode": "024"})), Some(Complaint::Permanent("resultcode:024".into())));
        assert_eq!(complaint(&json!({"errorCode": "024"})), Some(Complaint::Permanent("resultcode:024".into())));
        assert_eq!(complaint(&json!({"resultcode": "500"})), Some(Complaint::Passing("resultcode:500".into())));
        assert_eq!(complaint(&json!({"error": "invalid_grant"})), Some(Complaint::Permanent("invalid_grant".into())));
    }
}
