//! Networking below HTTP: TCP, TLS, name resolution, and fair scheduling on a core.

pub(crate) mod client_stream;
pub(crate) mod lingering_close;
pub mod names;
pub(crate) mod tcp;
pub mod tls;
pub(crate) mod turn;
