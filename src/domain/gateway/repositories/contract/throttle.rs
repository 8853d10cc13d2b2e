//! Contract of a store of password attempts.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, MICROSECOND, PATIENCE, Store, at};
use crate::domain::gateway::models::{
    account::Email,
    throttle::{ThrottleDecision, ThrottleKey},
};

over_every_store!(
    failures_are_counted_over_all_replicas,
    a_delayed_attempt_does_not_count_for_the_account,
    a_delayed_attempt_counts_for_a_client_that_failed_before,
    the_time_is_read_when_everything_is_locked,
    an_attempt_that_was_no_failure_is_forgiven,
    a_reset_forgets_everything,
    concurrent_attempts_are_admitted_up_to_the_limit,
    failures_that_do_not_matter_any_more_are_forgotten,
);

fn account(name: &str) -> ThrottleKey {
    ThrottleKey::account(&Email::parse(&format!("{name}@example.com")).unwrap())
}

fn client(n: u8) -> ThrottleKey {
    ThrottleKey::client([192, 0, 2, n].into())
}

async fn fail(store: &Store, counted: &[ThrottleKey], times: usize) {
    for n in 0..times {
        let replica = if n % 2 == 0 { &store.attempts } else { &store.peer_attempts };
        assert_eq!(replica.admit(counted, &|| at(0)).await.unwrap(), ThrottleDecision::Admitted, "{n}");
    }
}

async fn failures_are_counted_over_all_replicas(store: &Store) {
    fail(store, &[account("jane")], 5).await;
    for replica in [&store.attempts, &store.peer_attempts] {
        let outcome = replica.admit(&[account("jane")], &|| at(0)).await.unwrap();
        assert_eq!(outcome, ThrottleDecision::NotBefore(at(1)));
    }
    assert_eq!(store.attempts.admit(&[account("john")], &|| at(0)).await.unwrap(), ThrottleDecision::Admitted);
    assert_eq!(store.attempts.admit(&[], &|| at(0)).await.unwrap(), ThrottleDecision::Admitted);
}

async fn a_delayed_attempt_does_not_count_for_the_account(store: &Store) {
    fail(store, &[account("jane")], 5).await;
    for _ in 0..9 {
        let outcome = store.attempts.admit(&[account("jane")], &|| at(1) - MICROSECOND).await.unwrap();
        assert_eq!(outcome, ThrottleDecision::NotBefore(at(1)));
    }
    assert_eq!(store.peer_attempts.admit(&[account("jane")], &|| at(1)).await.unwrap(), ThrottleDecision::Admitted);
    assert_eq!(store.attempts.admit(&[account("jane")], &|| at(1)).await.unwrap(), ThrottleDecision::NotBefore(at(3)));
}

async fn a_delayed_attempt_counts_for_a_client_that_failed_before(store: &Store) {
    fail(store, &[account("jane"), client(1)], 5).await;
    // In any order of the counters.
    for n in 0..44 {
        let both = if n % 2 == 0 { [account("jane"), client(1)] } else { [client(1), account("jane")] };
        assert_eq!(store.attempts.admit(&both, &|| at(0)).await.unwrap(), ThrottleDecision::NotBefore(at(1)));
    }
    fail(store, &[client(1)], 1).await;
    assert_eq!(store.attempts.admit(&[client(1)], &|| at(0)).await.unwrap(), ThrottleDecision::NotBefore(at(2)));
    // A client without failures is not charged for those of others: nothing is stored for it.
    assert_eq!(
        store.attempts.admit(&[client(2), account("jane")], &|| at(0)).await.unwrap(),
        ThrottleDecision::Admitted
    );
    store.attempts.forgive(&client(2)).await.unwrap();
    let jane = [account("jane"), ThrottleKey::first_attempts(&Email::parse("jane@example.com").unwrap()), client(2)];
    for _ in 0..100 {
        assert_eq!(store.peer_attempts.admit(&jane, &|| at(0)).await.unwrap(), ThrottleDecision::Admitted);
        store.attempts.forgive(&client(2)).await.unwrap();
    }
    for _ in 0..100 {
        assert_eq!(store.attempts.admit(&jane, &|| at(0)).await.unwrap(), ThrottleDecision::NotBefore(at(1)));
    }
    fail(store, &[client(2)], 50).await;
    assert_eq!(store.attempts.admit(&[client(2)], &|| at(0)).await.unwrap(), ThrottleDecision::NotBefore(at(2)));
}

