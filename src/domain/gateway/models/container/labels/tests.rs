use std::collections::BTreeSet;

use super::*;
use crate::domain::gateway::models::container::ContainerHealth;

/// A running container with one port and one network.
fn container(labels: &[(&str, &str)]) -> Container {
    Container {
        id: "c1".to_owned(),
        name: "shop".to_owned(),
        created: 1,
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        is_running: true,
        health: ContainerHealth::Unchecked,
        exposed_ports: [8001].into(),
        networks: networks(&[("backend", &["172.18.0.5"])]),
    }
}

fn networks(networks: &[(&str, &[&str])]) -> BTreeMap<String, Vec<IpAddr>> {
    let addresses = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
    networks.iter().map(|(name, its)| ((*name).to_owned(), addresses(its))).collect()
}

fn own(networks: &[&str]) -> OwnContainer {
    OwnContainer { id: "gateway".to_owned(), networks: networks.iter().map(|&name| name.to_owned()).collect() }
}

/// Service and URL of what a container offers.
fn offered(container: &Container, own: Option<&OwnContainer>) -> Result<Option<(String, String)>, String> {
    let url = |instance: &Instance| {
        format!("{}://{}{} {}", instance.scheme(), instance.authority(), instance.base_path, instance.weight)
    };
    let offer = container.offer(own).map_err(|refusal| refusal.to_string())?;
    Ok(offer.map(|offer| (offer.service.to_string(), url(&offer.instance))))
}

fn with(labels: &[(&str, &str)]) -> Result<Option<(String, String)>, String> {
    offered(&container(&[&[("gateway.enable", "true")], labels].concat()), None)
}

fn refused(labels: &[(&str, &str)]) -> String {
    with(labels).unwrap_err()
}

fn service(labels: &[(&str, &str)]) -> String {
    with(labels).unwrap().unwrap().0
}

fn url(labels: &[(&str, &str)]) -> String {
    with(labels).unwrap().unwrap().1
}

#[test]
fn nothing_is_offered_unless_a_label_says_so() {
    assert_eq!(offered(&container(&[]), None), Ok(None));
    assert_eq!(offered(&container(&[("gateway.service", "shop"), ("gateway.port", "1")]), None), Ok(None));
    assert_eq!(offered(&container(&[("gateway.enable", "false")]), None), Ok(None));
    assert_eq!(offered(&container(&[("traefik.enable", "true")]), None), Ok(None));
    let offer = container(&[("gateway.enable", "true")]).offer(None).unwrap().unwrap();
    assert_eq!(offer.instance.source, Source::Docker);
    assert_eq!(offer.instance.addresses, ["172.18.0.5".parse::<IpAddr>().unwrap()]);
    assert_eq!((offer.is_named, offer.project), (false, None));
    assert_eq!(
        offered(&container(&[("gateway.enable", "yes")]), None),
        Err("gateway.enable must be true or false, not \"yes\"".to_owned())
    );
}

#[test]
fn keys_are_case_insensitive_and_labels_of_others_are_theirs() {
    let upper =
        container(&[("Gateway.Enable", "TRUE"), ("GATEWAY.PORT", "9000"), ("gateway.networking.k8s.io/x", "1")]);
    assert_eq!(offered(&upper, None), Ok(Some(("shop".into(), "http://172.18.0.5:9000 1".into()))));
    assert_eq!(
        refused(&[("gateway.port", "1"), ("Gateway.port", "2")]),
        "\"gateway.port\" is there twice, in upper and in lower case and with different values; remove one"
    );
    assert_eq!(url(&[("gateway.port", "1"), ("Gateway.port", "1")]), "http://172.18.0.5:1 1");
    assert_eq!(
        refused(&[("gateway.prot", "1")]),
        "\"gateway.prot\" is no label of the gateway; its labels are gateway.enable, gateway.service, gateway.port, \
         gateway.protocol, gateway.path, gateway.weight, gateway.network"
    );
    for (keys, expected) in
        [(&["a", "gateway.x"][..], true), (&["GATEWAY.enable"], true), (&["gateways", "gatewa", "é"], false)]
    {
        assert_eq!(has_gateway_labels(keys.iter().copied()), expected, "{keys:?}");
    }
}

