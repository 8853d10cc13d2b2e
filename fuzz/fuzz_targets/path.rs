//! See `gateway::edge::fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::edge::fuzz::path(bytes));
