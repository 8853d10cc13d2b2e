//! What a store of attempts to sign in owes.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, MICROSECOND, PATIENCE, Store, at};
use crate::domain::gateway::models::{
    account::Email,
    attempt::{Admission, Counted},
};

over_every_store!(
    failures_are_counted_over_all_replicas,
    what_has_to_wait_does_not_count,
    each_of_several_counts_or_none,
    what_was_none_is_forgiven,
    a_reset_forgets_everything,
    of_attempts_at_once_no_more_are_admitted_than_may,
    what_does_not_matter_any_more_is_forgotten,
);

fn account(name: &str) -> Counted {
    Counted::account(&Email::parse(&format!("{name}@example.com")).unwrap())
}

fn client(n: u8) -> Counted {
    Counted::client([192, 0, 2, n].into())
}

async fn fail(store: &Store, counted: &[Counted], times: usize) {
    for n in 0..times {
        let replica = if n % 2 == 0 { &store.attempts } else { &store.peer_attempts };
        assert_eq!(replica.admit(counted, at(0)).await.unwrap(), Admission::Admitted, "{n}");
    }
}

async fn failures_are_counted_over_all_replicas(store: &Store) {
    fail(store, &[account("jane")], 5).await;
    for replica in [&store.attempts, &store.peer_attempts] {
        let outcome = replica.admit(&[account("jane")], at(0)).await.unwrap();
        assert_eq!(outcome, Admission::NotBefore(at(1)));
    }
    assert_eq!(store.attempts.admit(&[account("john")], at(0)).await.unwrap(), Admission::Admitted);
    assert_eq!(store.attempts.admit(&[], at(0)).await.unwrap(), Admission::Admitted);
}

async fn what_has_to_wait_does_not_count(store: &Store) {
    fail(store, &[account("jane")], 5).await;
    for _ in 0..9 {
        let outcome = store.attempts.admit(&[account("jane")], at(1) - MICROSECOND).await.unwrap();
        assert_eq!(outcome, Admission::NotBefore(at(1)));
    }
    assert_eq!(store.peer_attempts.admit(&[account("jane")], at(1)).await.unwrap(), Admission::Admitted);
    assert_eq!(store.attempts.admit(&[account("jane")], at(1)).await.unwrap(), Admission::NotBefore(at(3)));
}

async fn each_of_several_counts_or_none(store: &Store) {
    fail(store, &[account("jane"), client(1)], 5).await;
    // The client is not to blame for what it was not allowed to try, in whatever order they are named.
    for both in [[account("jane"), client(1)], [client(1), account("jane")]] {
        for _ in 0..100 {
            assert_eq!(store.attempts.admit(&both, at(0)).await.unwrap(), Admission::NotBefore(at(1)));
        }
    }
    fail(store, &[client(1)], 45).await;
    assert_eq!(store.attempts.admit(&[client(1)], at(0)).await.unwrap(), Admission::NotBefore(at(1)));
    fail(store, &[account("john")], 4).await;
    assert_eq!(store.attempts.admit(&[client(1), account("john")], at(0)).await.unwrap(), Admission::NotBefore(at(1)));
    fail(store, &[account("john")], 1).await;
    // The longer of two delays.
    assert_eq!(store.attempts.admit(&[account("john")], at(1)).await.unwrap(), Admission::Admitted);
    assert_eq!(store.attempts.admit(&[client(1)], at(1)).await.unwrap(), Admission::Admitted);
    assert_eq!(store.attempts.admit(&[account("john")], at(3)).await.unwrap(), Admission::Admitted);
    let both = store.peer_attempts.admit(&[client(1), account("john")], at(3) - MICROSECOND).await.unwrap();
    assert_eq!(both, Admission::NotBefore(at(7)));
}

async fn what_was_none_is_forgiven(store: &Store) {
    fail(store, &[account("jane")], 5).await;
    store.peer_attempts.forgive(&account("jane")).await.unwrap();
    fail(store, &[account("jane")], 1).await;
    assert_eq!(store.attempts.admit(&[account("jane")], at(0)).await.unwrap(), Admission::NotBefore(at(1)));
    // Never below none, and nothing comes of nothing.
    for _ in 0..9 {
        store.attempts.forgive(&account("jane")).await.unwrap();
        store.attempts.forgive(&account("john")).await.unwrap();
    }
    for name in ["jane", "john"] {
        fail(store, &[account(name)], 5).await;
        assert_eq!(store.attempts.admit(&[account(name)], at(0)).await.unwrap(), Admission::NotBefore(at(1)));
    }
}

async fn a_reset_forgets_everything(store: &Store) {
    fail(store, &[account("jane"), client(1)], 5).await;
    store.peer_attempts.reset(&account("jane")).await.unwrap();
    store.attempts.reset(&account("john")).await.unwrap();
    fail(store, &[account("jane")], 5).await;
    fail(store, &[client(1)], 45).await;
    assert_eq!(store.attempts.admit(&[client(1)], at(0)).await.unwrap(), Admission::NotBefore(at(1)));
}

async fn of_attempts_at_once_no_more_are_admitted_than_may(store: &Store) {
    let start = Arc::new(Barrier::new(16));
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let attempts = Arc::clone(if n % 2 == 0 { &store.attempts } else { &store.peer_attempts });
        let start = start.clone();
        // Named in both orders, so that two that lock one after the other would wait for each other for ever.
        let counted = if n % 3 == 0 { [account("jane"), client(1)] } else { [client(1), account("jane")] };
        tasks.spawn(async move {
            start.wait().await;
            attempts.admit(&counted, at(0)).await.unwrap()
        });
    }
    let outcomes = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let admitted = outcomes.iter().filter(|outcome| **outcome == Admission::Admitted).count();
    assert_eq!(admitted, 5, "{outcomes:?}");
}

async fn what_does_not_matter_any_more_is_forgotten(store: &Store) {
    fail(store, &[account("jane"), client(1)], 5).await;
    assert_eq!(store.attempts.admit(&[account("john")], at(1)).await.unwrap(), Admission::Admitted);
    assert_eq!(store.attempts.forget_expired(at(3600) - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.peer_attempts.forget_expired(at(3600)).await.unwrap(), 2);
    fail(store, &[account("jane")], 5).await;
    assert_eq!(store.attempts.forget_expired(at(3601)).await.unwrap(), 2);
}
