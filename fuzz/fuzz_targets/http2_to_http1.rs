//! See `gateway::edge::fuzz::http2_to_http1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::edge::fuzz::http2_to_http1(bytes));
