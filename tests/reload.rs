//! The settings of a running gateway: changed files are used without a failed request, and bad ones not at all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use common::{Gateway, Response, call, eventually, parse, raw, upstream};
use serde_json::{Value, json};

/// A service that answers every request with its name.
fn service(name: &'static str) -> SocketAddr {
    upstream(move |stream| {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            if reader.get_mut().write_all(response.as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn open_route(path: &str, service: &str) -> String {
    format!("[[routes]]\npath = '{path}'\nservice = '{service}'\naccess = 'open'\n")
}

fn declared(name: &str, address: SocketAddr) -> String {
    format!("[services.{name}]\nurl = 'http://{address}'\n")
}

/// Replaces the file as editors and deployments do: by another one.
fn replace(gateway: &Gateway, file: &str, text: &str) {
    let folder = gateway.folder();
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join(file)).unwrap();
}

fn reload(gateway: &Gateway) -> Response {
    call(gateway.admin, "POST", "/reload", &[], b"")
}

fn settings_status(gateway: &Gateway) -> Value {
    call(gateway.admin, "GET", "/status", &[], b"").expect(200).json()["settings"].clone()
}

/// The memory of the process; 0 on systems that do not say so in a file.
fn resident_kib(gateway: &Gateway) -> usize {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Many routes, so that a table that is not freed shows. The service of `/api/moving` and the spelling of its address
/// change every time.
fn crowded(round: usize, services: [SocketAddr; 2]) -> String {
    let mut text = String::new();
    let (one, other) = (services[0], services[1]);
    let host = if round.is_multiple_of(3) { "localhost" } else { "127.0.0.1" };
    let _ = write!(text, "[services.one]\nurl = 'http://{host}:{}'\n", one.port());
    text.push_str(&declared("other", other));
    text.push_str(&open_route("/api/steady", "one"));
    text.push_str(&open_route("/api/moving", if round.is_multiple_of(2) { "one" } else { "other" }));
    for number in 0..500 {
        text.push_str(&open_route(&format!("/api/round-{round}/of-many/{number}"), "one"));
    }
    text
}

#[test]
fn two_hundred_reloads_fail_no_request_and_leave_no_memory_behind() {
    const ROUNDS: usize = 200;
    let services = [service("one"), service("other")];
    let gateway = Gateway::with_routes(&[("MAX_REQUESTS_PER_CLIENT", "1000")], Some(&crowded(0, services)));
    let is_over = AtomicBool::new(false);
    let mut resident = Vec::new();
    thread::scope(|scope| {
        let load: Vec<_> = ["/api/steady", "/api/moving", "/api/users", "/api/moving/below"]
            .map(|path| {
                let (gateway, is_over) = (&gateway, &is_over);
                scope.spawn(move || {
                    let mut served = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let response = gateway.get(path);
                        assert_eq!(response.status, 200, "{path}: {}", response.text());
                        served += 1;
                    }
                    served
                })
            })
            .into();
        for round in 1..=ROUNDS {
            let text = crowded(round, services);
            if round.is_multiple_of(10) {
                replace(&gateway, "gateway.toml", &text.replace("access = 'open'", "access = 'opne'"));
                let problem = reload(&gateway).expect(422).json();
                let errors = problem["errors"].as_array().map_or(0, Vec::len);
                if errors != 100 {
                    // Otherwise the load would go on for ever.
                    is_over.store(true, Ordering::Relaxed);
                    panic!("{errors} of the 100 mistakes that are told: {problem}");
                }
            } else {
                replace(&gateway, "gateway.toml", &text);
                let changes = reload(&gateway).expect(200).json();
                // The watching may have been quicker.
                let added = changes["routes"]["added"].as_array().unwrap().len();
                assert!(added == 500 || added == 0, "{changes}");
                gateway.get(&format!("/api/round-{round}/of-many/499")).expect(200);
            }
            if round.is_multiple_of(50) {
                resident.push(resident_kib(&gateway));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for served in load {
            assert!(served.join().unwrap() >= ROUNDS, "there was hardly any load");
        }
    });
    // 150 tables of 500 routes that stay would be more than twice as much as the margin.
    let (early, late) = (resident[0], resident[3]);
    assert!(late < early + early / 5 + 16 * 1024, "{resident:?}");
    gateway.get("/api/round-1/of-many/1").expect(404);
    gateway.is_unharmed();
}

#[test]
fn a_service_that_is_added_is_served_and_one_that_is_removed_is_gone() {
    let gateway = Gateway::with_routes(&[], Some(&declared("first", service("first"))));
    let (token, _) = gateway.tokens(&json!({ "subject": "alice" }));
    assert_eq!(gateway.get_with_token("/api/first", &token).expect(200).text(), "first");
    gateway.get_with_token("/api/second", &token).expect(404);

    replace(&gateway, "gateway.toml", &declared("second", service("second")));
    eventually("the watched file is used", || gateway.get_with_token("/api/second", &token).status == 200);
    gateway.get_with_token("/api/first", &token).expect_problem(404, "no_route");
    let line = gateway.printed("the settings were read again");
    assert!(line.contains("1 service added: second; 1 service removed: first"), "{line}");
    // What development brings along is still there.
    gateway.get("/api/users").expect(200);
    gateway.get("/api/stand-in/authorize").expect(400);
    eventually("the document follows", || {
        let document = gateway.get("/openapi.json").expect(200).json();
        let paths = document["paths"].as_object().unwrap();
        let has = |name: &str| paths.keys().any(|path| path.starts_with(&format!("/api/{name}")));
        has("second") && !has("first")
    });
    gateway.is_unharmed();
}

#[test]
fn a_policy_of_the_sample_service_keeps_the_sample() {
    let gateway = Gateway::with_routes(&[], Some("[services.auth]\nbalance = 'round-robin'\n"));
    gateway.get("/api/users").expect(200);
    replace(&gateway, "gateway.toml", "[services.auth]\nmax_requests = 7\n");
    let changes = reload(&gateway).expect(200).json();
    assert_eq!(changes["services"]["changed"], json!(["auth"]));
    gateway.get("/api/users").expect(200);
    let address = service("own");
    replace(&gateway, "gateway.toml", &declared("auth", address));
    reload(&gateway).expect(200);
    assert_eq!(gateway.get("/api/users").expect(200).text(), "own");
    replace(&gateway, "gateway.toml", "");
    reload(&gateway).expect(200);
    assert!(gateway.get("/api/users").expect(200).text().contains("AUTH service"));
}

#[test]
fn mistakes_are_told_with_their_lines_and_nothing_changes() {
    let address = service("shop");
    let file = declared("shop", address) + &open_route("/api/shop", "shop");
    let gateway = Gateway::with_routes(&[], Some(&file));
    assert_eq!(settings_status(&gateway)["ok"], json!(true));

    let bad =
        format!("{file}[[routes]]\npath = '/api/other'\nservice = 'shpo'\nacces = 'open'\n[services.x]\nbalance = 1\n");
    replace(&gateway, "gateway.toml", &bad);
    let problem = reload(&gateway).expect(422).json();
    assert_eq!(problem["code"], json!("settings_refused"));
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["gateway.toml line 9", "gateway.toml line 10", "gateway.toml line 12"], "{problem}");
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("did you mean \"shop\"?"), "{problem}");
    let line =
        gateway.printed("the changed settings are refused, and the old ones stay in force: gateway.toml line 9: ");
    assert!(line.contains("WARN"), "{line}");
    gateway.get("/api/shop").expect(200);
    gateway.get("/api/other").expect(404);
    let status = settings_status(&gateway);
    assert!(status["ok"] == json!(false) && status["refused_since"].is_string(), "{status}");
    assert_eq!(status["mistakes"].as_array().unwrap().len(), 3, "{status}");
    call(gateway.admin, "GET", "/readyz", &[], b"").expect(200);

    // A file that is gone changes nothing, either.
    fs::remove_file(gateway.folder().join("gateway.toml")).unwrap();
    reload(&gateway).expect(422);
    gateway.get("/api/shop").expect(200);

    replace(&gateway, "gateway.toml", &file);
    eventually("the settings are valid again", || settings_status(&gateway)["ok"] == json!(true));
    assert_eq!(settings_status(&gateway)["mistakes"], Value::Null);
    gateway.is_unharmed();
}

#[test]
fn a_page_cannot_reload() {
    let gateway = Gateway::start();
    // A page whose name was made to resolve to this machine (DNS rebinding) shares the origin of its requests.
    for path in ["/services", "/status", "/livez", "/nowhere"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example:9090\r\nConnection: close\r\n\r\n");
        parse(&raw(gateway.admin, request.as_bytes())).expect_problem(403, "foreign_host");
    }
    for header in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        call(gateway.admin, "POST", "/reload", &[header], b"").expect(403);
    }
    call(gateway.admin, "GET", "/reload", &[], b"").expect(405);
    // Not on the listener for clients.
    gateway.call("POST", "/reload", &[], b"").expect(404);
}

#[test]
fn sighup_reads_the_settings_again_and_ends_nothing() {
    let gateway = Gateway::with_routes(&[], Some(""));
    replace(&gateway, "gateway.toml", &declared("shop", service("shop")));
    assert!(Command::new("kill").args(["-HUP", &gateway.pid().to_string()]).status().unwrap().success());
    let line = gateway.printed("the settings were read again");
    assert!(line.contains("1 service added: shop"), "{line}");
    gateway.is_unharmed();
}

#[test]
fn services_in_env_are_live_and_other_variables_are_named() {
    let gateway = Gateway::with_routes(&[], None);
    let (token, _) = gateway.tokens(&json!({ "subject": "alice" }));
    let env = format!("SHOP_SERVICE_URL=http://{}\nSHOP_SERVICE_OPENAPI=off\nSESSION_TTL=1h\n", service("shop"));
    replace(&gateway, ".env", &env);
    eventually("the service is served", || gateway.get_with_token("/api/shop", &token).status == 200);
    gateway.printed("changed in .env, and used only after a restart: SESSION_TTL");
    assert_eq!(reload(&gateway).expect(200).json()["need_restart"], json!(["SESSION_TTL"]));
}

/// Kubernetes mounts a `ConfigMap` like this: the file is a link to `..data/file`, and `..data` to a folder that changes.
#[test]
fn a_file_behind_links_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("gateway.toml"), text).unwrap();
    };
    let point = |to: &str| {
        let (new, data) = (folder.path().join("..data_tmp"), folder.path().join("..data"));
        symlink(to, &new).unwrap();
        fs::rename(new, data).unwrap();
    };
    version("..1", &declared("first", service("first")));
    point("..1");
    symlink(Path::new("..data/gateway.toml"), folder.path().join("gateway.toml")).unwrap();
    let path = folder.path().join("gateway.toml");
    let gateway = Gateway::with(&[("GATEWAY_CONFIG", path.to_str().unwrap())]);
    let (token, _) = gateway.tokens(&json!({ "subject": "alice" }));
    gateway.get_with_token("/api/first", &token).expect(200);
    version("..2", &declared("second", service("second")));
    point("..2");
    eventually("the new version is used", || gateway.get_with_token("/api/second", &token).status == 200);
    gateway.get_with_token("/api/first", &token).expect(404);
}

