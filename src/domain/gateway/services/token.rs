//! Issues, verifies, refreshes and revokes tokens.

pub mod clients;
mod issuing;
mod live_sessions;
mod session_tokens;
mod verifying;

use std::sync::Arc;

pub use self::live_sessions::LiveSessions;
use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;
use tracing::warn;

use super::{
    Failure,
    ports::{DummyConsole, SuccessorDerivation, TokenStatePublisher},
    signing_key::SigningKeys,
};
use crate::{
    domain::gateway::{
        models::{
            access::{Access, Denied},
            token::{
                IssuedTokens, KEPT_GENERATIONS, NewRefreshToken, RefreshRecord, RefreshToken, Revocation, Rotation,
                RotationOutcome, TokenFamily, Verification,
            },
            values::{
                id::{AccountId, FamilyId},
                scope::Scope,
            },
        },
        repositories::token::TokenRepository,
    },
    ports::{Clock, Entropy},
};

/// The rules for issuing tokens.
#[derive(Debug, Clone)]
pub struct TokenPolicy {
    /// `iss`: this gateway.
    pub issuer: String,
    /// The default `aud`; a token must name it to be accepted here.
    pub audience: String,
    /// The default lifetime of an access token.
    pub access_ttl: TimeDelta,
    /// The longest lifetime that can be requested.
    pub access_ttl_max: TimeDelta,
    /// How long a refresh token may stay unused.
    pub refresh_ttl: TimeDelta,
    /// How long a family may last in total: no token of it is valid for longer.
    pub family_ttl: TimeDelta,
    /// How long a used refresh token still gets the same successor.
    pub refresh_grace: TimeDelta,
    /// The access rule for creating tokens.
    pub creation: Access,
    /// Whether any text can be registered as a dummy token (development only).
    pub dummies: bool,
}

/// The dependencies of [`TokenService`].
pub struct TokenParts {
    /// Stores tokens.
    pub store: Arc<dyn TokenRepository>,
    /// The sessions that tokens may belong to.
    pub sessions: LiveSessions,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// Derives successors.
    pub successors: Arc<dyn SuccessorDerivation>,
    /// Announces revocations.
    pub publisher: Arc<dyn TokenStatePublisher>,
    /// Shows dummy tokens.
    pub console: Arc<dyn DummyConsole>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The rules.
    pub policy: TokenPolicy,
}

/// Tokens: one method per use case.
pub struct TokenService {
    parts: TokenParts,
}

/// The reason why no token was created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The caller may not create tokens.
    #[error("the caller may not create tokens")]
    Denied(Denied),
    /// The caller asks for scopes that its own token does not have.
    #[error("the requested scope exceeds that of the caller's token")]
    ScopeExceeded(Scope),
    /// The caller's own token was revoked in the meantime: what was issued to it at that moment is revoked as well.
    #[error("the caller's token was revoked")]
    Revoked,
    /// A longer lifetime was requested than any token may have.
    #[error("the lifetime of an access token must be at most {} seconds", .longest.num_seconds())]
    LifeTooLong {
        /// The longest allowed lifetime.
        longest: TimeDelta,
    },
    /// The store or the keys failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why a refresh token was not exchanged. For the caller, all of them are `invalid_grant` (RFC 6749 §5.2).
