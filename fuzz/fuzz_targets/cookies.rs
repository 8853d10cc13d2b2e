//! See `gateway::edge::fuzz::cookies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::edge::fuzz::cookies(bytes));
