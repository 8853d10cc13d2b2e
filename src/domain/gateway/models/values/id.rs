//! Identifiers: UUIDs inside, 22-character short UUIDs (flickrBase58) outside.

use std::{fmt, str::FromStr};

use short_uuid::ShortUuid;
use thiserror::Error;
use uuid::Uuid;

/// The text is not a 22-character short UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an id must be a short UUID of 22 letters and digits")]
pub struct InvalidId;

/// The digits of a short UUID in the order of their values (base 58, as Flickr has it).
const DIGITS: &[u8] = b"123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";

/// The short form of the largest UUID. `short-uuid` overflows on more than that.
const LARGEST: &str = "xBuEXKpA6iqZQK5Kf2TnkV";

/// Whether a text is the short form of a UUID: 22 digits that fit into 128 bits.
fn is_short_uuid(text: &str) -> bool {
    let value = |digit: u8| DIGITS.iter().position(|known| *known == digit);
    text.len() == LARGEST.len()
        && text.bytes().all(|digit| value(digit).is_some())
        && text.bytes().map(value).le(LARGEST.bytes().map(value))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a version 4 UUID of 16 random bytes.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The id as a store keeps it.
            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                ShortUuid::from_uuid(&self.0).fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if !is_short_uuid(text) {
                    return Err(InvalidId);
                }
                ShortUuid::parse_str(text).map(|short| Self(short.to_uuid())).map_err(|_| InvalidId)
            }
        }
    )+};
}

ids! {
    /// Identifies one access token or dummy token: the `jti` claim (RFC 7519 §4.1.7).
    TokenId,
    /// Identifies a refresh token family, all tokens that descend from one creation: the `sid` claim of its access
    /// tokens.
    FamilyId,
    /// Identifies an account: the `sub` of the tokens of a signed-in person.
    AccountId,
    /// Identifies a machine client: its `client_id`, and the `sub` of the tokens that it gets for itself.
    ClientId,
    /// Identifies a grant: the access that a person allowed us at a provider, and its tokens.
    GrantId,
    /// Identifies the holder of the lease to refresh a grant.
    LeaseId,
    /// Identifies a session of a signed-in browser.
    SessionId,
    /// Identifies a browser that has signed in with a password before: its device cookie.
    DeviceId,
    /// Identifies a task to end an account's sessions and tokens.
    EndingId,
    /// Identifies a person's request to delete their data. It reveals only whether that is done.
    ConfirmationCode,
    /// Identifies an instance that registered itself, until its lease ends.
    RegistrationId,
    /// Identifies one request, in `X-Request-Id`, in problem documents and in the access log.
    RequestId,
}

/// The target of a revocation: one token (`jti`) or a whole family (`sid`). Both are random UUIDs, so they share one
/// list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revocable(Uuid);

impl Revocable {
    /// The id as a store keeps it.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for Revocable {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<TokenId> for Revocable {
    fn from(id: TokenId) -> Self {
        Self(id.as_uuid())
    }
}

impl From<FamilyId> for Revocable {
    fn from(id: FamilyId) -> Self {
        Self(id.as_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_a_uuid_is_no_id() {
        assert_eq!(ShortUuid::from_uuid(&Uuid::max()).to_string(), LARGEST);
        for good in [LARGEST, "1111111111111111111111", "xBuEXKpA6iqZQK5Kf2TnkU"] {
            assert_eq!(good.parse::<TokenId>().map(|id| id.to_string()).as_deref(), Ok(good));
        }
        for bad in [
            "xBuEXKpA6iqZQK5Kf2TnkZ",
            "xBuEXKpA6iqZQK5Kf2TnkW",
            "ZZZZZZZZZZZZZZZZZZZZZZ",
            "xBuEXKpA6iqZQK5Kf2TnkVV",
            "l1",
            "0",
        ] {
            assert_eq!(bad.parse::<TokenId>(), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn an_id_goes_out_as_22_characters_and_comes_back_the_same() {
        for bytes in [[0; 16], [0xff; 16], [7; 16]] {
            let id = TokenId::from_random(bytes);
            assert_eq!(id.to_string().len(), 22);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn an_invalid_short_uuid_is_refused_without_a_panic() {
        for text in
            ["", "x", "0000000000000000000000", "zzzzzzzzzzzzzzzzzzzzzz", "ZZZZZZZZZZZZZZZZZZZZZZ", "한국어한국어한1"]
        {
            assert_eq!(text.parse::<TokenId>(), Err(InvalidId), "{text}");
        }
    }
}
