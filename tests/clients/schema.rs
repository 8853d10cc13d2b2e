//! `gateway schema` in an independent validator (the crate `jsonschema`, as `PyPI` has it): it accepts the files that
//! the gateway accepts, and finds the mistakes that an editor can find.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};

use crate::{
    common::command,
    programs::{Script, finished},
};

const ROUTES: &str = include_str!("../../docs/routes.md");
const SERVICES: &str = include_str!("../../docs/services.md");

/// The services that the files lead to.
const VARIABLES: [(&str, &str); 2] = [("REPORTS_SERVICE_URL", "http://r"), ("X_SERVICE_URL", "http://x")];

/// The examples in a page of the manual.
fn examples(page: &str) -> impl Iterator<Item = String> {
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned())
}

#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn the_schema_accepts_good_files_and_finds_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let schema = command(folder.path(), &VARIABLES).arg("schema").output().unwrap().stdout;
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let route = "[[routes]]\npath = '/api/x'\nservice = 'x'\n";
    let good = [include_str!("../../gateway.toml").to_owned(), String::new(), "default_routes = false".to_owned()];
    let good: Vec<String> = good.into_iter().chain(examples(SERVICES)).chain(examples(ROUTES)).collect();
    assert!(good.len() > 7, "{good:#?}");
    let bad: Vec<String> = [
        "colour = 1",
        "default_routes = 'no'",
        "[services.Shop]",
        "[services.shop]\nbalance = 'random'",
        "[services.shop]\nurl = 'shop:8001'",
        "[services.shop]\nmax_requests = 0",
        "[services.shop]\ncheck = { intervall = '1s' }",
        "[services.shop]\ncheck = { interval = '1 s' }",
        "[services.shop]\neject = { after = -1 }",
        "[services.shop]\nbreaker = { failures = 101 }",
        "[[routes]]\npath = '/api/x'",
        "[[routes]]\npath = '/x'\nservice = 'x'",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(
        [
            "rate_limit = { requests = 5 }",
            "rate_limit = []",
            "protect = 'admin'",
            "redirect = { to = 'example.com' }",
            "maintenance = 'soon'",
            "request_headers = { set = ['X-A'] }",
            "access = 'opne'",
            "body_limit = 10",
            "allow = ['semikolon']",
            "claims = { a = [] }",
            "total_timeout = '10'",
        ]
        .map(|line| format!("{route}{line}\n")),
    )
    .collect();
    let given = json!({ "schema": schema, "good": good, "bad": bad });
    let output =
        finished(Script::python("schema.py", include_str!("schema.py")).command(), given.to_string().as_bytes());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.trim() == "as expected", "{said}");
    // The gateway agrees.
    for (files, accepted) in [(&good, true), (&bad, false)] {
        for file in files {
            std::fs::write(folder.path().join("gateway.toml"), file).unwrap();
            let output = command(folder.path(), &VARIABLES).arg("check").output().unwrap();
            assert_eq!(output.status.success(), accepted, "{file}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
