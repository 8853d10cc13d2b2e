//! Reads the engine's description of a container. Parts that are missing, or that no container can have, count as none.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState, ContainerSummary, EndpointSettings, HealthStatusEnum,
};

use crate::domain::gateway::models::container::{Container, ContainerHealth};

pub(super) fn container(id: String, summary: &ContainerSummary, inspected: ContainerInspectResponse) -> Container {
    let ContainerInspectResponse { state, config, network_settings, .. } = inspected;
    let state = state.unwrap_or_default();
    let ContainerConfig { labels, exposed_ports, .. } = config.unwrap_or_default();
    Container {
        id,
        name: name_of(summary),
        created: summary.created.unwrap_or_default(),
        labels: labels.unwrap_or_default().into_iter().collect(),
        is_running: is_running(&state),
        health: health(&state),
        exposed_ports: tcp_ports(&exposed_ports.unwrap_or_default()),
        networks: networks_of(network_settings.and_then(|settings| settings.networks).as_ref()),
    }
}

/// The name without its slash. Names with several slashes are those of links, which are out of date.
pub(super) fn name_of(summary: &ContainerSummary) -> String {
    let names = summary.names.as_deref().unwrap_or_default();
    let without_slash = |name: &String| name.trim_start_matches('/').to_owned();
    names.iter().map(without_slash).find(|name| !name.contains('/')).unwrap_or_default()
}

/// Networks with the addresses in them, IPv4 first: services that listen on one kind listen on that one.
pub(super) fn networks_of(networks: Option<&HashMap<String, EndpointSettings>>) -> BTreeMap<String, Vec<IpAddr>> {
    let addresses = |endpoint: &EndpointSettings| {
        let texts = [&endpoint.ip_address, &endpoint.global_ipv6_address];
        let parsed = texts.into_iter().filter_map(|text| text.as_ref()?.parse::<IpAddr>().ok());
        parsed.filter(|address| !address.is_unspecified()).collect()
    };
    networks.into_iter().flatten().map(|(name, endpoint)| (name.clone(), addresses(endpoint))).collect()
}

/// A paused container counts as running, too, by the engine's word; and so does one between two restarts.
fn is_running(state: &ContainerState) -> bool {
    let is = |flag: Option<bool>| flag.unwrap_or_default();
    is(state.running) && !is(state.paused) && !is(state.restarting) && !is(state.dead)
}

fn health(state: &ContainerState) -> ContainerHealth {
    match state.health.as_ref().and_then(|health| health.status) {
        None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) => ContainerHealth::Unchecked,
        Some(HealthStatusEnum::STARTING) => ContainerHealth::Starting,
        Some(HealthStatusEnum::HEALTHY) => ContainerHealth::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => ContainerHealth::Unhealthy,
    }
}

/// `80/tcp`, `53/udp`
fn tcp_ports(exposed: &[String]) -> BTreeSet<u16> {
    let port = |text: &String| {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        port.parse().ok().filter(|&port| port != 0 && protocol == "tcp")
    };
    exposed.iter().filter_map(port).collect()
}
