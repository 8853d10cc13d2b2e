//! Id tokens and the key that signs them.

use std::io;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    ledger::Issued,
    wire::{ErrorCode, Refusal},
};

/// How long an id token is good: for the exchange, not for a session.
const ID_TOKEN_SECONDS: i64 = 300;

/// A key pair.
pub(super) struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: String,
    /// The public half.
    pub(super) jwk: Value,
}

impl Signer {
    /// ES256. The key is made by aws-lc itself: it takes no random bytes from elsewhere.
    pub(super) fn generate() -> io::Result<Self> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(io::Error::other)?;
        Self::with(EncodingKey::from_ec_der(document.as_ref()), Algorithm::ES256)
    }

    /// RS256. It takes a while.
    pub(super) fn generate_rsa() -> io::Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        let document: Pkcs8V1Der<'_> = pair.as_der().map_err(io::Error::other)?;
        // jsonwebtoken wants what is inside (PKCS #1).
        let inside = pkcs8::PrivateKeyInfoRef::try_from(document.as_ref()).map_err(io::Error::other)?;
        Self::with(EncodingKey::from_rsa_der(inside.private_key.as_bytes()), Algorithm::RS256)
    }

    fn with(key: EncodingKey, algorithm: Algorithm) -> io::Result<Self> {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).map_err(io::Error::other)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(io::Error::other)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(&jwk).map_err(io::Error::other)?;
        Ok(Self { key, algorithm, kid, jwk })
    }

    /// Says who signed in (OIDC Core §2, §3.1.3.6).
    pub(super) fn id_token(
        &self,
        issuer: &str,
        audience: &str,
        tokens: &Issued,
        now: DateTime<Utc>,
    ) -> Result<String, Refusal> {
        let mut claims = tokens.person.claims(&tokens.scope);
        let protocol = [
            ("iss", json!(issuer)),
            ("aud", json!(audience)),
            ("iat", json!(now.timestamp())),
            ("exp", json!(now.timestamp() + ID_TOKEN_SECONDS)),
            ("auth_time", json!(tokens.signed_in_at.timestamp())),
            ("at_hash", json!(at_hash(&tokens.access_token))),
        ];
        claims.extend(protocol.map(|(name, value)| (name.to_owned(), value)));
        if let Some(nonce) = &tokens.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        self.sign(&Value::Object(claims))
    }

    /// Signs claims.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, Refusal> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|_| Refusal::new(ErrorCode::ServerError, "the token could not be signed"))
    }
}

/// The left half of the access token's digest.
pub(super) fn at_hash(access_token: &str) -> String {
    let digest = Sha256::digest(access_token);
    URL_SAFE_NO_PAD.encode(digest.split_at(digest.len() / 2).0)
}
