//! Signs assertions that tell services the caller.

use std::sync::Arc;

use super::{Failure, signing_key::SigningKeys};
use crate::{
    domain::gateway::models::{
        assertion::{CallerAssertion, SignedAssertion},
        service::ServiceName,
        values::{id::TokenId, identity::Identity},
    },
    ports::{Clock, Entropy},
};

/// The dependencies of [`AssertionService`].
pub struct AssertionParts {
    /// The keys that sign assertions: those of access tokens, so that one JWKS serves for both.
    pub keys: Arc<SigningKeys>,
    /// `iss`: this gateway.
    pub issuer: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Signs assertions.
pub struct AssertionService {
    parts: AssertionParts,
}

impl AssertionService {
    /// Creates the service.
    pub fn new(parts: AssertionParts) -> Self {
        Self { parts }
    }

    /// Signs an assertion for a service about a caller with a valid credential.
    pub fn about(&self, caller: Identity, service: ServiceName) -> Result<SignedAssertion, Failure> {
        let AssertionParts { keys, issuer, clock, entropy } = &self.parts;
        let assertion = CallerAssertion {
            issuer: issuer.clone(),
            service,
            id: TokenId::from_random(entropy.bytes()),
            issued_at: clock.now(),
            caller,
        };
        Ok(keys.sign_assertion(&assertion)?)
    }
}
