//! How tokens are looked at.

use chrono::{DateTime, Utc};

use super::{Failure, TokenService};
use crate::domain::gateway::models::{
    identity::Identity,
    token::{
        AccessClaims, DummyToken, Expectations, MAX_DUMMY_TEXT_BYTES, RefreshToken, Rejection, TokenDigest,
        Verification,
    },
};

/// Whom a token has to be meant for.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// This gateway.
    Us,
    /// Whomever: it is still ours to end, and ours to tell of.
    Anybody,
}

impl TokenService {
    /// Says what a token is and whether it is good. Any of ours will do: access, refresh or dummy token. The deny-list is
    /// asked in the store, so the answer holds for every replica.
    pub async fn verify(&self, token: &str) -> Result<Verification, Failure> {
        self.unless_revoked(self.look_at(token, For::Us).await?).await
    }

    /// The same for a token that is meant for whomever: what an authorization server knows of a token of its own.
    pub async fn introspect(&self, token: &str) -> Result<Verification, Failure> {
        self.unless_revoked(self.look_at(token, For::Anybody).await?).await
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

    /// Who calls with this bearer token: the holder of an access token or, in development, of a dummy token.
    pub async fn authenticate(&self, bearer: &str) -> Result<Result<Identity, Rejection>, Failure> {
        Ok(match self.verify(bearer).await? {
            Verification::Access(claims) => Ok(claims.identity()),
            Verification::Dummy(dummy) => Ok(dummy.identity()),
            Verification::Refresh { .. } => Err(Rejection::Malformed),
            Verification::Inactive(reason) => Err(reason),
        })
    }

    /// Whom the dummy token with this digest stands for.
    pub async fn dummy_by_digest(&self, digest: TokenDigest) -> Result<Result<Identity, Rejection>, Failure> {
        let dummy = match self.find_dummy(digest).await? {
            Ok(dummy) => dummy,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let identity = dummy.identity();
        let revoked = self.parts.store.is_any_revoked(&identity.revocable()).await?;
        Ok(if revoked { Err(Rejection::Revoked) } else { Ok(identity) })
    }

    /// Whether a text may stand for a person although nobody signed it.
    pub fn knows_dummies(&self) -> bool {
        self.parts.policy.dummies
    }

    /// What a token is that is to be ended: whether it is good by this clock does not matter, nor whether its key is known here
    /// yet.
    pub(super) async fn look_at_for_the_end(&self, token: &str) -> Result<Verification, Failure> {
        match self.parts.keys.verify_or_learn(token).await? {
            Ok(claims) if claims.issuer == self.parts.policy.issuer => Ok(Verification::Access(claims)),
            Ok(_) | Err(_) => self.look_at(token, For::Anybody).await,
        }
    }

    /// What a token is, before the deny-list is asked.
    pub(super) async fn look_at(&self, token: &str, whom: For) -> Result<Verification, Failure> {
        let now = self.parts.clock.now();
        if let Ok(refresh_token) = RefreshToken::parse(token) {
            return self.look_at_refresh_token(&refresh_token, now).await;
        }
        let rejection = match self.judge_access_token(token, whom, now) {
            Ok(claims) => return Ok(Verification::Access(claims)),
            Err(rejection) => rejection,
        };
        // Anything may have been typed as a dummy token, even something that looks like a signed one.
        if !self.knows_dummies() || token.len() > MAX_DUMMY_TEXT_BYTES {
            return Ok(Verification::Inactive(rejection));
        }
        Ok(match self.find_dummy(TokenDigest::of(token.as_bytes())).await? {
            Ok(dummy) => Verification::Dummy(dummy),
            Err(Rejection::Unknown) if token.contains('.') => Verification::Inactive(rejection),
            Err(unknown_or_expired) => Verification::Inactive(unknown_or_expired),
        })
    }

    fn judge_access_token(&self, token: &str, whom: For, now: DateTime<Utc>) -> Result<AccessClaims, Rejection> {
        let claims = self.parts.keys.verify(token)?;
        match whom {
            For::Us => claims.judge(&self.expectations(), now)?,
            For::Anybody => claims.judge_as_issuer(&self.parts.policy.issuer, now)?,
        }
        Ok(claims)
    }

    /// What a token must say to be accepted here.
    pub fn expectations(&self) -> Expectations {
        Expectations { issuer: self.parts.policy.issuer.clone(), audience: self.parts.policy.audience.clone() }
    }

    async fn look_at_refresh_token(&self, token: &RefreshToken, now: DateTime<Utc>) -> Result<Verification, Failure> {
        let Some(record) = self.parts.store.find_refresh(&token.digest()).await? else {
            return Ok(Verification::Inactive(Rejection::Unknown));
        };
        Ok(if record.family.revoked_at.is_some() || record.consumed_at.is_some() {
            Verification::Inactive(Rejection::Revoked)
        } else if record.expires_at <= now {
            Verification::Inactive(Rejection::Expired)
        } else {
            Verification::Refresh { family: record.family, issued_at: record.issued_at, expires_at: record.expires_at }
        })
    }

    async fn find_dummy(&self, digest: TokenDigest) -> Result<Result<DummyToken, Rejection>, Failure> {
        Ok(match self.parts.store.find_dummy(&digest).await? {
            None => Err(Rejection::Unknown),
            Some(dummy) if dummy.expires_at <= self.parts.clock.now() => Err(Rejection::Expired),
            Some(dummy) => Ok(dummy),
        })
    }
}
