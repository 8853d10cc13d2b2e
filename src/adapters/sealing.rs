//! Sealing: AES-256-GCM under the keys of `VAULT_KEY`. The first key seals, all of them open. A sealed value carries
//! the id of its key, and opens only for the purpose it was sealed for. The successors of refresh tokens are derived
//! from the same keys.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::domain::gateway::{
    models::{token::RefreshToken, values::digest::Sha256Digest},
    services::ports::{OpenError, Sealer, SuccessorDerivation},
};

/// The first byte of every sealed value in this format.
const VERSION: u8 = 1;
/// How many bytes of a key's digest form its id.
const KEY_ID_LEN: usize = 8;
const HEAD_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Why a vault could not be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VaultError {
    /// No key was given.
    #[error("a vault needs a key")]
    NoKey,
    /// The cryptographic library refused a key.
    #[error("the cryptographic library refuses a key of the vault")]
    Refused,
}

/// Seals and opens values.
pub struct Vault {
    /// Never empty; the first one seals.
    keys: Vec<VaultKey>,
}

struct VaultKey {
    id: [u8; KEY_ID_LEN],
    aead: RandomizedNonceKey,
    successors: hmac::Key,
}

impl Vault {
    /// Creates a vault with these keys; the first one seals.
    pub fn new(keys: &[[u8; 32]]) -> Result<Self, VaultError> {
        if keys.is_empty() {
            return Err(VaultError::NoKey);
        }
        let keys = keys.iter().map(VaultKey::derive).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    fn first(&self) -> &VaultKey {
        &self.keys[0]
    }

    /// The secret, and the key that sealed it.
    fn open_with_key(&self, context: &str, sealed: &[u8]) -> Result<(&VaultKey, Vec<u8>), OpenError> {
        if sealed.len() < HEAD_LEN || sealed[0] != VERSION {
            return Err(OpenError::Damaged);
        }
        let (head, ciphertext) = sealed.split_at(HEAD_LEN);
        let (id, nonce) = head[1..].split_at(KEY_ID_LEN);
        let key = self.keys.iter().find(|key| key.id == id).ok_or(OpenError::UnknownKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Damaged)?;
        let mut ciphertext = ciphertext.to_vec();
        let opened = key.aead.open_in_place(nonce, Aad::from(context.as_bytes()), &mut ciphertext);
        opened.map(|secret| (key, secret.to_vec())).map_err(|_| OpenError::Damaged)
    }
}

impl VaultKey {
    /// One key per use, so that no use can weaken another.
    fn derive(key: &[u8; 32]) -> Result<Self, VaultError> {
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&Sha256::digest([b"gateway vault key id".as_slice(), key].concat())[..KEY_ID_LEN]);
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"gateway vault").extract(key);
        let subkey = |purpose: &[u8]| {
            let mut bytes = [0; 32];
            let purpose = [purpose];
            let filled = prk.expand(&purpose, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut bytes));
            filled.map(|()| bytes).map_err(|_| VaultError::Refused)
        };
        Ok(Self {
            id,
            aead: RandomizedNonceKey::new(&AES_256_GCM, &subkey(b"seal")?).map_err(|_| VaultError::Refused)?,
            successors: hmac::Key::new(hmac::HMAC_SHA256, &subkey(b"refresh token successor")?),
        })
    }

    fn successor(&self, presented: &RefreshToken) -> RefreshToken {
        let tag = hmac::sign(&self.successors, presented.expose().as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        RefreshToken::from_random(bytes)
    }
}

impl Sealer for Vault {
    #[expect(clippy::panic, reason = "AES-GCM fails only on 64 GiB of input or without random bytes")]
    fn seal(&self, context: &str, secret: &[u8]) -> Vec<u8> {
        let key = self.first();
        let mut ciphertext = secret.to_vec();
        let Ok(nonce) = key.aead.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut ciphertext) else {
            panic!("AES-GCM refuses to seal {} bytes", secret.len())
        };
        [&[VERSION], key.id.as_slice(), nonce.as_ref(), &ciphertext].concat()
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open_with_key(context, sealed).map(|(_, secret)| secret)
    }

    fn reseal(&self, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        let (key, secret) = self.open_with_key(context, sealed)?;
        Ok((key.id != self.first().id).then(|| self.seal(context, &secret)))
    }
}

