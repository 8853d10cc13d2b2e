//! HTTP/1.x: our own codec (RFC 9112). The server loop is in [`listener`](super::listener).

pub(crate) mod body_decoder;
pub(crate) mod body_encoder;
pub(crate) mod body_framing;
pub(crate) mod connection;
pub(crate) mod request_head;
pub(crate) mod response_encoder;
pub(crate) mod response_head;
pub(crate) mod write_buffer;
