//! A core's open connections to an endpoint.

pub(crate) mod frames;
pub(crate) mod http1;
pub(crate) mod http2;
