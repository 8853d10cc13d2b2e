//! The data plane: accepts connections, proxies `/api/…` to services from one immutable [`snapshot::Snapshot`], and hands
//! everything else to the [`ports::ControlPlane`].
//!
//! It never touches a repository, never awaits a database, and shares no lock between cores per request.
//!
//! Each folder is a floor and imports those below it alone: see "The floors of the edge" in `ARCHITECTURE.md`, which also follows a
//! request through them.

pub mod health;
pub mod ports;
pub mod snapshot;

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod net;
pub(crate) mod observe;
pub(crate) mod pipeline;
pub(crate) mod timer;
pub(crate) mod upstream;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod tests;

pub use self::{
    auth::browser,
    listener::{parts::Parts, server::Edge},
    net::{origination, tls},
};
