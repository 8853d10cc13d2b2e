//! The data plane from outside, over real sockets.

mod forwarding;
mod harness;
mod lifecycle;
mod limits;
mod message;
mod own_paths;
mod properties;
mod provider_tokens;
mod smuggling;
mod tokens;
mod upstreams;
