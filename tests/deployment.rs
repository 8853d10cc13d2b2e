//! The files in `deploy/`, those for Compose and that for Railway say what the gateway does: they probe the right paths,
//! notice a gateway that leaves before it closes its port, and let it finish. Their settings are valid in production.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path, time::Duration};

use gateway::config::{Settings, Sources};
use serde_yaml::Value;

const COMPOSE_FILES: [&str; 3] =
    ["docker-compose.yml", "deploy/compose-replicas.yml", "examples/fastapi/docker-compose.yml"];
const HAPROXY: &str = include_str!("../deploy/haproxy.cfg");

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn manifest(name: &str) -> Value {
    yaml(&format!("deploy/kubernetes/{name}"))
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_else(|| panic!("{value:?} is no number of seconds")))
}

/// A duration as Compose and `HAProxy` write it.
fn duration(text: &str) -> Duration {
    let number = text.strip_suffix('s').unwrap_or_else(|| panic!("{text} is no number of seconds"));
    Duration::from_secs(number.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn defaults() -> Settings {
    Settings::from_sources(&Sources::default().with_environment([("GATEWAY_ENV", "development")])).unwrap()
}

/// How long a gateway may take to stop.
fn longest_stop(settings: &Settings) -> Duration {
    settings.listener.drain_grace + settings.listener.drain_timeout
}

/// The settings of the manifests, with a secret that has the keys of the example.
fn kubernetes_settings() -> Settings {
    let file_of_settings = file("deploy/kubernetes/settings.env");
    let lines = file_of_settings.lines().filter(|line| !line.starts_with('#'));
    let mut variables: Vec<(String, String)> = lines
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("no variable: {line}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let secret = manifest("secret.example.yaml");
    for name in secret["stringData"].as_mapping().unwrap().keys() {
        let value = match name.as_str().unwrap() {
            "DATABASE_URL" => "postgres://gateway@db/gateway",
            "REDIS_URL" => "redis://redis",
            "VAULT_KEY" => "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=",
            other => panic!("{other} needs a value here"),
        };
        variables.push((name.as_str().unwrap().to_owned(), value.to_owned()));
    }
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let routes = file("deploy/kubernetes/gateway.toml");
    let sources = Sources::default().with_environment(variables).with_routes_file("gateway.toml", &routes);
    Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The value after a word of `HAProxy`'s settings.
fn haproxy(word: &str) -> &'static str {
    let (_, rest) = HAPROXY.split_once(&format!(" {word} ")).unwrap_or_else(|| panic!("no {word}"));
    rest.split_whitespace().next().unwrap()
}

#[test]
fn the_manifests_are_all_listed_and_can_be_read() {
    let listed = manifest("kustomization.yaml");
    let listed: Vec<_> = listed["resources"].as_sequence().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in &listed {
        assert!(manifest(name)["kind"].is_string(), "{name}");
    }
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_yaml = Path::new(&*name).extension().is_some_and(|extension| extension == "yaml");
        let is_resource = is_yaml && !["kustomization.yaml", "secret.example.yaml"].contains(&&*name);
        assert!(!is_resource || listed.contains(&&*name), "{name} is not in kustomization.yaml");
    }
}

#[test]
fn kubernetes_probes_the_right_paths_and_waits_for_the_drain() {
    let settings = kubernetes_settings();
    let deployment = manifest("deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let probe = |name: &str| &container[name];
    for (name, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(probe(name)["httpGet"]["path"], path, "{name}");
        assert_eq!(probe(name)["httpGet"]["port"], "admin", "{name}");
    }
    let fails_after = |name: &str| {
        let failures = u32::try_from(probe(name)["failureThreshold"].as_u64().unwrap()).unwrap();
        seconds(&probe(name)["periodSeconds"]) * failures
    };
    assert!(fails_after("startupProbe") > defaults().startup_timeout, "the gateway still waits for its stores");
    assert!(fails_after("readinessProbe") < settings.listener.drain_grace, "the port is closed before it is noticed");
    assert!(seconds(&pod["terminationGracePeriodSeconds"]) > longest_stop(&settings), "it is killed while it drains");

    let ports = container["ports"].as_sequence().unwrap();
    let port = |name: &str| ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64().unwrap();
    assert_eq!(port("http"), u64::from(settings.listener.address.port()));
    assert_eq!(port("admin"), u64::from(settings.admin_address.port()));
    assert!(settings.admin_address.ip().is_unspecified(), "the node's probes cannot reach it");
    assert_eq!(manifest("service.yaml")["spec"]["ports"].as_sequence().unwrap().len(), 1, "no service for operators");
}

#[test]
fn kubernetes_runs_the_gateway_without_privileges() {
    let deployment = manifest("deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    assert!(file("Dockerfile").contains("--uid 10001"));
    assert_eq!(pod["securityContext"]["runAsUser"], 10001);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"]["drop"][0], "ALL");
}

#[test]
fn haproxy_notices_a_gateway_that_leaves_before_its_port_is_closed() {
    assert_eq!(haproxy("uri"), "/readyz");
    let failures: u32 = haproxy("fall").parse().unwrap();
    let noticed = duration(haproxy("inter")) * failures + duration(haproxy("timeout check"));
    assert!(noticed < defaults().listener.drain_grace, "{noticed:?}");
    // Otherwise probes could find no room.
    assert!(haproxy("maxconn").parse::<usize>().unwrap() < defaults().listener.max_connections);

    let compose = yaml("deploy/compose-replicas.yml");
    let services = compose["services"].as_mapping().unwrap();
    let address = services["haproxy"]["networks"]["replicas"]["ipv4_address"].as_str().unwrap();
    let gateways: Vec<_> = services.iter().filter(|(name, _)| name.as_str().unwrap().starts_with("gateway-")).collect();
    assert_eq!(gateways.len(), 3);
    for (name, gateway) in gateways {
        let name = name.as_str().unwrap();
        assert!(HAPROXY.contains(&format!("server {name} {name}:8080\n")), "{name}");
        assert_eq!(gateway["environment"]["TRUSTED_PROXIES"], address, "{name}");
        let limit = gateway["environment"]["MAX_CONNECTIONS_PER_CLIENT"].as_str().unwrap();
        assert_eq!(limit.parse(), Ok(defaults().listener.max_connections), "{name}");
    }
}

#[test]
fn compose_and_railway_wait_for_the_drain() {
    let longest_stop = longest_stop(&defaults());
    for path in COMPOSE_FILES {
        let compose = yaml(path);
        let gateways: Vec<_> = compose["services"]
            .as_mapping()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.as_str().unwrap().starts_with("gateway"))
            .collect();
        assert!(!gateways.is_empty(), "{path}");
        for (name, gateway) in gateways {
            let grace = duration(gateway["stop_grace_period"].as_str().unwrap());
            assert!(grace > longest_stop, "{path}: {name:?} is killed while it drains");
        }
    }
    // JSON is YAML.
    let railway = &yaml("railway.json")["deploy"];
    assert_eq!(railway["healthcheckPath"], "/readyz");
    assert!(seconds(&railway["drainingSeconds"]) > longest_stop);
    assert!(seconds(&railway["healthcheckTimeout"]) > defaults().startup_timeout);
}
