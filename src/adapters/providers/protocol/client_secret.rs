//! Apple's client secrets: JWTs of at most six months, signed with the key of the `.p8` file. The gateway makes one for
//! each request: nothing needs renewal by hand, and a leaked one soon expires.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::domain::gateway::{
    models::{provider::AppleRegistration, values::secret::Secret},
    services::ports::ProviderError,
};

/// The audience of client secrets, which is also the issuer of Apple's id tokens and notices.
pub(in crate::adapters::providers) const APPLE: &str = "https://appleid.apple.com";
/// The lifetime of a secret: enough for one request, and for a clock that is a little behind Apple's.
const LIFE: TimeDelta = TimeDelta::minutes(5);
/// How far our clock may be ahead of Apple's.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// Creates client secrets.
pub(in crate::adapters::providers) struct ClientSecrets {
    /// None if the setting is no such key; the start validates it.
    key: Option<EcdsaKeyPair>,
    /// Encoded.
    header: String,
    team_id: String,
    client_id: String,
}

impl ClientSecrets {
    /// Reads the private key in PEM.
    pub(in crate::adapters::providers) fn new(
        private_key: &Secret,
        registration: &AppleRegistration,
        client_id: &str,
    ) -> Self {
        let AppleRegistration { team_id, key_id, .. } = registration;
        let key = PrivateKeyDer::from_pem_slice(private_key.expose().as_bytes()).ok().and_then(|der| {
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der()).ok()
        });
        let header = encoded(&json!({"alg": "ES256", "kid": key_id, "typ": "JWT"}));
        Self { key, header, team_id: team_id.clone(), client_id: client_id.to_owned() }
    }

    /// A new client secret.
    pub(in crate::adapters::providers) fn secret(&self, now: DateTime<Utc>) -> Result<Secret, ProviderError> {
        let unusable = || ProviderError::Misconfigured { code: "unusable_private_key".to_owned() };
        let claims = encoded(&json!({
            "iss": self.team_id,
            "sub": self.client_id,
            "aud": APPLE,
            "iat": (now - AHEAD).timestamp(),
            "exp": (now + LIFE).timestamp(),
        }));
        let signed = format!("{}.{claims}", self.header);
        let key = self.key.as_ref().ok_or_else(unusable)?;
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| unusable())?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
