//! Answers the data plane's questions about what a snapshot cannot hold.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::warn;

use crate::{
    domain::gateway::{
        models::{
            identity::Identity,
            token::{Rejection, TokenDigest},
        },
        services::token::TokenService,
    },
    edge::ports::{Resolver, ResolverUnavailable},
};

pub(super) struct DummyTokenResolver(Arc<TokenService>);

impl DummyTokenResolver {
    pub(super) fn new(tokens: Arc<TokenService>) -> Self {
        Self(tokens)
    }
}

#[async_trait]
impl Resolver for DummyTokenResolver {
    fn knows_opaque_tokens(&self) -> bool {
        self.0.knows_dummies()
    }

    async fn opaque_token(&self, digest: TokenDigest) -> Result<Result<Identity, Rejection>, ResolverUnavailable> {
        self.0.dummy_by_digest(digest).await.map_err(|failure| {
            warn!(%failure, "a dummy token could not be looked up");
            ResolverUnavailable
        })
    }
}
