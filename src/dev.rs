//! What only development needs, so that `cargo run` has something to proxy to. Production never starts any of it.

pub mod sample_service;
