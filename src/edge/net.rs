//! Sockets below HTTP: TCP, TLS, the names of hosts, and turns of a core.

pub(crate) mod client_stream;
pub(crate) mod lingering_close;
pub mod names;
pub(crate) mod tcp;
pub mod tls;
pub(crate) mod turn;
