//! Resolves callers for the data plane where a snapshot is not enough.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use tracing::{error, warn};

use super::shared_buckets::SharedBuckets;
use crate::{
    domain::gateway::{
        models::{
            assertion::SignedAssertion,
            oauth::ProviderName,
            rate_limit::{BucketDemand, BucketOutcome},
            service::ServiceName,
            token::Rejection,
            values::{digest::Sha256Digest, id::AccountId, identity::Identity, pace::Pace},
        },
        services::{
            Failure,
            assertion::AssertionService,
            oauth::{GrantError, OAuthService, ProviderError},
            session::SessionService,
            token::TokenService,
        },
    },
    edge::ports::{ProviderAccess, ProviderAccessError, Resolver, ResolverUnavailable},
};

pub(in crate::app) struct ServiceResolver {
    pub(in crate::app) tokens: Arc<TokenService>,
    pub(in crate::app) oauth: Arc<OAuthService>,
    pub(in crate::app) sessions: Arc<SessionService>,
    pub(in crate::app) assertions: AssertionService,
    /// `None` without a Redis.
    pub(in crate::app) buckets: Option<SharedBuckets>,
}

#[async_trait]
impl Resolver for ServiceResolver {
    fn knows_opaque_tokens(&self) -> bool {
        self.tokens.knows_dummies()
    }

    async fn opaque_token(&self, digest: Sha256Digest) -> Result<Result<Identity, Rejection>, ResolverUnavailable> {
        self.tokens.dummy_by_digest(digest).await.map_err(|failure| unavailable(&failure, "a dummy token"))
    }

    async fn session(&self, digest: Sha256Digest) -> Result<Option<Identity>, ResolverUnavailable> {
        self.sessions.caller(digest).await.map_err(|failure| unavailable(&failure, "a session"))
    }

    async fn providers_of(&self, account: AccountId) -> Result<Vec<ProviderName>, ResolverUnavailable> {
        let providers = self.oauth.providers_of(account).await;
        providers.map_err(|failure| unavailable(&failure, "the identities of an account"))
    }

    async fn assertion(
        &self,
        caller: &Identity,
        service: &ServiceName,
    ) -> Result<SignedAssertion, ResolverUnavailable> {
        let signed = self.assertions.about(caller.clone(), service.clone());
        signed.map_err(|failure| unavailable(&failure, "an assertion"))
    }

    async fn provider_token(
        &self,
        account: AccountId,
        provider: &ProviderName,
    ) -> Result<ProviderAccess, ProviderAccessError> {
        match self.oauth.token_for(account, provider).await {
            Ok(open) => Ok(ProviderAccess { token: open.tokens.access_token, fresh_until: open.grant.fresh_until() }),
            Err(error) => Err(told(error, provider)),
        }
    }

    async fn take(&self, demands: &[BucketDemand]) -> Result<BucketOutcome, ResolverUnavailable> {
        match &self.buckets {
            Some(buckets) => buckets.take(demands).await,
            None => Err(ResolverUnavailable),
        }
    }
}

fn unavailable(failure: &Failure, what: &'static str) -> ResolverUnavailable {
    static LINES: Mutex<Pace> = Mutex::new(Pace::NEW);
    let due = LINES.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now());
    if let Some(lookups) = due {
        warn!(%failure, what, lookups, "lookups for the data plane fail");
    }
    ResolverUnavailable
}

/// The part of a vault error that the data plane can act upon. The cause of a failed refresh was logged where it
/// occurred.
fn told(error: GrantError, provider: &ProviderName) -> ProviderAccessError {
    match error {
        GrantError::NotFound | GrantError::ScopeMissing(_) => ProviderAccessError::GrantMissing,
        GrantError::ReauthorizationRequired
        | GrantError::NothingNewer
        | GrantError::TakenBack
        | GrantError::Provider(ProviderError::InvalidGrant { .. } | ProviderError::Unsupported) => {
            ProviderAccessError::ReauthorizationRequired
        }
        GrantError::Provider(
            ProviderError::Misconfigured { .. }
            | ProviderError::Refused { .. }
            | ProviderError::Unavailable(_)
            | ProviderError::Throttled(_)
            | ProviderError::BadResponse(_)
            | ProviderError::NonceMismatch
            | ProviderError::NoIdToken { .. }
            | ProviderError::NotAdmitted(_),
        )
        | GrantError::Busy => ProviderAccessError::ProviderUnavailable,
        GrantError::Failed(failure @ (Failure::Unavailable(_) | Failure::Overloaded(_))) => {
            warn!(%failure, %provider, "a grant could not be looked up");
            ProviderAccessError::Unavailable
        }
        GrantError::Failed(failure @ Failure::Broken(_)) => {
            error!(%failure, %provider, "a grant cannot be read");
            ProviderAccessError::Broken
        }
    }
}
