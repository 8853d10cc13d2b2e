//! The commands of README.md and of the tutorial, run in a shell one after the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::{
    common::Gateway,
    programs::{finished, program},
};

const README: &str = include_str!("../../README.md");
const TUTORIAL: &str = include_str!("../../docs/tutorial.md");

/// Printed between the outputs of two blocks.
const BETWEEN: &str = "---- the next block ----";

/// From this heading to the next one of its level.
#[track_caller]
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, behind) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    behind.split("\n## ").next().unwrap()
}

/// The output of each block of a section. Blocks that start or end a program are left out: the test does that.
#[track_caller]
fn typed(gateway: &Gateway, section: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let calls = blocks.filter(|block| block.contains("curl ")).map(|block| {
        // The name of the gateway, with the port that it has here.
        block.replace("localhost:8080", &format!("localhost:{}", gateway.address.port()))
    });
    let script = calls.collect::<Vec<_>>().join(&format!("\necho '{BETWEEN}'\n"));
    let mut bash = program("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).envs(variables.iter().copied());
    bash.env("NO_PROXY", "localhost").env("no_proxy", "localhost").env("HOME", "/nonexistent");
    let output = finished(bash, b"");
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split(BETWEEN).map(|printed| printed.trim().to_owned()).collect()
}

/// Checks that each block prints its text.
#[track_caller]
fn expect(printed: &[String], texts: &[&str]) {
    assert_eq!(printed.len(), texts.len(), "{printed:#?}");
    for (printed, text) in printed.iter().zip(texts) {
        assert!(printed.contains(text), "{text:?} is not in {printed:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn the_quick_start_works_as_it_is_written() {
    let gateway = Gateway::on_localhost();
    let printed = typed(&gateway, section(README, "Quick start"), &[]);
    expect(&printed, &[r#"{"message":"Welcome from AUTH service"}"#, r#"{"scope":[],"subject":"alice"}"#]);
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn the_tutorial_works_as_it_is_written() {
    let gateway = Gateway::on_localhost();
    let first = typed(&gateway, section(TUTORIAL, "1. The first run"), &[]);
    let me = r#"{"scope":[],"subject":"alice"}"#;
    expect(&first, &[r#"{"message":"Welcome from AUTH service"}"#, "", me, "", r#""code":"invalid_token""#]);

    let dummy = typed(&gateway, section(TUTORIAL, "2. Send a dummy token"), &[]);
    expect(&dummy, &["hello from Swagger", r#""active":true"#, r#""subject":"dummy""#]);
    gateway.printed("│ hello from Swagger");

    let banner = gateway.printed("and exchange it: POST /oauth");
    let member = |name: &str| {
        let (_, behind) = banner.split_once(&format!(r#""{name}": ""#)).unwrap();
        behind.split('"').next().unwrap().to_owned()
    };
    let (authorize, verifier, nonce) =
        (gateway.printed("/api/stand-in/authorize?").trim().to_owned(), member("code_verifier"), member("nonce"));
    let variables = [("AUTHORIZE", authorize.as_str()), ("VERIFIER", &verifier), ("NONCE", &nonce)];
    let oauth = typed(&gateway, section(TUTORIAL, "3. OAuth with the stand-in provider"), &variables);
    expect(&oauth, &["", "", r#""provider":"stand-in""#, r#""email":"alice@example.com""#]);

    // The sample service of the first gateway is a process of its own for the second.
    let banner = gateway.printed("service auth ");
    let service = format!("http://{}", banner.split_whitespace().last().unwrap());
    let gateway =
        Gateway::on_localhost_with(&[("AUTH_SERVICE_URL", service.as_str()), ("SHOP_SERVICE_URL", service.as_str())]);
    let behind = typed(&gateway, section(TUTORIAL, "4. An AUTH service behind the proxy"), &[]);
    expect(&behind, &[r#""code":"token_missing""#, r#"{"scope":["orders:read"],"subject":"alice"}"#]);
}
