//! The port to the keys of machine clients.

use thiserror::Error;

use crate::domain::gateway::models::client::{AssertionClaims, ClientKey};

/// The reason why a file is refused as a client's public key. The text is for the person who adds it, and quotes
/// nothing of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClientKeyError {
    /// Neither JSON with a JWK or a JWK set, nor PEM with public keys.
    #[error("it holds no public key: wanted is a JWK, a JWK set, or PEM that begins with BEGIN PUBLIC KEY")]
    NoKey,
    /// It contains a private key in PEM.
    #[error("it holds a private key: keep that where the client is, and give the public half here")]
    Private,
    /// A member of its set is repeated.
    #[error("a member of its JWK set stands there twice, and readers take one or the other")]
    RepeatedMember,
    /// One of its keys cannot be used.
    #[error("key {number} of it cannot be used: {flaw}")]
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
    #[error("it is neither EC with the curve P-256, nor RSA, nor OKP with the curve Ed25519")]
    Kind,
    /// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". Verifying with keys longer than 8192 bits is
    /// too slow.
    #[error("its RSA modulus has {0} bits; 2048 to 8192 are allowed")]
    ModulusSize(usize),
    /// It is not a JSON object.
    #[error("it is no JSON object")]
    NoObject,
    /// A member is repeated.
    #[error("one of its members stands there twice, and readers take one or the other (RFC 7517 §4)")]
    RepeatedMember,
    /// The content of the PEM is not a key.
    #[error("it is no SubjectPublicKeyInfo (RFC 5280 §4.1); export the key again from where it was made")]
    Encoding,
    /// It contains the private half.
    #[error("it is a private key: keep that where the client is, and give the public half here")]
    Private,
    /// A secret: a service that verifies with it could sign with it.
    #[error(
        "it is a symmetric key, which both sides would have to keep secret: give a public key, or add the client without --jwks to get a secret"
    )]
    Symmetric,
    /// Its numbers are not those of a point on the curve.
    #[error("its numbers are not those of a point on its curve; export the key again from where it was made")]
    NotOnCurve,
    /// A point of Ed25519 whose order divides 8.
    #[error("its point is of small order, so that anybody could sign for it (RFC 8032 §8.9)")]
    SmallOrder,
    /// RSA's exponent is even, below 65537, or larger than can be verified with.
    #[error("its RSA exponent is not an odd number from 65537 to 2^33 (FIPS 186-5 §A.1.1); make a key with 65537")]
    Exponent,
    /// RSA's modulus has a small factor.
    #[error("its RSA modulus has a factor below 752, so that it can be factored; make another key")]
    SmallFactor,
    /// RSA's modulus is a square.
    #[error("its RSA modulus is the square of a number, so that it can be factored; make another key")]
    Square,
    /// The cryptographic library refuses it.
    #[error("its numbers are not those of a public key; export the key again from where it was made")]
    Numbers,
    /// It is the same key as the one with this number.
    #[error("it is key {0} once more; give each key once")]
    SameKey(usize),
    /// It has the same `kid` as the one with this number.
    #[error("it has the same kid as key {0}; give each key a kid of its own")]
    SameKid(usize),
    /// `use` or `key_ops` names another purpose (RFC 7517 §4.2, §4.3).
    #[error("its `use` or `key_ops` says that it is not for verifying signatures")]
    Purpose,
    /// `alg` names another algorithm.
    #[error("its `alg` does not fit; for this type of key it is {0}, or left out")]
    Algorithm(&'static str),
}

/// The reason why a client's assertion is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// Not a JWT, or not one with the claims of an assertion.
    #[error("the assertion is no JWT with iss, sub, aud, exp and jti")]
    Malformed,
    /// None of the client's keys matches, it signs with another algorithm, or the signature is invalid.
    #[error("the assertion is not signed by a key of the client")]
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