#[test]
fn a_service_is_named_by_its_label_by_compose_or_by_the_container() {
    assert_eq!(service(&[]), "shop");
    assert_eq!(service(&[(COMPOSE_SERVICE, "web")]), "web");
    assert_eq!(service(&[(COMPOSE_SERVICE, "web"), ("gateway.service", "front")]), "front");
    let offer = container(&[("gateway.enable", "true"), (COMPOSE_PROJECT, "p"), ("gateway.service", "front")]);
    let offer = offer.offer(None).unwrap().unwrap();
    assert_eq!((offer.is_named, offer.project.as_deref()), (true, Some("p")));
    assert_eq!(
        refused(&[("gateway.service", "Front")]),
        "gateway.service must be 1 to 63 lower-case letters, digits and hyphens, and begin with a letter, not \"Front\""
    );
    assert!(
        refused(&[(COMPOSE_SERVICE, "my_web")])
            .starts_with("\"my_web\" cannot be the name of a service; set gateway.service")
    );
    assert!(refused(&[("gateway.service", "stand-in")]).contains("the service stand-in belongs to the gateway"));
    let long = "x".repeat(5_000);
    assert!(refused(&[("gateway.service", &long)]).len() < 300);
}

#[test]
fn the_port_is_the_label_or_the_only_exposed_one() {
    assert_eq!(url(&[]), "http://172.18.0.5:8001 1");
    assert_eq!(url(&[("gateway.port", "65535")]), "http://172.18.0.5:65535 1");
    for port in ["0", "65536", "http", "80/tcp", "", "+80 "] {
        assert_eq!(refused(&[("gateway.port", port)]), format!("gateway.port must be 1 to 65535, not {port:?}"));
    }
    let exposing = |ports: &[u16]| {
        let ports: BTreeSet<u16> = ports.iter().copied().collect();
        offered(&Container { exposed_ports: ports, ..container(&[("gateway.enable", "true")]) }, None).unwrap_err()
    };
    assert_eq!(exposing(&[]), "it exposes no TCP port; set gateway.port to the port that it listens on");
    assert_eq!(exposing(&[443, 80]), "it exposes the TCP ports 80, 443; set gateway.port to one of them");
    let several = Container {
        exposed_ports: [80, 443].into(),
        ..container(&[("gateway.enable", "true"), ("gateway.port", "9000")])
    };
    assert_eq!(offered(&several, None).unwrap().unwrap().1, "http://172.18.0.5:9000 1");
}

#[test]
fn protocol_path_and_weight_are_those_of_the_labels() {
    let all = [("gateway.protocol", "h2c"), ("gateway.path", "/base/v1"), ("gateway.weight", "7")];
    assert_eq!(url(&all), "h2c://172.18.0.5:8001/base/v1 7");
    assert_eq!(url(&[("gateway.path", "/")]), "http://172.18.0.5:8001 1");
    assert_eq!(refused(&[("gateway.protocol", "https")]), "gateway.protocol must be http or h2c, not \"https\"");
    assert_eq!(refused(&[("gateway.weight", "0")]), "gateway.weight must be 1 to 1000, not \"0\"");
    assert_eq!(refused(&[("gateway.weight", "1001")]), "gateway.weight must be 1 to 1000, not \"1001\"");
    for path in ["base", "/base/", "//base", "/a/../b", "/a?b", "/a#b", "/%61", "/a;b"] {
        assert!(
            refused(&[("gateway.path", path)]).starts_with("gateway.path must be a path such as /base, "),
            "{path}"
        );
    }
}

#[test]
fn only_a_container_that_is_ready_is_offered() {
    let ready = container(&[("gateway.enable", "true")]);
    for health in [ContainerHealth::Unchecked, ContainerHealth::Healthy] {
        assert!(offered(&Container { health, ..ready.clone() }, None).unwrap().is_some());
    }
    for health in [ContainerHealth::Starting, ContainerHealth::Unhealthy] {
        assert_eq!(offered(&Container { health, ..ready.clone() }, None), Ok(None), "{health:?}");
    }
    assert_eq!(offered(&Container { is_running: false, ..ready.clone() }, None), Ok(None));
    // Its labels are wrong already now; it has no address yet.
    let starting =
        Container { is_running: false, networks: BTreeMap::new(), ..container(&[("gateway.enable", "true")]) };
    assert_eq!(offered(&starting, None), Ok(None));
    let wrong = Container { is_running: false, ..container(&[("gateway.enable", "true"), ("gateway.port", "x")]) };
    assert!(offered(&wrong, None).is_err());
    // `docker compose run web sh` has the labels of the service web.
    assert_eq!(with(&[(COMPOSE_SERVICE, "web"), (COMPOSE_ONE_OFF, "True")]), Ok(None));
    assert!(with(&[(COMPOSE_SERVICE, "web"), (COMPOSE_ONE_OFF, "False")]).unwrap().is_some());
}

