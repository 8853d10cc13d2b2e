//! What discovery does as time passes. Time is tokio's, which a test turns on; name servers are a table.

mod following;
mod merging;
mod troubles;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::{Discovery, Found};
use crate::domain::gateway::{
    models::service::{DeclaredService, Instance, Service, ServiceName, Source},
    services::ports::{NameError, NameResolver, Resolved, ServicePublisher, SrvTarget},
};

/// What the name servers know of a name.
#[derive(Debug, Clone)]
enum Answer {
    Addresses(&'static [&'static str], Duration),
    /// Only a part of the questions gets an answer.
    Part(&'static [&'static str]),
    /// Host, port, priority, weight and addresses; no addresses if nothing is known about the host.
    Targets(Vec<(&'static str, u16, u16, u16, &'static [&'static str])>),
    Missing,
    /// No name server answers, as is known after a while.
    Silence,
    Panic,
    /// The resolver never returns.
    Never,
}

/// How long it takes until it is clear that no name server answers.
const SILENCE: Duration = Duration::from_secs(4);

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(10);

/// Name servers.
#[derive(Default)]
struct Table {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<(String, Instant)>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

/// Counts a lookup as under way until it is dropped.
struct UnderWay<'t>(&'t AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Table {
    fn set(&self, name: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(name.to_owned(), answer);
    }

    /// The times at which a name was asked for, since the last call.
    fn times(&self, name: &str) -> Vec<Instant> {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.iter().filter(|(known, _)| known == name).map(|(_, at)| *at).collect();
        asked.retain(|(known, _)| known != name);
        times
    }

    async fn answer(&self, name: &str) -> Result<Answer, NameError> {
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        let _under_way = UnderWay(&self.under_way);
        self.most_under_way.fetch_max(under_way, Ordering::Relaxed);
        self.asked.lock().unwrap().push((name.to_owned(), Instant::now()));
        let answer = self.answers.lock().unwrap().get(name).cloned().unwrap_or(Answer::Missing);
        match answer {
            Answer::Missing => Err(NameError::Missing),
            Answer::Silence => {
                sleep(SILENCE).await;
                Err(NameError::Unanswered("silence".to_owned()))
            }
            Answer::Panic => panic!("the resolver has a defect"),
            Answer::Never => std::future::pending().await,
            Answer::Addresses(..) | Answer::Part(_) | Answer::Targets(_) => {
                sleep(Duration::from_millis(1)).await;
                Ok(answer)
            }
        }
    }
}

fn parse(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[async_trait]
impl NameResolver for Table {
    async fn addresses(&self, host: &str) -> Result<Resolved<IpAddr>, NameError> {
        match self.answer(host).await? {
            Answer::Addresses(addresses, ttl) => Ok(Resolved { records: parse(addresses), ttl, is_complete: true }),
            Answer::Part(addresses) => Ok(Resolved { records: parse(addresses), ttl: SHORT, is_complete: false }),
            Answer::Targets(_) | Answer::Missing | Answer::Silence | Answer::Panic | Answer::Never => {
                Err(NameError::Missing)
            }
        }
    }

    async fn targets(&self, name: &str) -> Result<Resolved<SrvTarget>, NameError> {
        let Answer::Targets(targets) = self.answer(name).await? else { return Err(NameError::Missing) };
        let is_complete = targets.iter().all(|target| !target.4.is_empty());
        let targets = targets.into_iter().map(|(host, port, priority, weight, addresses)| SrvTarget {
            host: host.to_owned(),
            port,
            priority,
            weight,
            addresses: parse(addresses),
        });
        Ok(Resolved { records: targets.collect(), ttl: SHORT, is_complete })
    }
}

/// All publications.
#[derive(Default)]
struct Publications(Mutex<Vec<Vec<Service>>>);

impl ServicePublisher for Publications {
    fn publish_services(&self, services: &[Service]) {
        self.0.lock().unwrap().push(services.to_vec());
    }
}

/// Discovery with name servers and publications.
struct Bench {
    discovery: Arc<Discovery>,
    table: Arc<Table>,
    publications: Arc<Publications>,
}

impl Bench {
    fn new() -> Self {
        let (table, publications) = (Arc::<Table>::default(), Arc::<Publications>::default());
        Self { discovery: Discovery::new(table.clone(), publications.clone()), table, publications }
    }

    /// Declares services, each with its URLs.
    fn declare(&self, services: &[(&str, &[&str])]) {
        self.discovery.declare(services.iter().map(|(name, urls)| declared(name, urls)).collect());
    }

    /// The addresses of a service as published last: `10.0.0.1:80`, or `host:80` if there are several.
    fn addresses(&self, service: &str) -> Vec<String> {
        let published = self.publications.0.lock().unwrap();
        let services = published.last().map(Vec::as_slice).unwrap_or_default();
        let found = services.iter().find(|known| known.name.as_str() == service);
        found.map(|found| found.instances.iter().map(|instance| instance.address()).collect()).unwrap_or_default()
    }

    fn services(&self) -> Vec<String> {
        self.discovery.services().iter().map(|service| service.name.to_string()).collect()
    }

    fn publications(&self) -> usize {
        self.publications.0.lock().unwrap().len()
    }

    /// Whether the last lookup of the service's only name failed.
    fn is_troubled(&self, service: &str) -> bool {
        let [name] = self.discovery.names_of(&service.parse().unwrap()).try_into().unwrap();
        name.trouble.is_some()
    }
}

fn declared(name: &str, urls: &[&str]) -> DeclaredService {
    let urls = urls.iter().map(|url| url.parse().unwrap()).collect();
    DeclaredService { name: name.parse().unwrap(), urls, policy: Arc::default() }
}

/// What a source found: instances of services by address and port.
fn found(source: Source, services: &[(&str, &[&str])]) -> Found {
    let instance = |address: &&str| {
        let url = format!("http://{address}").parse().unwrap();
        let host = address.rsplit_once(':').unwrap().0;
        Arc::new(Instance::at(&url, url.port, parse(&[host]), source))
    };
    let of_service = |(name, addresses): &(&str, &[&str])| {
        (name.parse::<ServiceName>().unwrap(), addresses.iter().map(instance).collect())
    };
    services.iter().map(of_service).collect()
}

/// The times between two lookups, in milliseconds.
fn pauses(times: &[Instant]) -> Vec<u128> {
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect()
}
