//! The data plane from outside, over real sockets.

mod forwarding;
mod harness;
mod lifecycle;
mod limits;
mod message;
mod own_paths;
mod provider_tokens;
mod smuggling;
mod streams;
mod tokens;
mod upgrades;
mod upstreams;
