//! The form of a client's request. Readers take the parameters that they know out of it.

use std::collections::HashSet;

use super::OAuthError;
use crate::domain::gateway::models::{
    client::ClientPosted,
    values::{scope::Scope, secret::Secret},
};

/// The parameters of a form in the order in which they were sent, or the error in it.
pub type PostedForm = Result<Vec<(String, String)>, OAuthError>;

/// The parameters of a request. None is repeated, and none is empty: "Parameters sent without a value MUST be treated as
/// if they were omitted from the request" (RFC 6749 §3.2). No `Debug`: they may contain secrets.
pub struct ClientForm(Vec<(String, String)>);

impl ClientForm {
    /// Checks that no parameter is repeated (RFC 6749 §3.2).
    pub fn read(posted: PostedForm) -> Result<Self, OAuthError> {
        let pairs: Vec<_> = posted?.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut seen = HashSet::new();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !seen.insert(name)) {
            // A token for several resources (RFC 8707 §2) is not supported.
            return Err(if name == "resource" {
                OAuthError::invalid_target("resource must be sent once: a token has one audience here")
            } else {
                OAuthError::invalid_request("each parameter must be sent at most once")
            });
        }
        Ok(Self(pairs))
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Takes a required parameter out.
    pub fn require(&mut self, name: &'static str) -> Result<String, OAuthError> {
        self.take(name).ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    /// Takes the scope out, if it was sent.
    pub fn scope(&mut self) -> Result<Option<Scope>, OAuthError> {
        let scope = self.take("scope").map(|scope| scope.parse::<Scope>()).transpose();
        scope.map_err(|invalid| OAuthError::invalid_scope(invalid.to_string()))
    }

    /// Takes out the parameters that authenticate the client.
    pub fn client(&mut self) -> ClientPosted {
        ClientPosted {
            client_id: self.take("client_id"),
            client_secret: self.take("client_secret").map(Secret::new),
            client_assertion_type: self.take("client_assertion_type"),
            client_assertion: self.take("client_assertion").map(Secret::new),
        }
    }
}
