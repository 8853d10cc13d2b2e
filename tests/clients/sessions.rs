//! HTTP libraries of application code: Python's `requests` and `httpx`, and Node's `fetch`. Every body arrives
//! unchanged, and connections are kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};

use crate::{
    depot::{Depot, content, described},
    programs::{Script, finished},
};

/// Runs the script, and checks its report. Its sequential requests take at most so many connections.
#[track_caller]
fn all_arrives(script: &Script, library: &[&str], version: &Value, most_connections: u64) {
    let depot = Depot::start();
    let mut command = script.command();
    command.args(library).args([&depot.url(""), &depot.token]);
    let output = finished(command, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (small, large) = (described(content(1000)), described(content(5_000_000)));
    assert_eq!(report["repeated"], json!(vec![&small; 20]));
    let lengths = [5_000_000, 5_000_000, 1, 1, 0, 0];
    assert_eq!(report["uploads"].as_array().unwrap().len(), lengths.len());
    for (upload, length) in report["uploads"].as_array().unwrap().iter().zip(lengths) {
        assert_eq!(upload["sent"]["length"], length);
        assert_eq!(upload["sent"], upload["arrived"]);
    }
    assert_eq!(report["downloads"], json!([large, large]));
    assert_eq!(report["refused"], "invalid_token");
    assert_eq!(report["after"], small);
    assert_eq!(&report["version"], version);
    let connections = report["connections"].as_u64().unwrap();
    assert!((1..=most_connections).contains(&connections), "{connections}");
    assert_eq!(report["at_once"], json!(vec![&small; 100]));
    assert_eq!(report["abandoned"], json!([1000, 1000, 1000]));
    assert_eq!(report["in_the_end"], small);
    depot.gateway.is_unharmed();
}

fn python() -> Script {
    Script::python("sessions.py", include_str!("sessions.py"))
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn all_that_requests_sends_and_asks_for_arrives() {
    all_arrives(&python(), &["requests"], &json!("HTTP/1.1"), 1);
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn all_that_httpx_sends_and_asks_for_arrives() {
    for (library, version) in [("httpx", "HTTP/1.1"), ("httpx2", "HTTP/2")] {
        all_arrives(&python(), &[library], &json!(version), 1);
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn all_that_nodes_fetch_sends_and_asks_for_arrives() {
    // It does not report its version; there is only one. Now and then it opens a connection before it has returned the
    // last one to its pool, at every server.
    all_arrives(&Script::node("fetch.mjs", include_str!("fetch.mjs")), &[], &Value::Null, 4);
}
