//! Bounds the lookups, so that names whose name servers are silent delay no other name.
//!
//! A name server answers within milliseconds, or not for seconds. So every lookup first gets a short turn, and goes on
//! only in a second, slower queue if that was not enough. And names with a known address have queues of their own.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::records::{NameKey, Outcome, Records, Resolution};
use crate::domain::gateway::services::ports::{NameError, NameResolver, Resolved};

/// The most concurrent lookups of either speed, of names with a known address and as many of the others: 64 in all. Each
/// takes up to four sockets.
const MAX_PER_QUEUE: usize = 16;

/// A lookup's first turn. 1,400 new names whose name servers are silent have all had it after nine seconds.
const TURN: Duration = Duration::from_millis(100);

/// Time limit for the wait in the slower queue. After it the follower pauses, and a later first turn finds out whether the
/// name servers have come back.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a lookup, in case the resolver has none.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);

/// The queues of lookups.
#[derive(Default)]
pub(super) struct Lookups {
    known: Arc<Queues>,
    unknown: Arc<Queues>,
}

struct Queues {
    first_turns: Semaphore,
    others: Semaphore,
}

impl Default for Queues {
    fn default() -> Self {
        Self { first_turns: Semaphore::new(MAX_PER_QUEUE), others: Semaphore::new(MAX_PER_QUEUE) }
    }
}

impl Lookups {
    /// Prepares a lookup. `is_known` says whether the name has an address already.
    pub(super) fn of(&self, key: NameKey, resolver: Arc<dyn NameResolver>, is_known: bool) -> Lookup {
        let queues = if is_known { &self.known } else { &self.unknown };
        Lookup { key, resolver, queues: Arc::clone(queues) }
    }
}

/// One lookup.
pub(super) struct Lookup {
    key: NameKey,
    resolver: Arc<dyn NameResolver>,
    queues: Arc<Queues>,
}

impl Lookup {
    /// Looks the name up. A resolver that panics has not answered.
    pub(super) async fn run(self) -> Outcome {
        // A set ends its task when it is dropped.
        let mut task = JoinSet::new();
        task.spawn(self.queue());
        match task.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => Err(NameError::Unanswered("the lookup panicked".to_owned())),
        }
    }

    async fn queue(self) -> Outcome {
        // The semaphores are never closed.
        let first = self.queues.first_turns.acquire().await;
        let mut begun = Box::pin(self.ask());
        if let Ok(outcome) = timeout(TURN, &mut begun).await {
            return outcome;
        }
        let outcome = if let Ok(_permit) = self.queues.others.try_acquire() {
            drop(first);
            timeout(LOOKUP_TIMEOUT, begun).await
        } else {
            // It must not hold its sockets while it waits.
            drop(begun);
            drop(first);
            let Ok(_permit) = timeout(QUEUE_TIMEOUT, self.queues.others.acquire()).await else {
                return Err(NameError::Unanswered("too many names are without an answer".to_owned()));
            };
            timeout(LOOKUP_TIMEOUT, self.ask()).await
        };
        outcome.unwrap_or_else(|_| Err(NameError::Unanswered("the time limit has passed".to_owned())))
    }

    async fn ask(&self) -> Outcome {
        let host = self.key.host();
        let resolution = if self.key.is_srv() {
            let Resolved { records, ttl, is_complete } = self.resolver.targets(host).await?;
            Resolution { records: Records::of_targets(records), ttl, is_complete }
        } else {
            let Resolved { records, ttl, is_complete } = self.resolver.addresses(host).await?;
            Resolution { records: Records::of_addresses(records), ttl, is_complete }
        };
        Ok(resolution)
    }
}
