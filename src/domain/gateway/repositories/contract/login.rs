//! Contract of a store of finished sign-ins.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, MICROSECOND, PATIENCE, Store, at, digest};

over_every_store_of_sessions!(
    a_state_is_redeemed_once,
    of_concurrent_redemptions_exactly_one_wins,
    an_expired_state_is_forgotten,
);

async fn a_state_is_redeemed_once(store: &Store) {
    assert!(store.logins.redeem(&digest(1), at(60)).await.unwrap());
    assert!(!store.peer_logins.redeem(&digest(1), at(60)).await.unwrap());
    assert!(!store.logins.redeem(&digest(1), at(90)).await.unwrap());
    assert!(store.logins.redeem(&digest(2), at(60)).await.unwrap());
}

async fn of_concurrent_redemptions_exactly_one_wins(store: &Store) {
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 0..8 {
        let logins = Arc::clone(if n % 2 == 0 { &store.logins } else { &store.peer_logins });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            logins.redeem(&digest(1), at(60)).await.unwrap()
        });
    }
    let won = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
}

async fn an_expired_state_is_forgotten(store: &Store) {
    store.logins.redeem(&digest(1), at(60)).await.unwrap();
    assert_eq!(store.logins.purge_expired(at(60) - MICROSECOND).await.unwrap(), 0);
    assert!(!store.logins.redeem(&digest(1), at(60)).await.unwrap());
    assert_eq!(store.logins.purge_expired(at(60)).await.unwrap(), 1);
    assert!(store.logins.redeem(&digest(1), at(120)).await.unwrap());
}
