//! The traffic policy of routes: limits, address lists, header rules, own answers, compression.

mod compression;

use std::{sync::Arc, time::Duration};

use http::Method;

use super::{
    harness::{Gateway, Response, Setup, Upstream, bearer, get, post, until},
    http2::{Http2Client, Http2Response, request},
    support::route,
};
use crate::domain::gateway::models::{
    access::Access,
    http::header_rules::{Change, Direction, HeaderRules, RuledHeader},
    rate_limit::{BucketOutcome, CountedMethods, LimitBy, RateLimit, RateLimits},
    service::{AddressRule, FixedAnswer, Maintenance, Redirect, Respond, Route, TrafficPolicy},
};

/// A limit that is not refilled during a test.
pub(crate) fn limit(requests: u32, by: LimitBy) -> RateLimit {
    let per = Duration::from_hours(1);
    RateLimit { requests, per, burst: requests, by, methods: CountedMethods::All, shared: false }
}

fn limits(limits: Vec<RateLimit>) -> TrafficPolicy {
    TrafficPolicy { rate_limits: RateLimits::new(limits), ..TrafficPolicy::default() }
}

fn answers(answer: FixedAnswer) -> TrafficPolicy {
    TrafficPolicy { answer: Some(answer), ..TrafficPolicy::default() }
}

/// A gateway with these policies on open routes, and on one for callers with a token: `/api/a`, `/api/b`, …
fn gateway(upstream: &Upstream, access: &Access, policies: Vec<TrafficPolicy>) -> Gateway {
    with(Setup::of(&[upstream.address]), access, policies)
}

fn with(mut setup: Setup, access: &Access, policies: Vec<TrafficPolicy>) -> Gateway {
    for (policy, name) in policies.into_iter().zip('a'..) {
        let traffic = Some(Arc::new(policy));
        setup.routes.push(Route {
            traffic,
            access: access.clone(),
            ..route(&format!("/api/{name}"), "auth", "/there")
        });
    }
    setup.start()
}

