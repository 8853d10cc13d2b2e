//! Operations of machine clients on tokens: issue, refresh, revoke.

use thiserror::Error;

use super::{Failure, RefreshError, Rotated, TokenService};
use crate::domain::gateway::models::{
    access::Access,
    client::{Client, ScopeExceeded},
    token::{IssuedToClient, RefreshToken, TokenFamily, Verification},
    values::{
        id::{ClientId, FamilyId},
        identity::Identity,
        scope::Scope,
    },
};

/// The token was issued to another client (RFC 6749 §5.2, `invalid_grant`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the token was issued to another client")]
pub struct AnothersToken;

/// The reason why a client's refresh failed.
#[derive(Debug, Error)]
pub enum ClientRefreshError {
    /// The token is not its own.
    #[error(transparent)]
    Anothers(#[from] AnothersToken),
    /// It asks for more than was granted (RFC 6749 §6). The refresh token is not used up.
    #[error(transparent)]
    Scope(#[from] ScopeExceeded),
    /// The refresh token is invalid, or the store failed.
    #[error(transparent)]
    Refused(#[from] RefreshError),
}

/// The reason why a client could not revoke a token.
#[derive(Debug, Error)]
pub enum ClientRevokeError {
    /// The token is not its own.
    #[error(transparent)]
    Anothers(#[from] AnothersToken),
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl TokenService {
    /// Issues an access token to a client in its own name (RFC 6749 §4.4): the client is the subject (RFC 9068 §2.2).
    /// Also returns the family, by which the token can be revoked.
    pub async fn issue_to(&self, client: &Client, scope: Scope) -> Result<(IssuedToClient, FamilyId), Failure> {
        let now = self.parts.clock.now();
        let blank = self.blank_family(now);
        let audience = client.audience.clone().map_or_else(|| blank.audience.clone(), |audience| vec![audience]);
        let id = client.id.to_string();
        let family = TokenFamily { client_id: id.clone(), subject: id, scope, audience, ..blank };
        let family = family.with_access_token_issued(now);
        self.parts.store.open_access_only(&family).await?;
        let issued = IssuedToClient {
            access_token: self.sign(&family, now + family.access_ttl, now)?,
            access_ttl: family.access_ttl,
            scope: family.scope,
            refresh_token: None,
        };
        Ok((issued, family.id))
    }

    /// Exchanges a refresh token as [`TokenService::refresh`] does, for an authenticated client. A refresh token that
    /// was issued to a client is valid for that client only. The access token may get a smaller scope than the
    /// family's; the successor keeps all of it (RFC 6749 §6).
    pub async fn refresh_for(
        &self,
        client: ClientId,
        presented: &str,
        asked: Option<Scope>,
    ) -> Result<IssuedToClient, ClientRefreshError> {
        let presented = RefreshToken::parse(presented).map_err(|_| RefreshError::Unknown)?;
        // Its owner and scope never change, so they can be checked before the token is used up.
        let found = self.parts.store.find_refresh(&presented.digest()).await;
        let Some(found) = found.map_err(Failure::from).map_err(RefreshError::from)? else {
            return Err(self.unknown(&presented).await.map_err(RefreshError::from)?.into());
        };
        owned(found.family.client(), client)?;
        let scope = match asked {
            None => found.family.scope.clone(),
            Some(asked) if found.family.scope.covers(&asked) => asked,
            Some(_) => return Err(ScopeExceeded.into()),
        };
        let Rotated { family, successor, until, now } = self.rotate(&presented, Some(found)).await?;
        let narrowed = TokenFamily { scope, ..family };
        let expires_at = narrowed.access_expiry(Some(until), now);
        Ok(IssuedToClient {
            access_token: self.sign(&narrowed, expires_at, now).map_err(RefreshError::from)?,
            access_ttl: expires_at - now,
            scope: narrowed.scope,
            refresh_token: Some(successor),
        })
    }

    /// Revokes a token as [`TokenService::revoke`] does, for an authenticated client (RFC 7009 §2.1): one that was
    /// issued to it, or to no client; any holder may revoke the latter.
    pub async fn revoke_for(&self, client: ClientId, token: &str) -> Result<(), ClientRevokeError> {
        let found = self.inspect_for_the_end(token).await?;
        let issued_to = match &found {
            Verification::Access(claims) => claims.client(),
            Verification::Refresh { family, .. } => family.client(),
            Verification::Dummy(_) => None,
            Verification::Inactive(_) => self.family_of_used(token).await?.and_then(|family| family.client()),
        };
        owned(issued_to, client)?;
        Ok(self.revoke_found(token, found).await?)
    }

    /// Ends a family that should not have been opened.
    pub(in crate::domain::gateway::services) async fn take_back(&self, family: FamilyId) -> Result<(), Failure> {
        self.revoke_family(family).await
    }
}

/// Whether a caller may issue tokens with this scope: a client no more than it holds itself, and so all callers where
/// creation is restricted.
pub(super) fn may_issue(caller: Option<&Identity>, client: Option<ClientId>, creation: &Access, scope: &Scope) -> bool {
    let bound = caller.filter(|_| client.is_some() || *creation != Access::Open);
    bound.is_none_or(|caller| caller.scope.covers(scope))
}

fn owned(issued_to: Option<ClientId>, client: ClientId) -> Result<(), AnothersToken> {
    if issued_to.is_none_or(|owner| owner == client) { Ok(()) } else { Err(AnothersToken) }
}
