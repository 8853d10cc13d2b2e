//! Public keys in PEM (RFC 7468 §13), as JWKs.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pkcs8::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, Reader, SliceReader, asn1::UintRef},
};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Value, json};

use crate::domain::gateway::services::ports::{ClientKeyError, KeyFlaw};

/// RFC 5480 §2.1.1, and the curve P-256 (§2.1.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8017 §A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 8410 §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The first line of every private key in PEM contains this.
const PRIVATE: &[u8] = b"PRIVATE KEY-----";

/// The keys of a file.
pub(super) fn public_keys(file: &[u8]) -> Result<Vec<Value>, ClientKeyError> {
    if file.windows(PRIVATE.len()).any(|window| window == PRIVATE) {
        return Err(ClientKeyError::Private);
    }
    let keys = SubjectPublicKeyInfoDer::pem_slice_iter(file).zip(1..);
    keys.map(|(der, number)| {
        jwk(&der.map_err(|_| ClientKeyError::NoKey)?).map_err(|flaw| ClientKeyError::Unusable { number, flaw })
    })
    .collect()
}

fn jwk(der: &[u8]) -> Result<Value, KeyFlaw> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyFlaw::Encoding)?;
    let key = info.subject_public_key.as_bytes().ok_or(KeyFlaw::Encoding)?;
    let curve = info.algorithm.parameters_oid().ok();
    match (info.algorithm.oid, curve) {
        // Not compressed (SEC 1 §2.3.3): 4, then both coordinates.
        (EC, Some(P256)) if key.len() == 65 && key[0] == 4 => {
            Ok(json!({"kty": "EC", "crv": "P-256", "x": encoded(&key[1..33]), "y": encoded(&key[33..])}))
        }
        (ED25519, _) => Ok(json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(key)})),
        (RSA, _) => {
            let (n, e) = rsa(key).map_err(|_| KeyFlaw::Encoding)?;
            Ok(json!({"kty": "RSA", "n": encoded(n.as_bytes()), "e": encoded(e.as_bytes())}))
        }
        _ => Err(KeyFlaw::Kind),
    }
}

/// Modulus and exponent (RFC 8017 §A.1.1).
fn rsa(key: &[u8]) -> Result<(UintRef<'_>, UintRef<'_>), pkcs8::der::Error> {
    let mut reader = SliceReader::new(key)?;
    let both =
        reader.sequence(|reader| Ok::<_, pkcs8::der::Error>((UintRef::decode(reader)?, UintRef::decode(reader)?)))?;
    reader.finish()?;
    Ok(both)
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
