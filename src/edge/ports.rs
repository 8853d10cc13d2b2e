//! The ways out of the data plane. [`ControlPlane`] and [`Resolver`] are answered on the control runtime; [`Clock`] and
//! [`Entropy`] on the core that asks.

use std::{io, net::SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use thiserror::Error;

use crate::domain::gateway::models::{
    id::RequestId,
    identity::Identity,
    token::{Rejection, TokenDigest},
};

/// A body on its way to the client.
pub type Body = BoxBody<Bytes, io::Error>;

/// Who sent a request and under which id it is logged. The control plane finds it in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct RequestOrigin {
    /// Under which id the request is logged.
    pub request_id: RequestId,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub client: SocketAddr,
}

/// Answers the gateway's own paths.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// Answers one request; [`RequestOrigin`] is in its extensions.
    async fn answer(&self, request: Request<Incoming>) -> Response<Body>;
}

/// The store could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the credential could not be checked")]
pub struct ResolverUnavailable;

/// Resolves what a snapshot cannot hold. The data plane remembers the answer per core until it expires or is revoked.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// Whether an opaque token may stand for anybody at all here. If not, the data plane does not ask.
    fn knows_opaque_tokens(&self) -> bool;

    /// Whom an opaque token (a dummy token, in development) stands for.
    async fn opaque_token(&self, digest: TokenDigest) -> Result<Result<Identity, Rejection>, ResolverUnavailable>;
}

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> DateTime<Utc>;
}

/// Randomness of the operating system's quality.
pub trait Entropy: Send + Sync + 'static {
    /// Fills all of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}
