use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use super::*;

const LIMITS: Limits = Limits { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn a_head_a_pause_and_a_stall_have_their_limits() {
    let vitals = Vitals::new(Instant::now());
    assert!(!vitals.is_overdue(after(9), LIMITS) && vitals.is_overdue(after(10), LIMITS));
    vitals.request_begun();
    assert!(!vitals.is_overdue(after(1_000), LIMITS), "the client waits for us");
    vitals.body_came(false);
    assert!(!vitals.is_overdue(after(74), LIMITS) && vitals.is_overdue(after(76), LIMITS));
    vitals.body_came(true);
    assert!(!vitals.is_overdue(after(1_000), LIMITS));
    vitals.client_read(false, true);
    assert!(vitals.is_overdue(after(76), LIMITS));
    vitals.may_idle(Duration::from_mins(5));
    assert!(!vitals.is_overdue(after(299), LIMITS) && vitals.is_overdue(after(301), LIMITS));
    vitals.client_read(true, false);
    vitals.request_ended(Instant::now());
    assert!(!vitals.is_overdue(after(74), LIMITS) && vitals.is_overdue(after(76), LIMITS));
    vitals.head_begun();
    assert!(vitals.is_overdue(after(11), LIMITS));
    vitals.said_goodbye();
    assert!(!vitals.is_overdue(after(0), LIMITS) && vitals.is_overdue(after(2), LIMITS));
}

#[test]
fn a_client_may_send_on_for_seconds_after_our_side_is_closed() {
    let vitals = Vitals::new(Instant::now());
    vitals.lingers();
    assert!(!vitals.is_overdue(after(4), LIMITS) && vitals.is_overdue(after(6), LIMITS));
    vitals.give(Order::Drain);
    assert!(vitals.is_overdue(after(2), LIMITS), "a gateway that ends does not wait as long");
    // One that never pauses does not go on for ever.
    let vitals = Vitals::new(Instant::now());
    vitals.lingers();
    let Awaited::Lingering { since, .. } = vitals.awaited.get() else { panic!("it lingers") };
    vitals.lingers();
    let Awaited::Lingering { since: still, .. } = vitals.awaited.get() else { panic!("it lingers") };
    assert_eq!(since, still);
    vitals.awaited.set(Awaited::Lingering { since, heard: after(30) });
    assert!(!vitals.is_overdue(since + Duration::from_secs(29), LIMITS));
    assert!(vitals.is_overdue(since + LINGER, LIMITS));
}

#[test]
fn a_client_that_has_closed_its_side_counts_as_one_that_does_not_read() {
    let vitals = Vitals::new(Instant::now());
    vitals.request_begun();
    vitals.half_closed();
    assert!(!vitals.is_overdue(after(9), LIMITS) && vitals.is_overdue(after(11), LIMITS), "it may have gone");
    assert!(vitals.is_overdue(after(4), Limits { idle: Duration::from_secs(3), ..LIMITS }));
    vitals.client_read(true, false);
    assert!(!vitals.is_overdue(after(1_000), LIMITS));
    vitals.half_closed();
    assert!(!vitals.is_overdue(after(74), LIMITS) && vitals.is_overdue(after(76), LIMITS), "it reads");
}

#[test]
fn a_connection_whose_client_has_closed_its_side_looks_again_and_again_whether_it_has_gone() {
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let watchdog = Watchdog::new(LIMITS);
    let (vitals, woken) = (watchdog.enrol(), Arc::new(Woken(AtomicUsize::new(0))));
    vitals.remember(&Waker::from(Arc::clone(&woken)));
    vitals.request_begun();
    watchdog.look(after(1));
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    vitals.half_closed();
    watchdog.look(after(1));
    vitals.client_read(true, false);
    watchdog.look(after(2));
    assert_eq!((woken.0.load(Ordering::Relaxed), vitals.order()), (2, Order::Serve));
}

#[test]
fn what_moves_one_way_keeps_the_other_alive() {
    let vitals = Vitals::new(Instant::now());
    vitals.request_begun();
    let long_ago = Instant::now().checked_sub(Duration::from_secs(70));
    vitals.body_awaited_since.set(long_ago);
    assert!(vitals.is_overdue(after(6), LIMITS));
    vitals.client_read(true, false);
    assert!(!vitals.is_overdue(after(6), LIMITS) && vitals.is_overdue(after(76), LIMITS), "it reads");
    vitals.body_came(true);
    assert!(!vitals.is_overdue(after(1_000), LIMITS));
    vitals.unread_since.set(long_ago);
    vitals.body_came(true);
    assert!(!vitals.is_overdue(after(6), LIMITS) && vitals.is_overdue(after(76), LIMITS), "it sends");
    vitals.unread_since.set(long_ago);
    vitals.client_read(true, true);
    assert!(!vitals.is_overdue(after(6), LIMITS) && vitals.is_overdue(after(76), LIMITS), "it reads a part");
}

#[test]
fn with_http2_a_request_has_no_say_in_the_time_of_its_neighbours() {
    let vitals = Vitals::new(Instant::now());
    vitals.speaks_http2(false);
    assert!(!vitals.is_overdue(after(74), LIMITS) && vitals.is_overdue(after(76), LIMITS));
    vitals.request_begun();
    vitals.request_begun();
    vitals.may_idle(Duration::from_mins(5));
    vitals.may_idle(Duration::from_secs(3));
    assert!(!vitals.is_overdue(after(1_000), LIMITS), "the client waits for us");
    vitals.client_read(false, true);
    assert!(!vitals.is_overdue(after(299), LIMITS) && vitals.is_overdue(after(301), LIMITS), "nothing goes out");
    vitals.client_read(true, false);
    vitals.spoke(true);
    assert!(!vitals.is_overdue(after(9), LIMITS) && vitals.is_overdue(after(11), LIMITS), "a head");
    vitals.spoke(false);
    assert!(!vitals.is_overdue(after(1_000), LIMITS));
    vitals.request_ended(Instant::now());
    vitals.request_ended(Instant::now());
    vitals.request_begun();
    vitals.may_idle(Duration::from_secs(3));
    vitals.client_read(false, true);
    assert!(!vitals.is_overdue(after(74), LIMITS) && vitals.is_overdue(after(76), LIMITS), "not a short one alone");
}

#[test]
fn an_idle_connection_of_http2_is_told_to_end_before_it_is_closed() {
    let watchdog = Watchdog::new(LIMITS);
    let vitals = watchdog.enrol();
    vitals.speaks_http2(false);
    watchdog.look(after(76));
    assert_eq!(vitals.order(), Order::Drain);
    watchdog.look(after(2));
    assert_eq!(vitals.order(), Order::Close);
}

#[test]
fn a_pause_is_told_once_and_ends_with_the_next_request() {
    let watchdog = Watchdog::new(LIMITS);
    let vitals = watchdog.enrol();
    watchdog.look(after(2));
    assert!(!vitals.rests(), "the first request is to be expected at once");
    vitals.request_begun();
    watchdog.look(after(2));
    assert!(!vitals.rests(), "it is the service that is waited for");
    vitals.request_ended(Instant::now());
    watchdog.look(Instant::now());
    assert!(!vitals.rests());
    watchdog.look(after(2));
    assert!(vitals.rests() && vitals.order() == Order::Serve);
    vitals.request_begun();
    assert!(!vitals.rests());
}

#[test]
fn more_bytes_of_a_head_buy_no_time() {
    let vitals = Vitals::new(Instant::now());
    vitals.head_begun();
    vitals.head_begun();
    assert!(vitals.is_overdue(after(10), LIMITS));
}

#[test]
fn ended_connections_are_forgotten_and_the_others_told() {
    let watchdog = Watchdog::new(LIMITS);
    let kept = watchdog.enrol();
    drop(watchdog.enrol());
    watchdog.look(Instant::now());
    assert_eq!((watchdog.connections.borrow().len(), kept.order()), (1, Order::Serve));
    watchdog.give_all(Order::Drain);
    assert_eq!(kept.order(), Order::Drain);
    watchdog.look(after(11));
    assert_eq!(kept.order(), Order::Close);
    watchdog.give_all(Order::Drain);
    assert_eq!(kept.order(), Order::Close, "nothing undoes it");
}
