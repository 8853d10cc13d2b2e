//! A `gateway.toml`. It is accepted, or every mistake in it names its line.
#![no_main]

use gateway::config::{Settings, Sources};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let environment = [("GATEWAY_ENV", "development"), ("AUTH_SERVICE_URL", "http://127.0.0.1:1")];
    let sources = Sources::default().with_environment(environment).with_routes_file("gateway.toml", text);
    if let Err(mistakes) = Settings::from_sources(&sources) {
        let said = mistakes.to_string();
        assert!(said.contains("gateway.toml"), "a mistake that does not say its place: {said}");
    }
});
