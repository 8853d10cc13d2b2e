//! Helpers for development, so that `cargo run` has a service to proxy to and a provider to sign in at. Production
//! never starts any of them.

pub mod sample_service;
pub mod stand_in_provider;
