//! Hostile input: to the gateway's own API, as tokens, as paths and as headers. In every case the response is a problem
//! document that quotes no secret, nothing unplanned reaches a service, and the gateway keeps running.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod common;

#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/forgery.rs"]
mod forgery;
#[path = "hostile/identity.rs"]
mod identity;
#[path = "hostile/methods.rs"]
mod methods;
#[path = "hostile/paths.rs"]
mod paths;
#[path = "hostile/surface.rs"]
mod surface;
#[path = "hostile/tokens.rs"]
mod tokens;
