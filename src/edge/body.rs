//! A client's request body.

pub(crate) mod buffer;
pub(crate) mod buffering;
pub(crate) mod incoming;
pub(crate) mod request_body;
