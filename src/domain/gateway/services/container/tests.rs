//! What the following of containers does as time passes. Time is tokio's, which a test turns on; the engine is a table.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::{sync::mpsc, task::JoinHandle};

use super::*;
use crate::{
    domain::gateway::{
        models::{container::ContainerHealth, service::Service},
        services::{
            ports::{ContainerChanges, NameError, NameResolver, Resolved, ServicePublisher, SrvTarget},
            testing::Log,
        },
    },
    ports::testing::CountingEntropy,
};

/// What the engine answers to a request for the list.
#[derive(Clone)]
enum Answer {
    List(Vec<ListedContainer>),
    Fails,
    Never,
    Panic,
}

#[derive(Default)]
struct Engine {
    answer: Mutex<Option<Answer>>,
    /// What was asked for, and when.
    asked: Mutex<Vec<(&'static str, Instant)>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Result<(), EngineError>>>>,
    refuses_subscriptions: Mutex<bool>,
    /// Sent to the subscribers while the list is read, so often.
    changes_meanwhile: AtomicUsize,
}

impl Engine {
    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    /// Lists these from now on, and tells of a change.
    fn change(&self, containers: &[Container]) {
        self.set(Answer::List(containers.iter().cloned().map(ListedContainer::Known).collect()));
        self.tell(&Ok(()));
    }

    fn tell(&self, change: &Result<(), EngineError>) {
        self.subscribers.lock().unwrap().retain(|subscriber| subscriber.send(change.clone()).is_ok());
    }

    /// Ends the subscriptions.
    fn cut(&self) {
        self.tell(&Err(EngineError("the connection was closed".into())));
        self.subscribers.lock().unwrap().clear();
    }

    /// The times at which something was asked for, since the last call.
    fn times(&self, what: &str) -> Vec<Instant> {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.iter().filter(|(known, _)| *known == what).map(|(_, at)| *at).collect();
        asked.retain(|(known, _)| *known != what);
        times
    }

    fn note(&self, what: &'static str) {
        self.asked.lock().unwrap().push((what, Instant::now()));
    }
}

struct Subscription {
    engine: Arc<Engine>,
    changes: Option<mpsc::UnboundedReceiver<Result<(), EngineError>>>,
}

/// The engine is shared with the subscriptions.
struct Shared(Arc<Engine>);

#[async_trait]
impl ContainerEngine for Shared {
    async fn containers(&self) -> Result<ContainerList, EngineError> {
        self.0.note("list");
        sleep(Duration::from_millis(10)).await;
        let answer = self.0.answer.lock().unwrap().clone();
        if self
            .0
            .changes_meanwhile
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            self.0.tell(&Ok(()));
            sleep(Duration::from_millis(1)).await;
        }
        match answer {
            Some(Answer::List(containers)) => Ok(ContainerList { containers, own: None }),
            Some(Answer::Fails) | None => Err(EngineError("connection refused".into())),
            Some(Answer::Never) => std::future::pending().await,
            Some(Answer::Panic) => panic!("the engine has a defect"),
        }
    }

    fn changes(&self) -> Box<dyn ContainerChanges> {
        Box::new(Subscription { engine: Arc::clone(&self.0), changes: None })
    }
}

#[async_trait]
impl ContainerChanges for Subscription {
    async fn next(&mut self) -> Result<(), EngineError> {
        if self.changes.is_none() {
            self.engine.note("subscribe");
            if *self.engine.refuses_subscriptions.lock().unwrap() {
                return Err(EngineError("403 Forbidden".into()));
            }
            let (sender, receiver) = mpsc::unbounded_channel();
            self.engine.subscribers.lock().unwrap().push(sender);
            self.changes = Some(receiver);
        }
        let gone = || Err(EngineError("the engine is gone".into()));
        self.changes.as_mut().unwrap().recv().await.unwrap_or_else(gone)
    }
}

/// No names are looked up, and nothing is proxied.
struct Nothing;

#[async_trait]
impl NameResolver for Nothing {
    async fn addresses(&self, _: &str) -> Result<Resolved<std::net::IpAddr>, NameError> {
        Err(NameError::Missing)
    }

    async fn targets(&self, _: &str) -> Result<Resolved<SrvTarget>, NameError> {
        Err(NameError::Missing)
    }
}

