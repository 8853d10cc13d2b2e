//! Signing keys and their schedule: a key is published before it signs, signs until its successor does, and stays
//! published until its last token has expired (RFC 7517).

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use thiserror::Error;

use super::token::{CLOCKS_APART, LEEWAY};

/// The algorithms that access tokens can be signed with (RFC 7518 §3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256: the default.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256. Only the gateway can verify such a token.
    Hs256,
}

/// The text does not name a supported algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("one of ES256, RS256, EdDSA, HS256")]
pub struct UnknownAlgorithm;

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Rs256, Self::EdDsa, Self::Hs256];

    /// Its name in a JOSE header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SigningAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(UnknownAlgorithm)
    }
}

/// A stored signing key: the private half is sealed.
#[derive(Clone, PartialEq)]
pub struct SigningKey {
    /// The `kid` of the tokens it signs.
    pub kid: String,
    /// The one algorithm that it is used with.
    pub algorithm: SigningAlgorithm,
    /// Counts up per algorithm. A store refuses a second key of the same generation, so if several replicas rotate at
    /// once, one wins.
    pub generation: u32,
    /// The private key, sealed: PKCS #8 (PKCS #1 for RS256), or the secret of HS256.
    pub sealed_private_key: Vec<u8>,
    /// The public half as it is published (RFC 7517); none for HS256.
    pub public_jwk: Option<Value>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it begins to sign.
    pub signs_from: DateTime<Utc>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("generation", &self.generation)
            .field("signs_from", &self.signs_from)
            .finish_non_exhaustive()
    }
}

/// When keys are created and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySchedule {
    /// The algorithm of new keys.
    pub algorithm: SigningAlgorithm,
    /// How long a key signs.
    pub signs_for: TimeDelta,
    /// How long before it signs a key is published, so that clients that cache our JWKS have it in time.
    pub published_before: TimeDelta,
    /// The longest lifetime of an access token: a key is needed for that long after it has stopped signing.
    pub longest_token: TimeDelta,
}

/// A key that has to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueKey {
    /// Its algorithm.
    pub algorithm: SigningAlgorithm,
    /// Its generation.
    pub generation: u32,
    /// When it begins to sign.
    pub signs_from: DateTime<Utc>,
}

