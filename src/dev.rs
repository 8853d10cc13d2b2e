//! What only development needs, so that `cargo run` has something to proxy to and somewhere to sign in. Production never
//! starts any of it.

pub mod sample_service;
pub mod stand_in_provider;