impl ServicePublisher for Nothing {
    fn publish_services(&self, _: &[Service]) {}
}

struct Bench {
    engine: Arc<Engine>,
    discovery: Arc<Discovery>,
    following: JoinHandle<()>,
    log: Log,
}

impl Bench {
    /// Follows an engine that lists these.
    async fn start(containers: &[Container]) -> Self {
        let engine = Arc::<Engine>::default();
        engine.change(containers);
        let bench = Self::with(engine);
        sleep(Duration::from_millis(100)).await;
        bench
    }

    fn with(engine: Arc<Engine>) -> Self {
        let log = Log::begin();
        let discovery = Discovery::new(Arc::new(Nothing), Arc::new(Nothing));
        let entropy = Arc::new(CountingEntropy::default());
        let containers = Containers::new(Arc::new(Shared(engine.clone())), discovery.clone(), entropy);
        discovery.declare(Vec::new());
        Self { engine, discovery, following: tokio::spawn(containers.follow()), log }
    }

    /// What is served: `service address`.
    fn served(&self) -> Vec<String> {
        let of = |service: Service| {
            service.instances.into_iter().map(move |instance| format!("{} {}", service.name, instance.address()))
        };
        self.discovery.services().into_iter().flat_map(of).collect()
    }

    /// The lines of the log with this text.
    fn lines(&self, text: &str) -> Vec<String> {
        self.log.lines().into_iter().filter(|line| line.contains(text)).collect()
    }
}

/// A container that is served.
fn container(id: u8, service: &str) -> Container {
    Container {
        id: format!("id{id}"),
        name: format!("c{id}"),
        created: i64::from(id),
        labels: [("gateway.enable", "true"), ("gateway.service", service)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        is_running: true,
        health: ContainerHealth::Unchecked,
        exposed_ports: [8001].into(),
        networks: [("backend".to_owned(), vec![[10, 0, 0, id].into()])].into(),
    }
}

fn labelled(id: u8, labels: &[(&str, &str)]) -> Container {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Container { labels, ..container(id, "x") }
}

/// The times between two requests, in milliseconds.
fn pauses(times: &[Instant]) -> Vec<u128> {
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn containers_come_go_and_change_their_health() {
    let bench = Bench::start(&[container(1, "shop")]).await;
    assert_eq!(bench.served(), ["shop 10.0.0.1:8001"]);
    bench.engine.change(&[container(1, "shop"), container(2, "shop"), container(3, "news")]);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.served(), ["news 10.0.0.3:8001", "shop 10.0.0.1:8001", "shop 10.0.0.2:8001"]);
    let sick = Container { health: ContainerHealth::Unhealthy, ..container(1, "shop") };
    bench.engine.change(&[sick, container(2, "shop")]);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.served(), ["shop 10.0.0.2:8001"]);
    bench.engine.change(&[]);
    sleep(Duration::from_millis(100)).await;
    assert!(bench.served().is_empty());
    assert_eq!((bench.lines("a container no longer serves").len(), bench.lines("a container serves ").len()), (3, 3));
    assert!(bench.lines("WARN").is_empty() && bench.lines("ERROR").is_empty(), "{:?}", bench.log.lines());
}

