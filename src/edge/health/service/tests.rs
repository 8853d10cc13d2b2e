use std::{sync::Barrier, thread};

use super::*;
use crate::{
    domain::gateway::models::service::{Health, ServicePolicy},
    edge::tests::support::service,
};

fn state_of(instances: &[&str], ejection: Ejection) -> ServiceState {
    let policy = Arc::new(ServicePolicy { ejection, ..ServicePolicy::default() });
    ServiceState::of(Arc::new(Service { policy, ..service("auth", instances) }), None, 2, Instant::now())
}

fn three() -> ServiceState {
    state_of(&["http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3"], Ejection::default())
}

fn fail(state: &ServiceState, at: usize, times: usize, now: Instant) {
    (0..times).for_each(|_| state.failed(&state.instances[at], "503", now));
}

fn healths(state: &ServiceState) -> Vec<Health> {
    state.instances.iter().map(InstanceState::health).collect()
}

#[test]
fn five_failures_in_a_row_eject_an_instance() {
    let (state, now) = (three(), Instant::now());
    fail(&state, 0, 4, now);
    state.succeeded(&state.instances[0]);
    fail(&state, 0, 4, now);
    assert_eq!(healths(&state), [Health::Healthy; 3]);
    let before = state.changes();
    fail(&state, 0, 1, now);
    assert_eq!(healths(&state), [Health::Ejected, Health::Healthy, Health::Healthy]);
    assert!(state.changes() > before && state.instances[0].last_error().as_deref() == Some("503"));
}

#[test]
fn at_most_half_are_ejected_and_never_the_last() {
    let (state, now) = (three(), Instant::now());
    (0..3).for_each(|at| fail(&state, at, 50, now));
    assert_eq!(healths(&state), [Health::Ejected, Health::Healthy, Health::Healthy]);
    let alone = state_of(&["http://10.0.0.1"], Ejection::default());
    fail(&alone, 0, 50, now);
    assert_eq!(healths(&alone), [Health::Healthy]);
    let two = state_of(&["http://10.0.0.1", "http://10.0.0.2"], Ejection::default());
    two.is_unreachable(&two.instances[1], "refused", now);
    fail(&two, 0, 50, now);
    assert_eq!(healths(&two), [Health::Healthy, Health::Unreachable], "the other one does not answer");
}

#[test]
fn cores_that_eject_at_once_keep_to_the_half() {
    for _ in 0..50 {
        let urls: Vec<String> = (1..=8).map(|number| format!("http://10.0.0.{number}")).collect();
        let state = state_of(&urls.iter().map(String::as_str).collect::<Vec<_>>(), Ejection::default());
        let (barrier, now) = (Barrier::new(8), Instant::now());
        thread::scope(|scope| {
            for at in 0..8 {
                let (state, barrier) = (&state, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    fail(state, at, 6, now);
                });
            }
        });
        assert_eq!(healths(&state).iter().filter(|health| **health == Health::Ejected).count(), 4);
    }
}

#[test]
fn an_instance_that_cannot_be_reached_is_out_whatever_the_others_are() {
    let (state, now) = (three(), Instant::now());
    for at in &state.instances {
        state.is_unreachable(at, "connection refused", now);
    }
    assert_eq!(healths(&state), [Health::Unreachable; 3]);
    fail(&state, 0, 5, now);
    state.allows(&state.instances[0], Removal::Unreachable, now);
    assert_eq!(healths(&state), [Health::Healthy, Health::Unreachable, Health::Unreachable]);
}

#[test]
fn each_ejection_in_a_row_lasts_twice_as_long() {
    let ejection = Ejection { after: 5, time: Duration::from_secs(5), max_time: Duration::from_secs(15) };
    let state = state_of(&["http://10.0.0.1", "http://10.0.0.2"], ejection);
    let at = &state.instances[0];
    let mut now = Instant::now();
    fail(&state, 0, 5, now);
    for seconds in [5, 10, 15, 15] {
        assert!(!ServiceState::may_return(at, now + Duration::from_millis(seconds * 1000 - 1)), "{seconds}");
        now += Duration::from_secs(seconds);
        assert!(ServiceState::may_return(at, now), "{seconds}");
        state.allows(at, Removal::Ejected, now);
        assert_eq!(at.health(), Health::Healthy);
        // One more failure is enough.
        fail(&state, 0, 1, now);
        assert_eq!(at.health(), Health::Ejected);
    }
    assert_eq!(at.ejections(), 5);
    state.allows(at, Removal::Ejected, now);
    state.succeeded(at);
    now += Duration::from_mins(2);
    fail(&state, 0, 5, now);
    assert!(ServiceState::may_return(at, now + Duration::from_secs(5)), "it was well for long");
}

#[test]
fn health_survives_a_new_list() {
    let (state, now) = (three(), Instant::now());
    fail(&state, 1, 5, now);
    state.instances[0].counters().sent(1);
    let changed = Service {
        policy: Arc::default(),
        ..service("auth", &["http://10.0.0.4", "http://10.0.0.2", "http://10.0.0.1"])
    };
    let next = ServiceState::of(Arc::new(changed), Some(&state), 2, now);
    assert_eq!(healths(&next), [Health::Healthy, Health::Ejected, Health::Healthy]);
    assert_eq!((next.instances[0].in_flight(), next.instances[2].in_flight()), (0, 1));
    // Both lists lead to the same state.
    next.allows(&next.instances[1], Removal::Ejected, now);
    assert_eq!((healths(&state), state.changes()), (vec![Health::Healthy; 3], next.changes()));
}

#[test]
fn only_newcomers_start_slowly() {
    let (state, now) = (three(), Instant::now());
    let slow = Duration::from_secs(10);
    assert!((state.instances[0].warmth(slow, now) - 1.0).abs() < 0.01);
    let more = service("auth", &["http://10.0.0.1", "http://10.0.0.9"]);
    let next = ServiceState::of(Arc::new(more), Some(&state), 2, now);
    let at = |seconds| {
        next.instances.iter().map(|one| one.warmth(slow, now + Duration::from_secs(seconds))).collect::<Vec<_>>()
    };
    assert_eq!(at(0), [1.0, 0.1]);
    assert_eq!(at(5), [1.0, 0.5]);
    assert_eq!(at(10), [1.0, 1.0]);
}
