use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use super::*;

const LIMITS: Timeouts = Timeouts { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn heads_idle_periods_and_stalls_are_limited() {
    let connection_state = ConnectionState::new(Instant::now());
    assert!(!connection_state.is_overdue(after(9), LIMITS) && connection_state.is_overdue(after(10), LIMITS));
    connection_state.request_begun();
    assert!(!connection_state.is_overdue(after(1_000), LIMITS), "the client waits for us");
    connection_state.body_came(false);
    assert!(!connection_state.is_overdue(after(74), LIMITS) && connection_state.is_overdue(after(76), LIMITS));
    connection_state.body_came(true);
    assert!(!connection_state.is_overdue(after(1_000), LIMITS));
    connection_state.client_read(false, true);
    assert!(connection_state.is_overdue(after(76), LIMITS));
    connection_state.may_idle(Duration::from_mins(5));
    assert!(!connection_state.is_overdue(after(299), LIMITS) && connection_state.is_overdue(after(301), LIMITS));
    connection_state.client_read(true, false);
    connection_state.request_ended(Instant::now());
    assert!(!connection_state.is_overdue(after(74), LIMITS) && connection_state.is_overdue(after(76), LIMITS));
    connection_state.head_begun();
    assert!(connection_state.is_overdue(after(11), LIMITS));
    connection_state.on_end_announced();
    assert!(!connection_state.is_overdue(after(0), LIMITS) && connection_state.is_overdue(after(2), LIMITS));
}

#[test]
fn a_client_may_go_on_sending_for_seconds_after_our_side_is_closed() {
    let connection_state = ConnectionState::new(Instant::now());
    connection_state.lingers();
    assert!(!connection_state.is_overdue(after(4), LIMITS) && connection_state.is_overdue(after(6), LIMITS));
    connection_state.give(Order::Drain);
    assert!(connection_state.is_overdue(after(2), LIMITS), "a gateway that ends does not wait as long");
    // A client that never pauses is limited, too.
    let connection_state = ConnectionState::new(Instant::now());
    connection_state.lingers();
    let Awaited::Lingering { since, .. } = connection_state.awaited.get() else { panic!("it lingers") };
    connection_state.lingers();
    let Awaited::Lingering { since: still, .. } = connection_state.awaited.get() else { panic!("it lingers") };
    assert_eq!(since, still);
    connection_state.awaited.set(Awaited::Lingering { since, heard: after(30) });
    assert!(!connection_state.is_overdue(since + Duration::from_secs(29), LIMITS));
    assert!(connection_state.is_overdue(since + LINGER, LIMITS));
}

#[test]
fn a_half_closed_client_counts_as_one_that_does_not_read() {
    let connection_state = ConnectionState::new(Instant::now());
    connection_state.request_begun();
    connection_state.half_closed();
    assert!(
        !connection_state.is_overdue(after(9), LIMITS) && connection_state.is_overdue(after(11), LIMITS),
        "it may have gone"
    );
    assert!(connection_state.is_overdue(after(4), Timeouts { idle: Duration::from_secs(3), ..LIMITS }));
    connection_state.client_read(true, false);
    assert!(!connection_state.is_overdue(after(1_000), LIMITS));
    connection_state.half_closed();
    assert!(
        !connection_state.is_overdue(after(74), LIMITS) && connection_state.is_overdue(after(76), LIMITS),
        "it reads"
    );
}

#[test]
fn a_half_closed_connection_is_woken_repeatedly_to_check_whether_its_client_has_gone() {
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let client_timeouts = ClientTimeouts::new(LIMITS);
    let (connection_state, woken) = (client_timeouts.enrol(), Arc::new(Woken(AtomicUsize::new(0))));
    connection_state.remember(&Waker::from(Arc::clone(&woken)));
    connection_state.request_begun();
    client_timeouts.tick(after(1));
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    connection_state.half_closed();
    client_timeouts.tick(after(1));
    connection_state.client_read(true, false);
    client_timeouts.tick(after(2));
    assert_eq!((woken.0.load(Ordering::Relaxed), connection_state.order()), (2, Order::Serve));
}

#[test]
fn progress_in_one_direction_keeps_the_other_alive() {
    let connection_state = ConnectionState::new(Instant::now());
    connection_state.request_begun();
    let long_ago = Instant::now().checked_sub(Duration::from_secs(70));
    connection_state.body_awaited_since.set(long_ago);
    assert!(connection_state.is_overdue(after(6), LIMITS));
    connection_state.client_read(true, false);
    assert!(
        !connection_state.is_overdue(after(6), LIMITS) && connection_state.is_overdue(after(76), LIMITS),
        "it reads"
    );
    connection_state.body_came(true);
    assert!(!connection_state.is_overdue(after(1_000), LIMITS));
    connection_state.unread_since.set(long_ago);
    connection_state.body_came(true);
    assert!(
        !connection_state.is_overdue(after(6), LIMITS) && connection_state.is_overdue(after(76), LIMITS),
        "it sends"
    );
    connection_state.unread_since.set(long_ago);
    connection_state.client_read(true, true);
    assert!(
        !connection_state.is_overdue(after(6), LIMITS) && connection_state.is_overdue(after(76), LIMITS),
        "it reads a part"
    );
}

#[test]
fn with_http2_a_request_does_not_affect_the_limits_of_others() {
    let connection_state = ConnectionState::new(Instant::now());
    connection_state.speaks_http2(false);
    assert!(!connection_state.is_overdue(after(74), LIMITS) && connection_state.is_overdue(after(76), LIMITS));
    connection_state.request_begun();
    connection_state.request_begun();
    connection_state.may_idle(Duration::from_mins(5));
    connection_state.may_idle(Duration::from_secs(3));
    assert!(!connection_state.is_overdue(after(1_000), LIMITS), "the client waits for us");
    connection_state.client_read(false, true);
    assert!(
        !connection_state.is_overdue(after(299), LIMITS) && connection_state.is_overdue(after(301), LIMITS),
        "nothing goes out"
    );
    connection_state.client_read(true, false);
    connection_state.on_read(true);
    assert!(!connection_state.is_overdue(after(9), LIMITS) && connection_state.is_overdue(after(11), LIMITS), "a head");
    connection_state.on_read(false);
    assert!(!connection_state.is_overdue(after(1_000), LIMITS));
    connection_state.request_ended(Instant::now());
    connection_state.request_ended(Instant::now());
    connection_state.request_begun();
    connection_state.may_idle(Duration::from_secs(3));
    connection_state.client_read(false, true);
    assert!(
        !connection_state.is_overdue(after(74), LIMITS) && connection_state.is_overdue(after(76), LIMITS),
        "not a short one alone"
    );
}

#[test]
fn an_idle_http2_connection_is_drained_before_it_is_closed() {
    let client_timeouts = ClientTimeouts::new(LIMITS);
    let connection_state = client_timeouts.enrol();
    connection_state.speaks_http2(false);
    client_timeouts.tick(after(76));
    assert_eq!(connection_state.order(), Order::Drain);
    client_timeouts.tick(after(2));
    assert_eq!(connection_state.order(), Order::Close);
}

#[test]
fn an_idle_period_is_reported_once_and_ends_with_the_next_request() {
    let client_timeouts = ClientTimeouts::new(LIMITS);
    let connection_state = client_timeouts.enrol();
    client_timeouts.tick(after(2));
    assert!(!connection_state.is_paused(), "the first request is to be expected at once");
    connection_state.request_begun();
    client_timeouts.tick(after(2));
    assert!(!connection_state.is_paused(), "it is the service that is waited for");
    connection_state.request_ended(Instant::now());
    client_timeouts.tick(Instant::now());
    assert!(!connection_state.is_paused());
    client_timeouts.tick(after(2));
    assert!(connection_state.is_paused() && connection_state.order() == Order::Serve);
    connection_state.request_begun();
    assert!(!connection_state.is_paused());
}

#[test]
fn more_bytes_of_a_head_do_not_extend_its_limit() {
    let connection_state = ConnectionState::new(Instant::now());
    connection_state.head_begun();
    connection_state.head_begun();
    assert!(connection_state.is_overdue(after(10), LIMITS));
}

#[test]
fn ended_connections_are_dropped_and_the_others_get_orders() {
    let client_timeouts = ClientTimeouts::new(LIMITS);
    let kept = client_timeouts.enrol();
    drop(client_timeouts.enrol());
    client_timeouts.tick(Instant::now());
    assert_eq!((client_timeouts.connections.borrow().len(), kept.order()), (1, Order::Serve));
    client_timeouts.give_all(Order::Drain);
    assert_eq!(kept.order(), Order::Drain);
    client_timeouts.tick(after(11));
    assert_eq!(kept.order(), Order::Close);
    client_timeouts.give_all(Order::Drain);
    assert_eq!(kept.order(), Order::Close, "nothing undoes it");
}
