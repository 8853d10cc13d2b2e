//! When names are looked up.

use super::*;
use crate::domain::gateway::services::discovery::FIRST_ANSWERS_TIMEOUT;

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_when_its_records_expire() {
    let bench = Bench::new();
    bench.table.set("short", Answer::Addresses(&["10.0.0.1"], Duration::from_secs(3)));
    bench.table.set("long", Answer::Addresses(&["10.0.0.2"], LONG));
    bench.table.set("none", Answer::Addresses(&["10.0.0.3"], Duration::ZERO));
    bench.declare(&[("a", &["http://short", "http://long", "http://none"])]);
    sleep(Duration::from_mins(1)).await;
    let within = |name, shortest, longest| {
        let pauses = pauses(&bench.table.times(name));
        assert!(pauses.len() > 10 && pauses.iter().all(|pause| (shortest..=longest).contains(pause)), "{pauses:?}");
    };
    within("short", 2_400, 3_010);
    within("long", 4_000, 5_010);
    within("none", 1_000, 1_010);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_once_for_all_its_services_and_urls() {
    let bench = Bench::new();
    bench.table.set("shared", Answer::Addresses(&["10.0.0.1"], LONG));
    bench.declare(&[("a", &["http://shared:1", "http://shared:2"]), ("b", &["h2c://shared:1"])]);
    assert!(bench.discovery.first_answers(SHORT).await);
    assert_eq!(bench.table.times("shared").len(), 1);
    assert_eq!(
        (bench.addresses("a"), bench.addresses("b")),
        (vec!["10.0.0.1:1".to_owned(), "10.0.0.1:2".to_owned()], vec!["10.0.0.1:1".to_owned()])
    );
    // One that stays is not looked up again because of a reload, and keeps its addresses.
    bench.declare(&[("a", &["http://shared:3"])]);
    assert_eq!(bench.addresses("a"), ["10.0.0.1:3"]);
    sleep(SHORT).await;
    assert_eq!(bench.table.times("shared").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_needs_no_name_server() {
    let bench = Bench::new();
    bench.declare(&[("a", &["http://10.0.0.1:1", "http://[::1]:1"])]);
    assert_eq!(bench.addresses("a"), ["10.0.0.1:1", "[::1]:1"]);
    assert!(bench.discovery.has_first_answers() && bench.table.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_suspected_name_is_looked_up_at_once_but_at_most_once_a_second() {
    let bench = Bench::new();
    bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], LONG));
    bench.table.set("other", Answer::Addresses(&["10.0.0.9"], LONG));
    bench.declare(&[("auth", &["http://auth"]), ("other", &["http://other"])]);
    sleep(SHORT * 2).await;
    bench.table.set("auth", Answer::Addresses(&["10.0.0.2"], LONG));
    bench.discovery.suspect(&"auth".parse().unwrap());
    sleep(Duration::from_millis(20)).await;
    assert_eq!(bench.addresses("auth"), ["10.0.0.2:80"]);
    bench.table.times("auth");
    for _ in 0..1_000 {
        bench.discovery.suspect(&"auth".parse().unwrap());
        sleep(Duration::from_millis(10)).await;
    }
    let times = bench.table.times("auth");
    assert!((9..=10).contains(&times.len()) && pauses(&times).iter().all(|&pause| pause >= 1_000), "{times:?}");
    assert!(bench.table.times("other").len() <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_failing_name_is_looked_up_less_and_less_often() {
    let bench = Bench::new();
    bench.table.set("silent", Answer::Silence);
    bench.declare(&[("a", &["http://silent"]), ("b", &["http://missing"])]);
    sleep(Duration::from_mins(10)).await;
    let (silent, missing) = (pauses(&bench.table.times("silent")), pauses(&bench.table.times("missing")));
    for (nth, pause) in silent.iter().enumerate() {
        let waited = pause - SILENCE.as_millis();
        let full = (1_000 << nth.min(5)).min(30_000);
        assert!((full * 8 / 10).max(1_000) <= waited && waited <= full + 10, "{nth}: {silent:?}");
    }
    // A name that does not exist may exist soon.
    assert!(missing.len() > 100 && missing.iter().all(|pause| (1_000..=5_010).contains(pause)), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_left_is_no_longer_followed() {
    let bench = Bench::new();
    bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], SHORT));
    bench.declare(&[("auth", &["http://auth"])]);
    sleep(SHORT).await;
    bench.declare(&[("auth", &["http://10.0.0.7"])]);
    assert_eq!(bench.addresses("auth"), ["10.0.0.7:80"]);
    bench.table.times("auth");
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.table.times("auth"), []);
}

#[tokio::test(start_paused = true)]
async fn followers_end_with_discovery() {
    let Bench { discovery, table, publications } = Bench::new();
    table.set("good", Answer::Addresses(&["10.0.0.1"], SHORT));
    table.set("silent", Answer::Silence);
    discovery.declare(vec![declared("a", &["http://good", "http://silent"])]);
    sleep(Duration::from_millis(500)).await;
    drop(discovery);
    sleep(Duration::from_mins(1)).await;
    assert_eq!((table.times("good").len(), table.times("silent").len()), (1, 1));
    assert_eq!((Arc::strong_count(&table), Arc::strong_count(&publications)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_answers_are_waited_for_whatever_they_are() {
    let bench = Bench::new();
    assert!(bench.discovery.has_first_answers());
    bench.table.set("good", Answer::Addresses(&["10.0.0.1"], SHORT));
    bench.table.set("silent", Answer::Silence);
    bench.declare(&[("a", &["http://good"]), ("b", &["http://silent"]), ("c", &["http://missing"])]);
    assert!(!bench.discovery.has_first_answers());
    assert!(!bench.discovery.first_answers(SHORT).await);
    // What is there is served meanwhile.
    assert_eq!(bench.addresses("a"), ["10.0.0.1:80"]);
    assert!(bench.discovery.first_answers(SILENCE).await && bench.discovery.has_first_answers());
    // A reload makes a ready gateway not unready.
    bench.declare(&[("b", &["http://silent2"])]);
    assert!(bench.discovery.has_first_answers());
}

#[tokio::test(start_paused = true)]
async fn more_dead_names_than_can_be_looked_up_do_not_keep_it_unready() {
    let bench = Bench::new();
    bench.discovery.declare(dead_services(&bench, 1_400));
    sleep(FIRST_ANSWERS_TIMEOUT.saturating_sub(SHORT)).await;
    assert!(!bench.discovery.has_first_answers());
    sleep(SHORT).await;
    assert!(bench.discovery.has_first_answers());
}

/// Services whose name servers are silent.
fn dead_services(bench: &Bench, number: usize) -> Vec<DeclaredService> {
    let service = |nth| {
        bench.table.set(&format!("dead{nth}"), Answer::Silence);
        declared(&format!("dead{nth}"), &[&format!("http://dead{nth}")])
    };
    (0..number).map(service).collect()
}

#[tokio::test(start_paused = true)]
async fn dead_names_do_not_delay_good_ones() {
    let bench = Bench::new();
    bench.table.set("good", Answer::Addresses(&["10.0.0.1"], SHORT));
    bench.table.set("new", Answer::Addresses(&["10.0.0.2"], SHORT));
    bench.declare(&[("good", &["http://good"])]);
    sleep(SHORT).await;
    bench.table.times("good");
    let mut services = dead_services(&bench, 1_400);
    services.extend([declared("good", &["http://good"]), declared("new", &["http://new"])]);
    bench.discovery.declare(services);
    // A new one may have 1,400 first turns before it.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.addresses("new"), ["10.0.0.2:80"]);
    bench.table.times("new");
    sleep(Duration::from_mins(2)).await;
    for name in ["good", "new"] {
        let pauses = pauses(&bench.table.times(name));
        assert!(pauses.len() > 110 && pauses.iter().all(|&pause| pause <= 1_010), "{name}: {pauses:?}");
    }
    // One of them comes alive.
    bench.table.set("dead700", Answer::Addresses(&["10.0.0.3"], SHORT));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.addresses("dead700"), ["10.0.0.3:80"]);
    let most = bench.table.most_under_way.load(Ordering::Relaxed);
    assert!((32..=64).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn names_without_an_address_have_half_of_all_lookups() {
    let bench = Bench::new();
    bench.discovery.declare(dead_services(&bench, 1_000));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.table.most_under_way.load(Ordering::Relaxed), 32);
}

#[tokio::test(start_paused = true)]
async fn names_that_were_declared_together_are_not_looked_up_together() {
    let bench = Bench::new();
    let names: Vec<String> = (0..1_000).map(|nth| format!("n{nth}")).collect();
    let service = |name: &String| {
        bench.table.set(name, Answer::Addresses(&["10.0.0.1"], LONG));
        declared(name, &[&format!("http://{name}")])
    };
    bench.discovery.declare(names.iter().map(service).collect());
    assert!(bench.discovery.first_answers(SHORT).await);
    // The first answers of a thousand names are not a thousand publications.
    assert!(bench.publications() <= 20, "{}", bench.publications());
    sleep(Duration::from_mins(1)).await;
    let last = |name: &String| *bench.table.times(name).last().unwrap();
    let mut per_tenth = BTreeMap::<u128, usize>::new();
    let times: Vec<Instant> = names.iter().map(last).collect();
    for time in &times {
        *per_tenth.entry(Instant::now().duration_since(*time).as_millis() / 100).or_default() += 1;
    }
    assert!(per_tenth.values().all(|&number| number < 100), "{per_tenth:?}");
}
