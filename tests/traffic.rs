//! The traffic policy of routes, as an operator writes it and a client meets it.

mod common;

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use common::{Gateway, eventually, recorder::request_on, redis::Redis, upstream};
use serde_json::json;

const ROUTES: &str = r#"
[[routes]]
path = "/api/limited"
service = "x"
access = "open"
rate_limit = [
    { requests = 3, per = "1h", by = "header:X-Api-Key" },
    { requests = 5, per = "1h" },
]

[[routes]]
path = "/api/inside"
service = "x"
access = "open"
allow_ips = ["10.0.0.0/8"]

[[routes]]
path = "/api/old"
access = "open"
redirect = { to = "/api/new/{rest}", status = 308 }

[[routes]]
path = "/api/gone"
access = "open"
respond = { status = 410, body = '{"gone": true}', content_type = "application/json" }

[[routes]]
path = "/api/closed"
service = "x"
maintenance = { retry_after = "10m", message = "Back at ten" }
access = "open"

[[routes]]
path = "/api/new"
service = "x"
access = "open"
compress = true
request_headers = { set = { X-Team = "blue" } }
response_headers = { set = { X-Frame-Options = "DENY" }, remove = ["Server"] }
"#;

/// A service with a document of 10,000 bytes that says which team it was told.
fn service() -> String {
    let address = upstream(|mut stream| {
        let Some(request) = request_on(&stream) else { return };
        let team = request.all("x-team").concat();
        let body = format!("{{\"team\": \"{team}\", \"text\": \"{}\"}}", "abc ".repeat(2500));
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: x/1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    });
    format!("http://{address}")
}

#[test]
fn policies_work_as_they_are_written() {
    let service = service();
    let gateway = Gateway::with_routes(&[("X_SERVICE_URL", &service)], Some(ROUTES));
    let limited = |key: &str| gateway.call("GET", "/api/limited", &[("X-Api-Key", key)], b"");
    for left in (0..3).rev() {
        let response = limited("one").expect(200);
        assert_eq!(response.header("ratelimit-policy"), Some("\"header\";q=3;w=3600, \"address\";q=5;w=3600"));
        let quotas = response.header("ratelimit").unwrap().to_owned();
        assert!(quotas.contains(&format!("\"header\";r={left};t=")), "{quotas}");
    }
    let refused = limited("one");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&seconds), "{seconds}");
    refused.expect_problem(429, "rate_limited");
    // What one limit refuses does not count against the other.
    limited("two").expect(200);
    limited("two").expect(200);
    limited("two").expect_problem(429, "rate_limited");
    assert!(gateway.printed("429 GET /api/limited").contains("rate_limited"));

    gateway.get("/api/inside").expect_problem(403, "address_denied");
    let moved = gateway.get("/api/old/a/b?c=d").expect(308);
    assert_eq!(moved.header("location"), Some("/api/new/a/b?c=d"));
    assert_eq!(gateway.get("/api/gone/x").expect(410).json(), json!({"gone": true}));
    let closed = gateway.get("/api/closed");
    assert_eq!(closed.header("retry-after"), Some("600"));
    assert_eq!(closed.json()["detail"], "Back at ten");
    let page = gateway.call("GET", "/api/closed", &[("Accept", "text/html")], b"").expect(503);
    assert!(page.text().contains("<p>Back at ten</p>"), "{}", page.text());

    let plain = gateway.get("/api/new").expect(200);
    assert_eq!((plain.header("x-frame-options"), plain.header("server")), (Some("DENY"), None));
    assert!(plain.text().starts_with("{\"team\": \"blue\""));
    let compressed = gateway.call("GET", "/api/new", &[("Accept-Encoding", "gzip")], b"").expect(200);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert!(compressed.body.len() < 1000, "{}", compressed.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(compressed.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
    gateway.is_unharmed();
}

#[test]
fn a_login_is_limited_in_one_word() {
    let routes = include_str!("../gateway.toml");
    let gateway = Gateway::with_routes(&[], Some(&routes.replace("# protect", "protect")));
    let login = || gateway.post("/api/user/login", &json!({"username": "jin", "password": "guess"}));
    for _ in 0..10 {
        login().expect(200);
    }
    let refused = login();
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 6);
    refused.expect_problem(429, "rate_limited");
    // To open the form is no attempt.
    assert_ne!(gateway.get("/api/user/login").status, 429);
    gateway.get("/api/users").expect(200);
}

#[test]
fn mistakes_keep_the_gateway_from_starting_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let routes = "[[routes]]\npath = \"/api/x\"\nrespond = { status = 200 }\nresponse_headers = { set = { X-Request-Id = \"1\" } }\n";
    std::fs::write(folder.path().join("gateway.toml"), routes).unwrap();
    let mut command = common::command(folder.path(), &[]);
    let output = command.arg("check").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "gateway.toml line 4: response_headers.set must not have \"X-Request-Id\"; the gateway writes or checks this header itself";
    assert!(!output.status.success() && said.contains(expected), "{said}");
}

/// Two replicas, one Redis: they accept together what one may. While it is away each counts by itself, at once.
#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn replicas_count_together() {
    const ROUTES: &str = r#"
[[routes]]
path = "/api/limited"
access = "open"
respond = { status = 200, body = "ok" }
rate_limit = { requests = 100, per = "1h", shared = true }

[[routes]]
path = "/api/roomy"
access = "open"
respond = { status = 200, body = "ok" }
rate_limit = { requests = 1000, per = "1s", shared = true }
"#;
    let redis = Redis::start();
    let url = redis.url();
    let gateways = [(); 2].map(|()| Gateway::with_routes(&[("REDIS_URL", &url)], Some(ROUTES)));
    let accepted = |number: usize| (0..number).filter(|at| gateways[at % 2].get("/api/limited").status == 200).count();
    assert_eq!(accepted(150), 100);

    let gateway = &gateways[0];
    redis.kill();
    let began = Instant::now();
    gateway.get("/api/roomy").expect(200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let warning = gateway.printed("cannot count requests of shared rate limits");
    assert!(warning.contains("each replica counts by itself"), "{warning}");
    // What it knows of the others is not forgotten.
    gateway.get("/api/limited").expect_problem(429, "rate_limited");

    redis.restart();
    let again = "counts requests of shared rate limits again";
    eventually("counting together again", || {
        gateway.get("/api/roomy").expect(200);
        gateway.console().contains(again)
    });
}
