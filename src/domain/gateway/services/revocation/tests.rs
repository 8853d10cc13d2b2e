use chrono::TimeDelta;

use super::*;
use crate::{
    domain::gateway::{models::values::id::TokenId, repositories::memory::MemoryTokens, services::testing::Recorder},
    ports::testing::TestClock,
};

#[tokio::test]
async fn revocations_of_another_replica_arrive_once_and_in_order() {
    let (store, recorder, clock) =
        (Arc::new(MemoryTokens::default()), Arc::new(Recorder::default()), TestClock::at(1000));
    let feed = RevocationFeed::new(store.clone(), recorder.clone(), clock.clone());
    let revocation =
        |n: u8| Revocation { id: TokenId::from_random([n; 16]).into(), expires_at: clock.now() + TimeDelta::hours(1) };
    for n in [3, 1, 2] {
        store.revoke(&[revocation(n)]).await.unwrap();
    }
    feed.catch_up().await.unwrap();
    feed.catch_up().await.unwrap();
    assert_eq!(*recorder.revocations.lock().unwrap(), [revocation(3), revocation(1), revocation(2)]);
    store.revoke(&[revocation(4)]).await.unwrap();
    feed.catch_up().await.unwrap();
    assert_eq!(recorder.revocations.lock().unwrap().last(), Some(&revocation(4)));
}

#[tokio::test]
async fn a_feed_that_has_not_caught_up_lately_is_not_fresh() {
    let clock = TestClock::at(1000);
    let feed = RevocationFeed::new(Arc::new(MemoryTokens::default()), Arc::new(Recorder::default()), clock.clone());
    assert!(feed.unheard_since().is_some(), "nothing was read yet");
    feed.catch_up().await.unwrap();
    let read_at = clock.now();
    assert_eq!(feed.unheard_since(), None);
    clock.pass(FRESH_FOR);
    assert_eq!(feed.unheard_since(), None);
    clock.pass(TimeDelta::microseconds(1));
    assert_eq!(feed.unheard_since(), Some(read_at));
    feed.catch_up().await.unwrap();
    assert_eq!(feed.unheard_since(), None);
}
