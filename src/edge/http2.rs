//! Additions to the HTTP/2 of the `h2` library: stricter validation of requests, and tracking of frames.

pub(crate) mod body;
pub(crate) mod frame_tracker;
pub(crate) mod header_block;
pub(crate) mod trailers;
pub(crate) mod validate;
