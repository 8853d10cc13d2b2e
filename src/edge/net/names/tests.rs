use std::sync::{
    Condvar,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::*;

/// Names configured by a test; lookups of names that begin with `stuck` return once the gate is open.
#[derive(Default)]
struct Fake {
    /// The last octet of the address of every known name.
    known: Mutex<HashMap<String, u8>>,
    asked: Mutex<Vec<String>>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
    gate: Mutex<bool>,
    opened: Condvar,
    /// Milliseconds since the start.
    time: AtomicU64,
}

struct Shared(Arc<Fake>);

impl Lookup for Shared {
    fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let fake = &self.0;
        fake.asked.lock().unwrap().push(name.to_owned());
        let at_once = fake.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        fake.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        if name.starts_with("stuck") {
            drop(fake.opened.wait_while(fake.gate.lock().unwrap(), |open| !*open).unwrap());
        }
        fake.under_way.fetch_sub(1, Ordering::Relaxed);
        assert_ne!(name, "panic", "as asked");
        let known = fake.known.lock().unwrap();
        let last = known.get(name).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if name == "empty" { Vec::new() } else { vec![SocketAddr::from(([127, 0, 0, *last], 0))] })
    }
}

impl Fake {
    fn know(&self, name: &str, last: u8) {
        self.known.lock().unwrap().insert(name.to_owned(), last);
    }

    fn forget(&self, name: &str) {
        self.known.lock().unwrap().remove(name);
    }

    fn times_asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == name).count()
    }

    fn open(&self) {
        *self.gate.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self, time: Duration) {
        self.time.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    async fn until_asked(&self, names: usize) {
        while self.asked.lock().unwrap().len() < names {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn names() -> (Arc<Fake>, Arc<Names>) {
    let fake = Arc::<Fake>::default();
    let (begin, clock) = (Instant::now(), Arc::clone(&fake));
    let names = Names::new(Shared(Arc::clone(&fake)), move || {
        begin + Duration::from_millis(clock.time.load(Ordering::Relaxed))
    });
    (fake, names)
}

/// How many lookups have a thread, and how many of those are for names that failed before.
fn under_way(names: &Names) -> (usize, usize) {
    let state = names.state();
    (state.lookups, state.doubtful_lookups)
}

/// The last octet of the address that was found for a name.
async fn found(names: &Arc<Names>, name: &str) -> Option<u8> {
    let known = names.find(&Arc::from(name)).await?;
    match known.addresses[0].ip() {
        IpAddr::V4(address) => Some(address.octets()[3]),
        IpAddr::V6(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_waiters_for_a_name_share_one_lookup() {
    let (fake, names) = names();
    fake.know("stuck", 5);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let names = Arc::clone(&names);
            tokio::spawn(async move { found(&names, "stuck").await })
        })
        .collect();
    fake.until_asked(1).await;
    fake.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), Some(5));
    }
    assert_eq!(fake.times_asked("stuck"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_names_do_not_delay_others() {
    let (fake, names) = names();
    fake.know("well", 7);
    let stuck: Vec<_> = (0..MAX_LOOKUPS - 1).map(|n| format!("stuck-{n}")).collect();
    let waiting: Vec<_> = stuck
        .iter()
        .map(|name| {
            let (names, name) = (Arc::clone(&names), name.clone());
            tokio::spawn(async move { found(&names, &name).await })
        })
        .collect();
    fake.until_asked(stuck.len()).await;
    assert_eq!(found(&names, "well").await, Some(7));
    fake.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_lookups_are_limited_and_others_wait() {
    let (fake, names) = names();
    let waiting: Vec<_> = (0..3 * MAX_LOOKUPS)
        .map(|n| {
            fake.know(&format!("stuck-{n}"), 9);
            let names = Arc::clone(&names);
            tokio::spawn(async move { found(&names, &format!("stuck-{n}")).await })
        })
        .collect();
    fake.until_asked(MAX_LOOKUPS).await;
    while names.state().names.len() < 3 * MAX_LOOKUPS {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fake.asked.lock().unwrap().len(), MAX_LOOKUPS);
    fake.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), Some(9));
    }
    assert_eq!(fake.most_at_once.load(Ordering::Relaxed), MAX_LOOKUPS);
    assert_eq!(under_way(&names), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_failed_before_leave_half_of_the_threads_to_others() {
    let (fake, names) = names();
    fake.know("well", 7);
    fake.open();
    let stuck: Vec<_> = (0..2 * MAX_LOOKUPS).map(|n| format!("stuck-{n}")).collect();
    for name in &stuck {
        assert_eq!(found(&names, name).await, None);
    }
    fake.wait(FAILED_FOR);
    *fake.gate.lock().unwrap() = false;
    let waiting: Vec<_> = stuck
        .iter()
        .map(|name| {
            let (names, name) = (Arc::clone(&names), name.clone());
            tokio::spawn(async move { found(&names, &name).await })
        })
        .collect();
    fake.until_asked(stuck.len() + MAX_DOUBTFUL_LOOKUPS).await;
    assert_eq!(found(&names, "well").await, Some(7));
    assert_eq!(fake.asked.lock().unwrap().len(), stuck.len() + MAX_DOUBTFUL_LOOKUPS + 1);
    fake.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), None);
    }
    assert_eq!(under_way(&names), (0, 0));
}

#[tokio::test]
async fn a_name_is_looked_up_again_when_its_address_is_no_longer_fresh() {
    let (fake, names) = names();
    fake.know("a", 1);
    assert_eq!(found(&names, "a").await, Some(1));
    fake.know("a", 2);
    fake.wait(FRESH_FOR.saturating_sub(Duration::from_millis(1)));
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (Some(1), 1));
    fake.wait(Duration::from_millis(1));
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (Some(2), 2));
}

