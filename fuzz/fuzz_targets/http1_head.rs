//! See `gateway::edge::fuzz::http1_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::edge::fuzz::http1_head(bytes));
