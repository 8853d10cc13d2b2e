//! One request and its response at an endpoint.

pub(crate) mod http1;
pub(crate) mod http2;
