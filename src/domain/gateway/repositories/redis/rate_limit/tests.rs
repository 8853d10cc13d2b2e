use super::*;
use crate::domain::gateway::{
    models::{rate_limit::BucketRate, values::digest::Sha256Digest},
    repositories::{
        contract::harness::{redis_prefix, redis_url},
        redis::connect,
    },
};

#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
async fn buckets() -> RedisRateLimits {
    RedisRateLimits::new(connect(&redis_url()).await.unwrap(), redis_prefix())
}

/// A bucket that is not refilled during a test.
fn demand(name: &str, burst: u32) -> BucketDemand {
    let rate = BucketRate { interval: 3_600_000_000_000, burst };
    BucketDemand { bucket: Sha256Digest::of(name.as_bytes()), rate }
}

fn hours(full_in: Duration) -> u64 {
    full_in.as_secs().div_ceil(3600)
}

#[tokio::test]
async fn a_bucket_is_emptied_and_says_how_long_to_wait() {
    let (buckets, demand) = (buckets().await, demand("a", 3));
    for taken in 1..=3 {
        let BucketOutcome::Taken(times) = buckets.take(&[demand]).await.unwrap() else { panic!("{taken}") };
        assert_eq!(times.into_iter().map(hours).collect::<Vec<_>>(), [taken]);
    }
    let BucketOutcome::Exhausted { number, wait } = buckets.take(&[demand]).await.unwrap() else { panic!() };
    assert_eq!((number, hours(wait)), (0, 1));
}

#[tokio::test]
async fn nothing_is_taken_if_one_bucket_is_empty() {
    let (buckets, one, two) = (buckets().await, demand("one", 1), demand("two", 5));
    assert!(matches!(buckets.take(&[one]).await.unwrap(), BucketOutcome::Taken(_)));
    for _ in 0..10 {
        let outcome = buckets.take(&[two, one]).await.unwrap();
        assert!(matches!(outcome, BucketOutcome::Exhausted { number: 1, .. }), "{outcome:?}");
    }
    let BucketOutcome::Taken(times) = buckets.take(&[two]).await.unwrap() else { panic!() };
    assert_eq!(times.into_iter().map(hours).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_bucket_is_refilled_and_then_forgotten() {
    let buckets = buckets().await;
    let rate = BucketRate { interval: 20_000_000, burst: 2 };
    let fast = BucketDemand { bucket: Sha256Digest::of(b"fast"), rate };
    let mut waits = 0;
    for _ in 0..6 {
        while let BucketOutcome::Exhausted { wait, .. } = buckets.take(&[fast]).await.unwrap() {
            assert!(wait <= Duration::from_millis(20), "{wait:?}");
            waits += 1;
            tokio::time::sleep(wait).await;
        }
    }
    assert!(waits > 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut get = redis::cmd("EXISTS");
    get.arg(buckets.keys.name("rate", &hex(&fast.bucket)));
    assert_eq!(buckets.keys.read::<u32>(&get).await.unwrap(), 0);
}

/// What two replicas take together is what one would.
#[tokio::test(flavor = "multi_thread")]
async fn all_callers_share_a_bucket() {
    let (buckets, demand) = (buckets().await, demand("shared", 50));
    let callers = (0..4).map(|_| {
        let buckets = buckets.clone();
        tokio::spawn(async move {
            let mut accepted = 0;
            for _ in 0..25 {
                accepted += u32::from(matches!(buckets.take(&[demand]).await.unwrap(), BucketOutcome::Taken(_)));
            }
            accepted
        })
    });
    let mut accepted = 0;
    for caller in callers {
        accepted += caller.await.unwrap();
    }
    assert_eq!(accepted, 50);
}
