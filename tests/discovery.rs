//! Services that are found by name: addresses appear, move and leave, name servers fail, and requests do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufReader, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::{
    Gateway, Response,
    dns::{Answer, NameServer},
    eventually,
    recorder::read_request,
};
use serde_json::json;

/// A service that responds with the address at which it listens, and with the `Host` that was sent to it.
fn instance(address: IpAddr, port: u16) -> SocketAddr {
    let listener = TcpListener::bind((address, port)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                while let Some(request) = read_request(&mut reader) {
                    let body = format!("{address} {}", request.all("host").concat());
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    if (&stream).write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Instances at 127.0.0.1, 127.0.0.2 and so on, at one port.
fn instances(number: u8) -> u16 {
    let first = instance([127, 0, 0, 1].into(), 0);
    for last in 2..=number {
        instance([127, 0, 0, last].into(), first.port());
    }
    first.port()
}

/// A gateway whose services are found by this name server, and a token for them.
struct Bench {
    names: NameServer,
    gateway: Gateway,
    token: String,
}

impl Bench {
    fn start(names: NameServer, services: &[(&str, &str)]) -> Self {
        let servers = names.address.to_string();
        let gateway = Gateway::with(&[&[("DNS_SERVERS", servers.as_str())], services].concat());
        let (token, _) = gateway.tokens(&json!({"subject": "u1"}));
        Self { names, gateway, token }
    }

    fn get(&self, service: &str) -> Response {
        self.gateway.get_with_token(&format!("/api/{service}/x"), &self.token)
    }

    /// The address of the instance that responds.
    fn responder(&self, service: &str) -> String {
        self.get(service).expect(200).text().split(' ').next().unwrap().to_owned()
    }

    /// Waits until the log has so many lines with this text.
    fn wait_for_lines(&self, number: usize, text: &str) {
        eventually(text, || self.gateway.console().matches(text).count() >= number);
    }

    /// Sends requests to a service during `work`; each must succeed. Returns their number per instance.
    fn under_load(&self, service: &str, work: impl FnOnce()) -> BTreeMap<String, usize> {
        let is_over = AtomicBool::new(false);
        let mut responders = BTreeMap::new();
        thread::scope(|scope| {
            let client = || {
                let mut seen = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    seen.push(self.responder(service));
                }
                seen
            };
            let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
            let over = Over(&is_over);
            work();
            drop(over);
            for responder in clients.into_iter().flat_map(|client| client.join().unwrap()) {
                *responders.entry(responder).or_default() += 1;
            }
        });
        responders
    }
}

/// Ends the load, also when the test has failed.
struct Over<'b>(&'b AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn requests_follow_a_name_and_none_fails() {
    let port = instances(6);
    let names = NameServer::start();
    names.set_addresses("shop.test", &["127.0.0.1"]);
    let bench = Bench::start(names, &[("SHOP_SERVICE_URL", &format!("http://shop.test:{port}"))]);
    assert_eq!(bench.responder("shop"), format!("127.0.0.1:{port}"));
    let moves: [&[&str]; 4] = [
        &["127.0.0.2"],
        &["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"],
        &["127.0.0.6"],
        &["127.0.0.1", "127.0.0.6"],
    ];
    for addresses in moves {
        let all: Vec<String> = addresses.iter().map(|address| format!("{address}:{port}")).collect();
        let served = bench.under_load("shop", || {
            bench.names.set_addresses("shop.test", addresses);
            // Until the new list is in use: whatever responds is on it, time and again.
            eventually("requests have moved", || (0..40).all(|_| all.contains(&bench.responder("shop"))));
        });
        assert!(served.values().sum::<usize>() > 0);
        for address in &all {
            eventually("each instance is used", || bench.responder("shop") == *address);
        }
    }
    bench.gateway.is_unharmed();
}

#[test]
fn while_name_servers_fail_the_last_addresses_serve() {
    let port = instances(2);
    let names = NameServer::start();
    names.set_addresses("shop.test", &["127.0.0.1"]);
    let bench = Bench::start(names, &[("SHOP_SERVICE_URL", &format!("http://shop.test:{port}"))]);
    let troubles = [Answer::Broken, Answer::Missing, Answer::Addresses(Vec::new()), Answer::Silence];
    for (number, trouble) in (1..).zip(troubles) {
        bench.names.set("shop.test", trouble.clone());
        let served = bench.under_load("shop", || bench.wait_for_lines(number, "its last addresses stay in use"));
        assert_eq!(served.into_keys().collect::<Vec<_>>(), [format!("127.0.0.1:{port}")], "{trouble:?}");
        assert_eq!(bench.responder("shop"), format!("127.0.0.1:{port}"), "{trouble:?}");
        assert_eq!(bench.gateway.get("/readyz").status, 200, "{trouble:?}");
        bench.names.set_addresses("shop.test", &["127.0.0.1"]);
        bench.wait_for_lines(number, "can be looked up again");
    }
    bench.names.set_addresses("shop.test", &["127.0.0.2"]);
    eventually("the name moves", || bench.responder("shop") == format!("127.0.0.2:{port}"));
    let told = bench.gateway.console().matches("its last addresses stay in use").count();
    assert_eq!(told, 4, "{}", bench.gateway.console());
    bench.gateway.is_unharmed();
}

#[test]
fn every_address_of_a_name_serves_its_share() {
    let port = instances(3);
    let names = NameServer::start();
    names.set_addresses("shop.test", &["127.0.0.3", "127.0.0.1", "127.0.0.2"]);
    let bench = Bench::start(names, &[("SHOP_SERVICE_URL", &format!("http://shop.test:{port}"))]);
    let mut served = BTreeMap::<String, usize>::new();
    for _ in 0..300 {
        *served.entry(bench.responder("shop")).or_default() += 1;
    }
    assert_eq!(served.len(), 3, "{served:?}");
    assert!(served.values().all(|&number| number >= 50), "{served:?}");
    // The name is sent, not the address.
    assert!(bench.get("shop").text().ends_with(&format!(" shop.test:{port}")));
}

#[test]
fn srv_records_name_the_ports() {
    let [one, two, spare] = [(); 3].map(|()| instance([127, 0, 0, 1].into(), 0));
    let names = NameServer::start();
    let target = |priority, weight, instance: SocketAddr| (priority, weight, instance.port(), "node.test".to_owned());
    names.set_addresses("node.test", &["127.0.0.1"]);
    names.set("shop.service.test", Answer::Services(vec![target(1, 1, one), target(1, 3, two), target(9, 1, spare)]));
    let bench = Bench::start(names, &[("SHOP_SERVICE_URL", "srv+http://shop.service.test")]);
    let served: BTreeSet<String> = (0..100).map(|_| bench.responder("shop")).collect();
    let mut both = [one, two].map(|instance| instance.to_string());
    both.sort();
    assert_eq!(served.into_iter().collect::<Vec<_>>(), both);
    assert!(bench.get("shop").text().contains(" node.test:"));
    // The others leave; then the service says that it is not there, which may be a mistake.
    bench.names.set("shop.service.test", Answer::Services(vec![target(9, 1, spare)]));
    eventually("the spare one serves", || bench.responder("shop") == spare.to_string());
    bench.names.set("shop.service.test", Answer::Services(vec![(0, 0, 0, ".".to_owned())]));
    bench.gateway.printed("its last addresses stay in use");
    assert_eq!(bench.responder("shop"), spare.to_string());
    bench.gateway.is_unharmed();
}

#[test]
fn a_dead_name_concerns_its_own_service_alone_and_is_served_when_it_appears() {
    let port = instances(2);
    let names = NameServer::start();
    names.set_addresses("shop.test", &["127.0.0.1"]);
    names.set("silent.test", Answer::Silence);
    let services = [
        ("SHOP_SERVICE_URL", format!("http://shop.test:{port}")),
        ("SILENT_SERVICE_URL", format!("http://silent.test:{port}")),
        ("MISSING_SERVICE_URL", format!("http://missing.test:{port}")),
        // Its other instance has an address.
        ("HALF_SERVICE_URL", format!("http://silent.test:{port},http://127.0.0.1:{port}")),
    ];
    let bench = Bench::start(names, &services.each_ref().map(|(name, url)| (*name, url.as_str())));
    assert_eq!(bench.responder("shop"), format!("127.0.0.1:{port}"));
    assert_eq!(bench.responder("half"), format!("127.0.0.1:{port}"));
    for service in ["silent", "missing"] {
        assert!(bench.get(service).expect_problem(503, "no_instance").header("retry-after").is_some());
        bench.gateway.printed(&format!("{service}.test"));
    }
    eventually("it is ready", || bench.gateway.get("/readyz").status == 200);
    for service in ["silent", "missing"] {
        bench.names.set_addresses(&format!("{service}.test"), &["127.0.0.2"]);
        eventually("it is served", || bench.get(service).status == 200);
    }
    bench.gateway.is_unharmed();
}

#[test]
fn it_is_ready_when_names_had_their_time() {
    let names = NameServer::start();
    let port = instances(1);
    names.set_addresses("good.test", &["127.0.0.1"]);
    // More than can be looked up at once.
    let mut services = vec![("GOOD_SERVICE_URL".to_owned(), format!("http://good.test:{port}"))];
    for nth in 0..300 {
        names.set(&format!("dead{nth}.test"), Answer::Silence);
        services.push((format!("DEAD{nth}_SERVICE_URL"), format!("http://dead{nth}.test:{port}")));
    }
    let services: Vec<(&str, &str)> = services.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let bench = Bench::start(names, &services);
    let checks = bench.gateway.get("/readyz").expect(503).json()["checks"].clone();
    let failed: Vec<_> = checks.as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert!(matches!(failed[..], [check] if check["name"] == "services"), "{checks}");
    eventually("the good one is served", || bench.get("good").status == 200);
    eventually("it is ready", || bench.gateway.get("/readyz").status == 200);
    bench.gateway.is_unharmed();
}

#[test]
fn localhost_needs_no_name_server() {
    let names = NameServer::start();
    names.set("localhost", Answer::Silence);
    let port = instances(1);
    let bench = Bench::start(names, &[("SHOP_SERVICE_URL", &format!("http://localhost:{port}"))]);
    assert_eq!(bench.responder("shop"), format!("127.0.0.1:{port}"));
    assert_eq!(bench.names.asked("localhost"), 0);
}
