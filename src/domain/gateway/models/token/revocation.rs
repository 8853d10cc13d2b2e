//! Revocation: a deny-list of token and family ids. An entry is kept until the last token that it could concern has
//! expired.

use chrono::{DateTime, TimeDelta, Utc};
use imbl::{HashMap, OrdSet};
use uuid::Uuid;

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
///
/// A store may lose its newest entries, when it is restored or fails over to a standby that lagged, and then give out
/// the same places again. So every batch of entries has a random mark, and names the mark of the batch before it: a
/// reader continues only a list whose next batch follows the last one that it has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevocationCursor {
    place: i64,
    mark: Option<Uuid>,
}

impl RevocationCursor {
    /// At this place, behind the batch with this mark. Without a mark every list continues it.
    pub const fn new(place: i64, mark: Option<Uuid>) -> Self {
        Self { place, mark }
    }

    /// At this place, of whatever list.
    pub const fn at(place: i64) -> Self {
        Self::new(place, None)
    }

    /// The place of the last entry that was read.
    pub fn place(self) -> i64 {
        self.place
    }

    /// Whether a list that ends at `end` is the one that was read up to here. `next` are the batches of its entries
    /// after this position; `reach_end` is whether these are all of them.
    ///
    /// A gateway of the previous version marks nothing, neither its entries nor the end: so the first batch with a mark
    /// has to follow, or else the end's mark is still the one that was read.
    pub fn is_continued_by(self, next: impl IntoIterator<Item = BatchMarks>, end: Self, reach_end: bool) -> bool {
        let Some(mark) = self.mark else { return end.place >= self.place };
        let follows = match next.into_iter().find_map(|batch| batch.own.map(|own| (own, batch.follows))) {
            Some((own, follows)) => own == mark || follows == Some(mark),
            None => !reach_end || end.mark.is_none_or(|end| end == mark),
        };
        end.place >= self.place && follows
    }
}

/// The mark of a batch of entries, and that of the batch before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMarks {
    /// Its own; `None` if a gateway of the previous version wrote it.
    pub own: Option<Uuid>,
    /// That of the batch before it.
    pub follows: Option<Uuid>,
}

/// A part of the deny-list, as one look at the store has found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationPage {
    /// The entries, oldest first.
    pub entries: Vec<RecordedRevocation>,
    /// The end of the list.
    pub end: RevocationCursor,
    /// Whether the list is the one that the reader has read before. If not, the store has lost entries.
    pub is_continued: bool,
}

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

    /// Whether nothing has changed since the other copy was made.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.expiry_of.ptr_eq(&other.expiry_of)
    }

    /// All entries, the first to expire first.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        self.by_expiry.iter().map(|&(expires_at, id)| Revocation { id, expires_at })
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
    fn a_list_is_continued_only_by_a_batch_that_follows_the_last_one() {
        let mark = |n| Some(Uuid::from_u128(n));
        let read = RevocationCursor::new(10, mark(3));
        let batch = |own, follows| BatchMarks { own, follows };
        let unmarked = batch(None, None);
        let end = RevocationCursor::new(12, mark(4));
        assert!(read.is_continued_by([batch(mark(4), mark(3))], end, true));
        assert!(read.is_continued_by([batch(mark(3), mark(2))], end, true), "the rest of the same batch");
        assert!(read.is_continued_by([], read, true), "nothing new");
        // The store has lost its tail, and gave out the places again.
        assert!(!read.is_continued_by([batch(mark(6), mark(5))], end, true));
        assert!(!read.is_continued_by([], RevocationCursor::new(10, mark(5)), true));
        assert!(!read.is_continued_by([], RevocationCursor::new(9, mark(3)), true), "fewer places than before");
        // Gateways of the previous version do not change the mark of the end.
        assert!(read.is_continued_by([unmarked], RevocationCursor::new(11, mark(3)), true));
        assert!(read.is_continued_by([unmarked, batch(mark(4), mark(3))], end, true));
        assert!(!read.is_continued_by([unmarked], RevocationCursor::new(11, mark(5)), true));
        assert!(!read.is_continued_by([unmarked, batch(mark(6), mark(5))], end, true));
        assert!(read.is_continued_by([unmarked], end, false), "the rest of the list will tell");
        // Without a mark only the place counts.
        assert!(RevocationCursor::at(10).is_continued_by([batch(mark(6), mark(5))], end, true));
        assert!(!RevocationCursor::at(13).is_continued_by([], end, true));
        assert!(RevocationCursor::default().is_continued_by([batch(mark(1), None)], end, true));
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut revocations = Revocations::default();
        let before = revocations.clone();
        revocations.insert(Revocation { id: id(1), expires_at: at(10) });
        assert_eq!((before.len(), revocations.len()), (0, 1));
    }
}
