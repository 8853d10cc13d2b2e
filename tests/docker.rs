//! Services that are found by the labels of their containers: they come and go with these, and stay while the engine is
//! away, hangs or talks nonsense.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

#[path = "docker/engine.rs"]
mod engine;
#[path = "docker/json.rs"]
mod json;

use std::{
    io::{BufReader, Write},
    net::SocketAddr,
};

use common::{Gateway, call, eventually, recorder::read_request, upstream};
use engine::{Container, Engine, Mode, Place};
use json::Version;

/// A service whose instances respond with their name and with the path.
fn instance(name: &'static str) -> SocketAddr {
    upstream(move |stream| {
        let mut reader = BufReader::new(&stream);
        while let Some(request) = read_request(&mut reader) {
            let body = format!("{name} {}", request.line.split(' ').nth(1).unwrap());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            if (&stream).write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// An engine, and a gateway that follows it.
struct Bench {
    engine: Engine,
    gateway: Gateway,
    token: String,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Both start with these containers.
    fn start(containers: &[&Container]) -> Self {
        Self::of(Version::V1_52, false, Mode::Works, containers)
    }

    fn of(version: Version, is_tcp: bool, mode: Mode, containers: &[&Container]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = || Place::Socket(folder.path().join("docker.sock"));
        let place = if is_tcp { Place::Tcp(([127, 0, 0, 1], 0).into()) } else { socket() };
        let engine = Engine::start(place, version);
        engine.set_mode(mode);
        for container in containers {
            engine.change_silently((*container).clone());
        }
        let gateway = Gateway::with(&[("DOCKER_URL", &engine.host())]);
        let (token, _) = gateway.tokens(&serde_json::json!({"subject": "u1"}));
        Self { engine, gateway, token, _folder: folder }
    }

    /// The instance that responds and the path there, or the error code.
    fn get(&self, path: &str) -> String {
        let response = self.gateway.get_with_token(path, &self.token);
        if response.status == 200 { response.text() } else { response.json()["code"].as_str().unwrap().to_owned() }
    }

    fn responder(&self, service: &str) -> String {
        self.get(&format!("/api/{service}/x")).split(' ').next().unwrap().to_owned()
    }

    #[track_caller]
    fn wait_until(&self, service: &str, responder: &str) {
        eventually(&format!("{responder} responds for {service}"), || self.responder(service) == responder);
    }

    /// Waits until a change would be noticed at once.
    fn wait_for_subscription(&self) {
        eventually("the gateway has subscribed", || self.engine.subscribers() > 0);
    }

    fn count(&self, text: &str) -> usize {
        self.gateway.console().matches(text).count()
    }
}

/// What the containers of `shop` go through, whatever the engine.
fn a_service_lives(version: Version, is_tcp: bool) {
    let [first, second] = [instance("first"), instance("second")];
    let web = Container::at("web-1", first).labelled("com.docker.compose.project", "shop");
    let web = web.labelled("com.docker.compose.service", "web");
    let bench = Bench::of(version, is_tcp, Mode::Works, &[&Container { labels: Vec::new(), ..web.clone() }]);
    bench.wait_for_subscription();
    assert_eq!(bench.responder("web"), "no_route", "without labels nothing is exposed");

    // Its health decides.
    bench.engine.change("start", Container { health: Some("starting"), ..web.clone() });
    bench.engine.change("health_status: healthy", Container { health: Some("healthy"), ..web.clone() });
    bench.wait_until("web", "first");
    bench.engine.change("health_status: unhealthy", Container { health: Some("unhealthy"), ..web.clone() });
    bench.wait_until("web", "no_route");
    bench.engine.change("health_status: healthy", Container { health: Some("healthy"), ..web.clone() });
    bench.wait_until("web", "first");

    // Another one joins, at another path.
    let other = Container::at("web-2", second).labelled("gateway.service", "web").labelled("gateway.path", "/base");
    bench.engine.change("start", other.clone());
    eventually("the second one gets requests", || bench.get("/api/web/x") == "second /base/x");
    bench.engine.end(&web);
    eventually("only the second one is left", || (0..20).all(|_| bench.get("/api/web/x") == "second /base/x"));
    bench.engine.change("pause", Container { state: "paused", ..other.clone() });
    bench.wait_until("web", "no_route");
    bench.engine.change("unpause", other.clone());
    bench.wait_until("web", "second");

    // It leaves its network, and comes back.
    bench.engine.change("disconnect", Container { networks: Vec::new(), ..other.clone() });
    bench.wait_until("web", "no_route");
    bench.engine.change("connect", other.clone());
    bench.wait_until("web", "second");
    bench.engine.end(&other);
    bench.wait_until("web", "no_route");
    for path in bench.engine.requests().keys() {
        assert!(path.starts_with("/containers/") || path == "/events" || path == "/version", "{path}");
    }
    bench.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn a_service_lives_as_long_as_its_containers_at_a_socket() {
    a_service_lives(Version::V1_52, false);
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn a_service_lives_as_long_as_its_containers_behind_a_proxy_and_with_an_older_engine() {
    a_service_lives(Version::V1_44, true);
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn what_runs_already_is_served_from_the_first_request_on() {
    let shop = Container::at("shop", instance("first"));
    let bench = Bench::start(&[&shop]);
    assert_eq!(bench.get("/api/shop/x"), "first /x");
    call(bench.gateway.admin, "GET", "/readyz", &[], b"").expect(200);
    let token = bench.gateway.tokens(&serde_json::json!({"subject": "u1", "scope": "services:read"})).0;
    let listed = bench.gateway.get_with_token("/services/shop", &token).expect(200).json();
    assert_eq!(listed["instances"][0]["source"], "docker", "{listed}");
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn an_engine_that_restarts_is_found_again() {
    for is_tcp in [false, true] {
        let shop = Container::at("shop", instance("first"));
        let mut bench = Bench::of(Version::V1_52, is_tcp, Mode::Works, &[&shop]);
        bench.wait_for_subscription();
        for turn in 1..=2 {
            bench.engine.stop();
            eventually("the log says so", || bench.count("does not answer") == turn);
            assert_eq!(bench.responder("shop"), "first", "the last list serves");
            // What happens meanwhile is not told.
            let news = Container::at(["news", "mail"][turn - 1], instance("news"));
            bench.engine.change_silently(news.clone());
            bench.engine.restart();
            bench.wait_until(news.name, "news");
            assert_eq!((bench.responder("shop").as_str(), bench.count("answers again")), ("first", turn));
            bench.wait_for_subscription();
        }
        bench.engine.end(&shop);
        bench.wait_until("shop", "no_route");
        bench.gateway.is_unharmed();
    }
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn a_subscription_that_is_cut_or_talks_nonsense_is_replaced() {
    let shop = Container::at("shop", instance("first"));
    let bench = Bench::start(&[&shop]);
    bench.wait_for_subscription();
    let troubles: [&dyn Fn(); 4] = [
        &|| bench.engine.cut_subscriptions(),
        &|| bench.engine.send(b"this is no event\n"),
        &|| bench.engine.send(b"{\"Type\":\"container\",\"Action\":7}\n"),
        &|| bench.engine.send(b"{\"Type\":\"volume of the future\",\"Action\":\"start\"}\n"),
    ];
    for trouble in troubles {
        bench.wait_for_subscription();
        bench.engine.end_silently(&shop);
        trouble();
        bench.wait_until("shop", "no_route");
        bench.engine.cut_subscriptions();
        bench.wait_for_subscription();
        bench.engine.change("start", shop.clone());
        bench.wait_until("shop", "first");
    }
    bench.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn without_events_the_list_is_polled() {
    let shop = Container::at("shop", instance("first"));
    let bench = Bench::of(Version::V1_52, true, Mode::NoEvents, &[&shop]);
    assert_eq!(bench.responder("shop"), "first");
    eventually("the log says so", || bench.count("tells no changes (GET /events)") == 1);
    bench.engine.end_silently(&shop);
    bench.wait_until("shop", "no_route");
    bench.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn an_engine_that_hangs_delays_nothing_else() {
    let (shop, beside) = (Container::at("shop", instance("first")), format!("http://{}", instance("beside")));
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(Place::Socket(folder.path().join("docker.sock")), Version::V1_52);
    engine.change_silently(shop.clone());
    engine.set_mode(Mode::Hangs);
    let gateway = Gateway::with(&[("DOCKER_URL", &engine.host()), ("BESIDE_SERVICE_URL", &beside)]);
    let (token, _) = gateway.tokens(&serde_json::json!({"subject": "u1"}));
    let bench = Bench { engine, gateway, token, _folder: folder };
    assert_eq!((bench.responder("beside").as_str(), bench.responder("shop").as_str()), ("beside", "no_route"));
    let readiness = call(bench.gateway.admin, "GET", "/readyz", &[], b"");
    assert_eq!(readiness.status, 503, "the first list is waited for: {}", readiness.text());
    eventually("it is ready without it", || call(bench.gateway.admin, "GET", "/readyz", &[], b"").status == 200);
    eventually("the log says so", || bench.count("no list in time") == 1);
    bench.engine.set_mode(Mode::Works);
    bench.wait_until("shop", "first");
    bench.wait_for_subscription();
    // It hangs again, and is asked again.
    bench.engine.set_mode(Mode::Hangs);
    bench.engine.send(b"{\"Type\":\"container\",\"Action\":\"start\"}\n");
    eventually("the log says so", || bench.count("no list in time") == 2);
    assert_eq!(bench.responder("shop"), "first");
    bench.engine.set_mode(Mode::Works);
    bench.engine.end_silently(&shop);
    bench.wait_until("shop", "no_route");
    bench.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn documents_that_cannot_be_read_change_nothing() {
    let shop = Container::at("shop", instance("first"));
    let news = Container::at("news", instance("news"));
    let bench = Bench::start(&[&shop]);
    for mode in [Mode::ListIsBroken, Mode::ListIsCut, Mode::ListIsEndless] {
        bench.wait_for_subscription();
        bench.engine.set_mode(mode);
        let before = bench.count("does not answer");
        bench.engine.change("start", news.clone());
        eventually("the log says so", || bench.count("does not answer") > before);
        assert_eq!((bench.responder("shop").as_str(), bench.responder("news").as_str()), ("first", "no_route"));
        bench.engine.set_mode(Mode::Works);
        bench.wait_until("news", "news");
        bench.wait_for_subscription();
        bench.engine.end(&news);
        bench.wait_until("news", "no_route");
    }
    assert!(bench.count("the engine sent more than 32 MiB") > 0, "an endless list ends by its size, not by its time");
    // Nothing is known of single containers: those that were served stay.
    bench.wait_for_subscription();
    bench.engine.set_mode(Mode::DescriptionsAreBroken);
    bench.engine.change("start", news.clone());
    eventually("the log says so", || bench.count("the engine does not describe a container") == 2);
    assert_eq!((bench.responder("shop").as_str(), bench.responder("news").as_str()), ("first", "no_route"));
    bench.engine.end(&shop);
    bench.wait_until("shop", "no_route");
    bench.engine.set_mode(Mode::Works);
    bench.engine.change("update", news);
    bench.wait_until("news", "news");
    bench.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn a_wrong_label_concerns_its_container_alone_and_is_told_once() {
    let address = instance("first");
    let good = Container::at("good", address);
    let two_ports = Container { exposed: vec!["80/tcp".into(), "443/tcp".into(), "53/udp".into()], ..good.clone() };
    let two_networks =
        Container { networks: vec![("a", "127.0.0.1".into()), ("b", "127.0.0.1".into())], ..good.clone() };
    let cases = [
        (two_ports, "it exposes the TCP ports 80, 443; set gateway.port to one of them"),
        (Container { exposed: vec!["53/udp".into()], ..good.clone() }, "it exposes no TCP port; set gateway.port"),
        (two_networks, "it is in the networks a, b; set gateway.network"),
        (Container { networks: vec![("host", String::new())], ..good.clone() }, "it has no address in a network"),
        (good.clone().labelled("gateway.port", "http"), "gateway.port must be 1 to 65535, not \"http\""),
        (good.clone().labelled("gateway.protocol", "ftp"), "gateway.protocol must be http or h2c, not \"ftp\""),
        (good.clone().labelled("gateway.service", "My Shop"), "gateway.service must be 1 to 63 lower-case letters"),
        (good.clone().labelled("gateway.wieght", "2"), "\"gateway.wieght\" is no label of the gateway"),
    ];
    let names = ["wrong-a", "wrong-b", "wrong-c", "wrong-d", "wrong-e", "wrong-f", "wrong-g", "wrong-h"];
    let wrong: Vec<_> =
        names.into_iter().zip(&cases).map(|(name, (case, _))| Container { name, ..case.clone() }).collect();
    let bench = Bench::start(&wrong.iter().chain([&good]).collect::<Vec<_>>());
    bench.wait_for_subscription();
    // Another list is read.
    bench.engine.change("start", Container::at("late", address));
    bench.wait_until("late", "first");
    assert_eq!(bench.responder("good"), "first");
    for (name, (_, said)) in names.iter().zip(&cases) {
        assert_eq!(bench.responder(name), "no_route", "{name}");
        let console = bench.gateway.console();
        let lines: Vec<_> = console.lines().filter(|line| line.contains("WARN") && line.contains(name)).collect();
        assert!(lines.len() == 1 && lines[0].contains(said), "{lines:?}");
    }
    // Once repaired, it is served.
    bench.engine.change("start", Container::at("wrong-a", address));
    bench.wait_until("wrong-a", "first");
    bench.gateway.is_unharmed();
}

#[test]
#[cfg_attr(not(feature = "docker"), ignore = "needs the feature docker; scripts/test turns it on")]
fn thirty_containers_at_once_take_few_lists() {
    let address = instance("first");
    let bench = Bench::start(&[]);
    bench.wait_for_subscription();
    let lists = || bench.engine.requests()["/containers/json"];
    let before = lists();
    let names: Vec<&'static str> = (0..30).map(|n| &*Box::leak(format!("c{n}").into_boxed_str())).collect();
    for name in &names {
        bench.engine.change("start", Container::at(name, address));
    }
    for name in &names {
        bench.wait_until(name, "first");
    }
    assert!(lists() - before <= 6, "{} lists", lists() - before);
    bench.gateway.is_unharmed();
}
