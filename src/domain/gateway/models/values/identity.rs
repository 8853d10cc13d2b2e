//! The identity of a caller whose credential was verified.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    id::{ClientId, FamilyId, Revocable, TokenId},
    scope::Scope,
};

/// A caller whose credential was verified. It holds the facts at the time of issue; expiry and revocation are checked
/// on every request ([`Identity::is_live`] and the revocations of the snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The `sub` claim.
    pub subject: String,
    /// The caller's scope.
    pub scope: Scope,
    /// The credential.
    pub token_id: TokenId,
    /// The family that the credential belongs to.
    pub family: FamilyId,
    /// When the credential expires.
    pub expires_at: DateTime<Utc>,
    /// Other claims of the caller: a token's own claims and its `client_id`, or the `email` of a session's account.
    pub claims: Map<String, Value>,
}

/// The claim that holds an e-mail address (OpenID Connect Core §5.1), and its name among a caller's claims.
const EMAIL_CLAIM: &str = "email";

/// The claim that names the client that a token was issued to (RFC 9068 §2.2).
pub(in crate::domain::gateway::models) const CLIENT_ID_CLAIM: &str = "client_id";

/// An e-mail address as a claim.
pub fn email_claim(address: Option<&str>) -> Map<String, Value> {
    address.map(|address| (EMAIL_CLAIM.to_owned(), address.into())).into_iter().collect()
}

impl Identity {
    /// The caller's e-mail address, if the issuer of the credential vouches for one.
    pub fn email(&self) -> Option<&str> {
        self.claims.get(EMAIL_CLAIM)?.as_str()
    }

    /// The client that the credential was issued to, if it is a token that names one.
    pub fn client_id(&self) -> Option<&str> {
        self.claims.get(CLIENT_ID_CLAIM)?.as_str()
    }

    /// The machine client that the caller is, if it is one.
    pub fn client(&self) -> Option<ClientId> {
        self.client_id()?.parse().ok()
    }

    /// Whether the credential has not expired.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at
    }

    /// The ids whose revocation ends this credential.
    pub fn revocable(&self) -> [Revocable; 2] {
        [self.token_id.into(), self.family.into()]
    }
}
