//! What the services need to know the keys of machine clients.

use thiserror::Error;

use crate::domain::gateway::models::client::{AssertionClaims, ClientKey};

/// Why a file is not taken for the public key of a client. The text is for the person who adds it, and quotes nothing of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClientKeyError {
    /// Neither JSON with a JWK or a JWK set, nor PEM with public keys.
    #[error("it holds no public key: wanted is a JWK, a JWK set, or PEM that begins with BEGIN PUBLIC KEY")]
    NoKey,
    /// A private key in PEM is in it.
    #[error("it holds a private key: keep that where the client is, and give the public half here")]
    Private,
    /// A member of its set stands there twice.
    #[error("a member of its JWK set stands there twice, and readers take one or the other")]
    RepeatedMember,
    /// One of its keys cannot be used.
    #[error("key {number} of it cannot be used: {flaw}")]
    Unusable {
        /// Which one, counted from 1.
        number: usize,
        /// Why.
        flaw: KeyFlaw,
    },
}

/// Why a public key is not good for verifying what a client signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFlaw {
    /// This member of the JWK is missing, or its value is invalid.
    #[error("its `{0}` is missing or invalid (RFC 7517, RFC 7518 §6)")]
    Member(&'static str),
    /// Another type of key, or another curve.
    #[error("it is neither EC with the curve P-256, nor RSA, nor OKP with the curve Ed25519")]
    Kind,
    /// RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". Verifying with longer ones than 8192 bits is too slow.
    #[error("its RSA modulus has {0} bits; 2048 to 8192 are allowed")]
    ModulusSize(usize),
    /// It is no JSON object.
    #[error("it is no JSON object")]
    NoObject,
    /// A member stands there twice.
    #[error("one of its members stands there twice, and readers take one or the other (RFC 7517 §4)")]
    RepeatedMember,
    /// What is in the PEM is no key.
    #[error("it is no SubjectPublicKeyInfo (RFC 5280 §4.1); export the key again from where it was made")]
    Encoding,
    /// The private half is in it.
    #[error("it is a private key: keep that where the client is, and give the public half here")]
    Private,
    /// A secret: a service that verifies with it could sign with it.
    #[error(
        "it is a symmetric key, which both sides would have to keep secret: give a public key, or add the client without --jwks to get a secret"
    )]
    Symmetric,
    /// Its numbers are not those of a point.
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
    /// It is the key of this number once more.
    #[error("it is key {0} once more; give each key once")]
    SameKey(usize),
    /// It is called as the key of this number.
    #[error("it has the same kid as key {0}; give each key a kid of its own")]
    SameKid(usize),
    /// `use` or `key_ops` says that it is for something else (RFC 7517 §4.2, §4.3).
    #[error("its `use` or `key_ops` says that it is not for verifying signatures")]
    Purpose,
    /// `alg` says that it is for another algorithm.
    #[error("its `alg` does not fit; for this type of key it is {0}, or left out")]
    Algorithm(&'static str),
}

/// Why an assertion of a client is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// No JWT, or not one with the claims of an assertion.
    #[error("the assertion is no JWT with iss, sub, aud, exp and jti")]
    Malformed,
    /// None of the client's keys is the one, or it signs by another algorithm, or the signature is not good.
    #[error("the assertion is not signed by a key of the client")]
    BadSignature,
}

/// Reads the public keys of clients, and checks what they sign (RFC 7523).
pub trait ClientKeys: Send + Sync {
    /// The keys in a file: a JWK, a JWK set (RFC 7517) or PEM.
    fn read(&self, file: &[u8]) -> Result<Vec<ClientKey>, ClientKeyError>;

    /// Who an assertion says that it is from (`sub`), before anything is verified: it names the keys to verify it with.
    fn unverified_subject(&self, assertion: &str) -> Result<String, AssertionError>;

    /// The authentic claims of an assertion that one of `keys` signed, not yet judged.
    fn verify(&self, assertion: &str, keys: &[ClientKey]) -> Result<AssertionClaims, AssertionError>;
}
