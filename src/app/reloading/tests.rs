//! Attempts one by one. The files are real; the clock, the name servers and the data plane are not.

use std::{collections::HashSet, fs, net::IpAddr, sync::atomic::AtomicBool};

use super::*;
use crate::{
    domain::gateway::{
        models::{
            http::path::Spellings,
            service::{Found, Wanted},
            token::Expectations,
        },
        services::ports::{NameError, NameResolver, Resolved, SrvTarget},
    },
    edge::snapshot::{Snapshot, SnapshotCell},
    ports::testing::TestClock,
};

/// Every name is 192.0.2.1, except one that has no answer until it is released.
#[derive(Default)]
struct Resolver {
    is_released: AtomicBool,
    release: Notify,
}

const SLOW: &str = "slow.internal";

#[async_trait]
impl NameResolver for Resolver {
    async fn addresses(&self, host: &str) -> Result<Resolved<IpAddr>, NameError> {
        if host == SLOW && !self.is_released.load(std::sync::atomic::Ordering::SeqCst) {
            self.release.notified().await;
        }
        Ok(Resolved { records: vec!["192.0.2.1".parse().unwrap()], ttl: Duration::from_secs(5), is_complete: true })
    }

    async fn targets(&self, _: &str) -> Result<Resolved<SrvTarget>, NameError> {
        Ok(Resolved { records: Vec::new(), ttl: Duration::from_secs(5), is_complete: true })
    }
}

struct Bench {
    folder: tempfile::TempDir,
    reloader: Arc<Reloader>,
    snapshots: Arc<SnapshotCell>,
    clock: Arc<TestClock>,
    resolver: Arc<Resolver>,
}

const FIRST: &str = "[services.shop]\nurl = 'http://10.0.0.1:80'\n";

/// A gateway that was started with this file.
async fn bench(file: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "GATEWAY_ENV=development\n").unwrap();
    fs::write(folder.path().join("gateway.toml"), file).unwrap();
    let sources = Sources::read(folder.path());
    let settings = Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let expectations = Expectations { issuer: "us".into(), audience: "us".into() };
    let publisher = Arc::new(SnapshotPublisher::new(&settings, expectations, 1, 0));
    let snapshots = publisher.snapshots();
    let resolver = Arc::<Resolver>::default();
    let discovery = Discovery::new(resolver.clone(), publisher.clone());
    discovery.declare(settings.services.clone());
    discovery.first_answers(FIRST_ANSWERS).await;
    let clock = TestClock::at(1000);
    let reloader = Reloader::new(sources, clock.clone(), Tz::UTC);
    let (documents, _) = watch::channel(Arc::default());
    let parts = ReloaderParts { publisher, discovery, documents, helpers: Helpers::default() };
    reloader.begin(settings, parts).await;
    Bench { folder, reloader, snapshots, clock, resolver }
}

impl Bench {
    fn write(&self, file: &str) {
        fs::write(self.folder.path().join("gateway.toml"), file).unwrap();
    }

    async fn attempt(&self, trigger: Trigger) -> Result<Reloaded, Vec<String>> {
        match self.reloader.attempt(trigger).await {
            Ok(reloaded) => Ok(reloaded),
            Err(Refused::Mistakes(errors)) => Err(errors.into_iter().map(|error| error.field).collect()),
            Err(Refused::NotNow) => panic!("it has begun"),
        }
    }

    /// Where a path leads, and to which instances.
    fn leads_to(&self, path: &str) -> String {
        let snapshot = self.snapshots.load();
        leads_to(&snapshot, path)
    }
}

fn leads_to(snapshot: &Snapshot, path: &str) -> String {
    let wanted = Wanted { path, spellings: Spellings::NONE, method: "GET", preflight_for: None };
    match snapshot.routes.find(wanted) {
        Found::Route { route, .. } => match snapshot.services.get(&route.service) {
            Some(service) => {
                let instances: Vec<_> = service.instances.iter().map(|state| state.instance.address()).collect();
                format!("{} at {}", service.service.name, instances.join(", "))
            }
            None => format!("{} which is unknown", route.service),
        },
        Found::Nothing => "nowhere".to_owned(),
        Found::OtherMethods(_) | Found::Refused(_) | Found::Ambiguous => "refused".to_owned(),
    }
}

#[tokio::test]
async fn a_change_is_published_and_reported() {
    let bench = bench(FIRST).await;
    assert_eq!(bench.leads_to("/api/shop"), "shop at 10.0.0.1:80");
    let first = bench.attempt(Trigger::Change).await.unwrap();
    assert!(is_empty(&first), "{first:?}");
    bench.write("[services.news]\nurl = 'http://10.0.0.2:80'\n[[routes]]\npath = '/api/shop'\nservice = 'news'\n");
    let second = bench.attempt(Trigger::Change).await.unwrap();
    assert_eq!(second.routes.added, ["any method /api/shop"]);
    assert_eq!((second.services.added, second.services.removed), (vec!["news".to_owned()], vec!["shop".to_owned()]));
    assert_eq!(bench.leads_to("/api/shop"), "news at 10.0.0.2:80");
    assert_eq!(bench.leads_to("/api/news"), "nowhere", "a service with a route has no other door");
    // Routes alone: the services are not published again.
    bench.write("[services.news]\nurl = 'http://10.0.0.2:80'\n[[routes]]\npath = '/api/other'\nservice = 'news'\n");
    bench.attempt(Trigger::Change).await.unwrap();
    assert_eq!(
        (bench.leads_to("/api/shop").as_str(), bench.leads_to("/api/other").as_str()),
        ("nowhere", "news at 10.0.0.2:80")
    );
}

