//! Verifying tokens.

use chrono::{DateTime, Utc};

use super::{Failure, TokenService};
use crate::domain::gateway::models::{
    token::{
        AccessClaims, DummyToken, Expectations, MAX_DUMMY_TEXT_BYTES, RefreshRecord, RefreshState, RefreshToken,
        Rejection, Verification,
    },
    values::{digest::Sha256Digest, identity::Identity},
};

/// The audience that a token must have.
#[derive(Clone, Copy)]
pub(super) enum AudienceCheck {
    /// This gateway.
    Ours,
    /// Any audience: the token is still ours to revoke and to describe.
    Any,
}

impl TokenService {
    /// Returns a token's kind and whether it is valid: an access, refresh or dummy token of ours. The deny-list is
    /// checked in the store, so the result holds for every replica.
    pub async fn verify(&self, token: &str) -> Result<Verification, Failure> {
        self.unless_revoked(self.inspect(token, AudienceCheck::Ours).await?).await
    }

    /// The same for a token of any audience: what an authorization server knows of its own token.
    pub async fn introspect(&self, token: &str) -> Result<Verification, Failure> {
        self.unless_revoked(self.inspect(token, AudienceCheck::Any).await?).await
    }

    async fn unless_revoked(&self, found: Verification) -> Result<Verification, Failure> {
        let revocable = match &found {
            Verification::Access(claims) => claims.identity().revocable(),
            Verification::Dummy(dummy) => dummy.identity().revocable(),
            Verification::Refresh { .. } | Verification::Inactive(_) => return Ok(found),
        };
        let revoked = self.parts.store.is_any_revoked(&revocable).await?;
        Ok(if revoked { Verification::Inactive(Rejection::Revoked) } else { found })
    }

    /// The caller with this bearer token: the holder of an access token or, in development, of a dummy token.
    pub async fn authenticate(&self, bearer: &str) -> Result<Result<Identity, Rejection>, Failure> {
        Ok(match self.verify(bearer).await? {
            Verification::Access(claims) => Ok(claims.identity()),
            Verification::Dummy(dummy) => Ok(dummy.identity()),
            Verification::Refresh { .. } => Err(Rejection::Malformed),
            Verification::Inactive(reason) => Err(reason),
        })
    }

    /// The identity that the dummy token with this digest represents.
    pub async fn dummy_by_digest(&self, digest: Sha256Digest) -> Result<Result<Identity, Rejection>, Failure> {
        let dummy = match self.find_dummy(digest).await? {
            Ok(dummy) => dummy,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let identity = dummy.identity();
        let revoked = self.parts.store.is_any_revoked(&identity.revocable()).await?;
        Ok(if revoked { Err(Rejection::Revoked) } else { Ok(identity) })
    }

    /// Whether unsigned texts may represent a person.
    pub fn knows_dummies(&self) -> bool {
        self.parts.policy.dummies
    }

    /// Finds a token that is to be revoked: it may have expired by this clock, and its key need not be known here yet.
    pub(super) async fn inspect_for_the_end(&self, token: &str) -> Result<Verification, Failure> {
        match self.parts.keys.verify_or_learn(token).await? {
            Ok(claims) if claims.issuer == self.parts.policy.issuer => Ok(Verification::Access(claims)),
            Ok(_) | Err(_) => self.inspect(token, AudienceCheck::Any).await,
        }
    }

    /// Returns a token's kind, before the deny-list is checked.
    pub(super) async fn inspect(&self, token: &str, audience: AudienceCheck) -> Result<Verification, Failure> {
        let now = self.parts.clock.now();
        if let Ok(refresh_token) = RefreshToken::parse(token) {
            return self.inspect_refresh_token(&refresh_token, now).await;
        }
        let rejection = match self.validate_access_token(token, audience, now) {
            Ok(claims) => return Ok(Verification::Access(claims)),
            Err(rejection) => rejection,
        };
        // Any text may have been typed as a dummy token, even one that looks like a signed token.
        if !self.knows_dummies() || token.len() > MAX_DUMMY_TEXT_BYTES {
            return Ok(Verification::Inactive(rejection));
        }
        Ok(match self.find_dummy(Sha256Digest::of(token.as_bytes())).await? {
            Ok(dummy) => Verification::Dummy(dummy),
            Err(Rejection::Unknown) if token.contains('.') => Verification::Inactive(rejection),
            Err(unknown_or_expired) => Verification::Inactive(unknown_or_expired),
        })
    }

    fn validate_access_token(
        &self,
        token: &str,
        audience: AudienceCheck,
        now: DateTime<Utc>,
    ) -> Result<AccessClaims, Rejection> {
        let claims = self.parts.keys.verify(token)?;
        match audience {
            AudienceCheck::Ours => claims.validate(&self.expectations(), now)?,
            AudienceCheck::Any => claims.validate_as_issuer(&self.parts.policy.issuer, now)?,
        }
        Ok(claims)
    }

    /// The values that an accepted token must have here.
    pub fn expectations(&self) -> Expectations {
        Expectations { issuer: self.parts.policy.issuer.clone(), audience: self.parts.policy.audience.clone() }
    }

    async fn inspect_refresh_token(&self, token: &RefreshToken, now: DateTime<Utc>) -> Result<Verification, Failure> {
        let Some(record) = self.parts.store.find_refresh(&token.digest()).await? else {
            return Ok(Verification::Inactive(Rejection::Unknown));
        };
        Ok(match record.state(now) {
            RefreshState::Revoked | RefreshState::Consumed => Verification::Inactive(Rejection::Revoked),
            RefreshState::Expired => Verification::Inactive(Rejection::Expired),
            RefreshState::Active => {
                let RefreshRecord { family, issued_at, expires_at, .. } = record;
                Verification::Refresh { family, issued_at, expires_at }
            }
        })
    }

    async fn find_dummy(&self, digest: Sha256Digest) -> Result<Result<DummyToken, Rejection>, Failure> {
        Ok(match self.parts.store.find_dummy(&digest).await? {
            None => Err(Rejection::Unknown),
            Some(dummy) if dummy.expires_at <= self.parts.clock.now() => Err(Rejection::Expired),
            Some(dummy) => Ok(dummy),
        })
    }
}