#[test]
fn a_changed_limit_of_a_route_counts_and_a_request_in_flight_is_not_cut() {
    let (asked, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (asked, released) = (Mutex::new(asked), Mutex::new(released));
    let address = upstream(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        asked.lock().unwrap().send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nheld");
    });
    let file = |limit: usize| {
        declared("slow", address) + &open_route("/api/slow", "slow") + &format!("max_requests = {limit}\n")
    };
    // Its document is not fetched: every request here waits.
    let gateway = Gateway::with_routes(&[("SLOW_SERVICE_OPENAPI", "off")], Some(&file(1)));
    let request = || {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        stream.write_all(b"GET /api/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut first = request();
    held.recv().unwrap();
    gateway.get("/api/slow").expect_problem(503, "overloaded");
    replace(&gateway, "gateway.toml", &file(2));
    reload(&gateway).expect(200);
    let mut second = request();
    held.recv().unwrap();
    gateway.get("/api/slow").expect_problem(503, "overloaded");
    // The route goes away: what is in flight ends by itself.
    replace(&gateway, "gateway.toml", "");
    reload(&gateway).expect(200);
    gateway.get("/api/slow").expect(404);
    for stream in [&mut first, &mut second] {
        release.send(()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("held"), "{response}");
    }
    gateway.is_unharmed();
}
