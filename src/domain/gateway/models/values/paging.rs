//! Lists in pages.

/// How many entries a page has at most: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u64);

impl PageSize {
    /// The largest page.
    pub const MAX: Self = Self(100);

    /// A page of this size, if it is allowed.
    pub fn new(entries: u64) -> Option<Self> {
        (1..=Self::MAX.0).contains(&entries).then_some(Self(entries))
    }

    /// The number of entries to read: one more than the page has, which shows whether there is a next page.
    pub fn with_next(self) -> u64 {
        self.0 + 1
    }

    /// Cuts what was read to the page. Whether there is a next page.
    pub fn cut<T>(self, entries: &mut Vec<T>) -> bool {
        let size = usize::try_from(self.0).unwrap_or(usize::MAX);
        let has_next = entries.len() > size;
        entries.truncate(size);
        has_next
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_1_to_100_entries() {
        assert_eq!([0, 101, u64::MAX].map(PageSize::new), [None; 3]);
        assert_eq!(PageSize::new(100), Some(PageSize::MAX));
        assert_eq!(PageSize::new(20), Some(PageSize::default()));
    }

    #[test]
    fn one_entry_more_shows_that_there_is_a_next_page() {
        let size = PageSize::new(2).unwrap();
        assert_eq!(size.with_next(), 3);
        for (read, kept, has_next) in
            [(vec![], vec![], false), (vec![1, 2], vec![1, 2], false), (vec![1, 2, 3], vec![1, 2], true)]
        {
            let mut entries = read;
            assert_eq!((size.cut(&mut entries), entries), (has_next, kept));
        }
    }
}
