//! See `gateway::edge::fuzz::http1_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::edge::fuzz::http1_body(bytes));
