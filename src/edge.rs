//! The data plane: accepts connections, proxies `/api/…` to services from one immutable [`snapshot::Snapshot`], and hands
//! everything else to the [`ports::ControlPlane`].
//!
//! It never touches a repository, never awaits a database, and shares no lock between cores per request.

pub mod ports;
pub mod snapshot;
