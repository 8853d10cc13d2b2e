//! See `gateway::api::fuzz::form`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::api::fuzz::form(bytes));
