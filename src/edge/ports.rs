//! The interfaces of the data plane to the outside: the control plane and the resolver run on the control runtime; the
//! third is the access log.

use std::{io, net::SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use thiserror::Error;
use tokio::runtime::Handle;

use crate::domain::gateway::models::{
    assertion::SignedAssertion,
    oauth::ProviderName,
    rate_limit::{BucketDemand, BucketOutcome},
    service::ServiceName,
    token::Rejection,
    values::{
        digest::Sha256Digest,
        id::{AccountId, RequestId},
        identity::Identity,
        secret::Secret,
    },
};

/// A body on its way through the control plane, in either direction.
pub type Body = BoxBody<Bytes, io::Error>;

/// The origin of a request. The control plane finds it in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct RequestOrigin {
    /// The id under which the request is logged.
    pub request_id: RequestId,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub client: SocketAddr,
    /// The scheme that the client used: `http` or `https`.
    pub scheme: &'static str,
}

/// Answers requests for the gateway's own paths.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// Answers one request; [`RequestOrigin`] is in its extensions.
    async fn respond(&self, request: Request<Body>) -> Response<Body>;

    /// The runtime for a request to this path, if that is not the control runtime: for requests that must be answered
    /// while that is busy.
    fn own_runtime(&self, _path: &str) -> Option<&Handle> {
        None
    }
}

/// The store could not be reached, or failed; the reason was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the credential could not be checked")]
pub struct ResolverUnavailable;

/// A person's token at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAccess {
    /// The access token.
    pub token: Secret,
    /// The time from which it has to be requested again, before the provider refuses it; `None` if it does not expire.
    pub fresh_until: Option<DateTime<Utc>>,
}

/// The reason why there is no token of a person at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProviderAccessError {
    /// The person has not granted anything there.
    #[error("the account has no grant")]
    GrantMissing,
    /// The person has to sign in there again.
    #[error("the person must sign in at the provider again")]
    ReauthorizationRequired,
    /// The token has expired, and the provider does not issue another now.
    #[error("the provider is unavailable")]
    ProviderUnavailable,
    /// The store could not be reached.
    #[error("the grant could not be looked up")]
    Unavailable,
    /// The grant cannot be read: another attempt would fail as well.
    #[error("the grant cannot be read")]
    Broken,
}

/// Resolves data that a snapshot cannot hold. Each core of the data plane caches the result until it expires or is
/// revoked.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// Whether opaque tokens can be valid here at all. If not, the data plane does not ask.
    fn knows_opaque_tokens(&self) -> bool;

    /// The identity of an opaque token (a dummy token, in development).
    async fn opaque_token(&self, digest: Sha256Digest) -> Result<Result<Identity, Rejection>, ResolverUnavailable>;

    /// The identity of the session whose cookie has this digest; `None` if there is no such session any more.
    async fn session(&self, digest: Sha256Digest) -> Result<Option<Identity>, ResolverUnavailable>;

    /// The providers at which an account has an identity.
    async fn providers_of(&self, account: AccountId) -> Result<Vec<ProviderName>, ResolverUnavailable>;

    /// An assertion for a service about a caller.
    async fn assertion(&self, caller: &Identity, service: &ServiceName)
    -> Result<SignedAssertion, ResolverUnavailable>;

    /// The token of a person at a provider. It stays valid long enough to reach its destination.
    async fn provider_token(
        &self,
        account: AccountId,
        provider: &ProviderName,
    ) -> Result<ProviderAccess, ProviderAccessError>;

    /// Takes one request out of each of these buckets, which all replicas share, or out of none. Without a store of such
    /// counts each replica counts by itself.
    async fn take(&self, _demands: &[BucketDemand]) -> Result<BucketOutcome, ResolverUnavailable> {
        Err(ResolverUnavailable)
    }
}

/// The sink for the lines of the access log.
pub trait AccessLogSink: Send + Sync + 'static {
    /// Whether lines are wanted.
    fn is_open(&self) -> bool;

    /// Writes whole lines.
    fn write(&self, lines: &[u8]);

    /// Whether the lines are shown on a terminal, and may have colours.
    fn has_colours(&self) -> bool {
        false
    }
}
