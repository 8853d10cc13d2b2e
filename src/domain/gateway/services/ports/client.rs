//! The port to the keys of machine clients.

use thiserror::Error;

use crate::domain::gateway::models::client::{AssertionClaims, ClientKey};

/// The reason why a file is refused as a client's public key. The text is for the person who adds it, and quotes
/// nothing of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClientKeyError {
    /// Neither JSON with a JWK or a JWK set, nor PEM with public keys.
    #[error("it contains no public key; it must be a JWK, a JWK set, or PEM that begins with BEGIN PUBLIC KEY")]
    NoKey,
    /// It contains a private key in PEM.
    #[error("it contains a private key, which must stay with the client; it must contain only the public key")]
    Private,
    /// A member of its set is repeated.
    #[error("a member of its JWK set is repeated; each member must occur once")]
    RepeatedMember,
    /// One of its keys cannot be used.
    #[error("its key {number} cannot be used: {flaw}")]
    Unusable {
        /// The number of the key, counted from 1.
        number: usize,
        /// The reason.
        flaw: KeyFlaw,
    },
}

/// The reason why a public key cannot verify what a client signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFlaw {
    /// This member of the JWK is missing, or its value is invalid.
    #[error("its `{0}` is missing or invalid (RFC 7517, RFC 7518 §6)")]
    Member(&'static str),
    /// Another type of key, or another curve.
    #[error("it must be EC with the curve P-256, RSA, or OKP with the curve Ed25519")]
    Kind,
    /// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". Verifying with keys longer than 8192 bits is
    /// too slow.
    #[error("its RSA modulus must have 2048 to 8192 bits, not {0}")]
    ModulusSize(usize),
    /// It is not a JSON object.
    #[error("it must be a JSON object")]
    NoObject,
    /// A member is repeated.
    #[error("one of its members is repeated; each must occur once (RFC 7517 §4)")]
    RepeatedMember,
    /// The content of the PEM is not a key.
    #[error("it must be a SubjectPublicKeyInfo (RFC 5280 §4.1); export the key again from its origin")]
    Encoding,
    /// It contains the private half.
    #[error("it is a private key, which must stay with the client; it must be the public key")]
    Private,
    /// A secret: a service that verifies with it could sign with it.
    #[error(
        "it must not be a symmetric key, which both sides would have to keep secret; give a public key, or add the client without --jwks to get a secret"
    )]
    Symmetric,
    /// Its numbers are not those of a point on the curve.
    #[error("its numbers must be those of a point on its curve; export the key again from its origin")]
    NotOnCurve,
    /// A point of Ed25519 whose order divides 8.
    #[error("its point has a small order, so that its signatures can be forged (RFC 8032 §8.9)")]
    SmallOrder,
    /// RSA's exponent is even, below 65537, or larger than can be verified with.
    #[error("its RSA exponent must be an odd number from 65537 to 2^33 (FIPS 186-5 §A.1.1); make a key with 65537")]
    Exponent,
    /// RSA's modulus has a small factor.
    #[error("its RSA modulus has a factor below 752, so that it can be factored; make another key")]
    SmallFactor,
    /// RSA's modulus is a square.
    #[error("its RSA modulus is the square of a number, so that it can be factored; make another key")]
    Square,
    /// The cryptographic library refuses it.
    #[error("its numbers must be those of a public key; export the key again from its origin")]
    Numbers,
    /// It is the same key as the one with this number.
    #[error("it is the same as key {0}; each key must occur once")]
    SameKey(usize),
    /// It has the same `kid` as the one with this number.
    #[error("it has the same kid as key {0}; each key must have its own kid")]
    SameKid(usize),
    /// `use` or `key_ops` names another purpose (RFC 7517 §4.2, §4.3).
    #[error("its `use` and `key_ops` must allow verifying signatures")]
    Purpose,
    /// `alg` names another algorithm.
    #[error("its `alg` must be {0} for this type of key, or left out")]
    Algorithm(&'static str),
}

/// The reason why a client's assertion is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// Not a JWT, or not one with the claims of an assertion.
    #[error("the assertion must be a JWT with iss, sub, aud, exp and jti")]
    Malformed,
    /// None of the client's keys matches, it signs with another algorithm, or the signature is invalid.
    #[error("the assertion must be signed by a key of the client")]
    BadSignature,
}

/// Reads the public keys of clients, and verifies their signatures (RFC 7523).
pub trait ClientKeys: Send + Sync {
    /// The keys in a file: a JWK, a JWK set (RFC 7517) or PEM.
    fn read(&self, file: &[u8]) -> Result<Vec<ClientKey>, ClientKeyError>;

    /// The client that an assertion names (`sub`), before anything is verified: it selects the keys to verify it with.
    fn unverified_subject(&self, assertion: &str) -> Result<String, AssertionError>;

    /// The authentic claims of an assertion that one of `keys` signed, not yet judged.
    fn verify(&self, assertion: &str, keys: &[ClientKey]) -> Result<AssertionClaims, AssertionError>;
}
