use bollard::models::ContainerInspectResponse;
use serde_json::{Value, json};

use super::*;
use crate::{
    domain::gateway::models::container::{Container, ContainerHealth},
    ports::testing::TestClock,
};

fn engine(own_id: Option<&str>) -> DockerEngine {
    DockerEngine {
        address: Address::Socket("/does/not/exist.sock".into()),
        own_id: own_id.map(str::to_owned),
        clock: TestClock::at(1_000_000),
    }
}

fn summary(document: Value) -> ContainerSummary {
    serde_json::from_value(document).unwrap()
}

fn described(document: Value) -> Container {
    let inspected: ContainerInspectResponse = serde_json::from_value(document).unwrap();
    let summary = summary(json!({"Id": "c1", "Names": ["/other/alias", "/shop"], "Created": 7}));
    container("c1".to_owned(), &summary, inspected)
}

#[test]
fn a_description_is_read_as_far_as_it_is_there() {
    let nothing = described(json!({}));
    assert_eq!((nothing.name.as_str(), nothing.created, nothing.is_running), ("shop", 7, false));
    let whole = described(json!({
        "State": {"Running": true, "Health": {"Status": "starting", "Log": null}},
        "Config": {
            "Labels": {"gateway.enable": "true"},
            "ExposedPorts": {"80/tcp": {}, "443": {}, "53/udp": {}, "0/tcp": {}, "9000-9002/tcp": {}},
        },
        "NetworkSettings": {
            "IPAddress": "192.0.2.1",
            "Networks": {
                "both": {"IPAddress": "172.18.0.5", "GlobalIPv6Address": "fd00::5"},
                "host": {"IPAddress": "", "GlobalIPv6Address": ""},
                "odd": {"IPAddress": "0.0.0.0", "GlobalIPv6Address": "x"},
            },
        },
    }));
    assert!(whole.is_running && whole.labels.contains_key("gateway.enable"));
    assert_eq!(whole.exposed_ports, [80, 443].into());
    let networks = whole
        .networks
        .into_iter()
        .map(|(name, addresses)| (name, addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")));
    let expected = [("both", "172.18.0.5 fd00::5"), ("host", ""), ("odd", "")];
    assert_eq!(networks.collect::<Vec<_>>(), expected.map(|(name, addresses)| (name.to_owned(), addresses.to_owned())));
}

#[test]
fn the_state_is_that_of_the_flags_and_the_check() {
    for (state, is_running, health) in [
        (json!({"Running": true}), true, ContainerHealth::Unchecked),
        (json!({"Running": true, "Health": null}), true, ContainerHealth::Unchecked),
        (json!({"Running": true, "Health": {"Status": "none"}}), true, ContainerHealth::Unchecked),
        (json!({"Running": true, "Health": {"Status": ""}}), true, ContainerHealth::Unchecked),
        (json!({"Running": true, "Health": {"Status": "healthy"}}), true, ContainerHealth::Healthy),
        (json!({"Running": true, "Health": {"Status": "unhealthy"}}), true, ContainerHealth::Unhealthy),
        (json!({"Running": true, "Paused": true}), false, ContainerHealth::Unchecked),
        (json!({"Running": true, "Restarting": true}), false, ContainerHealth::Unchecked),
        (json!({"Running": false}), false, ContainerHealth::Unchecked),
    ] {
        let container = described(json!({"State": state}));
        assert_eq!((container.is_running, container.health), (is_running, health), "{state}");
    }
}

#[test]
fn the_gateways_own_container_is_found_by_the_beginning_of_its_id() {
    let running = [
        summary(json!({"Id": "0123456789abffff", "NetworkSettings": {"Networks": {"other": {}}}})),
        summary(json!({"Id": "8dfafdbc3a4012a9", "NetworkSettings": {"Networks": {"back": {}, "front": {}}}})),
    ];
    let own = engine(Some("8dfafdbc3a40")).own(&running).unwrap();
    assert_eq!((own.id.as_str(), own.networks), ("8dfafdbc3a4012a9", ["back".to_owned(), "front".to_owned()].into()));
    assert_eq!(engine(Some("ffffffffffff")).own(&running), None);
    assert_eq!(engine(None).own(&running), None);
}

#[test]
fn the_checks_of_healthy_containers_are_no_changes() {
    for action in ["start", "die", "health_status: unhealthy", "health_status", "connect", "rename"] {
        assert!(may_matter(action), "{action}");
    }
    for action in ["exec_create: true", "exec_start: true", "exec_die", "attach", "top", "", "create", "starting"] {
        assert!(!may_matter(action), "{action}");
    }
}

#[tokio::test]
async fn an_engine_without_a_socket_is_an_error_in_words() {
    let error = EngineError("there is no socket /does/not/exist.sock".to_owned());
    let engine = engine(None);
    assert_eq!(engine.containers().await, Err(error.clone()));
    assert_eq!(engine.changes().next().await, Err(error));
    // A port of the machine itself at which nothing listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    drop(listener);
    let engine = DockerEngine { address: Address::Tcp(authority.into()), ..engine };
    assert_eq!(engine.containers().await, Err(EngineError("Connection refused".to_owned())));
}

/// An engine whose responses begin like this and never end.
fn endless(begin: &'static str) -> DockerEngine {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string().into());
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let more = vec![b' '; 64 * 1024];
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{begin}").as_bytes());
            while stream.write_all(&more).is_ok() {}
        }
    });
    DockerEngine { address, ..engine(None) }
}

#[tokio::test]
async fn an_engine_that_does_not_end_is_cut_off() {
    let more_than = |mebibytes| EngineError(format!("the engine sent more than {mebibytes} MiB"));
    assert_eq!(endless("[").containers().await, Err(more_than(32)));
    // Of a subscription, the library does not say why it has ended.
    let ended = EngineError("error reading a body from connection".to_owned());
    assert_eq!(endless("{").changes().next().await, Err(ended));
    let engine = endless("{");
    let docker = engine.connect(MAX_DESCRIPTION_BYTES).unwrap();
    let listed = summary(json!({"Id": "c1", "Names": ["/shop"]}));
    let described = engine.describe(&docker, listed, Instant::now() + DESCRIPTIONS_TIMEOUT).await;
    let Some(ListedContainer::Unknown { error, .. }) = described else { panic!("{described:?}") };
    assert_eq!(error, more_than(2));
}
