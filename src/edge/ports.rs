//! The ways out of the data plane: two are answered on the control runtime, one is the access log.

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
    id::{AccountId, RequestId},
    identity::Identity,
    oauth::{ProviderName, Secret},
    service::ServiceName,
    token::{Rejection, TokenDigest},
};

/// A body on its way through the control plane, in either direction.
pub type Body = BoxBody<Bytes, io::Error>;

/// Who sent a request and under which id it is logged. The control plane finds it in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct RequestOrigin {
    /// Under which id the request is logged.
    pub request_id: RequestId,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub client: SocketAddr,
    /// Whether they came by `http` or `https`.
    pub scheme: &'static str,
}

/// Answers the gateway's own paths.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// Answers one request; [`RequestOrigin`] is in its extensions.
    async fn answer(&self, request: Request<Body>) -> Response<Body>;

    /// The runtime on which a request for this path is answered, if that is not the control runtime: what has to be answered while
    /// that is busy.
    fn own_runtime(&self, _path: &str) -> Option<&Handle> {
        None
    }
}

/// The store could not be asked, or failed; why was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the credential could not be checked")]
pub struct ResolverUnavailable;

/// A person's token at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAccess {
    /// The access token.
    pub token: Secret,
    /// From when on it has to be asked for again, before the provider refuses it; `None` if it does not expire.
    pub fresh_until: Option<DateTime<Utc>>,
}

/// Why there is no token of a person at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProviderAccessError {
    /// The person has not allowed anything there.
    #[error("there is no grant")]
    GrantMissing,
    /// The person has to sign in there again.
    #[error("the person has to sign in at the provider again")]
    ReauthorizationRequired,
    /// The token has expired, and the provider does not give another now.
    #[error("the provider is unavailable")]
    ProviderUnavailable,
    /// The store could not be asked.
    #[error("the grant could not be looked up")]
    Unavailable,
    /// The grant cannot be read: asking again would fail as well.
    #[error("the grant cannot be read")]
    Broken,
}

/// Resolves what a snapshot cannot hold. The data plane remembers the answer per core until it expires or is revoked.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// Whether an opaque token may stand for anybody at all here. If not, the data plane does not ask.
    fn knows_opaque_tokens(&self) -> bool;

    /// Whom an opaque token (a dummy token, in development) stands for.
    async fn opaque_token(&self, digest: TokenDigest) -> Result<Result<Identity, Rejection>, ResolverUnavailable>;

    /// Who calls with the session of a cookie with this digest; `None` if there is no such session any more.
    async fn session(&self, digest: TokenDigest) -> Result<Option<Identity>, ResolverUnavailable>;

    /// Where an account has an identity.
    async fn providers_of(&self, account: AccountId) -> Result<Vec<ProviderName>, ResolverUnavailable>;

    /// An assertion for a service about a caller.
    async fn assertion(&self, caller: &Identity, service: &ServiceName)
    -> Result<SignedAssertion, ResolverUnavailable>;

    /// The token of a person at a provider. It does not expire before it has arrived where it is sent.
    async fn provider_token(
        &self,
        account: AccountId,
        provider: &ProviderName,
    ) -> Result<ProviderAccess, ProviderAccessError>;
}

/// Where the lines of the access log go.
pub trait AccessLogSink: Send + Sync + 'static {
    /// Whether anybody wants them.
    fn is_open(&self) -> bool;

    /// Writes whole lines.
    fn write(&self, lines: &[u8]);

    /// Whether somebody watches them on a terminal.
    fn has_colours(&self) -> bool {
        false
    }
}
