//! Revocation: a deny-list of token and family ids. An entry is kept until the last token that it could concern has
//! expired.

use chrono::{DateTime, TimeDelta, Utc};
use imbl::{HashMap, OrdSet};

use crate::domain::gateway::models::values::id::Revocable;

/// The largest clock difference between replicas. A token that has expired by one clock may be live by another: it is
/// still revoked, and a store forgets nothing before it has expired by every clock.
pub const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

/// One entry of the deny-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// The revoked id.
    pub id: Revocable,
    /// When the last token that it concerns has expired, including the leeway; from then on the entry may be forgotten.
    pub expires_at: DateTime<Utc>,
}

/// The position that a reader of the deny-list has reached. The default is before everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevocationCursor(pub i64);

/// An entry of the deny-list with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedRevocation {
    /// Its position. Positions become visible in order, so a reader that has reached one has missed nothing before it.
    pub cursor: RevocationCursor,
    /// The entry.
    pub revocation: Revocation,
}

/// The deny-list in memory. A persistent map: a copy costs nothing and shares its parts with the original, so a million
/// entries slow down neither a snapshot nor a look-up.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    expiry_of: HashMap<Revocable, DateTime<Utc>>,
    by_expiry: OrdSet<(DateTime<Utc>, Revocable)>,
}

impl Revocations {
    /// Whether any of `ids` is revoked.
    pub fn contains_any(&self, ids: &[Revocable]) -> bool {
        !self.expiry_of.is_empty() && ids.iter().any(|id| self.expiry_of.contains_key(id))
    }

    /// Adds an entry. Of two entries for the same id, the later expiry counts.
    pub fn insert(&mut self, revocation: Revocation) {
        let Revocation { id, expires_at } = revocation;
        if let Some(known) = self.expiry_of.get(&id).copied() {
            if known >= expires_at {
                return;
            }
            self.by_expiry.remove(&(known, id));
        }
        self.expiry_of.insert(id, expires_at);
        self.by_expiry.insert((expires_at, id));
    }

    /// Forgets the entries that can no longer concern a live token, and returns their number.
    pub fn purge_expired(&mut self, now: DateTime<Utc>) -> usize {
        let mut forgotten = 0;
        while let Some((expires_at, id)) = self.by_expiry.get_min().copied() {
            if expires_at > now {
                break;
            }
            self.by_expiry.remove_min();
            self.expiry_of.remove(&id);
            forgotten += 1;
        }
        forgotten
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.expiry_of.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.expiry_of.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gateway::models::values::id::TokenId;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn id(n: u8) -> Revocable {
        TokenId::from_random([n; 16]).into()
    }

    #[test]
    fn a_token_is_revoked_by_its_own_id_or_by_its_family() {
        let mut revocations = Revocations::default();
        assert!(!revocations.contains_any(&[id(1), id(2)]));
        revocations.insert(Revocation { id: id(2), expires_at: at(10) });
        assert!(revocations.contains_any(&[id(1), id(2)]) && !revocations.contains_any(&[id(1), id(3)]));
    }

    #[test]
    fn an_entry_stays_until_its_latest_expiry() {
        let mut revocations = Revocations::default();
        for expires_at in [at(10), at(20), at(15)] {
            revocations.insert(Revocation { id: id(1), expires_at });
        }
        revocations.insert(Revocation { id: id(2), expires_at: at(10) });
        assert_eq!(revocations.purge_expired(at(10)), 1);
        assert_eq!(revocations.purge_expired(at(19)), 0);
        assert!(revocations.contains_any(&[id(1)]));
        assert_eq!(revocations.purge_expired(at(20)), 1);
        assert!(revocations.is_empty());
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut revocations = Revocations::default();
        let before = revocations.clone();
        revocations.insert(Revocation { id: id(1), expires_at: at(10) });
        assert_eq!((before.len(), revocations.len()), (0, 1));
    }
}
