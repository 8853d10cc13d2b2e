//! The headers of one message, in the order in which they came. A message has a dozen of them: to look through a list costs
//! less than to hash names, and far less than to build a map that is looked into a few times.

use http::{HeaderMap, HeaderName, HeaderValue};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeaderList(Vec<(HeaderName, HeaderValue)>);

impl HeaderList {
    /// An empty one with room for so many lines.
    pub(super) fn with_capacity(lines: usize) -> Self {
        Self(Vec::with_capacity(lines))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every line.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The values under a name, in order.
    pub(super) fn all(&self, name: HeaderName) -> impl Iterator<Item = &HeaderValue> {
        self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The first value under a name.
    pub(super) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Adds a line.
    pub(super) fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Adds a line in the place of all that have the name.
    pub(super) fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.append(name, value);
    }

    /// Removes every line that has the name.
    pub(super) fn remove(&mut self, name: &HeaderName) {
        if self.contains(name) {
            self.retain(|known, _| known != name);
        }
    }

    /// Removes the lines that are not to be kept.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.0.retain(|(name, value)| is_kept(name, value));
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(lines: I) -> Self {
        Self(lines.into_iter().collect())
    }
}

impl From<HeaderMap> for HeaderList {
    fn from(map: HeaderMap) -> Self {
        let mut list = Self::with_capacity(map.len());
        let mut name = None;
        for (next, value) in map {
            // A name stands with the first of its values alone.
            name = next.or(name);
            if let Some(name) = &name {
                list.append(name.clone(), value);
            }
        }
        list
    }
}

impl From<HeaderList> for HeaderMap {
    fn from(list: HeaderList) -> Self {
        let mut map = Self::with_capacity(list.len());
        for (name, value) in list.0 {
            map.append(name, value);
        }
        map
    }
}

#[cfg(test)]
impl std::ops::Index<&str> for HeaderList {
    type Output = HeaderValue;

    fn index(&self, name: &str) -> &HeaderValue {
        self.get(&name.parse().unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, HOST};

    use super::*;

    fn list(lines: &[(HeaderName, &'static str)]) -> HeaderList {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_name_stands_for_all_its_lines() {
        let mut headers = list(&[(COOKIE, "a"), (HOST, "h"), (COOKIE, "b")]);
        assert_eq!(headers.get(&COOKIE).unwrap(), "a");
        assert_eq!(headers.all(COOKIE).collect::<Vec<_>>(), ["a", "b"]);
        assert!(headers.contains(&HOST) && !headers.contains(&ACCEPT));
        headers.insert(COOKIE, HeaderValue::from_static("c"));
        assert_eq!(headers, list(&[(HOST, "h"), (COOKIE, "c")]));
        headers.append(COOKIE, HeaderValue::from_static("d"));
        headers.remove(&COOKIE);
        assert_eq!(headers, list(&[(HOST, "h")]));
    }

    #[test]
    fn a_map_holds_the_same_lines() {
        let headers = list(&[(COOKIE, "a"), (COOKIE, "b"), (HOST, "h")]);
        let map = HeaderMap::from(headers.clone());
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(HeaderList::from(map), headers);
    }
}
