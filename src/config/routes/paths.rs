//! Parses the paths and methods of a route.

use std::collections::HashMap;

use toml::Spanned;

use super::{Parser, parsed, reader::one_of};
use crate::domain::gateway::models::{
    http::path::{PathPrefix, Spelling, Spellings},
    service::{Methods, SERVICES_PREFIX},
};

/// The paths and methods of the routes so far, with their places in the file.
#[derive(Default)]
pub(super) struct Taken {
    methods: HashMap<PathPrefix, Vec<(Methods, Spanned<()>)>>,
    /// By the path in lower case.
    paths: HashMap<String, (PathPrefix, Spanned<()>)>,
}

impl Taken {
    /// Whether no shipped route may stay for this path: the file has a route for it, or for it in another case.
    pub(super) fn covers(&self, path: &PathPrefix) -> bool {
        self.paths.contains_key(&path.without_case())
    }
}

impl Parser<'_, '_> {
    /// Routes live under `/api`, so that they can never conflict with the gateway's own paths.
    pub(super) fn path(&mut self, given: &Spanned<String>) -> Option<PathPrefix> {
        self.field("path", given, |text| {
            if let Some(plain) = before_pattern(text) {
                let hint = format!("a route covers everything below its path, so {plain:?} is enough");
                return Err(format!("must be a path without patterns such as {{id}}, :id or *; {hint}"));
            }
            let prefix: PathPrefix = parsed(text, "a path")?;
            match prefix.as_str().strip_prefix(SERVICES_PREFIX) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(prefix),
                _ => Err(format!(
                    "must be a path under {SERVICES_PREFIX}, such as {SERVICES_PREFIX}/users; all others are the gateway's own"
                )),
            }
        })
    }

    pub(super) fn methods(&mut self, given: Option<&Spanned<Vec<String>>>) -> Option<Methods> {
        match given {
            None => Some(Methods::All),
            Some(given) => {
                self.field("methods", given, |texts| Methods::only(texts).map_err(|rule| format!("must be {rule}")))
            }
        }
    }

    /// Registers the route's path and methods, and notes a conflict with another route.
    pub(super) fn take(&mut self, given: &Spanned<String>, path: &PathPrefix, methods: &Methods) {
        let here = || Spanned::new(given.span(), ());
        let text = given.get_ref();
        let of_path = self.taken.methods.entry(path.clone()).or_default();
        let rival = of_path.iter().find(|(known, _)| known.compete_with(methods)).map(|(_, place)| here_of(place));
        of_path.push((methods.clone(), here()));
        let twin = match self.taken.paths.get(&path.without_case()) {
            Some((known, place)) if known != path => Some(here_of(place)),
            Some(_) => None,
            None => {
                self.taken.paths.insert(path.without_case(), (path.clone(), here()));
                None
            }
        };
        if let Some(rival) = rival {
            let line = self.line(&rival);
            let hint = "two routes of one path need different methods";
            self.note(given, format!("path must not be {text:?}; line {line} has a route for it already, and {hint}"));
        }
        if let Some(twin) = twin {
            let line = self.line(&twin);
            let hint = "a service that ignores case confuses the two";
            self.note(given, format!("path must not be {text:?}; line {line} has it in another case, and {hint}"));
        }
    }

    /// The spellings that servers read in different ways, but this route lets through.
    pub(super) fn allow(&mut self, given: Option<&Spanned<Vec<String>>>) -> Option<Spellings> {
        let Some(given) = given else { return Some(Spellings::NONE) };
        self.field("allow", given, |names| names.iter().map(|name| one_of(name, &Spelling::ALL)).collect())
    }
}

/// The part of a path before its first segment that is a pattern in other programs, if there is one.
fn before_pattern(path: &str) -> Option<&str> {
    let is_pattern = |segment: &str| segment.contains(['{', '}', '*']) || segment.starts_with(':');
    let mut end = 0;
    for segment in path.split('/') {
        if is_pattern(segment) {
            return Some(path[..end].trim_end_matches('/')).map(|plain| if plain.is_empty() { "/api" } else { plain });
        }
        end += segment.len() + 1;
    }
    None
}

