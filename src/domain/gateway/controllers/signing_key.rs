//! Public keys: service → schema.

use std::sync::Arc;

use crate::domain::gateway::{schemas::signing_key::JwkSet, services::signing_key::SigningKeys};

/// The key endpoint.
#[derive(Clone)]
pub struct SigningKeyController {
    keys: Arc<SigningKeys>,
}

impl SigningKeyController {
    /// Serves these keys.
    pub fn new(keys: Arc<SigningKeys>) -> Self {
        Self { keys }
    }

    /// `GET /.well-known/jwks.json`
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.keys.public_jwks() }
    }
}