impl SuccessorDerivation for Vault {
    fn successor(&self, presented: &RefreshToken) -> RefreshToken {
        self.first().successor(presented)
    }

    fn candidates(&self, presented: &RefreshToken) -> Vec<RefreshToken> {
        self.keys.iter().map(|key| key.successor(presented)).collect()
    }

    fn descendants(&self, presented: &RefreshToken, generations: usize) -> Vec<Sha256Digest> {
        let mut found = Vec::new();
        // The tokens of one generation, each with the oldest key that may derive the next one: keys only get newer.
        let mut generation = vec![(presented.clone(), self.keys.len())];
        for _ in 0..generations {
            let next = generation.iter().flat_map(|(token, oldest)| {
                self.keys[..*oldest].iter().zip(1..).map(|(key, oldest)| (key.successor(token), oldest))
            });
            generation = next.collect();
            found.extend(generation.iter().map(|(token, _)| token.digest()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(keys: &[u8]) -> Vault {
        Vault::new(&keys.iter().map(|&n| [n; 32]).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_purpose_only() {
        let sealed = vault(&[1]).seal("grant:1", b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(vault(&[1]).open("grant:1", &sealed).unwrap(), b"secret");
        assert_eq!(vault(&[1]).open("grant:2", &sealed), Err(OpenError::Damaged));
        assert_ne!(sealed, vault(&[1]).seal("grant:1", b"secret"), "a nonce of its own each time");
    }

    #[test]
    fn old_keys_still_open() {
        let sealed = vault(&[1]).seal("c", b"secret");
        assert_eq!(vault(&[2, 1]).open("c", &sealed).unwrap(), b"secret");
        assert_eq!(vault(&[2]).open("c", &sealed), Err(OpenError::UnknownKey));
    }

    #[test]
    fn a_resealed_value_opens_without_the_old_key() {
        let sealed = vault(&[1]).seal("c", b"secret");
        let resealed = vault(&[2, 1]).reseal("c", &sealed).unwrap().unwrap();
        assert_eq!(vault(&[2]).open("c", &resealed).unwrap(), b"secret");
        assert_eq!(vault(&[2, 1]).reseal("c", &resealed), Ok(None), "it is current");
        assert_eq!(vault(&[2, 1]).reseal("d", &resealed), Err(OpenError::Damaged), "for its purpose only");
        assert_eq!(vault(&[3]).reseal("c", &sealed), Err(OpenError::UnknownKey));
    }

    #[test]
    fn a_changed_byte_anywhere_is_an_error() {
        let sealed = vault(&[1]).seal("c", b"secret");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault(&[1]).open("c", &changed).is_err(), "byte {at}");
        }
        for short in 0..sealed.len() {
            assert!(vault(&[1]).open("c", &sealed[..short]).is_err(), "{short} bytes");
        }
    }

    #[test]
    fn a_successor_is_the_same_on_every_replica_and_unknown_without_the_key() {
        let token = RefreshToken::from_random([9; 32]);
        assert_eq!(vault(&[1]).successor(&token), vault(&[1, 2]).successor(&token));
        assert_ne!(vault(&[1]).successor(&token), vault(&[2]).successor(&token));
        assert!(vault(&[2, 1]).candidates(&token).contains(&vault(&[1]).successor(&token)));
        assert_ne!(vault(&[1]).successor(&token), token);
    }

    #[test]
    fn no_vault_without_a_key() {
        assert_eq!(Vault::new(&[]).err(), Some(VaultError::NoKey));
    }

    #[test]
    fn the_successor_of_a_token_is_derived_though_the_keys_changed() {
        let old = vault(&[2]);
        let first = RefreshToken::from_random([7; 32]);
        let [second, third] = {
            let second = old.successor(&first);
            [second.clone(), old.successor(&second)]
        };
        // The operator put a new key in front.
        let new = vault(&[1, 2]);
        let fourth = new.successor(&third);
        let known = |generations| new.descendants(&first, generations);
        for (generations, descendant) in [(1, &second), (2, &third), (3, &fourth)] {
            assert!(known(generations).contains(&descendant.digest()));
            assert!(!known(generations - 1).contains(&descendant.digest()));
        }
        assert_eq!(known(32).len(), 560, "linear but for the change");
        assert_eq!(old.descendants(&first, 32).len(), 32);
        assert!(!known(9).contains(&vault(&[3]).successor(&first).digest()));
    }
}
