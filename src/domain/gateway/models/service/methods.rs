//! The methods that a route matches.

use std::fmt;

use thiserror::Error;

/// The texts are not methods that a route may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("one or more names in upper case, such as [\"GET\", \"POST\"]; TRACE and CONNECT are not allowed")]
pub struct InvalidMethods;

/// The methods that a route matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Methods {
    /// All methods that no other route of the same path matches.
    #[default]
    All,
    /// Only these. `GET` implies `HEAD`.
    Only(Vec<String>),
}

impl Methods {
    /// Only these methods.
    ///
    /// # Errors
    /// If the list is empty, or one of them is invalid or is never served.
    pub fn only(methods: &[String]) -> Result<Self, InvalidMethods> {
        let good = |method: &String| {
            !method.is_empty()
                && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
                && !matches!(method.as_str(), "TRACE" | "CONNECT")
        };
        if methods.is_empty() || !methods.iter().all(good) {
            return Err(InvalidMethods);
        }
        let mut methods = methods.to_vec();
        if methods.iter().any(|method| method == "GET") {
            methods.push("HEAD".to_owned());
        }
        methods.sort();
        methods.dedup();
        Ok(Self::Only(methods))
    }

    /// Whether this method is named.
    pub fn names(&self, method: &str) -> bool {
        self.named().iter().any(|known| known == method)
    }

    /// All named methods.
    pub fn named(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(methods) => methods,
        }
    }

    /// Whether two routes of one path compete for a method.
    pub fn compete_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::Only(_)) | (Self::Only(_), Self::All) => false,
            (Self::Only(methods), Self::Only(_)) => methods.iter().any(|method| other.names(method)),
        }
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("any method"),
            Self::Only(methods) => f.write_str(&methods.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(methods: &[&str]) -> Result<Methods, InvalidMethods> {
        Methods::only(&methods.iter().map(|&method| method.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn methods_are_named_in_upper_case() {
        assert_eq!(only(&["POST", "GET", "POST"]).unwrap().to_string(), "GET, HEAD, POST");
        assert_eq!(only(&["M-SEARCH"]).unwrap().named(), ["M-SEARCH"]);
        assert_eq!((Methods::All.to_string().as_str(), Methods::All.named()), ("any method", &[][..]));
        for bad in [&[][..], &[""], &["get"], &["GET", "P T"], &["GET, POST"], &["TRACE"], &["CONNECT"]] {
            assert_eq!(only(bad), Err(InvalidMethods), "{bad:?}");
        }
    }

    #[test]
    fn head_follows_get() {
        let (get, post) = (only(&["GET"]).unwrap(), only(&["POST"]).unwrap());
        assert!(get.names("GET") && get.names("HEAD") && !get.names("POST") && !get.names("get"));
        assert!(!post.names("HEAD") && !Methods::All.names("GET"));
    }

    #[test]
    fn routes_compete_for_a_method_that_both_match() {
        let (get, head, post) = (only(&["GET"]).unwrap(), only(&["HEAD"]).unwrap(), only(&["POST"]).unwrap());
        assert!(Methods::All.compete_with(&Methods::All) && get.compete_with(&head) && head.compete_with(&get));
        assert!(!get.compete_with(&post) && !get.compete_with(&Methods::All) && !Methods::All.compete_with(&get));
    }
}
