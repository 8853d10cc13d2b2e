//! The token store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::RepositoryError;
use crate::domain::gateway::models::{
    token::{
        DummyToken, NewRefreshToken, RefreshRecord, Revocable, Revocation, RevocationCursor, RevocationPage, Rotation,
        RotationOutcome, TokenFamily,
    },
    values::{
        digest::Sha256Digest,
        id::{ClientId, FamilyId, SessionId},
    },
};

/// Stores token families, their refresh tokens, dummy tokens and the deny-list. Times are stored to the microsecond.
#[async_trait]
pub trait TokenRepository: Send + Sync {
    /// Stores a new family and its first refresh token, both or neither.
    ///
    /// # Errors
    /// `Conflict(Id)` if the family's id or the token's digest is taken.
    async fn open_family(&self, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError>;

    /// Does the same, and ends the oldest beyond `most` of the families that were opened for the same session, or
    /// without one for the same subject by the same client: as [`end_families_of`](Self::end_families_of) does. Returns
    /// their entries. A family that is being used at this moment may stay until the next one is opened.
    ///
    /// # Errors
    /// Those of [`open_family`](Self::open_family).
    async fn open_family_among(
        &self,
        family: &TokenFamily,
        first: &NewRefreshToken,
        most: u64,
    ) -> Result<Vec<Revocation>, RepositoryError>;

    /// Stores a new family that has an access token and no refresh token: for a client that acts for itself.
    ///
    /// # Errors
    /// `Conflict(Id)` if the family's id is taken.
    async fn open_access_only(&self, family: &TokenFamily) -> Result<(), RepositoryError>;

    /// Revokes every family that was issued to a client, as [`revoke_family`](Self::revoke_family) does, a batch at a
    /// time, and returns those that were not revoked before. A repeated call finishes an interrupted one. Loops until
    /// none is left: only families opened after it returns can escape.
    async fn revoke_families_of_client(
        &self,
        client: ClientId,
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError>;

    /// Exchanges a refresh token for its successor. Of two racing rotations of the same token one is `Rotated` and the
    /// other `Replayed` (or `Reused`, without grace). Also records that the family has an access token issued at
    /// `rotation.now` when the outcome is `Rotated` or `Replayed`. `Reused` has revoked the family and put it on the
    /// deny-list. A used token within grace (`now < consumed_at + grace`) is `Replayed` while its successor is unused,
    /// then `Superseded`; `expires_at <= now` is `Expired`.
    ///
    /// A rotation deletes used tokens of the family: those that have expired, and beyond the grace all but every
    /// [`KEPT_GENERATIONS`](crate::domain::gateway::models::token::KEPT_GENERATIONS)th. A deleted token is `Unknown`;
    /// [`find_family_of`](Self::find_family_of) finds its family by its successors. The first token of a family is
    /// kept, and after [`MAX_GENERATION`](crate::domain::gateway::models::token::MAX_GENERATION) rotations there is no
    /// other.
    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError>;

    /// A refresh token and its family.
    async fn find_refresh(&self, digest: &Sha256Digest) -> Result<Option<RefreshRecord>, RepositoryError>;

    /// The family that any of these refresh tokens belongs to.
    async fn find_family_of(&self, tokens: &[Sha256Digest]) -> Result<Option<TokenFamily>, RepositoryError>;

    /// Revokes a family and puts it on the deny-list if it may have a live access token, both or neither. Returns the
    /// family as it is now; revoking again changes nothing and returns the same; `None` if there is no such family.
    async fn revoke_family(&self, id: FamilyId, now: DateTime<Utc>) -> Result<Option<TokenFamily>, RepositoryError>;

    /// Ends every family of a subject: puts each on the deny-list and deletes it with its refresh tokens, both or
    /// neither, a batch at a time. A repeated call finishes an interrupted one. Returns the entries.
    async fn end_families_of(&self, subject: &str) -> Result<Vec<Revocation>, RepositoryError>;

    /// Revokes every family of these sessions that was not revoked before, and puts those that may have a live access
    /// token at `now` on the deny-list, both or neither, a batch at a time. A repeated call finishes an interrupted
    /// one. Returns the revoked families, as they are now.
    async fn revoke_families_of_sessions(
        &self,
        sessions: &[SessionId],
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError>;

    /// The same for every session that is on the deny-list: finishes interrupted endings of sessions.
    async fn revoke_families_of_ended_sessions(&self, now: DateTime<Utc>) -> Result<Vec<TokenFamily>, RepositoryError>;

    /// Puts entries on the deny-list, all or none. An id that is on it already is unchanged.
    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), RepositoryError>;

    /// Puts entries on the deny-list that the store has lost, and revokes the families whose ids they are: both or
    /// neither.
    async fn restore(&self, revocations: &[Revocation], now: DateTime<Utc>) -> Result<(), RepositoryError>;

    /// Whether any of `ids` is on the deny-list.
    async fn is_any_revoked(&self, ids: &[Revocable]) -> Result<bool, RepositoryError>;

    /// The `ids` that are on the deny-list, in any order.
    async fn revoked_among(&self, ids: &[Revocable]) -> Result<Vec<Revocable>, RepositoryError>;

    /// The deny-list's entries after `cursor`, oldest first, at most `limit`; with the end of the list, and whether it
    /// is the list that was read up to the cursor.
    async fn revocations_after(&self, cursor: RevocationCursor, limit: u64) -> Result<RevocationPage, RepositoryError>;

    /// Stores a dummy token; replaces one with the same digest.
    async fn put_dummy(&self, dummy: &DummyToken) -> Result<(), RepositoryError>;

    /// The dummy token with this digest, expired or not.
    async fn find_dummy(&self, digest: &Sha256Digest) -> Result<Option<DummyToken>, RepositoryError>;

    /// Deletes what can no longer matter at `now`: deny-list entries and dummy tokens with `expires_at <= now`, and
    /// families (with their refresh tokens) of which every refresh token has `expires_at <= now` and whose newest
    /// access token has expired, leeway included. Returns how many entries, dummy tokens and families were deleted.
    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError>;
}
