//! Redirects of services lead to addresses that a client can reach.

use crate::{
    domain::gateway::models::service::{HostSent, Route},
    edge::tests::{
        harness::{Setup, Upstream, get},
        support::route,
    },
};

/// A service that answers with this header, in which `{instance}` stands for the host that it was sent.
async fn answering(header: &str) -> Upstream {
    let header = header.to_owned();
    Upstream::start(move |mut connection| {
        let header = header.clone();
        async move {
            while let Some(request) = connection.request().await {
                let header = header.replace("{instance}", request.header("host").unwrap());
                let response = format!("HTTP/1.1 307 Temporary Redirect\r\n{header}\r\nContent-Length: 0\r\n\r\n");
                connection.send(&response).await;
            }
        }
    })
    .await
}

async fn seen(header: &str, changes: impl FnOnce(Route) -> Route, path: &str) -> String {
    let upstream = answering(header).await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes.push(changes(route("/api/shop/orders", "auth", "/orders")));
    let response = setup.start().ask(&get(path, "")).await;
    let name = header.split(':').next().unwrap();
    response.header(name).unwrap_or_default().to_owned()
}

fn same(route: Route) -> Route {
    route
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_the_service_become_its_path_outside() {
    for (said, seen_outside) in [
        ("http://{instance}/orders/", "/api/shop/orders/"),
        ("HTTP://{instance}/orders?a=b#c", "/api/shop/orders?a=b#c"),
        ("//{instance}/orders/1", "/api/shop/orders/1"),
        // Another host, another path, and addresses that only resemble the service's.
        ("http://other.example/orders/", "http://other.example/orders/"),
        ("http://user@{instance}/orders/", "http://user@{instance}/orders/"),
        ("http://{instance}.evil.example/orders/", "http://{instance}.evil.example/orders/"),
        ("https://{instance}/orders/", "/api/shop/orders/"),
        // The service uses X-Forwarded-Prefix.
        ("http://{instance}/api/shop/orders/1", "/api/shop/orders/1"),
        ("http://{instance}/ordersx", "http://{instance}/ordersx"),
        ("/orders/", "/orders/"),
        ("orders/", "orders/"),
        ("http://[", "http://["),
    ] {
        for name in ["location", "content-location"] {
            let upstream = answering(&format!("{name}: {said}")).await;
            let mut setup = Setup::of(&[upstream.address]);
            setup.routes.push(route("/api/shop/orders", "auth", "/orders"));
            let response = setup.start().ask(&get("/api/shop/orders", "")).await;
            let expected = seen_outside.replace("{instance}", &upstream.address.to_string());
            assert_eq!(response.header(name), Some(&*expected), "{name}: {said}");
        }
    }
    assert_eq!(
        seen("refresh: 5; url=http://{instance}/orders/", same, "/api/shop/orders").await,
        "5; url=/api/shop/orders/"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_keep_the_api_prefix_of_the_request() {
    assert_eq!(seen("location: http://{instance}/orders/", same, "/e/api/shop/orders").await, "/e/api/shop/orders/");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_gets_the_clients_host_may_use_it() {
    let told = |route| Route { host_sent: HostSent::Client, ..route };
    for (said, expected) in [
        ("location: http://www.jinmini.com/orders/", "/api/shop/orders/"),
        ("location: https://www.jinmini.com/orders/", "/api/shop/orders/"),
        // The service uses X-Forwarded-Prefix.
        ("location: http://www.jinmini.com/api/shop/orders/", "/api/shop/orders/"),
        ("location: http://www.jinmini.com:81/orders/", "http://www.jinmini.com:81/orders/"),
    ] {
        assert_eq!(seen(said, told, "/api/shop/orders").await, expected, "{said}");
    }
    let kept = seen("location: http://www.jinmini.com/orders/", same, "/api/shop/orders").await;
    assert_eq!(kept, "http://www.jinmini.com/orders/", "it was not told that host");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_the_clients_host_is_the_one_from_the_proxy() {
    for (by_trusted, expected) in [(true, "/api/shop/orders/"), (false, "http://app.example.com/orders/")] {
        let upstream = answering("location: http://app.example.com/orders/").await;
        let mut setup = Setup::of(&[upstream.address]);
        setup.routes.push(Route { host_sent: HostSent::Client, ..route("/api/shop/orders", "auth", "/orders") });
        if by_trusted {
            setup.listener.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        }
        let response = setup.start().get("/api/shop/orders", "X-Forwarded-Host: app.example.com\r\n").await;
        assert_eq!(response.header("location"), Some(expected));
        let host = if by_trusted { "app.example.com" } else { "www.jinmini.com" };
        assert_eq!(upstream.only().header("host"), Some(host));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_host_is_forwarded_where_a_route_says_so() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    setup.routes.push(Route { host_sent: HostSent::Client, ..route("/api/shop", "auth", "/") });
    let gateway = setup.start();
    gateway.ask(&get("/api/shop", "").replacen("Host: www.jinmini.com", "Host: shop.example:8443", 1)).await;
    gateway.ask("GET /api/shop HTTP/1.0\r\n\r\n").await;
    let hosts: Vec<_> = upstream.received().iter().map(|request| request.header("host").unwrap().to_owned()).collect();
    assert_eq!(hosts, ["shop.example:8443".to_owned(), upstream.address.to_string()]);
}
