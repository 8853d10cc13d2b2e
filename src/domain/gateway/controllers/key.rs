//! Public keys: service → schema.

use std::sync::Arc;

use crate::domain::gateway::{schemas::key::JwkSet, services::signing_key::SigningKeys};

/// The key calls.
#[derive(Clone)]
pub struct KeyController {
    keys: Arc<SigningKeys>,
}

impl KeyController {
    /// Serves these keys.
    pub fn new(keys: Arc<SigningKeys>) -> Self {
        Self { keys }
    }

    /// `GET /.well-known/jwks.json`
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.keys.public_jwks() }
    }
}
