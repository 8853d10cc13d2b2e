//! One list of instances per service.

use super::*;
use crate::domain::gateway::models::registration::AddressPolicy;

/// The addresses of a host about which no name server answers.
const NOTHING: &[&str] = &[];

/// The instances of a service: addresses, port, weight and source.
fn instances(bench: &Bench, service: &str) -> Vec<(Vec<IpAddr>, u16, u16, &'static str)> {
    let services = bench.discovery.services();
    let found = services.iter().find(|known| known.name.as_str() == service).unwrap();
    let of = |instance: &Arc<Instance>| {
        (instance.addresses.clone(), instance.port, instance.weight, instance.source.as_str())
    };
    found.instances.iter().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn every_address_of_a_name_is_an_instance_but_a_pair_is_one_host() {
    let bench = Bench::new();
    bench.table.set("three", Answer::Addresses(&["10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.1"], SHORT));
    bench.table.set("pair", Answer::Addresses(&["10.0.0.1", "fd00::1"], SHORT));
    bench.table.set("stack", Answer::Addresses(&["10.0.0.1", "10.0.0.2", "fd00::2", "fd00::1"], SHORT));
    bench.table.set("localhost", Answer::Addresses(&["127.0.0.1", "::1", "127.0.1.1"], SHORT));
    bench.declare(&[
        ("localhost", &["http://localhost"]),
        ("pair", &["http://pair"]),
        ("stack", &["http://stack"]),
        ("three", &["http://three"]),
    ]);
    assert!(bench.discovery.first_answers(SHORT).await);
    assert_eq!(bench.addresses("three"), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(instances(&bench, "pair"), [(parse(&["fd00::1", "10.0.0.1"]), 80, 1, "dns")]);
    assert_eq!(bench.addresses("stack"), ["[fd00::1]:80", "[fd00::2]:80", "10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(instances(&bench, "localhost"), [(parse(&["::1", "127.0.0.1", "127.0.1.1"]), 80, 1, "dns")]);
}

#[tokio::test(start_paused = true)]
async fn srv_records_have_ports_weights_and_priorities() {
    let bench = Bench::new();
    bench.table.set(
        "_http._tcp.auth",
        Answer::Targets(vec![
            ("b", 2, 10, 30, &["10.0.0.2"]),
            ("a", 1, 10, 0, &["10.0.0.1", "fd00::1"]),
            ("spare", 3, 20, 9, &["10.0.0.3"]),
            ("c", 4, 10, 5, &["10.0.0.5", "10.0.0.4"]),
        ]),
    );
    bench.declare(&[("auth", &["srv+http://_http._tcp.auth/base"])]);
    assert!(bench.discovery.first_answers(SHORT).await);
    assert_eq!(
        instances(&bench, "auth"),
        [
            (parse(&["fd00::1", "10.0.0.1"]), 1, 1, "dns"),
            (parse(&["10.0.0.2"]), 2, 30, "dns"),
            (parse(&["10.0.0.4"]), 4, 5, "dns"),
            (parse(&["10.0.0.5"]), 4, 5, "dns"),
        ]
    );
    let service = &bench.discovery.services()[0];
    let named: Vec<_> = service.instances.iter().map(|instance| (&*instance.host, &*instance.base_path)).collect();
    assert_eq!(named, [("a", "/base"), ("b", "/base"), ("c", "/base"), ("c", "/base")]);
    // The spare counts when the others are gone.
    bench.table.set("_http._tcp.auth", Answer::Targets(vec![("spare", 3, 20, 9, &["10.0.0.3"])]));
    sleep(SHORT * 2).await;
    assert_eq!(bench.addresses("auth"), ["10.0.0.3:3"]);
    // A target of which nothing is known does not keep the spare from serving.
    let targets = vec![("new", 5, 10, 0, NOTHING), ("spare", 3, 20, 9, &["10.0.0.3"])];
    bench.table.set("_http._tcp.auth", Answer::Targets(targets));
    sleep(SHORT * 2).await;
    assert_eq!(bench.addresses("auth"), ["10.0.0.3:3"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_rotates_its_answers_publishes_nothing() {
    let bench = Bench::new();
    bench.table.set("auth", Answer::Addresses(&["10.0.0.1", "10.0.0.2", "10.0.0.3"], SHORT));
    bench.table.set("srv", Answer::Targets(vec![("a", 1, 0, 0, &["10.0.0.1"]), ("b", 1, 0, 0, &["10.0.0.2"])]));
    bench.declare(&[("auth", &["http://auth"]), ("srv", &["srv+http://srv"])]);
    sleep(SHORT).await;
    let (published, before) = (bench.publications(), bench.discovery.services());
    bench.table.set("auth", Answer::Addresses(&["10.0.0.3", "10.0.0.1", "10.0.0.2"], SHORT));
    bench.table.set("srv", Answer::Targets(vec![("b", 1, 0, 0, &["10.0.0.2"]), ("a", 1, 0, 0, &["10.0.0.1"])]));
    sleep(SHORT * 10).await;
    assert_eq!((bench.publications(), bench.discovery.services()), (published, before));
    // Changes are published, and only then.
    bench.table.set("auth", Answer::Addresses(&["10.0.0.3", "10.0.0.1"], SHORT));
    sleep(SHORT * 10).await;
    assert_eq!((bench.publications(), bench.addresses("auth").len()), (published + 1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_lists_of_all_sources_are_one_list() {
    let bench = Bench::new();
    bench.table.set("auth", Answer::Addresses(&["10.0.0.2", "10.0.0.3"], SHORT));
    bench.table.set("pair", Answer::Addresses(&["10.0.1.1", "fd00::1"], SHORT));
    bench.declare(&[("auth", &["http://10.0.0.1:1", "http://auth:1"]), ("pair", &["http://pair:1"])]);
    let registered: &[(&str, &[&str])] =
        &[("auth", &["10.0.0.9:1", "10.0.0.3:1", "10.0.0.3:2"]), ("pair", &["10.0.1.1:1"])];
    bench.discovery.provide(Source::Registered, found(Source::Registered, registered));
    bench.discovery.provide(Source::Docker, found(Source::Docker, &[("auth", &["10.0.0.1:1", "10.0.0.8:1"])]));
    assert!(bench.discovery.first_answers(SHORT).await);
    let one = |address, port, source| (parse(&[address]), port, 1, source);
    let all = [
        one("10.0.0.1", 1, "static"),
        one("10.0.0.2", 1, "dns"),
        one("10.0.0.3", 1, "dns"),
        one("10.0.0.9", 1, "registered"),
        one("10.0.0.3", 2, "registered"),
        one("10.0.0.8", 1, "docker"),
    ];
    assert_eq!(instances(&bench, "auth"), all);
    assert_eq!(instances(&bench, "pair"), [(parse(&["fd00::1", "10.0.1.1"]), 1, 1, "dns")]);
    // A list that comes again publishes nothing.
    let published = bench.publications();
    bench.discovery.provide(Source::Registered, found(Source::Registered, registered));
    assert_eq!(bench.publications(), published);
    // One that is also known otherwise stays.
    bench.discovery.provide(Source::Registered, Found::new());
    assert_eq!(instances(&bench, "auth"), [all[0].clone(), all[1].clone(), all[2].clone(), all[5].clone()]);
}

#[tokio::test(start_paused = true)]
async fn two_names_of_one_address_are_two_instances_and_one_name_twice_is_one() {
    let bench = Bench::new();
    for name in ["blue", "green"] {
        bench.table.set(name, Answer::Addresses(&["10.0.0.1"], SHORT));
    }
    bench.declare(&[("auth", &["http://blue:1", "http://green:1", "http://blue:1"])]);
    assert!(bench.discovery.first_answers(SHORT).await);
    let services = bench.discovery.services();
    let hosts: Vec<_> = services[0].instances.iter().map(|instance| &*instance.host).collect();
    assert_eq!(hosts, ["blue", "green"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_only_a_source_knows_appears_and_leaves() {
    let bench = Bench::new();
    bench.declare(&[("auth", &["http://10.0.0.1:1"]), ("empty", &[])]);
    assert_eq!(bench.services(), ["auth", "empty"]);
    bench.discovery.provide(Source::Registered, found(Source::Registered, &[("board", &["10.0.0.2:1"])]));
    assert_eq!(
        (bench.services(), bench.addresses("board")),
        (vec!["auth".to_owned(), "board".to_owned(), "empty".to_owned()], vec!["10.0.0.2:1".to_owned()])
    );
    bench
        .discovery
        .provide(Source::Registered, found(Source::Registered, &[("board", &[]), ("empty", &["10.0.0.3:1"])]));
    assert_eq!((bench.services(), bench.addresses("empty").len()), (vec!["auth".to_owned(), "empty".to_owned()], 1));
    // A declared service stays without an instance: its callers are told that it has none.
    bench.discovery.provide(Source::Registered, Found::new());
    assert_eq!((bench.services(), bench.addresses("empty").len()), (vec!["auth".to_owned(), "empty".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn addresses_that_no_service_should_have_are_not_used() {
    let bench = Bench::new();
    bench.discovery.guard(AddressPolicy::new(Vec::new(), vec!["127.0.0.1:9090".parse().unwrap()]));
    bench.table.set("a", Answer::Addresses(&["169.254.169.254", "10.0.0.1", "10.0.0.2", "::ffff:224.0.0.1"], LONG));
    let own = ("node", 9090, 1, 1, &["127.0.0.1"][..]);
    let good = ("node", 9091, 1, 1, &["127.0.0.1"][..]);
    let without_port = ("node", 0, 1, 1, &["10.0.0.9"][..]);
    bench.table.set("_http._tcp.b", Answer::Targets(vec![own, good, without_port]));
    bench.declare(&[("a", &["http://a"]), ("b", &["srv+http://_http._tcp.b"]), ("c", &["http://169.254.1.1"])]);
    bench.discovery.first_answers(LONG).await;
    let containers = found(Source::Docker, &[("d", &["0.0.0.0:80", "10.0.0.3:80", "127.0.0.1:9090"])]);
    bench.discovery.provide(Source::Docker, containers);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.addresses("a"), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(bench.addresses("b"), ["127.0.0.1:9091"]);
    assert_eq!(bench.addresses("c"), ["169.254.1.1:80"], "the settings say so themselves");
    assert_eq!(bench.addresses("d"), ["10.0.0.3:80"]);
}
