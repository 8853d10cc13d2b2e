//! Facebook: no refresh token, but a token that is still good can be exchanged for one of about 60 days; errors are
//! objects; whoever holds a token must also prove to know the app's secret.

use std::fmt::Write;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use serde_json::Value;
use url::Url;

use super::{
    answer::{Complaint, is_true, name, number, oauth_complaint, subject, text},
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

/// Errors of the Graph API that pass: something is down or too much was asked.
const PASSING: [i64; 7] = [1, 2, 4, 17, 32, 341, 613];
/// The app's own id or secret is wrong.
const BAD_CLIENT: i64 = 101;

/// Facebook.
pub(super) struct Facebook {
    flow: Flow,
    endpoints: Endpoints,
}

impl Facebook {
    pub(super) fn new(flow: Flow, endpoints: Endpoints) -> Self {
        Self { flow: flow.complaining(complaint), endpoints }
    }

    /// A URL of the Graph API, with the proof that the token is in the right hands.
    fn proven(&self, url: &Url, access_token: &Secret) -> Url {
        let mut url = url.clone();
        let proof = appsecret_proof(&self.flow.settings.client_secret, access_token);
        url.query_pairs_mut().append_pair("appsecret_proof", &proof);
        url
    }

    async fn identity(&self, access_token: &Secret) -> Result<ProviderIdentity, ProviderError> {
        let mut url = self.proven(&self.endpoints.userinfo, access_token);
        url.query_pairs_mut().append_pair("fields", "id,name,email");
        let me = self.flow.get(&url, access_token).await?;
        Ok(ProviderIdentity {
            provider: self.flow.name().clone(),
            subject: subject(&me, "id")?,
            // It may tell an address, but not whether it is the person's.
            verified_email: None,
            name: name(&me, "name"),
        })
    }
}

/// `{"error": {"type": "OAuthException", "code": 190}}`
fn complaint(body: &Value) -> Option<Complaint> {
    let error = body.get("error").filter(|error| error.is_object());
    let Some(error) = error else { return oauth_complaint(body) };
    let kind = text(error, "type").unwrap_or_else(|| "error".to_owned());
    let code = number(error, "code");
    let told = code.map_or_else(|| kind.clone(), |code| format!("{kind}:{code}"));
    Some(match code {
        Some(code) if PASSING.contains(&code) => Complaint::Passing(told),
        Some(BAD_CLIENT) => Complaint::OurClient(told),
        _ if is_true(error, "is_transient") => Complaint::Passing(told),
        _ => Complaint::Permanent(told),
    })
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
impl Provider for Facebook {
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

    fn renews_living_tokens(&self) -> bool {
        true
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        let form = vec![("grant_type", "fb_exchange_token"), ("fb_exchange_token", tokens.access_token.expose())];
        self.flow.token(&self.endpoints.token, ClientAuth::Form, form).await
    }

    async fn revoke(&self, tokens: &ProviderTokens) -> Result<(), ProviderError> {
        let url = self.proven(&self.endpoints.revoke, &tokens.access_token);
        let answer = self.flow.with_token(self.flow.http.client().delete(url), &tokens.access_token).await?;
        if is_true(&answer, "success") {
            Ok(())
        } else {
            Err(ProviderError::BadAnswer("it does not say that the permissions are gone".to_owned()))
        }
    }
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
    fn errors_are_objects_and_some_pass() {
        let of = |error: Value| complaint(&json!({ "error": error }));
        let oauth = |code: i64| json!({"message": "m", "type": "OAuthException", "code": code, "fbtrace_id": "t"});
        assert_eq!(of(oauth(190)), Some(Complaint::Permanent("OAuthException:190".into())));
        assert_eq!(of(oauth(4)), Some(Complaint::Passing("OAuthException:4".into())));
        assert_eq!(of(oauth(101)), Some(Complaint::OurClient("OAuthException:101".into())));
        assert_eq!(of(json!({"is_transient": true})), Some(Complaint::Passing("error".into())));
        assert_eq!(of(json!("invalid_grant")), Some(Complaint::Permanent("invalid_grant".into())));
        assert_eq!(complaint(&json!({"id": "1"})), None);
    }
}