#[tokio::test(start_paused = true)]
async fn it_subscribes_before_the_list_and_misses_nothing_meanwhile() {
    let bench = Bench::start(&[]).await;
    let order: Vec<_> = bench.engine.asked.lock().unwrap().iter().map(|(what, _)| *what).collect();
    assert_eq!(order, ["subscribe", "list"]);
    bench.engine.changes_meanwhile.store(1, Ordering::Relaxed);
    bench.engine.change(&[container(1, "shop")]);
    sleep(SECOND).await;
    assert_eq!(bench.engine.times("list").len(), 3, "the first one, after the change, and after the change meanwhile");
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_are_one_list() {
    let bench = Bench::start(&[]).await;
    bench.engine.times("list");
    for number in 1..=20 {
        bench.engine.change(&(1..=number).map(|id| container(id, "shop")).collect::<Vec<_>>());
        sleep(Duration::from_millis(2)).await;
    }
    sleep(SECOND).await;
    assert_eq!((bench.served().len(), bench.engine.times("list").len()), (20, 1));
}

#[tokio::test(start_paused = true)]
async fn while_the_engine_is_away_the_last_list_serves() {
    let bench = Bench::start(&[container(1, "shop")]).await;
    sleep(Duration::from_mins(1)).await;
    bench.engine.set(Answer::Fails);
    bench.engine.cut();
    bench.engine.times("list");
    sleep(Duration::from_hours(2)).await;
    assert_eq!(bench.served(), ["shop 10.0.0.1:8001"]);
    assert_eq!(bench.lines("WARN").len(), 1, "{:?}", bench.log.lines());
    assert!(bench.lines("WARN")[0].contains("connection refused"));
    let pauses = pauses(&bench.engine.times("list"));
    assert!(pauses.len() > 1_000 && pauses.iter().all(|&pause| pause <= 5_020), "it goes on for ever: {pauses:?}");
    assert!(pauses[..3].iter().all(|&pause| pause <= 1_020), "it soon tries again: {pauses:?}");
    assert!(pauses[10..].iter().any(|&pause| pause < 4_000), "they are jittered: {pauses:?}");
    // It comes back with others.
    bench.engine.set(Answer::List(vec![ListedContainer::Known(container(2, "shop"))]));
    sleep(Duration::from_secs(6)).await;
    assert_eq!((bench.served(), bench.lines("answers again").len()), (vec!["shop 10.0.0.2:8001".to_owned()], 1));
    bench.engine.change(&[]);
    sleep(SECOND).await;
    assert!(bench.served().is_empty(), "it is subscribed again");
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_subscription_the_list_is_read_anew() {
    let bench = Bench::start(&[container(1, "shop")]).await;
    for _ in 0..5 {
        sleep(Duration::from_mins(10)).await;
        // What happens while nobody is subscribed is not told.
        bench.engine.cut();
        bench.engine.set(Answer::List(vec![ListedContainer::Known(container(2, "shop"))]));
        sleep(SECOND).await;
        assert_eq!(bench.served(), ["shop 10.0.0.2:8001"]);
        bench.engine.change(&[container(1, "shop")]);
        sleep(SECOND).await;
        assert_eq!(bench.served(), ["shop 10.0.0.1:8001"]);
    }
    assert!(bench.lines("WARN").is_empty(), "a proxy that cuts idle connections is no news: {:?}", bench.log.lines());
}

#[tokio::test(start_paused = true)]
async fn without_changes_the_list_is_polled() {
    let engine = Arc::<Engine>::default();
    engine.change(&[container(1, "shop")]);
    *engine.refuses_subscriptions.lock().unwrap() = true;
    let bench = Bench::with(engine);
    sleep(Duration::from_mins(1)).await;
    assert_eq!((bench.served().len(), bench.lines("WARN").len()), (1, 1), "{:?}", bench.log.lines());
    assert!(bench.lines("WARN")[0].contains("GET /events") && bench.lines("WARN")[0].contains("403 Forbidden"));
    bench.engine.set(Answer::List(Vec::new()));
    sleep(Duration::from_secs(6)).await;
    assert!(bench.served().is_empty());
    *bench.engine.refuses_subscriptions.lock().unwrap() = false;
    sleep(Duration::from_mins(2)).await;
    assert_eq!((bench.lines("WARN").len(), bench.lines("tells changes again").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_subscription_delays_a_change_by_half_a_minute() {
    let bench = Bench::start(&[container(1, "shop")]).await;
    bench.engine.set(Answer::List(Vec::new()));
    sleep(Duration::from_secs(31)).await;
    assert!(bench.served().is_empty());
    assert_eq!(pauses(&bench.engine.times("list")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hung_engine_counts_as_one_that_is_away() {
    let bench = Bench::start(&[container(1, "shop")]).await;
    bench.engine.set(Answer::Never);
    bench.engine.tell(&Ok(()));
    sleep(Duration::from_mins(5)).await;
    assert_eq!((bench.served().len(), bench.lines("WARN").len()), (1, 1), "{:?}", bench.log.lines());
    assert!(bench.lines("WARN")[0].contains("no list in time"));
    bench.engine.change(&[]);
    sleep(Duration::from_secs(21)).await;
    assert!(bench.served().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_defect_ends_the_following() {
    let bench = Bench::start(&[container(1, "shop")]).await;
    bench.engine.set(Answer::Panic);
    bench.engine.tell(&Ok(()));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.served(), ["shop 10.0.0.1:8001"]);
    assert!(bench.lines("ERROR").len() > 1);
    bench.engine.change(&[container(2, "shop")]);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.served(), ["shop 10.0.0.2:8001"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_label_concerns_its_container_and_is_told_once() {
    let wrong = labelled(1, &[("gateway.enable", "true"), ("gateway.port", "http")]);
    let bench = Bench::start(&[wrong.clone(), container(2, "shop")]).await;
    sleep(Duration::from_mins(10)).await;
    bench.engine.cut();
    sleep(Duration::from_mins(10)).await;
    assert_eq!(bench.served(), ["shop 10.0.0.2:8001"]);
    assert_eq!(
        bench.lines("WARN"),
        ["WARN a container is not served: gateway.port must be 1 to 65535, not \"http\" container=\"c1\""]
    );
    // Another reason, and another container with the same one.
    let other = Container { labels: [("gateway.enable".into(), "maybe".into())].into(), ..wrong.clone() };
    bench.engine.change(&[other, Container { id: "id9".into(), name: "c9".into(), ..wrong }, container(2, "shop")]);
    sleep(SECOND).await;
    assert_eq!(bench.lines("WARN").len(), 3, "{:?}", bench.log.lines());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_not_described_stays_as_it_was() {
    let bench = Bench::start(&[container(1, "shop"), container(2, "shop")]).await;
    let unknown = |id: &str| ListedContainer::Unknown {
        id: id.to_owned(),
        name: format!("c-{id}"),
        error: EngineError("500 Internal Server Error".into()),
    };
    bench.engine.set(Answer::List(vec![unknown("id1"), unknown("id7")]));
    sleep(Duration::from_mins(5)).await;
    assert_eq!(bench.served(), ["shop 10.0.0.1:8001"]);
    assert_eq!(bench.lines("does not describe a container").len(), 2, "{:?}", bench.log.lines());
    bench.engine.change(&[container(2, "shop")]);
    sleep(SECOND).await;
    assert_eq!(bench.served(), ["shop 10.0.0.2:8001"]);
}

#[tokio::test(start_paused = true)]
async fn two_projects_do_not_share_a_service_by_accident() {
    let of = |id, project| {
        let labels = [
            ("gateway.enable", "true"),
            ("com.docker.compose.project", project),
            ("com.docker.compose.service", "web"),
        ];
        labelled(id, &labels)
    };
    // The older one has the name, whatever the order of the list.
    let bench = Bench::start(&[of(2, "blog"), of(1, "shop"), of(3, "shop")]).await;
    assert_eq!(bench.served(), ["web 10.0.0.1:8001", "web 10.0.0.3:8001"]);
    assert_eq!(bench.lines("WARN").len(), 1);
    assert!(bench.lines("WARN")[0].contains("that of the Compose project shop; set gateway.service"));
    bench.engine.change(&[of(2, "blog"), of(4, "shop")]);
    sleep(SECOND).await;
    assert_eq!(bench.served(), ["web 10.0.0.4:8001"], "it was recreated, and is now the younger one");
}

#[tokio::test(start_paused = true)]
async fn the_start_waits_for_the_first_list() {
    let engine = Arc::<Engine>::default();
    engine.set(Answer::Never);
    let bench = Bench::with(engine);
    assert!(!bench.discovery.first_answers(SECOND).await && !bench.discovery.has_first_answers());
    bench.engine.change(&[container(1, "shop")]);
    assert!(bench.discovery.first_answers(Duration::from_secs(21)).await);
    assert!(bench.discovery.has_first_answers());
    assert_eq!(bench.served(), ["shop 10.0.0.1:8001"]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_stopped() {
    let Bench { engine, following, log: _log, .. } = Bench::start(&[container(1, "shop")]).await;
    following.abort();
    assert!(following.await.unwrap_err().is_cancelled());
    sleep(SECOND).await;
    engine.times("list");
    sleep(Duration::from_mins(2)).await;
    assert!(engine.times("list").is_empty());
    engine.tell(&Ok(()));
    assert!(engine.subscribers.lock().unwrap().is_empty(), "the subscription has ended, too");
}