#[tokio::test]
async fn a_refused_file_changes_nothing_and_its_time_stays() {
    let bench = bench(FIRST).await;
    bench.clock.set(2000);
    bench.write("[services.shop]\nurl = 'ftp://x'\n[services.news]\n");
    assert_eq!(bench.attempt(Trigger::Change).await.unwrap_err(), ["gateway.toml line 2"]);
    assert_eq!(bench.leads_to("/api/shop"), "shop at 10.0.0.1:80");
    bench.clock.set(3000);
    bench.write("[services.shop]\nbalance = 1\nurl = 1\n");
    assert_eq!(bench.attempt(Trigger::Change).await.unwrap_err().len(), 2);
    let status = bench.reloader.status().unwrap();
    let refused_since = status.refused_since.unwrap().timestamp();
    assert_eq!((status.ok, status.read_at.timestamp(), refused_since), (false, 1000, 2000));
    assert_eq!(status.mistakes.unwrap().len(), 2);
    bench.write(FIRST);
    assert!(is_empty(&bench.attempt(Trigger::Change).await.unwrap()));
    let status = bench.reloader.status().unwrap();
    assert_eq!((status.ok, status.read_at.timestamp(), status.mistakes), (true, 3000, None));
}

#[tokio::test]
async fn a_certificate_that_comes_later_makes_a_refused_file_good() {
    let bench = bench(FIRST).await;
    bench.write("[services.shop]\ntls = { ca = 'ca.pem' }\n");
    assert!(bench.attempt(Trigger::Change).await.is_err());
    assert!(bench.attempt(Trigger::Again).await.is_err());
    let pair = rcgen::generate_simple_self_signed(["shop.internal".to_owned()]).unwrap();
    fs::write(bench.folder.path().join("ca.pem"), pair.cert.pem()).unwrap();
    assert_eq!(bench.attempt(Trigger::Again).await.unwrap().services.changed, ["shop"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_keeps_its_instances_until_its_new_name_is_known() {
    let bench = bench(FIRST).await;
    bench.write(&format!("[services.shop]\nurl = 'http://{SLOW}:80'\n"));
    let reloader = bench.reloader.clone();
    let attempt = tokio::spawn(async move { reloader.attempt(Trigger::Change).await.is_ok() });
    // Within this time the name is being looked up.
    sleep(FIRST_ANSWERS / 2).await;
    assert_eq!(bench.leads_to("/api/shop"), "shop at 10.0.0.1:80");
    bench.resolver.is_released.store(true, std::sync::atomic::Ordering::SeqCst);
    bench.resolver.release.notify_one();
    assert!(attempt.await.unwrap());
    assert_eq!(bench.leads_to("/api/shop"), "shop at 192.0.2.1:80");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_attempts_end_with_the_newest_file_and_no_request_sees_a_mixture() {
    let bench = bench(FIRST).await;
    let file = |number: usize| {
        format!(
            "[services.s{number}]\nurl = 'http://10.0.0.{number}:80'\n[[routes]]\npath = '/api/x'\nservice = 's{number}'\n"
        )
    };
    bench.write(&file(1));
    bench.attempt(Trigger::Change).await.unwrap();
    let (snapshots, is_over) = (bench.snapshots.clone(), Arc::new(AtomicBool::new(false)));
    let watcher = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            let mut seen = HashSet::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                seen.insert(leads_to(&snapshots.load(), "/api/x"));
            }
            seen
        }
    });
    for number in 2..=40 {
        bench.write(&file(number));
        let attempts: Vec<_> = (0..3)
            .map(|_| {
                let reloader = bench.reloader.clone();
                tokio::spawn(async move { reloader.attempt(Trigger::Operator).await.is_ok() })
            })
            .collect();
        for attempt in attempts {
            assert!(attempt.await.unwrap());
        }
        assert_eq!(bench.leads_to("/api/x"), format!("s{number} at 10.0.0.{number}:80"));
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    for seen in watcher.join().unwrap() {
        let (service, address) = seen.split_once(" at ").unwrap_or_else(|| panic!("{seen}"));
        assert_eq!(format!("10.0.0.{}:80", &service[1..]), address);
    }
}

#[tokio::test]
async fn nothing_is_reloaded_before_the_start_is_complete() {
    let reloader = Reloader::new(Sources::default(), TestClock::at(0), Tz::UTC);
    assert_eq!(reloader.attempt(Trigger::Operator).await, Err(Refused::NotNow));
    assert_eq!(reloader.status(), None);
}

#[test]
fn changed_files_are_used_once_they_stay_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |text: &str| {
        fs::write(folder.path().join("gateway.toml"), text).unwrap();
        Sources::read(folder.path()).file_texts().unwrap()
    };
    let mut settling = Settling::default();
    assert_eq!(settling.look(texts("a"), true), Look::Known);
    for (text, found) in [
        ("", Look::Unsettled),
        ("[services", Look::Unsettled),
        ("[services.shop]", Look::Unsettled),
        ("[services.shop]", Look::Settled),
    ] {
        assert_eq!(settling.look(texts(text), false), found, "{text}");
        assert_eq!(settling.is_unsettled(), found == Look::Unsettled);
    }
    assert_eq!(settling.look(texts(""), false), Look::Unsettled);
    assert_eq!(settling.look(texts("a"), true), Look::Known, "it was changed and changed back");
    assert!(!settling.is_unsettled());
}

#[test]
fn mistakes_are_logged_once_for_a_content() {
    let [one, other] = ["a", "b"].map(|text| vec![text.to_owned()]);
    assert!(is_news(Trigger::Change, &one, &one) && is_news(Trigger::Operator, &one, &one));
    assert!(!is_news(Trigger::Again, &one, &one) && is_news(Trigger::Again, &one, &other));
}