#[test]
fn the_address_is_never_one_of_several_by_chance() {
    let two = |labels: &[(&str, &str)]| Container {
        networks: networks(&[("front", &["172.19.0.5"]), ("p_back", &["172.18.0.5"]), ("none", &[])]),
        ..container(&[&[("gateway.enable", "true"), (COMPOSE_PROJECT, "p")], labels].concat())
    };
    let host = |container: &Container, own: Option<&OwnContainer>| {
        offered(container, own).map(|offered| offered.unwrap().1.split(['/', ':']).nth(3).unwrap().to_owned())
    };
    assert_eq!(
        host(&two(&[]), None),
        Err("it is in the networks front, p_back; set gateway.network to the one in which the gateway reaches it"
            .into())
    );
    for (network, address) in [("front", "172.19.0.5"), ("p_back", "172.18.0.5"), ("back", "172.18.0.5")] {
        assert_eq!(host(&two(&[("gateway.network", network)]), None).as_deref(), Ok(address), "{network}");
    }
    for network in ["none", "other", ""] {
        assert_eq!(
            host(&two(&[("gateway.network", network)]), None),
            Err(format!(
                "gateway.network must be one of its networks with an address (front, p_back), not {network:?}"
            ))
        );
    }
    // The gateway's own networks decide, and the label wins over them.
    assert_eq!(host(&two(&[]), Some(&own(&["p_back", "other"]))).as_deref(), Ok("172.18.0.5"));
    assert_eq!(host(&two(&[]), Some(&own(&["front", "p_back"]))).as_deref(), Ok("172.19.0.5"));
    assert_eq!(host(&two(&[("gateway.network", "front")]), Some(&own(&["p_back"]))).as_deref(), Ok("172.19.0.5"));
    let apart = "it is in none of the gateway's networks, only in front, p_back; connect both to one, or set gateway.network if \
                 there is a way";
    assert_eq!(host(&two(&[]), Some(&own(&["none"]))), Err(apart.to_owned()));
    assert!(host(&container(&[("gateway.enable", "true")]), Some(&own(&["other"]))).is_err());
    // With the host's network the gateway reaches every network, as if it ran in no container.
    assert_eq!(host(&container(&[("gateway.enable", "true")]), Some(&own(&["host"]))).as_deref(), Ok("172.18.0.5"));
    assert!(host(&two(&[]), Some(&own(&["host"]))).unwrap_err().starts_with("it is in the networks"));
}

#[test]
fn a_container_without_an_address_says_what_to_do_instead() {
    for its in [networks(&[]), networks(&[("host", &[])])] {
        let nowhere = Container { networks: its, ..container(&[("gateway.enable", "true")]) };
        assert!(offered(&nowhere, None).unwrap_err().contains("declare its address in <NAME>_SERVICE_URL"));
    }
}

#[test]
fn both_addresses_of_a_network_are_one_instance() {
    let both = Container {
        networks: networks(&[("backend", &["172.18.0.5", "fd00::5"])]),
        ..container(&[("gateway.enable", "true")])
    };
    let instance = both.offer(None).unwrap().unwrap().instance;
    assert_eq!((instance.addresses.len(), instance.authority().as_str()), (2, "172.18.0.5:8001"));
    let v6 = Container { networks: networks(&[("backend", &["fd00::5"])]), ..both };
    assert_eq!(offered(&v6, None).unwrap().unwrap().1, "http://[fd00::5]:8001 1");
}

#[test]
fn the_gateway_is_no_service_behind_itself() {
    let gateway = container(&[("gateway.enable", "true"), ("gateway.port", "9090")]);
    let own = OwnContainer { id: gateway.id.clone(), ..own(&["backend"]) };
    assert!(offered(&gateway, Some(&own)).unwrap_err().starts_with("it is the gateway itself"));
}