async fn the_time_is_read_when_everything_is_locked(store: &Store) {
    // Many concurrent attempts, each with its own time, read in order: none has failed often enough for a delay.
    let reading = Arc::new(AtomicI64::new(0));
    let start = Arc::new(Barrier::new(16));
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let attempts = Arc::clone(if n % 2 == 0 { &store.attempts } else { &store.peer_attempts });
        let (start, reading) = (start.clone(), reading.clone());
        tasks.spawn(async move {
            start.wait().await;
            // The clock of every second replica is behind by a minute.
            let now = || at(reading.fetch_add(1, Ordering::SeqCst) - 60 * (n % 2));
            attempts.admit(&[account(&format!("person-{n}")), client(1)], &now).await.unwrap()
        });
    }
    let outcomes = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == ThrottleDecision::Admitted), "{outcomes:?}");
}

async fn an_attempt_that_was_no_failure_is_forgiven(store: &Store) {
    fail(store, &[account("jane")], 5).await;
    store.peer_attempts.forgive(&account("jane")).await.unwrap();
    fail(store, &[account("jane")], 1).await;
    assert_eq!(store.attempts.admit(&[account("jane")], &|| at(0)).await.unwrap(), ThrottleDecision::NotBefore(at(1)));
    // Never below zero, and forgiving without a failure changes nothing.
    for _ in 0..9 {
        store.attempts.forgive(&account("jane")).await.unwrap();
        store.attempts.forgive(&account("john")).await.unwrap();
    }
    for name in ["jane", "john"] {
        fail(store, &[account(name)], 5).await;
        assert_eq!(
            store.attempts.admit(&[account(name)], &|| at(0)).await.unwrap(),
            ThrottleDecision::NotBefore(at(1))
        );
    }
}

async fn a_reset_forgets_everything(store: &Store) {
    fail(store, &[account("jane"), client(1)], 5).await;
    store.peer_attempts.reset(&account("jane")).await.unwrap();
    store.attempts.reset(&account("john")).await.unwrap();
    fail(store, &[account("jane")], 5).await;
    fail(store, &[client(1)], 45).await;
    // Its 51st, which counts although it is refused.
    assert_eq!(store.attempts.admit(&[client(1)], &|| at(0)).await.unwrap(), ThrottleDecision::NotBefore(at(2)));
}

async fn concurrent_attempts_are_admitted_up_to_the_limit(store: &Store) {
    let start = Arc::new(Barrier::new(16));
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let attempts = Arc::clone(if n % 2 == 0 { &store.attempts } else { &store.peer_attempts });
        let start = start.clone();
        // Named in both orders, so that two that lock one after the other would wait for each other for ever.
        let counted = if n % 3 == 0 { [account("jane"), client(1)] } else { [client(1), account("jane")] };
        tasks.spawn(async move {
            start.wait().await;
            attempts.admit(&counted, &|| at(0)).await.unwrap()
        });
    }
    let outcomes = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let admitted = outcomes.iter().filter(|outcome| **outcome == ThrottleDecision::Admitted).count();
    assert_eq!(admitted, 5, "{outcomes:?}");
}

async fn failures_that_do_not_matter_any_more_are_forgotten(store: &Store) {
    fail(store, &[account("jane"), client(1)], 5).await;
    assert_eq!(store.attempts.admit(&[account("john")], &|| at(1)).await.unwrap(), ThrottleDecision::Admitted);
    assert_eq!(store.attempts.purge_expired(at(3600) - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.peer_attempts.purge_expired(at(3600)).await.unwrap(), 2);
    fail(store, &[account("jane")], 5).await;
    assert_eq!(store.attempts.purge_expired(at(3601)).await.unwrap(), 2);
}
