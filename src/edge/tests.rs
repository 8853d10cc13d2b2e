//! The data plane from outside, over real sockets.

mod access;
mod assertions;
mod buffering;
mod cors;
mod forwarding;
mod harness;
mod http2;
mod http2_frames;
mod http2_messages;
mod http2_time;
mod http2_upstreams;
mod in_flight;
mod lifecycle;
mod limits;
mod message;
mod own_paths;
mod properties;
mod provider_tokens;
mod sessions;
mod smuggling;
mod streams;
mod tokens;
mod trailers;
mod upgrades;
mod upstreams;
