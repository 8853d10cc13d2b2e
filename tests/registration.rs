//! Instances that register themselves: seen by every gateway on one store, gone with their lease, and served on while the
//! store is away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    Gateway, Response,
    clients::Registry,
    database::{Postgres, TestDatabase},
    eventually, upstream,
};
use serde_json::{Value, json};

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

/// The shortest lease.
const TTL: Duration = Duration::from_secs(5);

fn gateway(database: &str) -> Gateway {
    Gateway::with(&[("DATABASE_URL", database), ("VAULT_KEY", VAULT_KEY)])
}

/// Three gateways on one database.
fn three(database: &str) -> [Gateway; 3] {
    thread::scope(|scope| [(); 3].map(|()| scope.spawn(|| gateway(database))).map(|starting| starting.join().unwrap()))
}

/// A service whose instances respond with their name.
fn instance(name: &'static str) -> SocketAddr {
    upstream(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).unwrap_or_default() == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let response = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        let _ = stream.write_all(response.as_bytes());
    })
}

/// A token of a service.
fn token(gateway: &Gateway, scope: &str) -> String {
    gateway.tokens(&json!({"subject": "orders", "scope": scope})).0
}

fn send(gateway: &Gateway, method: &str, path: &str, token: &str, body: &Value) -> Response {
    let headers = [("Authorization", format!("Bearer {token}")), ("Content-Type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    gateway.call(method, path, &headers, body.as_bytes())
}

fn register(gateway: &Gateway, token: &str, body: &Value) -> Response {
    send(gateway, "POST", "/services/orders/instances", token, body)
}

/// The name of the instance that responds, or the error code.
fn responding(gateway: &Gateway, token: &str) -> String {
    let response = gateway.get_with_token("/api/orders/x", token);
    if response.status == 200 { response.text() } else { response.json()["code"].as_str().unwrap().to_owned() }
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn a_registration_at_one_gateway_counts_at_all_until_it_ends() {
    let database = Postgres::open();
    let [one, two, three] = three(database.url());
    let (token, at) = (token(&one, "services:register services:read"), instance("first"));
    for gateway in [&one, &two, &three] {
        assert_eq!(responding(gateway, &token), "no_route");
    }
    let lease = register(&one, &token, &json!({"url": format!("http://{at}"), "weight": 7})).expect(201);
    let path = lease.header("location").unwrap().to_owned();
    assert_eq!(responding(&one, &token), "first", "it serves its own registration at once");
    for gateway in [&two, &three] {
        eventually("another gateway serves it", || responding(gateway, &token) == "first");
    }
    // The same URL at another gateway is the same instance.
    let again = register(&two, &token, &json!({"url": format!("http://{at}"), "ttl_seconds": 60})).expect(200).json();
    assert_eq!(again["id"], lease.json()["id"]);
    let listed = |gateway: &Gateway| gateway.get_with_token("/services/orders", &token).expect(200).json();
    eventually("the third gateway knows its weight", || listed(&three)["instances"][0]["weight"] == json!(1));
    let known = &listed(&three)["instances"][0];
    assert_eq!(
        (&known["source"], &known["id"], &known["health"]),
        (&json!("registered"), &again["id"], &json!("healthy"))
    );

    // The gateway that took it dies.
    one.kill();
    send(&two, "PUT", &path, &token, &Value::Null).expect(200);
    for gateway in [&two, &three] {
        assert_eq!(responding(gateway, &token), "first");
    }
    send(&two, "DELETE", &path, &token, &Value::Null).expect(204);
    assert_eq!(responding(&two, &token), "no_route");
    eventually("the other gateway has noticed", || responding(&three, &token) == "no_route");
    send(&three, "DELETE", &path, &token, &Value::Null).expect(204);
    send(&three, "PUT", &path, &token, &Value::Null).expect_problem(404, "instance_not_registered");

    // A gateway that starts now knows what is registered.
    register(&three, &token, &json!({"port": at.port()})).expect(201);
    assert_eq!(responding(&gateway(database.url()), &token), "first");
    for gateway in [two, three] {
        gateway.is_unharmed();
    }
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn without_heartbeats_an_instance_is_gone_with_its_lease() {
    let database = Postgres::open();
    let [one, two, three] = three(database.url());
    let token = token(&one, "services:register");
    let body = json!({"url": format!("http://{}", instance("first")), "ttl_seconds": TTL.as_secs()});
    let path = register(&one, &token, &body).expect(201).header("location").unwrap().to_owned();
    eventually("all serve it", || [&two, &three].into_iter().all(|gateway| responding(gateway, &token) == "first"));
    // Heartbeats keep it beyond its first lease, at whatever gateway they arrive.
    let began = Instant::now();
    let mut last = began;
    for gateway in [&one, &two, &three].into_iter().cycle() {
        thread::sleep(TTL / 5);
        last = Instant::now();
        send(gateway, "PUT", &path, &token, &Value::Null).expect(200);
        if began.elapsed() > TTL + TTL / 5 {
            break;
        }
    }
    for gateway in [&one, &two, &three] {
        assert_eq!(responding(gateway, &token), "first");
    }
    for gateway in [&one, &two, &three] {
        eventually("its lease ends", || responding(gateway, &token) == "no_route");
    }
    assert!(last.elapsed() >= TTL, "it has ended too early: after {:?}", last.elapsed());
    send(&two, "PUT", &path, &token, &Value::Null).expect_problem(404, "instance_not_registered");
    register(&three, &token, &body).expect(201);
    assert_eq!(responding(&three, &token), "first");
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn while_the_store_is_away_the_last_list_is_served() {
    let database = Postgres::open();
    let (relay, url) = database.through_a_relay();
    let gateway = gateway(&url);
    let token = token(&gateway, "services:register services:read");
    let body = json!({"url": format!("http://{}", instance("first")), "ttl_seconds": TTL.as_secs()});
    let path = register(&gateway, &token, &body).expect(201).header("location").unwrap().to_owned();
    let registered = Instant::now();

    relay.cut();
    send(&gateway, "PUT", &path, &token, &Value::Null).expect_problem(503, "unavailable");
    let failing = "the store is away: PostgreSQL at 127.0.0.1:";
    gateway.printed(failing);
    let status = common::call(gateway.admin, "GET", "/status", &[], b"").expect(200).json();
    let store = status["checks"].as_array().unwrap().iter().find(|check| check["name"] == "store").unwrap();
    assert!(store["ok"] == json!(false) && store["since"].is_string(), "{status}");
    gateway.get("/readyz").expect(200);
    gateway.get("/readyz?strict=1").expect(503);
    // The lease ends, and no store says so.
    while registered.elapsed() < TTL + Duration::from_secs(1) {
        assert_eq!(responding(&gateway, &token), "first");
        thread::sleep(Duration::from_millis(50));
    }
    let listed = common::call(gateway.admin, "GET", "/services/orders", &[], b"").expect(200).json();
    assert_eq!(listed["instances"].as_array().unwrap().len(), 1, "operators see the last list: {listed}");

    relay.lead_to(database.server());
    eventually("the store says that the lease is over", || responding(&gateway, &token) == "no_route");
    gateway.printed("is back after");
    let console = gateway.console();
    let lines = (console.matches(failing).count(), console.matches("following registrations fails").count());
    assert_eq!(lines, (1, 0), "one line for one event:\n{console}");
    register(&gateway, &token, &body).expect(201);
    assert_eq!(responding(&gateway, &token), "first");
}

#[test]
fn an_address_is_allowed_by_the_settings_and_never_a_metadata_service() {
    let gateway = Gateway::with(&[("SERVICE_CIDRS", "0.0.0.0/0,::/0")]);
    let token = token(&gateway, "services:register");
    let code = |body: &Value| {
        let problem = register(&gateway, &token, body).expect_problem(422, "validation_failed").json();
        let [error] = &problem["errors"].as_array().unwrap()[..] else { panic!("{problem}") };
        (error["field"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned())
    };
    let is = |field: &str, code: &str| (field.to_owned(), code.to_owned());
    for host in [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0",
        "[::]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "255.255.255.255",
        &gateway.admin.to_string(),
        &gateway.address.to_string(),
    ] {
        assert_eq!(code(&json!({"url": format!("http://{host}")})), is("url", "address"), "{host}");
    }
    assert_eq!(code(&json!({"port": gateway.admin.port()})), is("port", "address"));
    for name in ["http://metadata.google.internal", "http://localhost:8001", "http://169.254.169.254.nip.io"] {
        assert_eq!(code(&json!({"url": name})), is("url", "url"), "{name}");
    }
    register(&gateway, &token, &json!({"url": "http://203.0.113.7:8001"})).expect(201);

    let strict = Gateway::with(&[("SERVICE_CIDRS", "10.0.0.0/8")]);
    let token = self::token(&strict, "services:register");
    register(&strict, &token, &json!({"url": "http://10.1.2.3:8001"})).expect(201);
    for body in [json!({"url": "http://192.168.0.1"}), json!({"url": "http://[fd00::1]"}), json!({"port": 8001})] {
        register(&strict, &token, &body).expect_problem(422, "validation_failed");
    }
    gateway.is_unharmed();
}

#[test]
fn registered_instances_join_a_declared_service_and_operators_see_all() {
    let (declared, registered) = (instance("declared"), instance("registered"));
    let gateway = Gateway::with(&[("ORDERS_SERVICE_URL", &format!("http://{declared}"))]);
    let both = token(&gateway, "services:register services:read");
    register(&gateway, &both, &json!({"port": registered.port(), "weight": 3})).expect(201);
    for name in ["declared", "registered"] {
        eventually("each gets requests", || responding(&gateway, &both) == name);
    }
    let operators = |path: &str| common::call(gateway.admin, "GET", path, &[], b"");
    let instances = operators("/services/orders").expect(200).json()["instances"].clone();
    let shown: Vec<_> = instances
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["address"].clone(), one["source"].clone(), one["weight"].clone(), one["expires_at"].is_string())
        })
        .collect();
    assert_eq!(
        shown,
        [
            (json!(declared.to_string()), json!("static"), json!(1), false),
            (json!(registered.to_string()), json!("registered"), json!(3), true),
        ]
    );
    assert_eq!(gateway.get_with_token("/services/orders", &both).expect(200).json()["instances"], instances);
    let names = operators("/services").expect(200).json();
    let names: Vec<_> = names["services"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["auth", "orders", "stand-in"]);
    operators("/services/nope").expect_problem(404, "service_not_found");
    // Not without the scope at the listener for clients, and no registration at that for operators.
    gateway.get("/services").expect_problem(401, "token_missing");
    gateway
        .get_with_token("/services", &token(&gateway, "services:register"))
        .expect_problem(403, "insufficient_scope");
    common::call(gateway.admin, "POST", "/services/orders/instances", &[], b"{}").expect_problem(404, "not_found");
    gateway.is_unharmed();
}

/// The service of the manual.
#[test]
#[cfg_attr(not(feature = "client-tests"), ignore = "scripts/test runs it")]
fn the_example_registers_and_deregisters_when_it_is_told_to_stop() {
    let registry = Registry::new(&[]);
    let gateway = registry.gateway();
    let client = registry.add("orders", "services:register");
    let mut service = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/registration/service.py"))
        .envs([
            ("GATEWAY", format!("http://{}", gateway.address).as_str()),
            ("CLIENT_ID", &client.id),
            ("CLIENT_SECRET", &client.secret),
            ("SERVICE", "orders"),
            ("PORT", "0"),
        ])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let token = token(&gateway, "services:read");
    eventually("it is served", || gateway.get_with_token("/api/orders/x", &token).status == 200);
    let stopped = Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert!(service.wait().unwrap().success());
    gateway.get_with_token("/services/orders", &token).expect_problem(404, "service_not_found");
}
