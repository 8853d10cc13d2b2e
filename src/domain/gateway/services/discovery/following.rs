//! Follows a name: looks it up again when its records expire, sooner when a connection failed, and less often while
//! that fails.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Weak,
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{
    Discovery,
    records::{NameKey, Outcome},
};
use crate::domain::gateway::services::ports::NameError;

/// The bounds of the time between two lookups of a name. A longer TTL is honoured by looking up sooner: container
/// engines announce ten minutes, and change within a second.
pub(super) const MIN_PERIOD: Duration = Duration::from_secs(1);
pub(super) const MAX_PERIOD: Duration = Duration::from_secs(5);

/// The longest time between two lookups of a name whose name servers are silent. A name that does not exist is cheap to
/// look up, and may exist soon: for it, [`MAX_PERIOD`] is the longest.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The part of a period by which it is shortened at most, so that names which were declared together are not looked up
/// together for ever.
const JITTER: f64 = 0.2;

/// Looks a name up for as long as it is declared. Holds no reference in its pauses: what ends discovery ends this.
pub(super) async fn follow(discovery: Weak<Discovery>, key: NameKey) {
    let mut failures = 0_u32;
    for turn in 0_u64.. {
        let Some(lookup) = discovery.upgrade().map(|discovery| discovery.lookup(&key)) else { return };
        let outcome = lookup.run().await;
        failures = if outcome.is_ok() { 0 } else { failures.saturating_add(1) };
        let pause = shortened(period(&outcome, failures), &key, turn);
        let learnt = discovery.upgrade().and_then(|discovery| discovery.learn(&key, outcome));
        let Some(wake) = learnt else { return };
        // The shortest pause holds even for a name that is suspected all the time.
        sleep(MIN_PERIOD).await;
        // Whether the name was suspected or its time has come, it is looked up again.
        let _ = timeout(pause.saturating_sub(MIN_PERIOD), wake.notified()).await;
    }
}

/// The time until the next lookup.
fn period(outcome: &Outcome, failures: u32) -> Duration {
    let longest = match outcome {
        Ok(found) => return found.ttl.clamp(MIN_PERIOD, MAX_PERIOD),
        Err(NameError::Missing) => MAX_PERIOD,
        Err(NameError::Unanswered(_)) => MAX_BACKOFF,
    };
    // 2⁵ times the shortest period is more than the longest one.
    (MIN_PERIOD * 2_u32.pow(failures.clamp(1, 6) - 1)).min(longest)
}

/// Shortens a period by a part that differs from name to name and from turn to turn.
fn shortened(period: Duration, key: &NameKey, turn: u64) -> Duration {
    let mut hasher = DefaultHasher::new();
    (key, turn).hash(&mut hasher);
    let [fraction, ..] = hasher.finish().to_be_bytes();
    period.mul_f64(1.0 - JITTER * f64::from(fraction) / 256.0)
}
