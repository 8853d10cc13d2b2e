//! What is added to the HTTP/2 of the `h2` library: a request that it accepts is validated once more, and frames are followed.

pub(crate) mod body;
pub(crate) mod frame_tracker;
pub(crate) mod header_block;
pub(crate) mod trailers;
pub(crate) mod validate;
