//! Id tokens and the keys that sign them.

use std::{io, sync::OnceLock};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use pkcs8::PrivateKeyInfoRef;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    dialect::Dialect,
    ledger::Issued,
    wire::{ErrorCode, Refusal},
};

/// The lifetime of an id token: enough for the exchange, not for a session.
const ID_TOKEN_SECONDS: i64 = 300;

/// The flaw in every id token, for a client to detect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IdTokenFlaw {
    None,
    /// No id token.
    Missing,
    WrongNonce,
    WrongAudience,
    WrongIssuer,
    Expired,
    /// `alg` is `none`.
    Unsigned,
    /// HS256 with the public key as the secret.
    SignedWithPublicKey,
}

/// A key pair.
pub(super) struct KeyPair {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: String,
    /// The public half.
    pub(super) jwk: Value,
}

/// The dialect of the standard signs with ES256; the others with RS256, the only algorithm they document. The RSA key
/// is created on first use.
pub(super) struct Signer {
    es256: KeyPair,
    rs256: OnceLock<io::Result<KeyPair>>,
}

impl KeyPair {
    fn of(key: EncodingKey, algorithm: Algorithm) -> io::Result<Self> {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).map_err(io::Error::other)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(io::Error::other)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(&jwk).map_err(io::Error::other)?;
        Ok(Self { key, algorithm, kid, jwk })
    }

    /// aws-lc creates the keys with its own randomness: it accepts no other.
    fn es256() -> io::Result<Self> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::of(EncodingKey::from_ec_der(document.map_err(io::Error::other)?.as_ref()), Algorithm::ES256)
    }

    /// Creating the key takes a while.
    pub(super) fn rs256() -> io::Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        let document: Pkcs8V1Der<'_> = pair.as_der().map_err(io::Error::other)?;
        // The library needs PKCS#1, which PKCS#8 wraps.
        let document = PrivateKeyInfoRef::try_from(document.as_ref()).map_err(io::Error::other)?;
        Self::of(EncodingKey::from_rsa_der(document.private_key.as_bytes()), Algorithm::RS256)
    }

    /// Signs claims.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, Refusal> {
        signed(&Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) }, claims, &self.key)
    }
}

impl Signer {
    pub(super) fn generate() -> io::Result<Self> {
        Ok(Self { es256: KeyPair::es256()?, rs256: OnceLock::new() })
    }

    fn pair(&self, dialect: Dialect) -> Result<&KeyPair, Refusal> {
        if dialect == Dialect::Standard {
            return Ok(&self.es256);
        }
        self.rs256.get_or_init(KeyPair::rs256).as_ref().map_err(|_| broken("no key could be made"))
    }

    /// The public half of the key. Entra's keys name no algorithm, but the issuer whose tokens they sign.
    pub(super) fn jwk(&self, dialect: Dialect, base: &str) -> Result<Value, Refusal> {
        let mut jwk = self.pair(dialect)?.jwk.clone();
        if let (Some(issuer), Some(members)) = (dialect.published_issuer(base), jwk.as_object_mut()) {
            members.remove("alg");
            members.insert("issuer".to_owned(), json!(issuer));
        }
        Ok(jwk)
    }

    /// Creates an id token (OIDC Core §2, §3.1.3.6), with the `flaw` if there is one.
    pub(super) fn id_token(
        &self,
        dialect: Dialect,
        base: &str,
        audience: &str,
        tokens: &Issued,
        now: DateTime<Utc>,
        flaw: IdTokenFlaw,
    ) -> Result<Option<String>, Refusal> {
        let mut claims = dialect.claims(&tokens.person, &tokens.scope);
        let protocol = [
            ("iss", json!(dialect.issuer(base, &tokens.person))),
            ("aud", json!(audience)),
            ("iat", json!(now.timestamp())),
            ("exp", json!(now.timestamp() + ID_TOKEN_SECONDS)),
            ("auth_time", json!(tokens.signed_in_at.timestamp())),
        ];
        claims.extend(protocol.map(|(name, value)| (name.to_owned(), value)));
        if dialect == Dialect::Standard {
            claims.insert("at_hash".to_owned(), json!(at_hash(&tokens.access_token)));
        }
        if let Some(nonce) = &tokens.nonce {
            claims.insert("nonce".to_owned(), json!(dialect.nonce(nonce)));
        }
        let pair = self.pair(dialect)?;
        match flaw {
            IdTokenFlaw::Missing => return Ok(None),
            IdTokenFlaw::Unsigned => return Ok(Some(unsigned(&claims))),
            IdTokenFlaw::SignedWithPublicKey => {
                let header = Header { kid: Some(pair.kid.clone()), ..Header::new(Algorithm::HS256) };
                let key = EncodingKey::from_secret(pair.jwk.to_string().as_bytes());
                return signed(&header, &claims, &key).map(Some);
            }
            IdTokenFlaw::WrongNonce => drop(claims.insert("nonce".to_owned(), json!("of another request"))),
            IdTokenFlaw::WrongAudience => drop(claims.insert("aud".to_owned(), json!("another client"))),
            IdTokenFlaw::WrongIssuer => drop(claims.insert("iss".to_owned(), json!("https://another.example"))),
            IdTokenFlaw::Expired => drop(claims.insert("exp".to_owned(), json!(now.timestamp() - ID_TOKEN_SECONDS))),
            IdTokenFlaw::None => {}
        }
        pair.sign(&claims).map(Some)
    }
}

fn signed(header: &Header, claims: &impl Serialize, key: &EncodingKey) -> Result<String, Refusal> {
    jsonwebtoken::encode(header, claims, key).map_err(|_| broken("the token could not be signed"))
}

fn unsigned(claims: &Map<String, Value>) -> String {
    let [header, claims] = [json!({"alg": "none"}).to_string(), json!(claims).to_string()];
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

fn broken(why: &str) -> Refusal {
    Refusal::new(ErrorCode::ServerError, why)
}

/// The left half of the access token's digest.
pub(super) fn at_hash(access_token: &str) -> String {
    let digest = Sha256::digest(access_token);
    URL_SAFE_NO_PAD.encode(digest.split_at(digest.len() / 2).0)
}
