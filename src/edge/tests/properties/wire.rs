//! Properties of a whole gateway: the requests that a service gets for random ones.

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};

use super::{cases, hostile_path};
use crate::edge::{
    http::path::canonical,
    tests::{
        harness::{Gateway, Setup, Upstream, get},
        support::route,
    },
};

/// A gateway that forwards everything under `/api` unchanged.
async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes = vec![route("/api", "auth", "/api")];
    (setup.start(), upstream)
}

/// Runs `property` for the inputs of `strategy`, one after another.
fn holds_for<S: Strategy>(
    runtime: &tokio::runtime::Runtime,
    strategy: &S,
    property: impl AsyncFn(S::Value) -> Result<(), TestCaseError>,
) {
    let outcome = TestRunner::new(cases()).run(strategy, |input| runtime.block_on(property(input)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_service_gets_exactly_the_path_that_was_checked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (gateway, upstream) = runtime.block_on(gateway());
    // A path cannot contain what ends the request line; `?` and `#` end a path.
    let of_a_line = |c: &char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
    let targets = hostile_path().prop_map(move |path| {
        format!("/api/{}", path.chars().filter(of_a_line).collect::<String>()).replace("/api//", "/api/")
    });
    holds_for(&runtime, &targets, async |target| {
        upstream.received.lock().unwrap().clear();
        let response = gateway.get(&target, "").await;
        let received: Vec<String> = upstream.received().iter().map(|message| message.first_line().to_owned()).collect();
        // Its one route allows no spelling that servers read in different ways.
        let one = canonical(&target).ok().filter(|one| one.spellings.is_empty()).map(|one| one.path);
        let expected = one.map_or((400, vec![]), |one| (200, vec![format!("GET {one} HTTP/1.1")]));
        prop_assert_eq!((response.status, received), expected, "{}", target);
        Ok(())
    });
}

#[test]
fn a_service_gets_our_headers_once_and_no_forged_ones() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (gateway, upstream) = runtime.block_on(gateway());
    let lines = prop::collection::vec((super::headers::name(), "[ -~]{0,12}"), 0..8);
    holds_for(&runtime, &lines, async |lines| {
        upstream.received.lock().unwrap().clear();
        let breaks_framing =
            |name: &str| matches!(name, "host" | "content-length" | "transfer-encoding" | "authorization");
        let lines: Vec<String> = lines
            .iter()
            .filter(|(name, _)| !breaks_framing(&name.to_ascii_lowercase()))
            .map(|(name, value)| format!("{name}: forged{value}\r\n"))
            .collect();
        let response = gateway.ask(&get("/api/users", &lines.concat())).await;
        prop_assert_eq!(response.status, 200, "{:?}", lines);
        let received = upstream.received();
        let message = &received[0];
        for ours in ["x-request-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "host"] {
            let value = message.header(ours);
            prop_assert!(value.is_some_and(|value| !value.contains("forged")), "{}: {:?}", ours, value);
        }
        prop_assert_eq!(message.header("x-user-id"), None);
        prop_assert_eq!(message.header("x-user-scope"), None);
        Ok(())
    });
}
