//! The form of a client's request. Whoever reads it takes out what it knows.

use std::collections::HashSet;

use super::OAuthError;
use crate::domain::gateway::models::{client::ClientPosted, scope::Scope, secret::Secret};

/// A form as it came, or why it cannot be read.
pub type PostedForm = Result<Vec<(String, String)>, OAuthError>;

/// The parameters of a request. None is there twice, and none is empty: "Parameters sent without a value MUST be treated as
/// if they were omitted from the request" (RFC 6749 §3.2). It does not print: secrets are among them.
pub struct ClientForm(Vec<(String, String)>);

impl ClientForm {
    /// Checks that no parameter is there twice (RFC 6749 §3.2).
    pub fn read(posted: PostedForm) -> Result<Self, OAuthError> {
        let pairs: Vec<_> = posted?.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let mut seen = HashSet::new();
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !seen.insert(name)) {
            // A client that wants a token for several resources (RFC 8707 §2) cannot have one here.
            return Err(if name == "resource" {
                OAuthError::invalid_target("a token is meant for one resource here; send one")
            } else {
                OAuthError::invalid_request("a parameter is there more than once")
            });
        }
        Ok(Self(pairs))
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Takes a parameter out that has to be there.
    pub fn require(&mut self, name: &'static str) -> Result<String, OAuthError> {
        self.take(name).ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    /// Takes the scope out, if there is one.
    pub fn scope(&mut self) -> Result<Option<Scope>, OAuthError> {
        let scope = self.take("scope").map(|scope| scope.parse::<Scope>()).transpose();
        scope.map_err(|invalid| OAuthError::invalid_scope(invalid.to_string()))
    }

    /// Takes out what says who the client is.
    pub fn client(&mut self) -> ClientPosted {
        ClientPosted {
            client_id: self.take("client_id"),
            client_secret: self.take("client_secret").map(Secret::new),
            client_assertion_type: self.take("client_assertion_type"),
            client_assertion: self.take("client_assertion").map(Secret::new),
        }
    }
}
