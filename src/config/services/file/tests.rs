use std::{fs, time::Duration};

use super::*;
use crate::{
    config::{Settings, Sources},
    domain::gateway::models::service::{Balancing, Breaker, Ejection, HashKey, HealthCheck, ServicePolicy, ServiceTls},
};

const DEVELOPMENT: (&str, &str) = ("GATEWAY_ENV", "development");

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Vec<DeclaredService>, Vec<String>> {
    let sources = Sources::default()
        .with_environment([DEVELOPMENT])
        .with_environment(variables.iter().copied())
        .with_routes_file("gateway.toml", text);
    said(Settings::from_sources(&sources))
}

fn said(settings: Result<Settings, crate::config::Mistakes>) -> Result<Vec<DeclaredService>, Vec<String>> {
    settings.map(|settings| settings.services).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn policy_of(lines: &str) -> Result<ServicePolicy, Vec<String>> {
    read(&format!("[services.shop]\n{lines}\n"), &[]).map(|services| ServicePolicy::clone(&services[0].policy))
}

#[test]
fn a_service_is_read_whole() {
    let text = r#"
[services.shop]
balance = "hash"
hash_on = "header:X-Tenant"
slow_start = "30s"
check = { path = "/up", interval = "2s", timeout = "500ms", status = "200-204", unhealthy_after = 2, healthy_after = 4 }
eject = { after = 3, time = "1s", max_time = "1m" }
breaker = { failures = 20, requests = 5, window = "1s", open = "2s" }
max_requests = 50
max_pending = 10
connection_age = "5m"

[services.shop.tls]
ca = "ca.pem"
client_certificate = "client.pem"
client_key = "client.key"
server_name = "shop.internal"
"#;
    let whole = ServicePolicy {
        balancing: Balancing::Hash(HashKey::Header("x-tenant".to_owned())),
        slow_start: Duration::from_secs(30),
        check: Some(HealthCheck {
            path: "/up".parse().unwrap(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_millis(500),
            status: 200..=204,
            unhealthy_after: 2,
            healthy_after: 4,
        }),
        ejection: Ejection { after: 3, time: Duration::from_secs(1), max_time: Duration::from_mins(1) },
        breaker: Some(Breaker {
            failures: 20,
            requests: 5,
            window: Duration::from_secs(1),
            open: Duration::from_secs(2),
        }),
        max_requests: Some(50),
        max_pending: Some(10),
        connection_age: Some(Duration::from_mins(5)),
        tls: ServiceTls {
            ca: Some("ca.pem".into()),
            client: Some(("client.pem".into(), "client.key".into())),
            server_name: Some("shop.internal".to_owned()),
        },
    };
    let [shop] = read(text, &[]).unwrap().try_into().unwrap();
    assert_eq!((shop.name.as_str(), shop.urls.len(), &*shop.policy), ("shop", 0, &whole));
}

#[test]
fn urls_are_written_as_in_a_variable_or_as_a_list() {
    for text in ["url = 'http://a:1, h2c://[::1]:2/base,'", "url = ['http://a:1', 'h2c://[::1]:2/base']"] {
        let [shop] = read(&format!("[services.shop]\n{text}"), &[]).unwrap().try_into().unwrap();
        assert_eq!(shop.urls.iter().map(ToString::to_string).collect::<Vec<_>>(), ["http://a:1", "h2c://[::1]:2/base"]);
        assert_eq!(*shop.policy, ServicePolicy::default());
    }
}

#[test]
fn the_url_may_come_from_a_variable_and_the_policy_from_the_file() {
    let services = read(
        "[services.shop]\nbalance = 'round-robin'\n[services.user-mail]\nurl = 'http://m'\n",
        &[("SHOP_SERVICE_URL", "http://a:1"), ("NEWS_SERVICE_URL", "http://n")],
    )
    .unwrap();
    let seen: Vec<_> =
        services.iter().map(|service| (service.name.as_str(), service.urls.len(), &service.policy.balancing)).collect();
    assert_eq!(
        seen,
        [
            ("news", 1, &Balancing::LeastOfTwo),
            ("shop", 1, &Balancing::RoundRobin),
            ("user-mail", 1, &Balancing::LeastOfTwo)
        ]
    );
}

#[test]
fn a_url_in_both_places_is_a_mistake_that_names_both() {
    let sources = Sources::default()
        .with_environment([DEVELOPMENT])
        .with_dotenv("\nUSER_MAIL_SERVICE_URL=http://a:1\n")
        .with_routes_file("gateway.toml", "[services.user-mail]\nurl = 'http://b:1'\n");
    assert_eq!(
        said(Settings::from_sources(&sources)).unwrap_err(),
        [
            "gateway.toml line 2: url must not be set beside USER_MAIL_SERVICE_URL (.env line 2), which has the URL of user-mail; \
          remove one of them"
        ]
    );
}

#[test]
fn every_way_to_balance_is_read_with_what_belongs_to_it() {
    let balancing = |lines: &str| policy_of(lines).map(|policy| policy.balancing);
    for (lines, balancing_of) in [
        ("", Balancing::LeastOfTwo),
        ("balance = 'least-of-two'", Balancing::LeastOfTwo),
        ("balance = 'round-robin'", Balancing::RoundRobin),
        ("balance = 'least-requests'", Balancing::LeastRequests),
        ("balance = 'hash'\nhash_on = 'client'", Balancing::Hash(HashKey::Client)),
        ("balance = 'hash'\nhash_on = 'cookie:Cart'", Balancing::Hash(HashKey::Cookie("Cart".to_owned()))),
        ("balance = 'sticky'\ncookie = 'shop_instance'", Balancing::StickyCookie("shop_instance".to_owned())),
    ] {
        assert_eq!(balancing(lines), Ok(balancing_of), "{lines}");
    }
    for (lines, begin) in [
        (
            "balance = 'random'",
            "2: balance must be least-of-two, round-robin, least-requests, hash or sticky, not \"random\"",
        ),
        ("balance = 'hash'", "2: balance needs hash_on with \"hash\"; it says which requests belong together"),
        ("balance = 'sticky'", "2: balance needs cookie with \"sticky\"; it names the cookie"),
        ("hash_on = 'client'", "2: hash_on needs balance = \"hash\""),
        ("balance = 'hash'\nhash_on = 'client'\ncookie = 'a'", "4: cookie needs balance = \"sticky\""),
        (
            "balance = 'hash'\nhash_on = 'X-Tenant'",
            "3: hash_on must be \"header:NAME\", \"cookie:NAME\" or \"client\", not",
        ),
        ("balance = 'hash'\nhash_on = 'header:X Tenant'", "3: hash_on must be"),
        ("balance = 'hash'\nhash_on = 'client:x'", "3: hash_on must be"),
        ("balance = 'sticky'\ncookie = 'gateway_session'", "3: cookie must be the name of a cookie, not"),
        ("balance = 'sticky'\ncookie = '__Host-a'", "3: cookie must be the name of a cookie, not"),
        ("balance = 'sticky'\ncookie = 'a b'", "3: cookie must be the name of a cookie, not"),
    ] {
        let said = balancing(lines).unwrap_err();
        assert_eq!(said.len(), 1, "{lines}: {said:#?}");
        assert!(said[0].starts_with(&format!("gateway.toml line {begin}")), "{said:?}\n{begin}");
    }
}

#[test]
fn a_part_of_a_table_leaves_the_rest_as_usual() {
    let check = |lines: &str| policy_of(lines).map(|policy| policy.check);
    assert_eq!(check("check = {}"), Ok(Some(HealthCheck::default())));
    let often = check("check = { interval = '200ms', status = '204' }").unwrap().unwrap();
    assert_eq!((often.timeout, often.status), (Duration::from_millis(200), 204..=204), "checks do not overlap");
    let breaker = |lines: &str| policy_of(lines).unwrap().breaker;
    assert_eq!((breaker("breaker = {}"), breaker("")), (Some(Breaker::default()), None));
    let ejection = |lines: &str| policy_of(lines).unwrap().ejection;
    assert_eq!(ejection("eject = { after = 0 }"), Ejection { after: 0, ..Ejection::default() });
    assert_eq!(ejection("eject = { time = '10m' }").max_time, Duration::from_mins(10));
}

#[test]
fn every_mistake_of_a_service_is_told_with_its_line() {
    let text = r#"
[services.Shop]
url = "http://a"

[services.shop]
url = ["http://a:1", "ftp://b", ""]
balanse = "hash"
slow_start = "2h"
max_requests = 0
max_pending = "many"
connection_age = "10ms"
check = { path = "up", interval = "1ms", statuss = "200", timeout = 5, unhealthy_after = 0 }

[services.news]
check = { interval = "1s", timeout = "2s", status = "299-200" }
eject = { time = "5m", max_time = "1m", after = -1 }
breaker = { failures = 0 }
tls = { client_key = "k", server_name = "a b" }

[[services.mail]]
"#;
    let begins = [
        "gateway.toml line 2: services must have the names of services, not \"Shop\"; a service name must have",
        "gateway.toml line 6: url must have no empty entry; leave url out",
        "gateway.toml line 6: url must be the URL of a service, not \"ftp://b\"; it must be http://",
        "gateway.toml line 7: a service must not have the field \"balanse\"; did you mean balance?",
        "gateway.toml line 8: slow_start must be a duration from 0s to 1h, such as 500ms or 10s, not \"2h\"",
        "gateway.toml line 9: max_requests must be 1 to 1000000, not 0",
        "gateway.toml line 10: max_pending must be a whole number, not \"many\"",
        "gateway.toml line 11: connection_age must be a duration from 1s to 1d, such as 500ms or 10s, not \"10ms\"",
        "gateway.toml line 12: check.path must be a path, such as /health, not \"up\"; a path must begin with /",
        "gateway.toml line 12: check.interval must be a duration from 100ms to 1h, such as 500ms or 10s, not \"1ms\"",
        "gateway.toml line 12: check must not have the field \"statuss\"; did you mean status?",
        "gateway.toml line 12: check.timeout must be a duration in quotes, such as \"500ms\" or \"10s\", not 5",
        "gateway.toml line 12: check.unhealthy_after must be 1 to 100, not 0",
        "gateway.toml line 15: check.timeout must be at most check.interval (1s), not \"2s\"; two checks of an instance",
        "gateway.toml line 15: check.status must be a status or a range, such as 204 or 200-299, not \"299-200\"",
        "gateway.toml line 16: eject.max_time must be at least eject.time (5m), not \"1m\"",
        "gateway.toml line 16: eject.after must be 0 to 1000, not -1",
        "gateway.toml line 17: breaker.failures must be 1 to 100, not 0",
        "gateway.toml line 18: tls.client_key needs client_certificate; the file with its certificate",
        "gateway.toml line 18: tls.server_name must be a host name or an IP address, not \"a b\"",
        "gateway.toml line 20: a service must be a table, under a line [services.NAME]",
    ];
    let said = read(text, &[]).unwrap_err();
    assert_eq!(said.len(), begins.len(), "{said:#?}");
    for (said, begin) in said.iter().zip(begins) {
        assert!(said.starts_with(begin), "{said}\n{begin}");
    }
}

/// A folder with the files of a certificate, and the settings with this table.
fn with_files(tls: &str) -> Result<ServicePolicy, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["shop.internal".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    fs::create_dir(folder.path().join("certs")).unwrap();
    for (name, text) in [
        ("certs/ca.pem", pair.cert.pem()),
        ("certs/key.pem", pair.signing_key.serialize_pem()),
        ("certs/other.pem", other.signing_key.serialize_pem()),
        ("certs/broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
        ("certs/gateway.toml", format!("[services.shop]\ntls = {tls}\n")),
        (".env", "GATEWAY_ENV=development\nGATEWAY_CONFIG=certs/gateway.toml\n".to_owned()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    said(Settings::from_sources(&Sources::read(folder.path())))
        .map(|services| ServicePolicy::clone(&services[0].policy))
}

#[test]
fn files_are_found_beside_the_file_that_names_them() {
    let tls = with_files("{ ca = 'ca.pem', client_certificate = 'ca.pem', client_key = 'key.pem' }").unwrap().tls;
    assert!(tls.ca.unwrap().ends_with("certs/ca.pem"));
    assert!(tls.client.unwrap().1.ends_with("certs/key.pem"));
}

#[test]
fn a_file_that_is_missing_or_is_something_else_is_told_with_its_line_and_never_quoted() {
    for (tls, begin) in [
        ("{ ca = 'nowhere.pem' }", "tls.ca must name a readable file, not \"nowhere.pem\"; "),
        ("{ ca = 'key.pem' }", "tls.ca must name a file with the certificates of authorities in PEM"),
        (
            "{ ca = 'broken.pem' }",
            "tls.ca must name a file with valid certificates, not \"broken.pem\"; one in the file",
        ),
        (
            "{ client_certificate = 'ca.pem', client_key = 'other.pem' }",
            "tls.client_key must name the file with the key of the first certificate in tls.client_certificate, not",
        ),
        (
            "{ client_certificate = 'key.pem', client_key = 'key.pem' }",
            "tls.client_certificate must name a file with a certificate in PEM",
        ),
    ] {
        let said = with_files(tls).unwrap_err();
        let begin = format!("certs/gateway.toml line 2: {begin}");
        assert!(said.len() == 1 && said[0].starts_with(&begin), "{said:#?}\n{begin}");
        assert!(!said[0].contains("AAAA"), "{said:?}");
    }
}

#[test]
fn tls_is_refused_where_no_url_has_it() {
    let said = read("[services.shop]\nurl = 'http://a'\ntls = { server_name = 'a' }\n", &[]).unwrap_err();
    assert_eq!(said, ["gateway.toml line 3: tls must not be set; no URL of shop is https:// or h2s://"]);
}

/// People come from other proxies, and write what those call it.
#[test]
fn names_of_other_proxies_lead_to_ours() {
    let text = r#"
upstreams = []
[services.shop]
servers = ["http://a"]
lb = "round-robin"
healthCheck = "/health"
path = "/x"
[[routes]]
path = "/api/shop"
service = "shop"
proxy_pass = "http://a"
strip-path = true
host = "shop.example"
rateLimit = { limit = 5, window = "1m" }
colour = "red"
"#;
    let said = read(text, &[]).unwrap_err();
    let hints: Vec<&str> =
        said.iter().filter(|said| said.contains(" must ")).filter_map(|said| Some(said.rsplit_once("; ")?.1)).collect();
    let expected = [
        "did you mean [services.NAME]?",
        "did you mean url?",
        "did you mean balance?",
        "did you mean check?",
        "it is a field of [[routes]]",
        "the addresses stand in url of [services.NAME], and service = \"NAME\" leads there",
        "did you mean upstream_path?",
        "a route matches paths and methods, whatever the host",
        "did you mean rate_limit?",
        "docs/routes.md lists the fields",
    ];
    assert_eq!(hints, expected, "{said:#?}");
    let said = read("[[routes]]\npath = '/api/x'\nservice = 'x'\nrate_limit = { limit = 5, window = '1m' }\n", &[]);
    let said = said.unwrap_err();
    let meant = |field: &str| said.iter().any(|said| said.ends_with(&format!("; did you mean {field}?")));
    assert!(meant("requests") && meant("per"), "{said:#?}");
}
