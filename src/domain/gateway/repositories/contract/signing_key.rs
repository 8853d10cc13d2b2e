//! Contract of a store of signing keys.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, PATIENCE, Store, at};
use crate::domain::gateway::{
    models::signing_key::{SigningAlgorithm, SigningKey},
    repositories::{Constraint, RepositoryError, contract::harness::assert_conflict},
};

over_every_store!(
    keys_are_read_back_whole_and_in_order,
    key_times_are_kept_to_the_microsecond,
    a_taken_kid_or_generation_is_a_conflict,
    of_concurrent_keys_of_one_generation_one_is_kept,
    a_key_is_resealed_unless_it_changed_since_it_was_read,
    a_key_can_be_removed_twice,
    a_key_replaces_all_others_at_once,
    of_concurrent_replacements_one_key_is_left_and_there_is_always_one,
);

fn key(kid: &str, algorithm: SigningAlgorithm, generation: u32) -> SigningKey {
    SigningKey {
        kid: kid.to_owned(),
        algorithm,
        generation,
        sealed_private_key: (0..=255).collect(),
        public_jwk: Some(json!({"kty": "EC", "crv": "P-256", "x": "a_b-c"})),
        created_at: at(0),
        signs_from: at(60),
    }
}

async fn keys_are_read_back_whole_and_in_order(store: &Store) {
    assert_eq!(store.keys.list().await.unwrap(), []);
    let secret = SigningKey { public_jwk: None, sealed_private_key: vec![], ..key("a", SigningAlgorithm::Hs256, 1) };
    let keys = [
        key("z", SigningAlgorithm::Es256, 2),
        key("c", SigningAlgorithm::Es256, 10),
        key("키", SigningAlgorithm::Rs256, 1),
        key("b", SigningAlgorithm::EdDsa, u32::MAX),
        secret,
    ];
    for n in [3, 1, 4, 0, 2] {
        store.keys.add(&keys[n]).await.unwrap();
    }
    assert_eq!(store.peer_keys.list().await.unwrap(), keys);
}

async fn key_times_are_kept_to_the_microsecond(store: &Store) {
    let finer = TimeDelta::nanoseconds(999);
    let key = key("a", SigningAlgorithm::Es256, 1);
    let given = SigningKey { created_at: key.created_at + finer, signs_from: key.signs_from + finer, ..key.clone() };
    store.keys.add(&given).await.unwrap();
    assert_eq!(store.keys.list().await.unwrap(), [key]);
}

async fn a_taken_kid_or_generation_is_a_conflict(store: &Store) {
    let first = key("a", SigningAlgorithm::Es256, 1);
    store.keys.add(&first).await.unwrap();
    for (taken, constraint) in [
        (key("a", SigningAlgorithm::Es256, 2), Constraint::Id),
        (key("b", SigningAlgorithm::Es256, 1), Constraint::Generation),
    ] {
        assert_conflict(&store.peer_keys.add(&taken).await, constraint);
    }
    assert_eq!(store.keys.list().await.unwrap(), [first]);
    store.keys.add(&key("b", SigningAlgorithm::Rs256, 1)).await.unwrap();
}

async fn of_concurrent_keys_of_one_generation_one_is_kept(store: &Store) {
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 0..8 {
        let keys = Arc::clone(if n % 2 == 0 { &store.keys } else { &store.peer_keys });
        let start = start.clone();
        tasks.spawn(async move {
            let key = key(&format!("kid-{n}"), SigningAlgorithm::Es256, 1);
            start.wait().await;
            (keys.add(&key).await, key)
        });
    }
    let (added, refused): (Vec<_>, Vec<_>) =
        timeout(PATIENCE, tasks.join_all()).await.unwrap().into_iter().partition(|(outcome, _)| outcome.is_ok());
    assert_eq!(added.len(), 1);
    for (outcome, _) in refused {
        assert_conflict(&outcome, Constraint::Generation);
    }
    assert_eq!(store.keys.list().await.unwrap(), [added[0].1.clone()]);
}

async fn a_key_is_resealed_unless_it_changed_since_it_was_read(store: &Store) {
    let [one, other] = [key("a", SigningAlgorithm::Es256, 1), key("b", SigningAlgorithm::Es256, 2)];
    store.keys.add(&one).await.unwrap();
    store.keys.add(&other).await.unwrap();
    let read = &one.sealed_private_key;
    assert!(store.peer_keys.reseal("a", read, &[0, 9]).await.unwrap());
    for (kid, stale) in [("a", &read[..]), ("a", &[]), ("a", &[0]), ("c", read), ("A", &[0, 9])] {
        assert!(!store.keys.reseal(kid, stale, &[1]).await.unwrap(), "{kid} {stale:?}");
    }
    assert_eq!(store.keys.list().await.unwrap(), [SigningKey { sealed_private_key: vec![0, 9], ..one }, other]);
}

async fn a_key_can_be_removed_twice(store: &Store) {
    let [one, other] = [key("a", SigningAlgorithm::Es256, 1), key("b", SigningAlgorithm::Es256, 2)];
    store.keys.add(&one).await.unwrap();
    store.keys.add(&other).await.unwrap();
    for _ in 0..2 {
        store.peer_keys.remove("a").await.unwrap();
        assert_eq!(store.keys.list().await.unwrap(), std::slice::from_ref(&other));
    }
    store.keys.add(&one).await.unwrap();
}

async fn a_key_replaces_all_others_at_once(store: &Store) {
    let new = key("new", SigningAlgorithm::Es256, 3);
    assert_eq!(store.keys.replace_all(&new).await.unwrap(), 0);
    store.keys.remove("new").await.unwrap();
    for (n, algorithm) in (1..).zip([SigningAlgorithm::Es256, SigningAlgorithm::Es256, SigningAlgorithm::Rs256]) {
        store.keys.add(&key(&format!("old-{n}"), algorithm, n)).await.unwrap();
    }
    assert_eq!(store.keys.replace_all(&new).await.unwrap(), 3);
    assert_eq!(store.peer_keys.list().await.unwrap(), std::slice::from_ref(&new));
    // Its id and its generation are free: what it replaces is gone.
    assert_eq!(store.peer_keys.replace_all(&new).await.unwrap(), 1);
    assert_eq!(store.keys.list().await.unwrap(), [new]);
}

async fn of_concurrent_replacements_one_key_is_left_and_there_is_always_one(store: &Store) {
    store.keys.add(&key("old", SigningAlgorithm::Es256, 1)).await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..6 {
        let keys = Arc::clone(if n % 2 == 0 { &store.keys } else { &store.peer_keys });
        tasks.spawn(async move {
            let replaced = keys.replace_all(&key(&format!("kid-{n}"), SigningAlgorithm::Es256, 2)).await;
            assert!(matches!(replaced, Ok(1) | Err(RepositoryError::Conflict(Constraint::Generation))), "{replaced:?}");
            assert_eq!(keys.list().await.unwrap().len(), 1);
            replaced.is_ok()
        });
    }
    assert!(timeout(PATIENCE, tasks.join_all()).await.unwrap().contains(&true));
    let left = store.keys.list().await.unwrap();
    assert!(left.len() == 1 && left[0].kid.starts_with("kid-"), "{left:?}");
}
