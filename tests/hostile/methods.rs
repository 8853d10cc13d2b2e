//! Methods, queries and neighbours of the API's paths.

use std::collections::BTreeSet;

use super::surface::{Operation, SECRET, methods, operations};
use crate::common::{Gateway, Response};

const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "Post", "REFUSED"];

fn paths(operations: &[Operation]) -> BTreeSet<String> {
    operations.iter().map(|operation| operation.path.clone()).collect()
}

#[test]
fn a_wrong_method_is_405_and_told_the_right_ones() {
    let gateway = Gateway::start();
    let operations = operations(&gateway);
    for path in paths(&operations) {
        let allowed = methods(&operations, &path);
        for place in [path.clone(), format!("/e{path}")] {
            for method in METHODS.iter().filter(|method| !allowed.iter().any(|known| known == *method)) {
                let response = gateway.call(method, &place, &[], b"").expect(405);
                let mut told: Vec<&str> = response.header("allow").unwrap_or_default().split(", ").collect();
                told.sort_unstable();
                assert_eq!(told, allowed, "{method} {place}");
                if *method == "HEAD" {
                    is_headless(&response);
                } else {
                    response.expect_problem(405, "method_not_allowed");
                }
            }
            if allowed.iter().any(|method| method == "GET") {
                let (head, get) = (gateway.call("HEAD", &place, &[], b""), gateway.get(&place));
                assert_eq!(head.status, get.status, "HEAD {place}");
                assert!(head.body.is_empty(), "HEAD {place}");
                assert_eq!(head.header("content-type"), get.header("content-type"), "HEAD {place}");
            }
            let trace =
                gateway.call("TRACE", &place, &[("X-Secret", SECRET)], b"").expect_problem(405, "method_not_allowed");
            assert!(!trace.text().contains(SECRET));
            gateway.call("CONNECT", &place, &[], b"").expect_problem(501, "not_implemented");
        }
    }
    gateway.is_unharmed();
}

fn is_headless(response: &Response) {
    assert!(response.body.is_empty());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert!(response.header("x-request-id").is_some());
}

#[test]
fn a_query_changes_nothing_and_is_not_logged() {
    let gateway = Gateway::start();
    for operation in operations(&gateway) {
        let call = |path: &str| {
            let body: &[u8] = if operation.takes.is_empty() { b"" } else { b"{}" };
            gateway.call(&operation.method, path, &[("Content-Type", "application/json")], body)
        };
        let plain = call(&operation.path).status;
        for query in [
            "?",
            "??",
            "?&&&",
            "?=",
            "?a=%zz",
            "?%",
            "?a[]=1&a[]=2",
            "?a=b=c",
            "?/../../etc/passwd",
            "?a=%00%0d%0a",
            "?a='%20OR%201=1--",
            "?a={{7*7}}",
            "?`id`",
            "?a=\\",
            "?access_token=s3cret-in-the-wrong-place",
            "?s3cret-in-the-wrong-place",
        ] {
            let response = call(&format!("{}{query}", operation.path));
            assert_eq!(response.status, plain, "{}{query}: {}", operation.name(), response.text());
            assert!(!response.text().contains(SECRET), "{}{query}", operation.name());
        }
        for query in ["?<script>", "?a#b", "?a b", "?\u{ff}", "?\u{7f}"] {
            call(&format!("{}{query}", operation.path)).expect_problem(400, "bad_request");
        }
        let long = call(&format!("{}?{}", operation.path, "a".repeat(15_000)));
        assert_eq!(long.status, plain, "{}?a…", operation.name());
        call(&format!("{}?{}", operation.path, "a".repeat(20_000))).expect_problem(431, "head_too_large");
    }
    assert!(!gateway.console().contains(SECRET));
    gateway.is_unharmed();
}

#[test]
fn a_path_beside_one_of_ours_is_nothing() {
    let gateway = Gateway::start();
    let operations = operations(&gateway);
    let known = paths(&operations);
    for path in known.iter().filter(|path| *path != "/") {
        let send = |path: &str| gateway.call("POST", path, &[("Content-Type", "application/json")], b"{}");
        let upper = path.to_uppercase();
        for beside in [format!("{path}/"), format!("{path}/x"), format!("{path}x"), format!("{path}%20"), upper] {
            let named = |prefix| beside.strip_prefix(prefix).filter(|name| !name.is_empty() && !name.contains('/'));
            let without_post = [
                "/oauth/",
                "/oauth/deletions/",
                "/login/",
                "/accounts/me/providers/",
                "/sessions/",
                "/services/",
                "/services/x/instances/",
            ]
            .into_iter()
            .find_map(named);
            let (status, code) = match (without_post, named("/oauth/events/")) {
                // The segment beside `/oauth/providers` may be the id of a grant; after `/login/`, or below an account,
                // a provider; after `/sessions/` a session; after `/services/` a service, and below it an instance;
                // and after `/oauth/deletions/` a code. None of them accepts POST.
                (Some(_), _) => (405, "method_not_allowed"),
                // The segment beside a receiver of events names another provider, and accepts events.
                (None, Some(_)) => (415, "unsupported_media_type"),
                // The segment beside a webhook names another provider, too, and there is none.
                (None, None) => (404, "not_found"),
            };
            send(&beside).expect_problem(status, code);
            send(&format!("/e{beside}")).expect_problem(status, code);
        }
        for strange in
            ["//", ";", ";a=b", "/.", "/..", "%00", "%2f", "%5c", "\\", "%", "%zz", "|", "/%2e%2e/x", "%0a", "{}"]
        {
            send(&format!("{path}{strange}")).expect_problem(400, "bad_path");
        }
        send(&format!("/{path}")).expect_problem(400, "bad_path");
        send(&format!("/e/e{path}")).expect_problem(404, "not_found");
        send(&format!("/E{path}")).expect_problem(404, "not_found");
    }
    gateway.is_unharmed();
}
