//! The OpenAPI document in independent tools: Schemathesis (`PyPI`) calls every operation with valid and invalid
//! requests by the document, Redocly (npm) validates it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    common::{Gateway, clients::Registry},
    programs::{Script, finished, finished_within},
};

/// It takes half a minute, unless password hashing waits for the processor: its threads have the lowest priority.
const PATIENCE: Duration = Duration::from_mins(6);

/// The session of a new account: the value of its cookie.
fn session(gateway: &Gateway, name: &str) -> String {
    let wish = json!({"email": format!("{name}@example.com"), "password": "correct horse"});
    let response = gateway.post("/accounts/signup", &wish).expect(200);
    let cookie = response.header("set-cookie").unwrap();
    cookie.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}

/// The number of test cases and their seed are fixed, so that findings are reproducible.
fn schemathesis_finds_nothing(environment: &str) {
    let registry = Registry::new(&[("GATEWAY_ENV", environment), ("LOG_FORMAT", "text")]);
    let gateway = registry.gateway();
    let client = registry.add("tester", "tokens:issue oauth:read oauth:write services:register services:read");
    let granted = gateway.post_as(&client, "/oauth2/token", &[("grant_type", "client_credentials")]).expect(200).json();
    let sessions = ["first", "second"].map(|name| session(&gateway, name));
    let given = json!({
        "url": format!("http://{}", gateway.address),
        "bearer": granted["access_token"],
        "sessions": sessions,
        "client": [client.id, client.secret],
    });
    let script = Script::python("contract.py", include_str!("contract.py"));
    let output = finished_within(PATIENCE, script.command(), given.to_string().as_bytes());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.matches("No issues found").count() == 2, "{said}");
    gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn schemathesis_finds_nothing_in_development() {
    schemathesis_finds_nothing("development");
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn schemathesis_finds_nothing_in_production() {
    schemathesis_finds_nothing("production");
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn redocly_finds_no_error() {
    let script = Script::node("redocly.mjs", include_str!("redocly.mjs"));
    for environment in ["development", "production"] {
        let registry = Registry::new(&[("GATEWAY_ENV", environment), ("LOG_FORMAT", "text")]);
        let document = registry.gateway().get("/openapi.json").expect(200).body;
        let output = finished(script.command(), &document);
        let problems: Vec<Value> = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        // It has read the document: it has a suggestion.
        assert!(problems.iter().any(|problem| problem["severity"] == "warn"), "{environment}: {problems:?}");
        let errors: Vec<_> = problems.iter().filter(|problem| problem["severity"] == "error").collect();
        assert!(errors.is_empty(), "{environment}: {errors:?}");
    }
}
