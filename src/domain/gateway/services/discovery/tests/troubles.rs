//! Names that cannot be looked up.

use std::io;

use super::*;
use crate::domain::gateway::services::discovery::KEPT_FOR;

#[tokio::test(start_paused = true)]
async fn the_last_addresses_stay_in_use_for_an_hour() {
    for trouble in [Answer::Silence, Answer::Missing, Answer::Panic] {
        let bench = Bench::new();
        bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], SHORT));
        bench.declare(&[("auth", &["http://auth"])]);
        sleep(Duration::from_mins(1)).await;
        bench.table.set("auth", trouble.clone());
        let begin = Instant::now();
        sleep(SHORT * 2 + SILENCE).await;
        assert!(bench.is_troubled("auth"), "{trouble:?}");
        sleep(KEPT_FOR.saturating_sub(begin.elapsed() + SHORT * 2)).await;
        assert_eq!(bench.addresses("auth"), ["10.0.0.1:80"], "{trouble:?}");
        // The next lookup after the hour finds out.
        sleep(Duration::from_mins(1)).await;
        assert_eq!((bench.addresses("auth").len(), bench.services()), (0, vec!["auth".to_owned()]), "{trouble:?}");
        bench.table.set("auth", Answer::Addresses(&["10.0.0.2"], SHORT));
        sleep(Duration::from_mins(1)).await;
        assert_eq!((bench.addresses("auth"), bench.is_troubled("auth")), (vec!["10.0.0.2:80".to_owned()], false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_of_which_no_target_is_known_any_more_keeps_its_last_ones() {
    let bench = Bench::new();
    bench.table.set("srv", Answer::Targets(vec![("one", 1, 0, 0, &["10.0.0.1"])]));
    bench.declare(&[("auth", &["srv+http://srv"])]);
    sleep(SHORT).await;
    bench.table.set("srv", Answer::Targets(vec![("two", 2, 0, 0, &[])]));
    sleep(SHORT * 5).await;
    assert_eq!((bench.addresses("auth"), bench.is_troubled("auth")), (vec!["10.0.0.1:1".to_owned()], true));
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panics_ends_no_follower() {
    let bench = Bench::new();
    bench.table.set("auth", Answer::Panic);
    bench.declare(&[("auth", &["http://auth"])]);
    assert!(bench.discovery.first_answers(SHORT).await);
    assert!(bench.is_troubled("auth"));
    bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], SHORT));
    sleep(SHORT * 2).await;
    assert_eq!(bench.addresses("auth"), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_never_returns_ends_no_follower() {
    let bench = Bench::new();
    bench.table.set("auth", Answer::Never);
    bench.declare(&[("auth", &["http://auth"])]);
    sleep(SHORT * 16).await;
    assert!(bench.is_troubled("auth"));
    bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], SHORT));
    sleep(SHORT * 2).await;
    assert_eq!(bench.addresses("auth"), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_an_answer_removes_no_instance() {
    let bench = Bench::new();
    bench.table.set("pair", Answer::Addresses(&["10.0.0.1", "::1"], SHORT));
    bench.table.set("srv", Answer::Targets(vec![("a", 1, 0, 0, &["10.0.0.1"]), ("b", 1, 0, 0, &["10.0.0.2"])]));
    bench.declare(&[("pair", &["http://pair"]), ("srv", &["srv+http://srv"])]);
    assert!(bench.discovery.first_answers(SHORT).await);
    let before = bench.discovery.services();
    assert_eq!(before[0].instances[0].addresses, parse(&["::1", "10.0.0.1"]));
    // No answer for AAAA, and none about the target `b`.
    bench.table.set("pair", Answer::Part(&["10.0.0.1"]));
    bench.table.set("srv", Answer::Targets(vec![("a", 1, 0, 0, &["10.0.0.1"]), ("b", 1, 0, 0, &[])]));
    sleep(SHORT * 10).await;
    assert_eq!(bench.discovery.services(), before);
    // What is there is current.
    bench.table.set("pair", Answer::Part(&["10.0.0.3"]));
    sleep(SHORT * 2).await;
    assert_eq!(bench.discovery.services()[0].instances[0].addresses, parse(&["::1", "10.0.0.3"]));
    // Gaps are not filled for ever.
    sleep(KEPT_FOR).await;
    assert_eq!(bench.discovery.services()[0].instances[0].addresses, parse(&["10.0.0.3"]));
    assert_eq!(bench.addresses("srv"), ["10.0.0.1:1"]);
    // An answer without a gap says that there is no such address.
    bench.table.set("pair", Answer::Addresses(&["10.0.0.1", "::1"], SHORT));
    sleep(SHORT * 2).await;
    bench.table.set("pair", Answer::Addresses(&["10.0.0.1"], SHORT));
    sleep(SHORT * 2).await;
    assert_eq!(bench.discovery.services()[0].instances[0].addresses, parse(&["10.0.0.1"]));
}

/// A log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn one_line_tells_that_a_trouble_begins_and_one_that_it_is_over() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone()).finish();
    // With a second subscriber in the process, tracing asks all of them whether they want a line, not only that of the
    // thread which is the first to write it: that may be another test's.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let lines = || String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
    let one = |part: &str| {
        let lines = lines();
        assert!(lines.lines().count() == 1 && lines.contains("name=\"auth\"") && lines.contains(part), "{lines}");
    };
    let work = async {
        let bench = Bench::new();
        bench.declare(&[("auth", &["http://auth"])]);
        sleep(Duration::from_mins(1)).await;
        one("WARN");
        bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], SHORT));
        sleep(Duration::from_mins(1)).await;
        one("INFO");
        // Several reasons are one trouble.
        for trouble in [Answer::Silence, Answer::Missing, Answer::Silence, Answer::Missing] {
            bench.table.set("auth", trouble);
            sleep(Duration::from_mins(1)).await;
        }
        one("its last addresses stay in use");
        sleep(KEPT_FOR).await;
        one("its last addresses are no longer used");
        bench.table.set("auth", Answer::Addresses(&["10.0.0.1"], SHORT));
        sleep(Duration::from_mins(1)).await;
        one("INFO");
    };
    // Followers are tasks of this thread, so their lines are there, too.
    let _guard = tracing::subscriber::set_default(subscriber);
    work.await;
}
