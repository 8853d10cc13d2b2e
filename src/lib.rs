//! One binary that issues and revokes its own tokens and proxies `/api/…` to the configured services.
//!
//! Two halves: the control plane ([`api`], [`domain`]) serves the gateway's own paths; the data plane ([`edge`])
//! proxies from one immutable snapshot. They meet in [`app`]. `ARCHITECTURE.md` is the map.

pub mod adapters;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod dev;
pub mod domain;
pub mod edge;
pub mod json;
pub mod ports;
pub mod problem;
pub mod texts;
