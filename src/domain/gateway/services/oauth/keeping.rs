//! Stores the tokens that a provider issued for a code. Some providers issue a refresh token once, and never again
//! unless the person is asked for consent. So a stored one is kept: the new access token is stored beside it under the
//! lease that a refresh takes, since a pending refresh may leave a different refresh token behind.

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{
    OAuthService, OpenGrant,
    refreshing::{LOOK_EVERY, PATIENCE},
};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        login::scope_words,
        oauth::{Grant, GrantStatus, LeaseOutcome, ProviderTokens, PutOutcome, RefreshLease},
        values::id::{AccountId, GrantId},
    },
    repositories::{Constraint, RepositoryError},
    services::{Failure, ports::Provider},
};

/// The reason why a grant was not stored.
pub(super) enum KeepError {
    /// The account ended, or the identity was unlinked from it.
    AccountEnded,
    /// The store or the vault failed.
    Failed(Failure),
}

impl From<RepositoryError> for KeepError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Conflict(Constraint::Identity) => Self::AccountEnded,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<Failure> for KeepError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A stored grant.
pub(super) struct Kept {
    /// The grant, with the stored refresh token.
    pub(super) open: OpenGrant,
    refresh_token: RefreshTokenSource,
}

/// The origin of a grant's refresh token.
enum RefreshTokenSource {
    /// The response brought it.
    Response,
    /// It was stored before, by a grant with this scope.
    Held { scope: Option<String> },
    /// There is none.
    Missing,
}

impl Kept {
    fn of_response(grant: Grant, tokens: ProviderTokens) -> Self {
        let came = tokens.refresh_token.is_some();
        let refresh_token = if came { RefreshTokenSource::Response } else { RefreshTokenSource::Missing };
        Self { open: OpenGrant { grant, tokens }, refresh_token }
    }

    /// Whether there is no refresh token, or one that may be older than the person's consent to these scopes.
    pub(super) fn lacks_refresh_token_for(&self, more_scopes: &[String]) -> bool {
        match &self.refresh_token {
            RefreshTokenSource::Response | RefreshTokenSource::Held { scope: None } => false,
            RefreshTokenSource::Missing => true,
            RefreshTokenSource::Held { scope: Some(scope) } => {
                more_scopes.iter().any(|wanted| scope_words(scope).all(|word| word != wanted))
            }
        }
    }
}

impl OAuthService {
    /// Stores a grant. If that is impossible by now, the issued tokens are revoked at the provider.
    pub(super) async fn keep(
        &self,
        provider: &dyn Provider,
        tokens: ProviderTokens,
        identity: &ProviderIdentity,
        account: AccountId,
    ) -> Result<Kept, KeepError> {
        let now = self.clock.now();
        let grant = Grant {
            id: GrantId::from_random(self.entropy.bytes()),
            account,
            provider: identity.provider.clone(),
            provider_subject: identity.subject.clone(),
            status: GrantStatus::Active,
            sealed_tokens: Vec::new(),
            expires_at: None,
            refreshable: false,
            created_at: now,
            allowed_at: now,
            updated_at: now,
        };
        let grant = self.sealed(grant, provider, &tokens)?;
        let kept = if grant.refreshable {
            self.store
                .put_grant(&grant)
                .await
                .map(|stored| Kept::of_response(stored, tokens.clone()))
                .map_err(Into::into)
        } else {
            self.keep_unrenewable(provider, &grant, &tokens).await
        };
        match kept {
            Ok(_) => self.grants_changed(account),
            Err(KeepError::AccountEnded) => self.take_back_orphan(provider, &grant, &tokens).await,
            Err(KeepError::Failed(_)) => {}
        }
        kept
    }

    /// Stores a grant that cannot be renewed by itself: beside the stored refresh token of the same identity, if there
    /// is one.
    async fn keep_unrenewable(
        &self,
        provider: &dyn Provider,
        grant: &Grant,
        tokens: &ProviderTokens,
    ) -> Result<Kept, KeepError> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            let held = match self.store.put_grant_unless_renewable(grant).await? {
                PutOutcome::Stored(grant) => return Ok(Kept::of_response(grant, tokens.clone())),
                PutOutcome::Renewable(held) => held,
            };
            let _turn = self.turns.wait_for(held.id).await;
            let lease = self.lease(held.id);
            match self.store.acquire_lease(&lease, self.clock.now()).await? {
                LeaseOutcome::Acquired(current) if current.status == GrantStatus::Active && current.refreshable => {
                    if let Some(kept) = self.join(provider, &lease, current, tokens).await? {
                        return Ok(kept);
                    }
                }
                // The refresh token is no longer valid, or was revoked: none is stored.
                LeaseOutcome::Acquired(_) => self.store.release_lease(&lease).await?,
                LeaseOutcome::Gone => {}
                LeaseOutcome::Held { .. } if Instant::now() >= give_up_at => {
                    return Err(Failure::Unavailable("another refresh of the grant takes too long".to_owned()).into());
                }
                LeaseOutcome::Held { .. } => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Replaces a grant's access token while holding its lease. `None` if the lease was lost.
    async fn join(
        &self,
        provider: &dyn Provider,
        lease: &RefreshLease,
        current: Grant,
        tokens: &ProviderTokens,
    ) -> Result<Option<Kept>, KeepError> {
        let held = self.opened(&current).inspect_err(|error| {
            warn!(%error, "a sign-in replaces tokens that cannot be read");
        });
        let (refresh_token, tokens) = match held {
            Ok(held) if held.refresh_token.is_some() => {
                let source = RefreshTokenSource::Held { scope: held.scope.clone() };
                (source, tokens.clone().or_refresh_token_of(held))
            }
            Ok(_) | Err(_) => (RefreshTokenSource::Missing, tokens.clone()),
        };
        let now = self.clock.now();
        let joined = Grant { allowed_at: now, updated_at: now, ..current };
        let joined = self.sealed(joined, provider, &tokens)?;
        let is_stored = self.store.finish_refresh(lease, &joined).await?;
        let kept = Kept { open: OpenGrant { grant: joined, tokens }, refresh_token };
        Ok(is_stored.then_some(kept))
    }
}
