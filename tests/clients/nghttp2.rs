//! The clients of nghttp2: h2load with thousands of requests at once, all of which must succeed, and nghttp, which
//! sends frames that other clients do not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use serde_json::Value;

use crate::{
    common::Gateway,
    depot::{Depot, content, described},
    programs::{finished, program},
};

const REQUESTS: usize = 4000;

/// Sends that many requests over these connections and streams. Fails with the statistics unless all responses are 2xx.
#[track_caller]
fn all_succeed(gateway: &Gateway, arguments: &[&str]) {
    let mut command = program("h2load");
    let number = REQUESTS.to_string();
    // Requests without a response in this time count as failed.
    command.args(["--requests", &number, "--connection-inactivity-timeout=30s"]).args(arguments);
    let output = finished(command, b"");
    let report = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{report}");
    let line = |name: &str| {
        let line = report.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} {report}")).trim().to_owned()
    };
    let wanted =
        format!("{number} total, {number} started, {number} done, {number} succeeded, 0 failed, 0 errored, 0 timeout");
    assert_eq!(line("requests:"), wanted, "{report}");
    assert_eq!(line("status codes:"), format!("{number} 2xx, 0 3xx, 0 4xx, 0 5xx"), "{report}");
    gateway.is_unharmed();
}

/// Both versions: many streams on few connections, and many connections.
const WAYS: [&[&str]; 2] = [&["--clients=4", "--max-concurrent-streams=25"], &["--h1", "--clients=50"]];

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn thousands_of_requests_to_an_open_route_succeed() {
    let gateway = Gateway::start();
    let url = format!("http://{}/api/users", gateway.address);
    for way in WAYS {
        all_succeed(&gateway, &[way, &[&url]].concat());
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn thousands_of_uploads_and_downloads_with_a_token_succeed() {
    let depot = Depot::start();
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), content(10_000)).unwrap();
    let (token, upload) = (depot.authorization(), format!("--data={}", body.path().display()));
    for way in WAYS {
        let with_token = [way, &["--header", &token]].concat();
        all_succeed(&depot.gateway, &[&with_token[..], &[&upload, &depot.url("described")]].concat());
        // One after the other.
        let urls = [depot.url("chunks/20000"), depot.url("bytes/20000"), depot.url("bytes/0")];
        all_succeed(&depot.gateway, &[&with_token[..], &urls.each_ref().map(String::as_str)].concat());
    }
}

/// Checks that the tests above detect failures.
#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
#[should_panic(expected = "4000 4xx")]
fn requests_that_fail_are_noticed() {
    let depot = Depot::start();
    all_succeed(&depot.gateway, &[WAYS[0], &[&depot.url("bytes/1")]].concat());
}

/// The output of nghttp for an upload of so many bytes; `verbose` shows every frame.
#[track_caller]
fn uploaded(depot: &Depot, length: usize, arguments: &[&str]) -> String {
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), content(length)).unwrap();
    let mut command = program("nghttp");
    let data = format!("--data={}", body.path().display());
    command.args(["--timeout=30", &data]).args(arguments).arg(depot.url("described"));
    let output = finished(command, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn an_upload_arrives_whole_however_it_is_framed() {
    let depot = Depot::start();
    let token = format!("--header={}", depot.authorization());
    for framing in [
        &["--no-content-length"][..],
        // Padding in every frame, small windows, and trailers after the body.
        &["--padding=200", "--window-bits=10", "--connection-window-bits=12", "--trailer=x-sum: 7"],
    ] {
        let said = uploaded(&depot, 1_000_000, &[&[&token[..]], framing].concat());
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said, described(content(1_000_000)), "{framing:?}");
    }
    depot.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn an_upload_that_asks_first_is_refused_unsent() {
    let depot = Depot::start();
    let token = format!("--header={}", depot.authorization());
    for (length, more, status, code) in
        [(1_000_000, &[][..], "401", "token_missing"), (11_000_000, &[&token[..]], "413", "body_too_large")]
    {
        let said = uploaded(&depot, length, &[&["--verbose", "--expect-continue"], more].concat());
        assert!(said.contains(&format!(":status: {status}")) && said.contains(code), "{said}");
        assert!(said.contains("send HEADERS") && !said.contains("send DATA"), "{said}");
    }
    depot.gateway.is_unharmed();
}
