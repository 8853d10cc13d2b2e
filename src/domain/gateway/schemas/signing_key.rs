//! The response with the public keys.

use poem_openapi::Object;
use serde_json::Value;

/// A JWK set (RFC 7517 §5).
#[derive(Debug, Object)]
pub struct JwkSet {
    /// Public keys. Each has `kty`, `kid`, `alg`, `use` and its public parameters.
    pub keys: Vec<Value>,
}
