//! A provider's response as a form (OAuth 2.0 Form Post Response Mode). It is a POST from another site, so it brings no
//! cookie of ours: the browser is redirected to the callback with the sealed contents of the form, and sends its
//! cookies there.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{LoginService, ProviderResponse};
use crate::domain::gateway::{
    models::{oauth::ProviderName, values::secret::Secret},
    services::Failure,
};

/// The longest parameter. The sealed form has to fit into a URL.
const LONGEST_PARAMETER: usize = 1024;

/// The reason why a form is refused.
#[derive(Debug, Error)]
pub enum PostError {
    /// The provider is not enabled.
    #[error("the provider is unknown or not enabled")]
    UnknownProvider,
    /// The provider sends browsers back with a query.
    #[error("the provider sends no forms")]
    NoForms,
    /// No provider sends such a form.
    #[error("the form is not a provider's response")]
    Malformed,
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl LoginService {
    /// Seals what a provider sent by a form. Nothing is decided here: anyone can have anything sealed, and it is
    /// useless without the cookie of the attempt.
    pub fn post(&self, provider: &str, response: &ProviderResponse) -> Result<Vec<u8>, PostError> {
        let name: ProviderName = provider.parse().map_err(|_| PostError::UnknownProvider)?;
        let oauth = &self.parts.oauth;
        let provider = oauth.provider(&name).ok_or(PostError::UnknownProvider)?;
        if !provider.responds_by_form(oauth.more_scopes(&name)) {
            return Err(PostError::NoForms);
        }
        let posted = Posted::from(response);
        if !posted.is_plain() {
            return Err(PostError::Malformed);
        }
        let clear = serde_json::to_vec(&posted).map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(self.parts.sealer.seal(&sealing_context(&name), &clear))
    }

    /// Opens a sealed form, if it is of this provider.
    pub(super) fn posted(&self, provider: &str, sealed: &[u8]) -> Option<ProviderResponse> {
        let clear = self.parts.sealer.open(&sealing_context(&provider.parse().ok()?), sealed).ok()?;
        serde_json::from_slice::<Posted>(&clear).ok().map(ProviderResponse::from)
    }
}

fn sealing_context(provider: &ProviderName) -> String {
    format!("posted:{provider}")
}

/// The sealed contents.
#[derive(Serialize, Deserialize)]
struct Posted {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
    name: Option<String>,
}

impl Posted {
    /// Whether every protocol parameter is one that a provider may send: printable ASCII (RFC 6749 §A).
    fn is_plain(&self) -> bool {
        let plain = |text: &String| {
            text.len() <= LONGEST_PARAMETER && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        };
        [&self.state, &self.code, &self.error, &self.issuer].into_iter().flatten().all(plain)
    }
}

impl From<&ProviderResponse> for Posted {
    fn from(response: &ProviderResponse) -> Self {
        let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        Self {
            state: exposed(&response.state),
            code: exposed(&response.code),
            error: response.error.clone(),
            issuer: response.issuer.clone(),
            name: response.name.clone(),
        }
    }
}

impl From<Posted> for ProviderResponse {
    fn from(posted: Posted) -> Self {
        Self {
            state: posted.state.map(Secret::new),
            code: posted.code.map(Secret::new),
            error: posted.error,
            issuer: posted.issuer,
            name: posted.name,
            by_form: true,
        }
    }
}
