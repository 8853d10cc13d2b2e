//! Notices that the store did not accept, in memory: bounded, and written as soon as the store is back.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::NoticeService;
use crate::domain::gateway::{
    models::{notice::Notice, values::digest::Sha256Digest},
    services::{Failure, ports::Unacknowledged},
};

/// The most notices that are held: some two megabytes.
const MOST_HELD: usize = 10_000;
/// The most of them whose provider gets an error. The other providers send a notice only once.
const MOST_TOLD: usize = MOST_HELD / 4;
/// The number that is written at once.
const BATCH: usize = 100;

/// No more notices can be held.
#[derive(Debug)]
pub(super) struct Full;

/// The held notices.
#[derive(Default)]
pub(super) struct Held(Mutex<State>);

#[derive(Default)]
struct State {
    notices: VecDeque<Notice>,
    digests: HashSet<Sha256Digest>,
}

impl Held {
    /// Adds notices, all or none, except those that are held already; returns the new number of held ones.
    pub(super) fn push(&self, notices: Vec<Notice>, unacknowledged: Unacknowledged) -> Result<usize, Full> {
        let mut held = self.lock();
        let new: Vec<_> = notices.into_iter().filter(|notice| !held.digests.contains(&notice.digest)).collect();
        let most = if unacknowledged == Unacknowledged::Lost { MOST_HELD } else { MOST_TOLD };
        if !new.is_empty() && held.notices.len() + new.len() > most {
            return Err(Full);
        }
        held.digests.extend(new.iter().map(|notice| notice.digest));
        held.notices.extend(new);
        Ok(held.notices.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().notices.is_empty()
    }

    /// Removes and returns all held notices.
    pub(super) fn take(&self) -> Vec<Notice> {
        let mut held = self.lock();
        held.digests.clear();
        held.notices.drain(..).collect()
    }

    fn oldest(&self) -> Vec<Notice> {
        self.lock().notices.iter().take(BATCH).cloned().collect()
    }

    /// Drops the oldest, which are stored now. Others were only added after them.
    fn drop_oldest(&self, count: usize) {
        let mut held = self.lock();
        let stored: Vec<_> = held.notices.drain(..count).collect();
        for notice in stored {
            held.digests.remove(&notice.digest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NoticeService {
    /// Writes the held notices, oldest first; returns how many were written. To be called by one task at a time.
    pub(super) async fn write_held(&self) -> Result<usize, Failure> {
        let mut written = 0;
        loop {
            let oldest = self.held.oldest();
            if oldest.is_empty() {
                return Ok(written);
            }
            self.store(&oldest).await?;
            self.held.drop_oldest(oldest.len());
            written += oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::gateway::models::notice::NoticeKind;

    fn notice(person: usize) -> Notice {
        let (provider, at) = ("kakao".parse().unwrap(), DateTime::UNIX_EPOCH);
        Notice::new(provider, person.to_string(), NoticeKind::GrantsRevoked, None, None, at)
    }

    #[test]
    fn notices_are_held_in_order_up_to_the_limit() {
        let held = Held::default();
        let push = |notices| held.push(notices, Unacknowledged::Lost);
        assert_eq!(push((0..MOST_HELD - 1).map(notice).collect()).unwrap(), MOST_HELD - 1);
        let [one, two, three] = [1, 2, 3].map(|n| notice(MOST_HELD + n));
        assert!(push(vec![one, two.clone()]).is_err(), "all or none");
        assert_eq!(push(vec![three.clone()]).unwrap(), MOST_HELD);
        assert!(push(vec![two]).is_err());
        assert_eq!(push(vec![three, notice(7)]).unwrap(), MOST_HELD, "they are held already");
        let subjects = |notices: &[Notice]| notices.iter().map(|notice| notice.subject.clone()).collect::<Vec<_>>();
        assert_eq!(subjects(&held.oldest()), (0..BATCH).map(|n| n.to_string()).collect::<Vec<_>>());
        held.drop_oldest(BATCH);
        assert_eq!(subjects(&held.oldest())[0], BATCH.to_string());
        push(vec![notice(5)]).unwrap();
        assert_eq!(held.take().last().unwrap().subject, "5");
        assert!(held.is_empty());
    }

    #[test]
    fn notices_whose_provider_gets_an_error_leave_room_for_those_sent_once() {
        let held = Held::default();
        held.push((0..MOST_TOLD).map(notice).collect(), Unacknowledged::Told).unwrap();
        assert!(held.push(vec![notice(MOST_TOLD)], Unacknowledged::Told).is_err());
        assert_eq!(held.push(vec![notice(MOST_TOLD)], Unacknowledged::Lost).unwrap(), MOST_TOLD + 1);
    }
}
