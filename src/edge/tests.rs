//! Tests of the data plane from outside, over real sockets.

mod access_log;
mod callers;
mod closing;
mod forwarding;
mod harness;
mod http2;
mod lifecycle;
mod limits;
mod message;
mod own_paths;
mod properties;
mod service_tls;
mod smuggling;
pub(crate) mod support;
mod traffic;
