//! An attempt as it travels in the browser, sealed with its state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::gateway::{
    models::{
        login::{LoginAttempt, LoginState, ReturnTo},
        values::secret::Secret,
    },
    services::{Failure, ports::Sealer},
};

/// Seals an attempt. It opens only under this state.
pub(super) fn sealed(sealer: &dyn Sealer, attempt: &LoginAttempt, state: &LoginState) -> Result<Vec<u8>, Failure> {
    let clear = serde_json::to_vec(&SealedState::from(attempt)).map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(sealer.seal(&sealing_context(state), &clear))
}

/// Opens the browser's sealed attempt, if it belongs to this state. Where the browser may go is checked by the current
/// settings.
pub(super) fn opened(
    sealer: &dyn Sealer,
    kept: &[u8],
    state: &LoginState,
    allowed_origins: &[String],
) -> Option<LoginAttempt> {
    let clear = sealer.open(&sealing_context(state), kept).ok()?;
    serde_json::from_slice::<SealedState>(&clear).ok()?.into_attempt(allowed_origins)
}

fn sealing_context(state: &LoginState) -> String {
    format!("login:{}", state.expose())
}

/// The sealed contents. Those of an earlier version have fewer fields.
#[derive(Serialize, Deserialize)]
struct SealedState {
    provider: String,
    code_verifier: Option<String>,
    nonce: String,
    return_to: String,
    #[serde(default)]
    callback: Option<String>,
    #[serde(default)]
    link: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more_scopes: Vec<String>,
    #[serde(default)]
    consent: bool,
    #[serde(default)]
    by_form: bool,
    expires_at: DateTime<Utc>,
}

impl From<&LoginAttempt> for SealedState {
    fn from(attempt: &LoginAttempt) -> Self {
        Self {
            provider: attempt.provider.to_string(),
            code_verifier: attempt.code_verifier.as_ref().map(|verifier| verifier.expose().to_owned()),
            nonce: attempt.nonce.expose().to_owned(),
            return_to: attempt.return_to.as_str().to_owned(),
            callback: attempt.callback.clone(),
            link: attempt.link.map(|session| session.to_string()),
            more_scopes: attempt.more_scopes.clone(),
            consent: attempt.consent,
            by_form: attempt.by_form,
            expires_at: attempt.expires_at,
        }
    }
}

impl SealedState {
    fn into_attempt(self, allowed_origins: &[String]) -> Option<LoginAttempt> {
        Some(LoginAttempt {
            provider: self.provider.parse().ok()?,
            code_verifier: self.code_verifier.map(Secret::new),
            nonce: Secret::new(self.nonce),
            return_to: ReturnTo::parse(&self.return_to, allowed_origins).ok()?,
            callback: self.callback,
            link: self.link.map(|session| session.parse()).transpose().ok()?,
            more_scopes: self.more_scopes,
            consent: self.consent,
            by_form: self.by_form,
            expires_at: self.expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::sealing::Vault;

    #[test]
    fn an_attempt_sealed_by_an_earlier_version_is_a_first_one_without_more_scopes() {
        let (vault, state) = (Vault::new(&[[1; 32]]).unwrap(), LoginState::presented("state"));
        let clear = r#"{
            "provider": "google", "code_verifier": "v", "nonce": "n", "return_to": "/a", "expires_at": "2027-01-15T08:00:00Z"
        }"#;
        let attempt = opened(&vault, &vault.seal(&sealing_context(&state), clear.as_bytes()), &state, &[]).unwrap();
        assert_eq!((attempt.more_scopes.len(), attempt.consent, attempt.return_to.as_str()), (0, false, "/a"));
        assert!(!attempt.by_form);
        let second = LoginAttempt { more_scopes: vec!["calendar".into()], consent: true, by_form: true, ..attempt };
        let back = opened(&vault, &sealed(&vault, &second, &state).unwrap(), &state, &[]);
        assert_eq!(back, Some(second));
    }
}