impl KeySchedule {
    /// The key that signs at `now`: the newest of the configured algorithm that has begun to sign.
    pub fn signing<'k>(&self, keys: &'k [SigningKey], now: DateTime<Utc>) -> Option<&'k SigningKey> {
        self.own(keys).filter(|key| key.signs_from <= now).max_by_key(|key| key.generation)
    }

    /// The key that must be created now, if any: the first, or the successor of one that will soon stop signing.
    pub fn due(&self, keys: &[SigningKey], now: DateTime<Utc>) -> Option<DueKey> {
        let due = |generation, signs_from| DueKey { algorithm: self.algorithm, generation, signs_from };
        match self.own(keys).max_by_key(|key| key.generation) {
            None => Some(due(1, now)),
            Some(newest) => {
                let stops_at = newest.signs_from + self.signs_for;
                (stops_at - self.published_before <= now)
                    .then(|| due(newest.generation + 1, stops_at.max(now + self.published_before)))
            }
        }
    }

    /// A key that replaces all others at once. It signs by every clock, also by those that are behind.
    pub fn replacing(&self, keys: &[SigningKey], now: DateTime<Utc>) -> DueKey {
        let newest = self.own(keys).map(|key| key.generation).max().unwrap_or(0);
        DueKey {
            algorithm: self.algorithm,
            generation: newest.saturating_add(1),
            signs_from: now.checked_sub_signed(CLOCKS_APART).unwrap_or(now),
        }
    }

    /// The keys whose last token has expired: their successor has been signing for longer than any token lives. The
    /// successor of a key of another algorithm is our oldest key that is younger.
    pub fn dead<'k>(&self, keys: &'k [SigningKey], now: DateTime<Utc>) -> Vec<&'k SigningKey> {
        keys.iter()
            .filter(|key| {
                keys.iter()
                    .filter(|other| other.algorithm == self.algorithm && other.signs_from > key.signs_from)
                    .map(|successor| successor.signs_from)
                    .min()
                    .is_some_and(|stopped| stopped + self.longest_token + LEEWAY <= now)
            })
            .collect()
    }

    fn own<'k>(&self, keys: &'k [SigningKey]) -> impl Iterator<Item = &'k SigningKey> {
        keys.iter().filter(|key| key.algorithm == self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: KeySchedule = KeySchedule {
        algorithm: SigningAlgorithm::Es256,
        signs_for: TimeDelta::seconds(1000),
        published_before: TimeDelta::seconds(100),
        longest_token: TimeDelta::seconds(50),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn key(algorithm: SigningAlgorithm, generation: u32, signs_from: i64) -> SigningKey {
        SigningKey {
            kid: format!("{algorithm}-{generation}"),
            algorithm,
            generation,
            sealed_private_key: vec![1, 2, 3],
            public_jwk: None,
            created_at: at(0),
            signs_from: at(signs_from),
        }
    }

    #[test]
    fn the_first_key_signs_at_once() {
        let due = SCHEDULE.due(&[], at(7)).unwrap();
        assert_eq!((due.generation, due.signs_from), (1, at(7)));
    }

    #[test]
    fn the_next_key_is_published_before_it_signs() {
        let first = key(SigningAlgorithm::Es256, 1, 0);
        assert_eq!(SCHEDULE.due(std::slice::from_ref(&first), at(899)), None);
        let due = SCHEDULE.due(std::slice::from_ref(&first), at(900)).unwrap();
        assert_eq!((due.generation, due.signs_from), (2, at(1000)));
        let keys = [first, key(SigningAlgorithm::Es256, 2, 1000)];
        assert_eq!(SCHEDULE.due(&keys, at(901)), None);
        assert_eq!(SCHEDULE.signing(&keys, at(999)).unwrap().generation, 1);
        assert_eq!(SCHEDULE.signing(&keys, at(1000)).unwrap().generation, 2);
    }

    #[test]
    fn after_a_long_pause_the_next_key_is_still_published_before_it_signs() {
        let due = SCHEDULE.due(&[key(SigningAlgorithm::Es256, 1, 0)], at(5000)).unwrap();
        assert_eq!(due.signs_from, at(5100));
    }

    #[test]
    fn a_key_is_kept_until_its_last_token_has_expired() {
        let keys = [key(SigningAlgorithm::Es256, 1, 0), key(SigningAlgorithm::Es256, 2, 1000)];
        assert!(SCHEDULE.dead(&keys, at(1054)).is_empty());
        assert_eq!(SCHEDULE.dead(&keys, at(1055)), [&keys[0]]);
    }

    #[test]
    fn a_change_of_algorithm_makes_a_key_at_once_and_lets_the_old_one_run_out() {
        let old = key(SigningAlgorithm::Rs256, 3, 0);
        assert_eq!(SCHEDULE.due(std::slice::from_ref(&old), at(500)).unwrap().signs_from, at(500));
        let keys = [old, key(SigningAlgorithm::Es256, 1, 500)];
        assert_eq!(SCHEDULE.signing(&keys, at(500)).unwrap().algorithm, SigningAlgorithm::Es256);
        assert!(SCHEDULE.dead(&keys, at(554)).is_empty());
        assert_eq!(SCHEDULE.dead(&keys, at(555)), [&keys[0]]);
    }

    #[test]
    fn a_key_that_replaces_all_others_signs_by_every_clock() {
        let replacing = SCHEDULE.replacing(&[], at(5000));
        assert_eq!((replacing.algorithm, replacing.generation), (SigningAlgorithm::Es256, 1));
        let next = key(SigningAlgorithm::Es256, 5, 9000);
        let keys = [key(SigningAlgorithm::Rs256, 9, 0), key(SigningAlgorithm::Es256, 4, 0), next];
        let replacing = SCHEDULE.replacing(&keys, at(5000));
        assert_eq!(replacing.generation, 6, "another gateway may be about to store the next of the old keys");
        let new = key(replacing.algorithm, replacing.generation, replacing.signs_from.timestamp());
        assert!(SCHEDULE.signing(std::slice::from_ref(&new), at(5000) - TimeDelta::minutes(4)).is_some());
    }

    #[test]
    fn a_key_does_not_print_its_private_half() {
        assert!(!format!("{:?}", key(SigningAlgorithm::Es256, 1, 0)).contains("sealed"));
    }
}
