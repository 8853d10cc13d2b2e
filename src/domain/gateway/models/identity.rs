//! Who a caller is, once a credential of theirs was found good.

use chrono::{DateTime, Utc};

use super::{
    id::{FamilyId, TokenId},
    scope::Scope,
    token::Revocable,
};

/// A caller whose credential was verified. It says what was true when the credential was issued; expiry and revocation
/// are judged anew on every request ([`Identity::is_live`] and the revocations of the snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The `sub` claim.
    pub subject: String,
    /// What the caller may do.
    pub scope: Scope,
    /// The credential.
    pub token_id: TokenId,
    /// The family that the credential belongs to.
    pub family: FamilyId,
    /// From when on the credential is dead.
    pub expires_at: DateTime<Utc>,
}

impl Identity {
    /// Whether the credential has not expired.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at
    }

    /// What a revocation may name to end this credential.
    pub fn revocable(&self) -> [Revocable; 2] {
        [self.token_id.into(), self.family.into()]
    }
}
