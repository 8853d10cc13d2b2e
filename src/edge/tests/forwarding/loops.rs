//! Requests that come back to the gateway, and those that only seem to.

use std::net::SocketAddr;

use crate::edge::tests::{
    harness::{Gateway, Response, Setup, Upstream, until},
    support::{route, snapshot},
};

/// A gateway whose service `auth` is at this address, at the same paths under `/loop` and `/other`.
fn setup(address: SocketAddr) -> Setup {
    let mut setup = Setup::of(&[address]);
    setup.routes = vec![route("/loop", "auth", "/loop"), route("/other", "auth", "/loop")];
    setup
}

/// Points the service of `gateway` at this address.
fn lead(gateway: &Gateway, address: SocketAddr) {
    let Setup { routes, services, .. } = setup(address);
    let next = snapshot(routes, services);
    gateway.snapshots.update(|newest| newest.clone_from(&next));
}

/// The status and the code of a response, whichever pass it comes from: the request id is that of the last pass, the
/// header that of the first.
fn outcome(response: &Response) -> (u16, String) {
    let problem: serde_json::Value = serde_json::from_str(response.text()).unwrap();
    (response.status, problem["code"].as_str().unwrap().to_owned())
}

fn detected() -> (u16, String) {
    (508, "loop_detected".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_back_is_refused_at_once() {
    let upstream = Upstream::ok().await;
    let gateway = setup(upstream.address).start();
    lead(&gateway, gateway.address);
    assert_eq!(outcome(&gateway.get("/loop/x", "").await), detected());
    until("a line for each pass", || gateway.log.text().lines().count() == 2).await;
    let response = gateway.ask("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(outcome(&response), detected(), "by way of another route");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_over_two_gateways_ends_at_the_first() {
    let upstream = Upstream::ok().await;
    let [first, second] = [(); 2].map(|()| setup(upstream.address).start());
    lead(&first, second.address);
    assert_eq!(first.get("/loop/x", "").await.status, 200, "two gateways, one behind the other");
    let names = upstream.only();
    let names: Vec<&str> = names.headers("via").collect();
    assert!(names.len() == 2 && names[0] != names[1], "{names:?}");
    lead(&second, first.address);
    assert_eq!(outcome(&first.get("/loop/x", "").await), detected());
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_send_a_request_on_to_another_route() {
    let upstream = Upstream::ok().await;
    let gateway = setup(upstream.address).start();
    assert_eq!(gateway.get("/loop/x", "Via: 1.1 gateway, 1.1 gateway-0123456789abcdef\r\n").await.status, 200);
    let received = upstream.only();
    let passed_on: Vec<String> = received.headers("via").map(|via| format!("Via: {via}\r\n")).collect();
    let passed_on = passed_on.concat();
    assert_eq!(gateway.get("/other/x", &passed_on).await.status, 200, "as a frontend does that hands /api back");
    assert_eq!(gateway.get("/loop/x", &passed_on).await.problem(), detected());
    assert_eq!(upstream.received().len(), 2);
}