fn here_of(place: &Spanned<()>) -> Spanned<()> {
    Spanned::new(place.span(), ())
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{Sources, reading::reader::Reader, routes},
        domain::gateway::models::service::Route,
    };

    fn routes(text: &str) -> Result<Vec<Route>, Vec<String>> {
        let sources = Sources::default().with_routes_file("gateway.toml", text);
        let mut reader = Reader::new(&sources);
        let found =
            routes::read(&mut reader, routes::Known { providers: None, algorithm: None, services: None, redis: None });
        reader.finish(Some(found.of_file())).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn route(lines: &str) -> String {
        format!("[[routes]]\nservice = 'board'\n{lines}\n")
    }

    #[test]
    fn a_path_arrives_where_it_would_without_the_route() {
        for (path, arrives) in [
            ("/api/board", ""),
            ("/api/board/admin", "/admin"),
            ("/api/boards/admin", "/boards/admin"),
            ("/api/users", "/users"),
            ("/api", ""),
        ] {
            let found = routes(&route(&format!("path = '{path}'"))).unwrap();
            assert_eq!(found[0].upstream_prefix.as_str(), arrives, "{path}");
        }
        let found = routes(&route("path = '/api/board/a'\nupstream_path = '/게시판'")).unwrap();
        assert_eq!(found[0].upstream_prefix.as_str(), "/%EA%B2%8C%EC%8B%9C%ED%8C%90");
    }

    #[test]
    fn routes_of_one_path_differ_in_their_methods() {
        let three = [
            "path = '/api/x'\nmethods = ['GET']",
            "path = '/api/x'\nmethods = ['POST', 'PUT']",
            "path = '/api/x'\naccess = 'open'",
        ];
        let text: String = three.iter().map(|lines| route(lines)).collect();
        let methods: Vec<_> = routes(&text).unwrap().iter().map(|route| route.methods.to_string()).collect();
        assert_eq!(methods, ["GET, HEAD", "POST, PUT", "any method"]);
        for (lines, line) in [
            ("path = '/api/x'\nmethods = ['HEAD']", 3),
            ("path = '/api/x'\nmethods = ['PUT']", 7),
            ("path = '/api/x'", 11),
        ] {
            let said = routes(&format!("{text}{}", route(lines))).unwrap_err();
            let begin =
                format!("gateway.toml line 15: path must not be \"/api/x\"; line {line} has a route for it already");
            assert!(said.len() == 1 && said[0].starts_with(&begin), "{said:?}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (lines, begin) in [
            ("path = '/users'", "3: path must be a path under /api, such as /api/users, not \"/users\""),
            (
                "path = '/api/users/{id}/posts'",
                "3: path must be a path without patterns such as {id}, :id or *, not \"/api/users/{id}/posts\"; a route covers \
                 everything below its path, so \"/api/users\" is enough",
            ),
            ("path = '/api/users/*'", "3: path must be a path without patterns such as {id}, :id or *, not"),
            ("path = '/api/users/:id'", "3: path must be a path without patterns such as {id}, :id or *, not"),
            ("path = '/{all}'", "3: path must be a path without patterns such as {id}, :id or *, not"),
            ("path = '/api/a%3Ab'", "3: path must be a path, not \"/api/a%3Ab\"; a path must begin with /"),
            (
                "path = '/api/x'\nmethods = []",
                "4: methods must be one or more names in upper case, such as [\"GET\", \"POST\"], not []",
            ),
            (
                "path = '/api/x'\nmethods = ['get']",
                "4: methods must be one or more names in upper case, such as [\"GET\", \"POST\"], not [\"get\"]",
            ),
            (
                "path = '/api/x'\nallow = ['semicolon', 'slash']",
                "4: allow must be encoded-slash, encoded-backslash, semicolon or double-slash, not [\"semicolon\", \"slash\"]",
            ),
        ] {
            let said = routes(&route(lines)).unwrap_err();
            assert_eq!(said.len(), 1, "{said:#?}");
            assert!(said[0].starts_with(&format!("gateway.toml line {begin}")), "{said:?}\n{begin}");
        }
        let said = routes(&[route("path = '/api/Users/x'"), route("path = '/api/users/X'")].concat()).unwrap_err();
        assert!(
            said[0]
                .starts_with("gateway.toml line 6: path must not be \"/api/users/X\"; line 3 has it in another case")
        );
        assert_eq!(said.len(), 1);
    }
}