#[tokio::test]
async fn a_failure_is_cached_for_a_moment() {
    let (fake, names) = names();
    for name in ["a", "panic", "empty"] {
        if name == "empty" {
            fake.know(name, 1);
        }
        for _ in 0..3 {
            assert_eq!(found(&names, name).await, None);
        }
        assert_eq!(fake.times_asked(name), 1, "{name}");
    }
    fake.know("a", 1);
    fake.wait(FAILED_FOR);
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (Some(1), 2));
}

#[tokio::test]
async fn the_last_addresses_are_used_for_a_while_if_a_lookup_fails() {
    let (fake, names) = names();
    fake.know("a", 1);
    assert_eq!(found(&names, "a").await, Some(1));
    fake.forget("a");
    fake.wait(FRESH_FOR);
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (Some(1), 2));
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (Some(1), 2));
    fake.wait(LAST_KNOWN_FOR.saturating_sub(FRESH_FOR + Duration::from_millis(1)));
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (Some(1), 3));
    fake.wait(FAILED_FOR);
    assert_eq!((found(&names, "a").await, fake.times_asked("a")), (None, 4));
}

#[tokio::test(start_paused = true)]
async fn the_last_addresses_are_used_if_a_lookup_is_slow() {
    let (fake, names) = names();
    fake.know("stuck", 1);
    fake.open();
    assert_eq!(found(&names, "stuck").await, Some(1));
    *fake.gate.lock().unwrap() = false;
    fake.wait(FRESH_FOR);
    // Paused time advances while all tasks are idle.
    assert_eq!(found(&names, "stuck").await, Some(1));
    assert_eq!(found(&names, "stuck").await, Some(1));
    fake.open();
}

#[tokio::test]
async fn unused_names_are_removed() {
    let (fake, names) = names();
    fake.know("a", 1);
    found(&names, "a").await;
    found(&names, "none").await;
    fake.wait(LAST_KNOWN_FOR.saturating_sub(Duration::from_millis(1)));
    found(&names, "b").await;
    assert_eq!(names.state().names.len(), 3);
    fake.wait(Duration::from_millis(1));
    found(&names, "c").await;
    let mut left: Vec<_> = names.state().names.keys().map(|name| String::from(&**name)).collect();
    left.sort();
    assert_eq!(left, ["b", "c"]);
}

#[tokio::test]
async fn a_core_uses_its_own_copy_while_it_is_fresh() {
    let (fake, names) = names();
    fake.know("a", 1);
    let host = Host::new("a", Arc::clone(&names));
    let at_80 = Some(vec![SocketAddr::from(([127, 0, 0, 1], 80))]);
    assert_eq!(host.addresses(80).await, at_80);
    names.state().names.clear();
    assert_eq!((host.addresses(80).await, names.state().names.len()), (at_80, 0));
    fake.know("a", 2);
    fake.wait(FRESH_FOR);
    assert_eq!(host.addresses(81).await, Some(vec![SocketAddr::from(([127, 0, 0, 2], 81))]));
    assert_eq!(Host::new("none", Arc::clone(&names)).addresses(80).await, None);
}

#[tokio::test]
async fn an_address_needs_no_lookup() {
    let (fake, names) = names();
    for (text, address) in [("127.0.0.3", "127.0.0.3:80"), ("::1", "[::1]:80")] {
        let host = Host::new(text, Arc::clone(&names));
        assert_eq!(host.addresses(80).await, Some(vec![address.parse().unwrap()]));
    }
    assert_eq!(fake.asked.lock().unwrap().len(), 0);
    let here = Host::new("localhost", Names::of_system()).addresses(80).await.unwrap();
    assert!(here.iter().all(|address| address.ip().is_loopback() && address.port() == 80) && !here.is_empty());
}
