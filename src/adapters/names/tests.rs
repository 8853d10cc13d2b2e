//! Against a name server on a socket of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, SRV},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::*;

/// What the name server answers to a question.
#[derive(Clone)]
enum Answer {
    /// Names, TTLs and data.
    Records(Vec<(&'static str, u32, RData)>),
    Code(ResponseCode),
    /// Over UDP the answer is cut off.
    OnlyOverTcp(Vec<(&'static str, u32, RData)>),
    Silence,
}

/// A name server.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<BTreeMap<(String, RecordType), Answer>>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
}

impl Server {
    async fn start() -> (Self, SocketAddr) {
        let server = Self::default();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let (of_udp, of_tcp) = (server.clone(), server.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
                if let Some(response) = of_udp.respond(&buffer[..length], true) {
                    udp.send_to(&response, client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let server = of_tcp.clone();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut query = vec![0; length.into()];
                        stream.read_exact(&mut query).await.unwrap();
                        let Some(response) = server.respond(&query, false) else { continue };
                        stream.write_u16(response.len().try_into().unwrap()).await.unwrap();
                        stream.write_all(&response).await.unwrap();
                    }
                });
            }
        });
        (server, address)
    }

    fn set(&self, name: &str, kind: RecordType, answer: Answer) {
        self.answers.lock().unwrap().insert((name.to_owned(), kind), answer);
    }

    /// Addresses of a name; an answer without a record for the other kind.
    fn set_addresses(&self, name: &'static str, addresses: &[&str]) {
        for kind in [RecordType::A, RecordType::AAAA] {
            let all = addresses.iter().map(|address| RData::from(address.parse::<IpAddr>().unwrap()));
            let records = all.filter(|data| data.record_type() == kind).map(|data| (name, 60, data)).collect();
            self.set(name, kind, Answer::Records(records));
        }
    }

    fn asked(&self) -> Vec<(String, RecordType)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn respond(&self, query: &[u8], is_udp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).unwrap();
        let question = query.queries[0].clone();
        let name = question.name().to_ascii();
        let key = (name.trim_end_matches('.').to_ascii_lowercase(), question.query_type());
        self.asked.lock().unwrap().push(key.clone());
        let answer = self.answers.lock().unwrap().get(&key).cloned();
        let mut response = Message::response(query.metadata.id, OpCode::Query);
        response.add_query(question);
        let records = match answer {
            None => {
                response.metadata.response_code = ResponseCode::NXDomain;
                Vec::new()
            }
            Some(Answer::Code(code)) => {
                response.metadata.response_code = code;
                Vec::new()
            }
            Some(Answer::OnlyOverTcp(_)) if is_udp => {
                response.metadata.truncation = true;
                Vec::new()
            }
            Some(Answer::Records(records) | Answer::OnlyOverTcp(records)) => records,
            Some(Answer::Silence) => return None,
        };
        response
            .add_answers(records.into_iter().map(|(name, ttl, data)| Record::from_rdata(absolute(name), ttl, data)));
        Some(response.to_vec().unwrap())
    }
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

fn v4(address: &str) -> RData {
    RData::from(address.parse::<IpAddr>().unwrap())
}

