//! Networking below HTTP: TCP, TLS, and fair scheduling on a core.

pub(crate) mod client_stream;
pub(crate) mod lingering_close;
pub mod origination;
pub(crate) mod service_stream;
pub(crate) mod tcp;
pub mod tls;
pub(crate) mod turn;
