//! Answers the data plane's questions about what a snapshot cannot hold.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::{error, warn};

use crate::{
    domain::gateway::{
        models::{
            id::AccountId,
            identity::Identity,
            oauth::ProviderName,
            token::{Rejection, TokenDigest},
        },
        services::{
            Failure,
            oauth::{GrantError, OAuthService, ProviderError},
            token::TokenService,
        },
    },
    edge::ports::{ProviderAccess, ProviderAccessError, Resolver, ResolverUnavailable},
};

pub(super) struct ServiceResolver {
    tokens: Arc<TokenService>,
    oauth: Arc<OAuthService>,
}

impl ServiceResolver {
    pub(super) fn new(tokens: Arc<TokenService>, oauth: Arc<OAuthService>) -> Self {
        Self { tokens, oauth }
    }
}

#[async_trait]
impl Resolver for ServiceResolver {
    fn knows_opaque_tokens(&self) -> bool {
        self.tokens.knows_dummies()
    }

    async fn opaque_token(&self, digest: TokenDigest) -> Result<Result<Identity, Rejection>, ResolverUnavailable> {
        self.tokens.dummy_by_digest(digest).await.map_err(|failure| {
            warn!(%failure, "a dummy token could not be looked up");
            ResolverUnavailable
        })
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
}

/// What of a vault's error the data plane can act upon. Why a refresh failed was logged where it failed.
fn told(error: GrantError, provider: &ProviderName) -> ProviderAccessError {
    match error {
        GrantError::NotFound => ProviderAccessError::GrantMissing,
        GrantError::ReauthorizationRequired
        | GrantError::TakenBack
        | GrantError::Provider(ProviderError::Refused { .. } | ProviderError::Unsupported) => {
            ProviderAccessError::ReauthorizationRequired
        }
        GrantError::Provider(ProviderError::Unavailable(_) | ProviderError::BadAnswer(_)) | GrantError::Busy => {
            ProviderAccessError::ProviderUnavailable
        }
        GrantError::Failed(failure @ Failure::Unavailable(_)) => {
            warn!(%failure, %provider, "a grant could not be looked up");
            ProviderAccessError::Unavailable
        }
        GrantError::Failed(failure @ Failure::Broken(_)) => {
            error!(%failure, %provider, "a grant cannot be read");
            ProviderAccessError::Broken
        }
    }
}