fn parse(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

/// Names as a system with these files knows them.
struct Host {
    names: SystemNames,
    folder: tempfile::TempDir,
}

impl Host {
    /// `DNS_SERVERS`, and the text of both files; files without a text do not exist.
    fn new(servers: Vec<SocketAddr>, hosts: &str, resolv_conf: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [hosts_file, resolv_conf_file]: [PathBuf; 2] =
            ["hosts", "resolv.conf"].map(|name| folder.path().join(name));
        for (file, text) in [(&hosts_file, hosts), (&resolv_conf_file, resolv_conf)] {
            if !text.is_empty() {
                fs::write(file, text).unwrap();
            }
        }
        let system = System::of_files(servers, hosts_file, resolv_conf_file, Duration::ZERO);
        Self { names: SystemNames { system }, folder }
    }

    fn asking(server: SocketAddr) -> Self {
        Self::new(vec![server], "", "")
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NameError> {
        let mut found = self.names.addresses(name).await?.records;
        found.sort();
        Ok(found)
    }
}

#[tokio::test]
async fn a_name_has_all_its_addresses_and_the_shortest_ttl() {
    let (server, address) = Server::start().await;
    let host = Host::asking(address);
    server.set("auth", RecordType::A, Answer::Records(vec![("auth", 30, v4("10.0.0.1")), ("auth", 9, v4("10.0.0.2"))]));
    server.set("auth", RecordType::AAAA, Answer::Records(vec![("auth", 20, v4("fd00::1"))]));
    let mut found = host.names.addresses("auth").await.unwrap();
    found.records.sort();
    let records = parse(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
    assert_eq!(found, Resolved { records, ttl: Duration::from_secs(9), is_complete: true });
    // A repeated lookup asks again.
    assert_eq!(server.asked().len(), 2);
    server.set_addresses("auth", &["10.0.0.3"]);
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.0.0.3"])));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_alias_is_followed_and_its_ttl_counts() {
    let (server, address) = Server::start().await;
    let host = Host::asking(address);
    let alias = ("auth", 5, RData::CNAME(CNAME(absolute("real.example"))));
    // One that comes with its target, and one that does not.
    server.set("auth", RecordType::A, Answer::Records(vec![alias.clone(), ("real.example", 60, v4("10.0.0.1"))]));
    server.set("auth", RecordType::AAAA, Answer::Records(vec![alias]));
    server.set("real.example", RecordType::AAAA, Answer::Records(vec![("real.example", 60, v4("fd00::1"))]));
    let found = host.names.addresses("auth").await.unwrap();
    assert_eq!((found.records.len(), found.ttl), (2, Duration::from_secs(5)));
}

#[tokio::test]
async fn one_kind_of_address_will_do() {
    let (server, address) = Server::start().await;
    let host = Host::asking(address);
    server.set_addresses("v4", &["10.0.0.1"]);
    let found = host.names.addresses("v4").await.unwrap();
    assert_eq!((found.records, found.is_complete), (parse(&["10.0.0.1"]), true));
    // Whether the other kind exists stays open.
    for trouble in [Answer::Silence, Answer::Code(ResponseCode::ServFail)] {
        server.set("v4", RecordType::AAAA, trouble);
        let begin = Instant::now();
        let found = host.names.addresses("v4").await.unwrap();
        assert_eq!((found.records, found.is_complete), (parse(&["10.0.0.1"]), false));
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_missing_name_is_told_from_a_silent_server() {
    let (server, address) = Server::start().await;
    let host = Host::asking(address);
    server.set_addresses("nodata", &[]);
    server.set_addresses("blocked", &["0.0.0.0", "::"]);
    server.set("broken", RecordType::A, Answer::Code(ResponseCode::ServFail));
    server.set("refused", RecordType::A, Answer::Code(ResponseCode::Refused));
    for (name, kinds) in [("silent", [RecordType::A, RecordType::AAAA]), ("half", [RecordType::A; 2])] {
        for kind in kinds {
            server.set(name, kind, Answer::Silence);
        }
    }
    let long = "a".repeat(64);
    for name in ["missing", "nodata", "blocked", "name.invalid", &long] {
        assert_eq!(host.addresses(name).await, Err(NameError::Missing), "{name}");
    }
    for name in ["broken", "refused", "half", "silent"] {
        let begin = Instant::now();
        let outcome = host.addresses(name).await;
        assert!(matches!(outcome, Err(NameError::Unanswered(_))), "{name}: {outcome:?}");
        assert!(begin.elapsed() < Duration::from_secs(8), "{name}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_dead_server_beside_a_good_one_does_no_harm() {
    let (server, address) = Server::start().await;
    server.set_addresses("auth", &["10.0.0.1"]);
    // A socket that nobody reads.
    let silent = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let host = Host::new(vec![silent.local_addr().unwrap(), address], "", "");
    let begin = Instant::now();
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.0.0.1"])));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let (server, address) = Server::start().await;
    let many = (1..=200).map(|last| ("many", 60, v4(&format!("10.0.0.{last}")))).collect();
    server.set("many", RecordType::A, Answer::OnlyOverTcp(many));
    assert_eq!(Host::asking(address).addresses("many").await.map(|found| found.len()), Ok(200));
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> (&'static str, u32, RData) {
    ("_http._tcp.auth", 60, RData::SRV(SRV::new(priority, weight, port, absolute(target))))
}

#[tokio::test]
async fn srv_records_come_with_the_addresses_of_their_targets() {
    let (server, address) = Server::start().await;
    let host = Host::new(vec![address], "10.0.0.3 three.example\n", "");
    server.set_addresses("one.example", &["10.0.0.1", "fd00::1"]);
    for kind in [RecordType::A, RecordType::AAAA] {
        server.set("silent.example", kind, Answer::Silence);
    }
    let targets = vec![
        srv(1, 30, 8001, "One.example"),
        srv(1, 0, 8002, "three.example"),
        srv(2, 0, 8003, "silent.example"),
        srv(1, 0, 8004, "missing.example"),
        srv(1, 0, 0, "."),
    ];
    server.set("_http._tcp.auth", RecordType::SRV, Answer::Records(targets));
    let mut found = host.names.targets("_http._tcp.auth").await.unwrap();
    found.records.sort_by_key(|target| target.port);
    found.records[0].addresses.sort();
    let target = |host: &str, port, priority, weight, addresses: &[&str]| SrvTarget {
        host: host.to_owned(),
        port,
        priority,
        weight,
        addresses: parse(addresses),
    };
    assert_eq!(
        found.records,
        [
            target("one.example", 8001, 1, 30, &["10.0.0.1", "fd00::1"]),
            target("three.example", 8002, 1, 0, &["10.0.0.3"]),
            target("silent.example", 8003, 2, 0, &[]),
        ]
    );
    assert!(!found.is_complete);
}

#[tokio::test]
async fn a_service_that_srv_records_deny_is_missing() {
    let (server, address) = Server::start().await;
    let host = Host::asking(address);
    server.set("_http._tcp.auth", RecordType::SRV, Answer::Records(vec![srv(0, 0, 0, ".")]));
    assert_eq!(host.names.targets("_http._tcp.auth").await, Err(NameError::Missing));
    server.set("_http._tcp.auth", RecordType::SRV, Answer::Records(vec![srv(0, 0, 1, "missing.example")]));
    assert_eq!(host.names.targets("_http._tcp.auth").await, Err(NameError::Missing));
    server.set("_http._tcp.auth", RecordType::SRV, Answer::Code(ResponseCode::ServFail));
    assert!(matches!(host.names.targets("_http._tcp.auth").await, Err(NameError::Unanswered(_))));
}

#[tokio::test]
async fn the_search_list_is_tried_in_order_and_both_kinds_come_from_one_domain() {
    let (server, address) = Server::start().await;
    let resolv_conf = "nameserver 192.0.2.1\nsearch shop.local corp.local\noptions ndots:2\n";
    let host = Host::new(vec![address], "", resolv_conf);
    server.set_addresses("auth.shop.local", &["10.0.0.1"]);
    server.set_addresses("auth.corp.local", &["fd00::2"]);
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.0.0.1"])));
    server.set_addresses("auth.shop.local", &[]);
    assert_eq!(host.addresses("auth").await, Ok(parse(&["fd00::2"])));
    // A domain whose server is silent may have the name: another domain's host must not take its place.
    server.set("auth.shop.local", RecordType::A, Answer::Code(ResponseCode::ServFail));
    assert!(matches!(host.addresses("auth").await, Err(NameError::Unanswered(_))));
    // A name with a dot at its end is asked as it is.
    server.asked();
    assert_eq!(host.addresses("auth.").await, Err(NameError::Missing));
    assert!(server.asked().iter().all(|(name, _)| name == "auth"));
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_its_changes_count() {
    let (server, address) = Server::start().await;
    server.set_addresses("auth", &["10.0.0.1", "fd00::1"]);
    let host = Host::new(vec![address], "10.9.9.9 auth\n", "");
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.9.9.9"])));
    fs::write(host.folder.path().join("hosts"), "10.9.9.8 auth\n").unwrap();
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.9.9.8"])));
    fs::remove_file(host.folder.path().join("hosts")).unwrap();
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.0.0.1", "fd00::1"])));
}

#[tokio::test]
async fn a_system_without_name_servers_knows_its_own_hosts_and_says_what_is_missing() {
    let host = Host::new(Vec::new(), "10.9.9.9 auth\n", "");
    assert_eq!(host.addresses("auth").await, Ok(parse(&["10.9.9.9"])));
    assert_eq!(host.addresses("localhost").await, Ok(parse(&["127.0.0.1", "::1"])));
    let missing = host.addresses("board").await.unwrap_err().to_string();
    assert!(missing.contains("resolv.conf names none (") && missing.ends_with("; set DNS_SERVERS"), "{missing}");
    // The file comes into being.
    fs::write(host.folder.path().join("resolv.conf"), "nameserver 127.0.0.1\nsearch local\n").unwrap();
    let current = host.names.system.current();
    assert!(current.client().is_ok());
    // As long as nothing changes, connections to name servers are kept.
    assert!(Arc::ptr_eq(&current, &host.names.system.current()));
    fs::write(host.folder.path().join("resolv.conf"), "nameserver 127.0.0.2\nsearch local\n").unwrap();
    assert!(!Arc::ptr_eq(&current, &host.names.system.current()));
}
