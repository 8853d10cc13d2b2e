//! One binary that issues and revokes its own tokens and proxies `/api/…` to the services it knows.
//!
//! Two halves: the control plane ([`api`], [`domain`]) answers the gateway's own paths; the data plane ([`edge`]) proxies
//! from one immutable snapshot. [`app`] is where they meet. `ARCHITECTURE.md` is the map.

pub mod config;
pub mod domain;
pub mod edge;
pub mod problem;