#[derive(Debug, Error)]
pub enum RefreshError {
    /// Not a refresh token of ours, or not any more.
    #[error("the refresh token is unknown")]
    Unknown,
    /// It was unused for too long.
    #[error("the refresh token has expired")]
    Expired,
    /// It or its family was revoked.
    #[error("the refresh token was revoked")]
    Revoked,
    /// It was used a moment ago, and its successor was used since.
    #[error("the refresh token was used before, and its successor too; use the newest one")]
    Superseded,
    /// It was used before, so a copy of it exists: the family is revoked now.
    #[error("the refresh token was used before; every token that descends from it is revoked now")]
    Reused,
    /// It was issued to a machine client, and only that client may exchange it (RFC 6749 §6, §10.4). It is not used up.
    #[error("the refresh token was issued to a machine client")]
    OfClient,
    /// The store or the keys failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The result of using a refresh token up.
struct Rotated {
    family: TokenFamily,
    /// The token that replaces it.
    successor: RefreshToken,
    /// When the family ends, or the session that it belongs to.
    until: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl TokenService {
    /// Creates the service.
    pub fn new(parts: TokenParts) -> Self {
        Self { parts }
    }

    /// The rules in force.
    pub fn policy(&self) -> &TokenPolicy {
        &self.parts.policy
    }

    /// Exchanges a refresh token for a new pair. The old one is used up; presented again within the grace period it
    /// gets the same successor, later the whole family is revoked (RFC 9700 §4.14.2). A refresh token of a client is
    /// exchanged by [`TokenService::refresh_for`], for that client only.
    pub async fn refresh(&self, presented: &str) -> Result<IssuedTokens, RefreshError> {
        let presented = RefreshToken::parse(presented).map_err(|_| RefreshError::Unknown)?;
        let found = self.parts.store.find_refresh(&presented.digest()).await.map_err(Failure::from)?;
        // Its owner never changes, so that can be checked before the token is used up.
        if found.as_ref().is_some_and(|record| record.family.client().is_some()) {
            return Err(RefreshError::OfClient);
        }
        let Rotated { family, successor, until, now } = self.rotate(&presented, found).await?;
        Ok(self.issue_pair(&family, successor, Some(until), now)?)
    }

    /// Uses a refresh token up, and returns its family and its replacement. `found` is the token's record as of a
    /// moment ago.
    async fn rotate(&self, presented: &RefreshToken, found: Option<RefreshRecord>) -> Result<Rotated, RefreshError> {
        let now = self.parts.clock.now();
        let Some(found) = found else { return Err(self.unknown(presented).await?) };
        let family_ends_at = found.family.created_at + self.parts.policy.family_ttl;
        let until = self.session_deadline(found, now).await?.map_or(family_ends_at, |until| until.min(family_ends_at));
        let successor = self.parts.successors.successor(presented);
        let rotation = Rotation {
            presented: presented.digest(),
            successor: NewRefreshToken {
                digest: successor.digest(),
                issued_at: now,
                expires_at: self.refresh_expiry(Some(until), now),
            },
            grace: self.parts.policy.refresh_grace,
            now,
        };
        if until <= now {
            return Err(RefreshError::Expired);
        }
        let outcome = self.parts.store.rotate(&rotation).await.map_err(Failure::from)?;
        match outcome {
            RotationOutcome::Rotated(family) => Ok(Rotated { family, successor, until, now }),
            RotationOutcome::Replayed { family, successor: stored } => {
                let mut candidates = self.parts.successors.candidates(presented).into_iter();
                let successor = candidates.find(|one| one.digest() == stored).ok_or(RefreshError::Unknown)?;
                Ok(Rotated { family, successor, until, now })
            }
            RotationOutcome::Reused { family } => {
                warn_of_reuse(&family);
                self.parts.publisher.publish_revocations(&[family.revocation()]);
                Err(RefreshError::Reused)
            }
            RotationOutcome::Expired => Err(RefreshError::Expired),
            RotationOutcome::Revoked => Err(RefreshError::Revoked),
            RotationOutcome::Superseded => Err(RefreshError::Superseded),
            RotationOutcome::Unknown => Err(self.unknown(presented).await?),
        }
    }

    /// The reason why an unknown refresh token is refused. It may be a used one that the store has forgotten: then a
    /// copy of it exists, and the family is revoked.
    async fn unknown(&self, presented: &RefreshToken) -> Result<RefreshError, Failure> {
        match self.family_of_forgotten(presented).await? {
            None => Ok(RefreshError::Unknown),
            Some(family) if family.revoked_at.is_some() => Ok(RefreshError::Revoked),
            Some(family) => {
                self.revoke_family(family.id).await?;
                warn_of_reuse(&family);
                Ok(RefreshError::Reused)
            }
        }
    }

    /// The family of a used refresh token that the store has forgotten: one of its successors is kept.
    async fn family_of_forgotten(&self, token: &RefreshToken) -> Result<Option<TokenFamily>, Failure> {
        let generations = usize::try_from(KEPT_GENERATIONS).unwrap_or_default();
        let descendants = self.parts.successors.descendants(token, generations);
        Ok(self.parts.store.find_family_of(&descendants).await?)
    }

    /// Revokes a token: an access token or dummy token alone, a refresh token with all that descend from the same
    /// creation (RFC 7009 §2.1). An unknown or unauthentic token is not ours and changes nothing. Its times do not
    /// matter: by the clock of another replica it may be valid.
    pub async fn revoke(&self, token: &str) -> Result<(), Failure> {
        let found = self.inspect_for_the_end(token).await?;
        self.revoke_found(token, found).await
    }

    async fn revoke_found(&self, token: &str, found: Verification) -> Result<(), Failure> {
        match found {
            Verification::Access(claims) if !claims.may_be_live(self.parts.clock.now()) => Ok(()),
            Verification::Access(claims) => {
                self.deny(&[Revocation { id: claims.token_id.into(), expires_at: claims.identity().expires_at }]).await
            }
            Verification::Dummy(dummy) => {
                self.deny(&[Revocation { id: dummy.id.into(), expires_at: dummy.expires_at }]).await
            }
            Verification::Refresh { family, .. } => self.revoke_family(family.id).await,
            Verification::Inactive(_) => self.revoke_used_refresh_token(token).await,
        }
    }

    /// Puts these on the deny-list. They are refused here when this returns, and on every replica soon after.
    async fn deny(&self, revocations: &[Revocation]) -> Result<(), Failure> {
        self.parts.store.revoke(revocations).await?;
        self.parts.publisher.publish_revocations(revocations);
        Ok(())
    }

    /// Revokes the family of a used or expired refresh token: the token still names its family, and the request to end
    /// it is plain.
    async fn revoke_used_refresh_token(&self, token: &str) -> Result<(), Failure> {
        match self.family_of_used(token).await? {
            Some(family) => self.revoke_family(family.id).await,
            None => Ok(()),
        }
    }

    /// The family of a used or expired refresh token.
    async fn family_of_used(&self, token: &str) -> Result<Option<TokenFamily>, Failure> {
        let Ok(token) = RefreshToken::parse(token) else { return Ok(None) };
        match self.parts.store.find_refresh(&token.digest()).await? {
            Some(record) => Ok(Some(record.family)),
            None => self.family_of_forgotten(&token).await,
        }
    }

    /// The store with the deny-list.
    pub(super) fn deny_list(&self) -> Arc<dyn TokenRepository> {
        self.parts.store.clone()
    }

    /// What this replica knows of the deny-list.
    pub(super) fn known_revocations(&self) -> Arc<dyn TokenStatePublisher> {
        self.parts.publisher.clone()
    }

    /// Ends every token that was issued for an account, and deletes those that were stored.
    pub async fn end_all_of(&self, account: AccountId) -> Result<(), Failure> {
        let ended = self.parts.store.end_families_of(&account.to_string()).await?;
        self.parts.publisher.publish_revocations(&ended);
        Ok(())
    }

    async fn revoke_family(&self, id: FamilyId) -> Result<(), Failure> {
        let revoked: Option<TokenFamily> = self.parts.store.revoke_family(id, self.parts.clock.now()).await?;
        if let Some(family) = revoked {
            self.parts.publisher.publish_revocations(&[family.revocation()]);
        }
        Ok(())
    }
}

fn warn_of_reuse(family: &TokenFamily) {
    warn!(family = %family.id, subject = family.subject, "a used refresh token was presented again: family revoked");
}

#[cfg(test)]
mod tests;
