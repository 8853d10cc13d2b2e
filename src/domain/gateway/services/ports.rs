//! What the services need from outside the domain, besides the store, the time and randomness.

use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::domain::gateway::models::{
    signing_key::{SigningAlgorithm, SigningKey},
    token::{AccessClaims, DummyText, RefreshToken, Revocation, SignatureVerifier},
};

/// A private key in clear, on its way to being sealed. It does not print.
pub struct PrivateKey(pub Vec<u8>);

/// A key pair that was just made.
pub struct KeyPair {
    /// Names it: the RFC 7638 thumbprint of the public half, or a digest for HS256.
    pub kid: String,
    /// The private half.
    pub private_key: PrivateKey,
    /// The public half as a JWK with `kid`, `alg` and `use`; none for HS256.
    pub public_jwk: Option<Value>,
}

/// Why a key could not be made or used. The text is for the log.
#[derive(Debug, Error)]
#[error("a signing key cannot be used: {0}")]
pub struct KeyError(pub String);

/// Makes key pairs and loads them.
pub trait Keysmith: Send + Sync {
    /// Makes a key pair.
    fn generate(&self, algorithm: SigningAlgorithm) -> Result<KeyPair, KeyError>;

    /// Loads keys, each with its private half opened.
    fn load(&self, keys: &[(SigningKey, PrivateKey)]) -> Result<Arc<dyn KeyRing>, KeyError>;
}

/// Loaded keys: verifies with any of them, signs with the one that is named.
pub trait KeyRing: SignatureVerifier {
    /// Signs an access token with the key `kid`.
    fn sign(&self, kid: &str, claims: &AccessClaims) -> Result<String, KeyError>;
}

/// Why something sealed could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Sealed with a key that is not in `VAULT_KEY`.
    #[error("it was sealed with a key that VAULT_KEY does not hold")]
    UnknownKey,
    /// Changed since, or sealed for something else.
    #[error("it is damaged or was sealed for something else")]
    Damaged,
}

/// Seals secrets for the store, and opens them again.
pub trait Sealer: Send + Sync {
    /// Seals `secret` for one purpose: it opens only under the same `context`.
    fn seal(&self, context: &str, secret: &[u8]) -> Vec<u8>;

    /// Opens what was sealed.
    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError>;
}

/// Derives the successor of a refresh token from the token itself and a secret of ours. So a replay within the grace
/// period gets the same successor on every replica, though no store ever holds one.
pub trait SuccessorDerivation: Send + Sync {
    /// The successor to store.
    fn successor(&self, presented: &RefreshToken) -> RefreshToken;

    /// Every successor that a replica with another order of keys may have stored.
    fn candidates(&self, presented: &RefreshToken) -> Vec<RefreshToken>;
}

/// Carries changes to the data plane, where they are in force when the call returns.
pub trait TokenStatePublisher: Send + Sync {
    /// These keys are good from now on, and no others.
    fn publish_keys(&self, keys: Arc<dyn KeyRing>);

    /// These are revoked from now on.
    fn publish_revocations(&self, revocations: &[Revocation]);
}

/// Shows a dummy token to whoever watches the console (development only).
pub trait DummyConsole: Send + Sync {
    /// Shows what was typed.
    fn show(&self, typed: &DummyText);
}