async fn over_http2(gateway: &Gateway, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Http2Response {
    let client = Http2Client::connect(gateway).await;
    Http2Response::read(client.send(request(method, path, headers, "")).await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_one_for_all_cores_connections_and_versions() {
    let upstream = Upstream::ok().await;
    let setup = Setup { cores: 2, ..Setup::of(&[upstream.address]) };
    let gateway = with(setup, &Access::Open, vec![limits(vec![limit(10, LimitBy::Address)])]);
    for left in (0..10).rev() {
        let path = format!("/api/a/{left}");
        let (status, policy, rest) = if left % 2 == 0 {
            let response = gateway.get(&path, "").await;
            let header = |name: &str| response.header(name).unwrap_or_default().to_owned();
            (response.status, header("ratelimit-policy"), header("ratelimit"))
        } else {
            let response = over_http2(&gateway, Method::GET, &path, &[]).await;
            let header = |name: &str| response.headers[name].to_str().unwrap().to_owned();
            (response.status.as_u16(), header("ratelimit-policy"), header("ratelimit"))
        };
        assert_eq!((status, policy.as_str()), (200, "\"address\";q=10;w=3600"));
        assert!(rest.starts_with(&format!("\"address\";r={left};t=")), "{rest}");
    }
    let refused = gateway.get("/api/a", "").await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((300..=360).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"address\";r=0;t={seconds}").as_str()));
    let refused = over_http2(&gateway, Method::GET, "/api/a", &[]).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(gateway.get("/api/users", "").await.status, 200, "another route has no limit");
    assert_eq!(gateway.get("/api/users", "").await.header("ratelimit"), None);
    assert_eq!(upstream.received().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_exact_while_all_cores_count() {
    let upstream = Upstream::ok().await;
    let setup = Setup { cores: 2, ..Setup::of(&[upstream.address]) };
    let gateway = Arc::new(with(setup, &Access::Open, vec![limits(vec![limit(50, LimitBy::Address)])]));
    let clients = (0..8).map(|_| {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let mut client = gateway.connect().await;
            let mut accepted = 0;
            for _ in 0..20 {
                accepted += usize::from(client.ask(&get("/api/a", "")).await.status == 200);
            }
            accepted
        })
    });
    let mut accepted = 0;
    for client in clients {
        accepted += client.await.unwrap();
    }
    assert_eq!((accepted, upstream.received().len()), (50, 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_by_address_also_counts_guessed_tokens() {
    let upstream = Upstream::ok().await;
    let policies = vec![limits(vec![limit(3, LimitBy::Address)]), limits(vec![limit(1, LimitBy::Account)])];
    let gateway = gateway(&upstream, &Access::with_scope("read".parse().unwrap()), policies);
    for _ in 0..3 {
        let refused = gateway.get("/api/a", &bearer("jwt.alice.read.1!")).await;
        assert_eq!(refused.problem(), (401, "invalid_token".to_owned()));
        assert!(refused.header("ratelimit").is_some());
    }
    assert_eq!(gateway.get("/api/a", &bearer("jwt.alice.read.1")).await.problem(), (429, "rate_limited".to_owned()));
    // By account, only callers that may use the route count.
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/b", &bearer("jwt.alice.write.1")).await.status, 403);
        assert_eq!(gateway.get("/api/b", "").await.status, 401);
    }
    let first = gateway.get("/api/b", &bearer("jwt.alice.read.1")).await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, Some("\"account\";q=1;w=3600")));
    assert_eq!(gateway.get("/api/b", &bearer("jwt.alice.read.2")).await.status, 429);
    assert_eq!(gateway.get("/api/b", &bearer("jwt.bob.read.3")).await.status, 200);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_by_header_counts_each_value() {
    let upstream = Upstream::ok().await;
    let policy = limits(vec![limit(1, LimitBy::Header("x-api-key".into()))]);
    let gateway = gateway(&upstream, &Access::Open, vec![policy]);
    for (lines, status) in
        [("X-Api-Key: 1\r\n", 200), ("x-api-key: 1\r\n", 429), ("X-Api-Key: 2\r\n", 200), ("", 200), ("", 429)]
    {
        assert_eq!(gateway.get("/api/a", lines).await.status, status, "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_does_not_count_and_pages_can_read_the_limits() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream, &Access::Open, vec![limits(vec![limit(1, LimitBy::Address)])]);
    let preflight = "OPTIONS /api/a HTTP/1.1\r\nHost: x\r\nOrigin: https://app.jinmini.com\r\n\
                     Access-Control-Request-Method: POST\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(gateway.ask(preflight).await.status, 204);
    }
    let page = "Origin: https://app.jinmini.com\r\n";
    assert_eq!(gateway.get("/api/a", page).await.status, 200);
    let refused = gateway.get("/api/a", page).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.jinmini.com"));
    let exposed = refused.header("access-control-expose-headers").unwrap();
    for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
        assert!(exposed.split(", ").any(|known| known == name), "{exposed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_cannot_contradict_the_limits() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nRateLimit: limit=9\r\nratelimit: limit=8\r\n\r\n")
            .await;
    let gateway = gateway(&upstream, &Access::Open, vec![limits(vec![limit(5, LimitBy::Address)])]);
    let response = gateway.get("/api/a", "").await;
    assert!(response.header("ratelimit").unwrap().starts_with("\"address\";r=4;t="));
    assert_eq!(gateway.get("/api/users", "").await.message.headers("ratelimit").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_allowed_or_denied_before_anything_else() {
    let upstream = Upstream::ok().await;
    let rule = |allow: &[&str], deny: &[&str]| {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let addresses = AddressRule { allow: (!allow.is_empty()).then(|| networks(allow)), deny: networks(deny) };
        TrafficPolicy { addresses, ..limits(vec![limit(100, LimitBy::Address)]) }
    };
    let mut setup = Setup::of(&[upstream.address]);
    setup.listener.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let policies =
        vec![rule(&["203.0.113.0/24", "2001:db8::/32"], &["203.0.113.66/32"]), rule(&[], &["203.0.113.0/24"])];
    let gateway = with(setup, &Access::default(), policies);
    let asked = async |path: &str, client: &str| {
        let response = gateway.get(path, &format!("X-Forwarded-For: {client}\r\n")).await;
        (response.status, response.header("ratelimit").is_some())
    };
    for (path, client, is_allowed) in [
        ("/api/a", "203.0.113.1", true),
        ("/api/a", "::ffff:203.0.113.1", true),
        ("/api/a", "2001:db8:1::1", true),
        ("/api/a", "203.0.113.66", false),
        ("/api/a", "::ffff:203.0.113.66", false),
        ("/api/a", "198.51.100.1", false),
        // Only the last hop before a trusted proxy counts.
        ("/api/a", "203.0.113.1, 198.51.100.1", false),
        ("/api/b", "198.51.100.1", true),
        ("/api/b", "::ffff:203.0.113.9", false),
    ] {
        // Nobody has a token: an allowed address gets that far.
        let expected = if is_allowed { (401, true) } else { (403, false) };
        assert_eq!(asked(path, client).await, expected, "{path} {client}");
    }
    let refused = gateway.get("/api/a", "X-Forwarded-For: 198.51.100.1\r\n").await;
    assert_eq!(refused.problem(), (403, "address_denied".to_owned()));
    let over_http2 = over_http2(&gateway, Method::GET, "/api/a", &[("x-forwarded-for", "198.51.100.1")]).await;
    assert_eq!(over_http2.problem(), (403, "address_denied".to_owned()));
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_route_has_no_other_spelling() {
    let upstream = Upstream::ok().await;
    let mut setup = Setup::of(&[upstream.address]);
    let traffic = Some(Arc::new(limits(vec![limit(1, LimitBy::Address)])));
    setup.routes.push(Route { traffic, ..route("/api/users/login", "auth", "/login") });
    let gateway = setup.start();
    assert_eq!(gateway.ask(&post("/api/users/login", "")).await.status, 200);
    assert_eq!(gateway.ask(&post("/api/users/login", "")).await.status, 429);
    assert_eq!(gateway.ask(&post("/api/users/Login", "")).await.problem(), (404, "no_route".to_owned()));
    assert_eq!(gateway.ask(&post("/api/users/lo%67in", "")).await.status, 429);
    assert_eq!(gateway.ask(&post("/e/api/users/login", "")).await.status, 429);
    assert_eq!(gateway.ask(&post("/api/users/other", "")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn header_rules_come_before_the_gateways_own_headers() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: secret/1.0\r\nX-Debug: 1\r\nSet-Cookie: a=b\r\n\r\nok",
    )
    .await;
    let write = |name: &str, direction| RuledHeader::new(name, direction, Change::Write).unwrap();
    let removed = |name: &str, direction| RuledHeader::new(name, direction, Change::Remove).unwrap();
    let (there, back) = (Direction::Request, Direction::Response);
    let policy = TrafficPolicy {
        request_headers: HeaderRules {
            set: vec![(write("X-Team", there), "blue".into())],
            add: vec![(write("X-Tag", there), "b".into())],
            remove: vec![removed("X-Secret", there)],
        },
        response_headers: HeaderRules {
            set: vec![(write("Content-Security-Policy", back), "default-src 'self'".into())],
            add: vec![(write("X-Debug", back), "2".into())],
            remove: vec![removed("Server", back), removed("Set-Cookie", back)],
        },
        ..TrafficPolicy::default()
    };
    let gateway = gateway(&upstream, &Access::Open, vec![policy]);
    let lines = "X-Team: red\r\nX-Tag: a\r\nX-Secret: 1\r\nX-Kept: 1\r\n";
    let response = gateway.get("/api/a", lines).await;
    let received = upstream.only();
    assert_eq!((received.header("x-team"), received.header("x-secret")), (Some("blue"), None));
    assert_eq!(received.headers("x-tag").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((received.header("x-kept"), received.header("x-forwarded-for")), (Some("1"), Some("127.0.0.1")));
    assert_eq!((response.header("server"), response.header("set-cookie")), (None, None));
    assert_eq!(response.header("content-security-policy"), Some("default-src 'self'"));
    assert_eq!(response.message.headers("x-debug").collect::<Vec<_>>(), ["1", "2"]);
    assert!(response.header("x-request-id").is_some() && response.header("via").is_some());
    let response = over_http2(&gateway, Method::GET, "/api/a", &[("x-team", "red")]).await;
    assert_eq!(response.headers["content-security-policy"], "default-src 'self'");
    assert!(!response.headers.contains_key("server"));
    assert_eq!(upstream.received()[1].header("x-team"), Some("blue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_appends_only_the_canonical_rest() {
    let upstream = Upstream::ok().await;
    let to = |to: &str, with_rest| answers(FixedAnswer::Redirect(Redirect { status: 308, to: to.into(), with_rest }));
    let policies =
        vec![to("https://new.example/v2/", true), to("/api/users/", true), to("https://new.example/x", false)];
    let gateway = gateway(&upstream, &Access::Open, policies);
    for (path, location) in [
        ("/api/a", "https://new.example/v2/"),
        ("/api/a/b%63?d=%2F", "https://new.example/v2/bc?d=%2F"),
        ("/e/api/b/1", "/e/api/users/1"),
        ("/api/b/1", "/api/users/1"),
        ("/api/c/1?a=b", "https://new.example/x"),
    ] {
        let response = gateway.get(path, "").await;
        assert_eq!((response.status, response.header("location")), (308, Some(location)), "{path}");
    }
    for path in ["/api/a//evil.example", "/api/a/..%2fx", "/api/a/%5cevil.example"] {
        assert_eq!(gateway.get(path, "").await.problem(), (400, "bad_path".to_owned()), "{path}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_response_needs_no_service() {
    let upstream = Upstream::ok().await;
    let respond = |status, body: &str| {
        let content_type = (!body.is_empty()).then(|| "application/json".to_owned());
        answers(FixedAnswer::Respond(Respond { status, content_type, body: body.into() }))
    };
    let gateway = gateway(&upstream, &Access::Open, vec![respond(200, "{\"a\":1}"), respond(410, "")]);
    let mut client = gateway.connect().await;
    let response = client.ask(&get("/api/a/x", "")).await;
    assert_eq!((response.status, response.text()), (200, "{\"a\":1}"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    // The body of a request is not wanted, but does not harm the connection.
    assert_eq!(client.ask(&post("/api/a", "abc")).await.text(), "{\"a\":1}");
    let head = client.ask("HEAD /api/a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("7")));
    assert_eq!(client.ask(&get("/api/b", "")).await.status, 410);
    let head = over_http2(&gateway, Method::HEAD, "/api/a", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "7");
    assert_eq!(over_http2(&gateway, Method::GET, "/api/a", &[]).await.body, "{\"a\":1}");
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn own_answers_are_for_those_who_may_use_the_route() {
    let upstream = Upstream::ok().await;
    let secret = answers(FixedAnswer::Respond(Respond { status: 200, content_type: None, body: "secret".into() }));
    let closed = answers(FixedAnswer::Maintenance(Maintenance { retry_after: Duration::from_mins(1), message: None }));
    let gateway = gateway(&upstream, &Access::default(), vec![secret, closed]);
    for path in ["/api/a", "/api/b"] {
        assert_eq!(gateway.get(path, "").await.problem(), (401, "token_missing".to_owned()), "{path}");
    }
    assert_eq!(gateway.get("/api/a", &bearer("jwt.alice.read.1")).await.text(), "secret");
    assert_eq!(gateway.get("/api/b", &bearer("jwt.alice.read.1")).await.problem(), (503, "maintenance".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_a_problem_for_programs_and_a_page_for_people() {
    let upstream = Upstream::ok().await;
    let closed = |message: Option<&str>| {
        let maintenance = Maintenance { retry_after: Duration::from_mins(10), message: message.map(Into::into) };
        answers(FixedAnswer::Maintenance(maintenance))
    };
    let gateway = gateway(&upstream, &Access::Open, vec![closed(None), closed(Some("Back at <b>10</b> o'clock"))]);
    let problem = gateway.get("/api/a", "").await;
    assert_eq!((problem.problem(), problem.header("retry-after")), ((503, "maintenance".to_owned()), Some("600")));
    assert!(gateway.get("/api/b", "").await.text().contains("Back at <b>10</b> o'clock"), "it is JSON");
    let navigation = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    let page = gateway.get("/api/a", navigation).await;
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert_eq!((page.header("retry-after"), page.header("cache-control")), (Some("600"), Some("no-store")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(page.text().contains("점검 중") && page.text().contains("closed for maintenance"), "{}", page.text());
    let page = gateway.get("/api/b", navigation).await;
    assert!(page.text().contains("Back at &lt;b&gt;10&lt;/b&gt; o&#39;clock"), "{}", page.text());
    let page = over_http2(&gateway, Method::GET, "/api/a", &[("accept", "text/html")]).await;
    assert_eq!(
        (page.status.as_u16(), page.headers["content-type"].as_bytes()),
        (503, &b"text/html; charset=utf-8"[..])
    );
    assert!(upstream.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_in_the_log_with_its_code() {
    let upstream = Upstream::ok().await;
    let gateway = gateway(&upstream, &Access::Open, vec![limits(vec![limit(1, LimitBy::Address)])]);
    for status in [200, 429] {
        assert_eq!(gateway.get("/api/a", "").await.status, status);
    }
    until("both lines", || gateway.log.text().lines().count() == 2).await;
    let text = gateway.log.text();
    let (accepted, refused) = text.split_once('\n').unwrap();
    assert!(!accepted.contains("rate_limited"), "{text}");
    assert!(refused.contains("  429 GET /api/a → auth ") && refused.contains(" ms  rate_limited  "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_limit_is_what_all_replicas_have_counted() {
    let upstream = Upstream::ok().await;
    let shared = |requests, by| RateLimit { shared: true, ..limit(requests, by) };
    let policy = limits(vec![shared(10, LimitBy::Address), limit(20, LimitBy::Header("x-key".into()))]);
    let gateway = gateway(&upstream, &Access::Open, vec![policy]);
    let say = |outcome| gateway.resolver.outcomes.lock().unwrap().push_back(outcome);
    let left = |response: &Response| response.header("ratelimit").unwrap_or_default().to_owned();
    // Others have used up most of it: a request is refilled in 360 s, so seven are missing.
    say(BucketOutcome::Taken(vec![Duration::from_mins(7 * 6)]));
    let first = gateway.get("/api/a", "").await;
    assert_eq!(first.status, 200);
    assert!(left(&first).starts_with("\"address\";r=3;t=360, \"header\";r=19;t="), "{}", left(&first));
    // Nobody can tell: the own count goes on from there.
    let second = gateway.get("/api/a", "").await;
    assert!(second.status == 200 && left(&second).starts_with("\"address\";r=2;t="), "{}", left(&second));
    // Others have used up the rest.
    say(BucketOutcome::Exhausted { number: 0, wait: Duration::from_secs(100) });
    let third = gateway.get("/api/a", "").await;
    assert_eq!((third.problem(), left(&third)), ((429, "rate_limited".to_owned()), "\"address\";r=0;t=100".to_owned()));
    // Until then nobody is asked.
    let fourth = gateway.get("/api/a", "").await;
    assert_eq!(fourth.problem(), (429, "rate_limited".to_owned()));
    let demanded = gateway.resolver.demanded.lock().unwrap().clone();
    assert_eq!((demanded.len(), upstream.received().len()), (3, 2));
    assert!(demanded.iter().all(|demands| demands.len() == 1 && demands[0] == demanded[0][0]), "{demanded:?}");
    assert_eq!(demanded[0][0].rate, shared(10, LimitBy::Address).rate());
}
