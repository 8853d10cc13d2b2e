//! All routes that there are, and which of them a request is for.

use std::{collections::HashSet, sync::Arc};

use foldhash::HashMap;

use super::{
    super::path::{Spelling, Spellings, other_readings, without_case},
    Route, ServiceName,
};

/// All routes, found by longest prefix in as many look-ups as the path has segments, however many routes there are.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    by_prefix: HashMap<String, Node>,
    /// The same routes by their prefix without case.
    by_folded: HashMap<String, Vec<Arc<Route>>>,
    /// The most segments of any prefix: deeper borders of a path need not be tried.
    deepest: usize,
    /// Whether no prefix has an upper-case letter or an escape in it.
    plain: bool,
}

/// The routes of one prefix.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Those that name their methods come first.
    routes: Vec<Arc<Route>>,
    /// Whether a route for other paths would match as well, if case were ignored.
    has_neighbours: bool,
}

/// What a route is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'r> {
    /// The path in its one form.
    pub path: &'r str,
    /// What it has in it that servers read in different ways.
    pub spellings: Spellings,
    /// The method.
    pub method: &'r str,
    /// The method that a browser asks about before it uses it, if that is what the request is for.
    pub preflight_for: Option<&'r str>,
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub enum Found<'t> {
    /// The request is for this route.
    Route {
        /// The route.
        route: &'t Arc<Route>,
        /// Whether other methods of the path are for other routes, or for none.
        by_method: bool,
    },
    /// The path is for these routes, and none of them takes the method.
    OtherMethods(&'t [Arc<Route>]),
    /// The path may not be spelled in this way.
    Refused(Spelling),
    /// The path is for a route, but some server would take it for one that a stricter route is for.
    Ambiguous,
    /// The path is for none.
    Nothing,
}

impl RouteTable {
    /// These routes and no others. Of those that compete for a path and a method the first counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut table = Self { plain: true, ..Self::default() };
        let mut above = HashSet::new();
        for route in routes.into_iter().map(Arc::new) {
            let prefix = route.prefix.as_str();
            table.deepest = table.deepest.max(prefix.matches('/').count());
            table.plain &= is_plain(prefix);
            let folded = without_case(prefix);
            let parents = folded.match_indices('/').map(|(at, _)| folded[..at].to_owned());
            above.extend(parents);
            table.by_folded.entry(folded).or_default().push(Arc::clone(&route));
            table.by_prefix.entry(prefix.to_owned()).or_default().routes.push(route);
        }
        for (prefix, node) in &mut table.by_prefix {
            node.routes.sort_by_key(|route| route.methods.named().is_empty());
            let folded = without_case(prefix);
            let has_twins = table.by_folded.get(&folded).is_some_and(|alike| alike.len() > node.routes.len());
            node.has_neighbours = has_twins || above.contains(&folded);
        }
        table
    }

    /// The routes that were declared, and for each service that none of them leads to the one that it has by default:
    /// `/api/<service>/…` → `/…`. Declared routes come first: one that takes the place of a default route replaces it.
    pub fn with_defaults<'s>(
        declared: impl IntoIterator<Item = Route>,
        services: impl IntoIterator<Item = &'s ServiceName>,
    ) -> Self {
        let declared: Vec<Route> = declared.into_iter().collect();
        let of_declared = Self::new(declared.iter().cloned());
        let named: HashSet<&ServiceName> = declared.iter().map(|route| &route.service).collect();
        let others = services.into_iter().filter(|service| !named.contains(service)).map(Route::of_service);
        let defaults: Vec<Route> = others.filter(|route| of_declared.node(route.prefix.as_str()).is_none()).collect();
        Self::new(declared.into_iter().chain(defaults))
    }

    /// Which route a request is for.
    pub fn find(&self, wanted: Wanted<'_>) -> Found<'_> {
        let Some((prefix, node)) = self.node(wanted.path) else {
            let refused = wanted.spellings.first_not_in(Spellings::NONE);
            return refused.map_or(Found::Nothing, Found::Refused);
        };
        let Some(route) = wanted.choose(&node.routes.iter()) else {
            return Found::OtherMethods(&node.routes);
        };
        if !wanted.spellings.is_empty()
            && let Some(refused) = refused(route, wanted)
        {
            return Found::Refused(refused);
        }
        if node.has_neighbours && self.is_ambiguous(route, prefix, wanted) {
            return Found::Ambiguous;
        }
        Found::Route { route, by_method: node.routes.iter().any(|route| !route.methods.named().is_empty()) }
    }

    /// The routes with the longest prefix of a path.
    fn node<'p>(&self, path: &'p str) -> Option<(&'p str, &Node)> {
        // Bytes, as a search for a character costs more than all the rest.
        let mut borders = path.bytes().enumerate().skip(1).filter(|&(_, byte)| byte == b'/').map(|(at, _)| at);
        let mut candidate_end = borders.nth(self.deepest.saturating_sub(1)).unwrap_or(path.len());
        loop {
            let candidate = &path[..candidate_end];
            if let Some(node) = self.by_prefix.get(candidate) {
                return Some((candidate, node));
            }
            candidate_end = candidate.bytes().rposition(|byte| byte == b'/')?;
        }
    }

    /// Whether a server that ignores case, or reads what the route lets through in another way, would take the path for one
    /// that another route is for, by which not everybody may pass who may by `route`.
    fn is_ambiguous(&self, route: &Route, prefix: &str, wanted: Wanted<'_>) -> bool {
        let Wanted { path, spellings, .. } = wanted;
        if self.plain && spellings.is_empty() && is_plain(&path[prefix.len()..]) {
            return false;
        }
        let is_stricter = |reading: &str| {
            let folded = without_case(reading);
            let ends = folded.match_indices('/').map(|(at, _)| at).chain([folded.len()]);
            ends.take(self.deepest + 1).any(|end| {
                let others = self.by_folded.get(&folded[..end]).into_iter().flatten();
                // Those that match the path as it is are what the route was chosen from.
                let others: Vec<_> = others.filter(|other| !other.matches(path)).collect();
                let chosen = wanted.choose(&others.iter().copied());
                !others.is_empty() && !chosen.is_some_and(|other| route.access.implies(&other.access))
            })
        };
        is_stricter(path) || other_readings(path, spellings).iter().any(|reading| is_stricter(reading))
    }

    /// Every route, by prefix.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut routes: Vec<_> = self.by_prefix.values().flat_map(|node| &node.routes).collect();
        routes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        routes.into_iter()
    }
}

impl Wanted<'_> {
    /// The one of the routes of a path that takes the method. What a browser asks before it uses a method is for the route
    /// of that method, unless a route names `OPTIONS`.
    fn choose<'t>(&self, routes: &(impl Iterator<Item = &'t Arc<Route>> + Clone)) -> Option<&'t Arc<Route>> {
        let named = |method| routes.clone().find(|route| route.methods.names(method));
        let rest = || routes.clone().find(|route| route.methods.named().is_empty());
        named(self.method).or_else(|| self.preflight_for.and_then(named)).or_else(rest)
    }
}

/// What a path has in it that its route does not let through.
fn refused(route: &Route, wanted: Wanted<'_>) -> Option<Spelling> {
    let spelling = wanted.spellings.first_not_in(route.allow);
    spelling.or_else(|| {
        // `//host/…` at the beginning is another host in the eyes of some.
        let pieces = route.upstream_pieces(wanted.path);
        pieces
            .is_some_and(|[prefix, rest]| prefix.is_empty() && rest.starts_with("//"))
            .then_some(Spelling::DoubleSlash)
    })
}

/// Whether nobody who ignores case can take the text for another.
fn is_plain(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'%')
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            super::{access::Access, path::PathPrefix},
            Methods,
        },
        *,
    };

    fn open(prefix: &str) -> Route {
        Route { prefix: prefix.parse().unwrap(), access: Access::Open, ..Route::of_service(&"auth".parse().unwrap()) }
    }

    fn scoped(prefix: &str, scope: &str) -> Route {
        Route { access: Access::with_scope(scope.parse().unwrap()), ..open(prefix) }
    }

    fn with_methods(methods: &[&str], route: Route) -> Route {
        let methods: Vec<String> = methods.iter().map(|&method| method.to_owned()).collect();
        Route { methods: Methods::only(&methods).unwrap(), ..route }
    }

    fn allowing(spellings: &[Spelling], route: Route) -> Route {
        Route { allow: spellings.iter().copied().collect(), ..route }
    }

    /// The spellings of a path, as the edge finds them.
    fn spellings(path: &str) -> Spellings {
        let signs = [
            ("%2F", Spelling::EncodedSlash),
            ("%5C", Spelling::EncodedBackslash),
            (";", Spelling::Semicolon),
            ("%3B", Spelling::Semicolon),
            ("//", Spelling::DoubleSlash),
        ];
        signs.into_iter().filter(|(sign, _)| path.contains(sign)).map(|(_, spelling)| spelling).collect()
    }

    fn wanted<'r>(method: &'r str, path: &'r str) -> Wanted<'r> {
        Wanted { path, spellings: spellings(path), method, preflight_for: None }
    }

    /// The prefix of the route, or what else was found.
    fn outcome(found: Found<'_>) -> String {
        match found {
            Found::Route { route, .. } => route.prefix.to_string(),
            Found::OtherMethods(routes) => {
                let methods: Vec<_> = routes.iter().map(|route| route.methods.to_string()).collect();
                format!("takes {}", methods.join(", "))
            }
            Found::Refused(spelling) => format!("{spelling:?}"),
            Found::Ambiguous => "ambiguous".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[track_caller]
    fn check(table: &RouteTable, cases: &[(&str, &str)]) {
        for (path, expected) in cases {
            assert_eq!(outcome(table.find(wanted("GET", path))), *expected, "{path}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let table = RouteTable::new([open("/api/users"), open("/api/users/me"), open("/api")]);
        check(
            &table,
            &[
                ("/api/users/me", "/api/users/me"),
                ("/api/users/me/x/y/z", "/api/users/me"),
                ("/api/users/mean", "/api/users"),
                ("/api/other", "/api"),
                ("/api", "/api"),
                ("/apis", "nothing"),
                ("/", "nothing"),
            ],
        );
        check(&RouteTable::default(), &[("/a/b", "nothing")]);
        check(&RouteTable::new([open("/")]), &[("/a/b", "/"), ("/", "/")]);
        let listed: Vec<String> = table.iter().map(|route| route.prefix.to_string()).collect();
        assert_eq!(listed, ["/api", "/api/users", "/api/users/me"]);
    }

    #[test]
    fn a_service_has_a_route_by_default_only_if_none_leads_to_it() {
        let names: Vec<ServiceName> = ["auth", "board", "shop"].iter().map(|name| name.parse().unwrap()).collect();
        let table = RouteTable::with_defaults([open("/api/users"), open("/api/shop/x")], &names);
        check(
            &table,
            &[
                ("/api/users", "/api/users"),
                ("/api/auth", "nothing"),
                ("/api/auth/users", "nothing"),
                ("/api/board/x", "/api/board"),
                ("/api/shop", "/api/shop"),
                ("/api/shop/x", "/api/shop/x"),
                ("/api", "nothing"),
            ],
        );
        let of_board = table.iter().find(|route| route.service.as_str() == "board").unwrap();
        assert_eq!(**of_board, Route::of_service(&names[1]));
        // What is declared for all comes before what nobody has declared.
        let table = RouteTable::with_defaults([open("/api")], &names);
        check(&table, &[("/api/board/x", "/api")]);
        assert_eq!(table.iter().count(), 1);
    }

    #[test]
    fn a_method_is_for_the_route_that_names_it_or_for_the_one_that_names_none() {
        let table = RouteTable::new([
            scoped("/api/posts", "write"),
            with_methods(&["GET"], open("/api/posts")),
            with_methods(&["DELETE"], scoped("/api/posts/old", "admin")),
            open("/api"),
        ]);
        let found = |method: &str, path: &str| match table.find(wanted(method, path)) {
            Found::Route { route, by_method } => format!("{} {} {by_method}", route.prefix, route.methods),
            other => outcome(other),
        };
        assert_eq!(found("GET", "/api/posts/1"), "/api/posts GET, HEAD true");
        assert_eq!(found("HEAD", "/api/posts"), "/api/posts GET, HEAD true");
        assert_eq!(found("POST", "/api/posts"), "/api/posts any method true");
        assert_eq!(found("OPTIONS", "/api/posts"), "/api/posts any method true");
        assert_eq!(found("DELETE", "/api/posts/old"), "/api/posts/old DELETE true");
        assert_eq!(found("GET", "/api/x"), "/api any method false");
        // No shorter, laxer route takes it.
        assert_eq!(found("GET", "/api/posts/old/1"), "takes DELETE");
        assert_eq!(found("PATCH", "/api/posts/old"), "takes DELETE");
    }

    #[test]
    fn what_a_browser_asks_first_is_for_the_route_that_it_asks_about() {
        let table = RouteTable::new([
            scoped("/api/a", "write"),
            with_methods(&["GET"], open("/api/a")),
            with_methods(&["PUT"], scoped("/api/b", "write")),
            with_methods(&["OPTIONS"], open("/api/c")),
            scoped("/api/c", "write"),
        ]);
        let found = |path: &str, about: Option<&str>| match table
            .find(Wanted { preflight_for: about, ..wanted("OPTIONS", path) })
        {
            Found::Route { route, .. } => route.methods.to_string(),
            other => outcome(other),
        };
        assert_eq!(found("/api/a", Some("GET")), "GET, HEAD");
        assert_eq!(found("/api/a", Some("POST")), "any method");
        assert_eq!(found("/api/a", None), "any method");
        assert_eq!(found("/api/b", Some("PUT")), "PUT");
        assert_eq!(found("/api/b", Some("GET")), "takes PUT");
        assert_eq!(found("/api/b", None), "takes PUT");
        assert_eq!(found("/api/c", Some("POST")), "OPTIONS");
    }

    #[test]
    fn no_case_of_letters_passes_a_stricter_route() {
        let table = RouteTable::new([
            open("/api/users"),
            scoped("/api/users/me", ""),
            open("/api/users/me/Picture"),
            scoped("/api/files", "read"),
            open("/api/files/public"),
            scoped("/api/files/kiosk", "read write"),
            with_methods(&["GET"], open("/api/docs/list")),
            open("/api/docs"),
        ]);
        check(
            &table,
            &[
                ("/api/users/1", "/api/users"),
                ("/api/users/Mina", "/api/users"),
                ("/api/users/me", "/api/users/me"),
                ("/api/users/ME", "ambiguous"),
                ("/api/users/Me/x", "ambiguous"),
                ("/api/users/me/Picture", "/api/users/me/Picture"),
                // Whoever passes here would pass there.
                ("/api/users/me/picture", "/api/users/me"),
                ("/api/users/ME/Picture", "ambiguous"),
                ("/api/users/x/ME", "/api/users"),
                ("/api/files/Public", "/api/files"),
                ("/api/files/KIOSK", "ambiguous"),
                ("/api/files/%E2%84%AAiosk", "ambiguous"),
                ("/api/files/kio%C5%BFk", "ambiguous"),
                ("/api/files/kiosks%20X", "/api/files"),
                ("/API/users/me", "nothing"),
                ("/api/Users/me", "nothing"),
                ("/api/docs/List", "/api/docs"),
            ],
        );
        // A method that the route for the other spelling does not take.
        assert_eq!(outcome(table.find(wanted("POST", "/api/docs/List"))), "ambiguous");
        assert_eq!(outcome(table.find(wanted("POST", "/api/docs/list"))), "takes GET, HEAD");
        let upper = RouteTable::new([open("/api/users"), scoped("/api/users/Me", "")]);
        check(
            &upper,
            &[("/api/users/me", "ambiguous"), ("/api/users/Me", "/api/users/Me"), ("/api/users/x", "/api/users")],
        );
        let twins = RouteTable::new([open("/api/a"), scoped("/api/A", "")]);
        check(&twins, &[("/api/a/x", "ambiguous"), ("/api/A/x", "/api/A")]);
    }

    #[test]
    fn letters_that_are_several_in_another_case_pass_no_stricter_route() {
        let written = |text: &str| text.parse::<PathPrefix>().unwrap().as_str().to_owned();
        for (route, spellings) in [
            ("/api/file", &["ﬁle", "FILE", "ﬁLE"][..]),
            ("/api/ﬁle", &["file", "FILE"]),
            ("/api/info", &["İnfo", "ınfo", "i\u{307}nfo"]),
            ("/api/İnfo", &["info", "i\u{307}nfo"]),
            ("/api/i\u{307}nfo", &["info", "İnfo", "INFO"]),
            ("/api/straße", &["strasse", "STRASSE", "STRAẞE", "ſtraſſe"]),
            ("/api/kiss", &["\u{212a}iss", "kiſſ", "kiß", "KIẞ"]),
        ] {
            let table = RouteTable::new([open("/api"), scoped(route, "read")]);
            let declared = written(route);
            check(&table, &[(&declared, &declared), ("/api/other", "/api")]);
            for spelling in spellings {
                check(&table, &[(&written(&format!("/api/{spelling}/x")), "ambiguous")]);
            }
        }
    }

    #[test]
    fn what_servers_read_in_different_ways_is_let_through_by_the_route_alone() {
        for spelling in Spelling::ALL.map(|(_, spelling)| spelling) {
            let path = match spelling {
                Spelling::EncodedSlash => "/api/a/x%2Fy",
                Spelling::EncodedBackslash => "/api/a/x%5Cy",
                Spelling::Semicolon => "/api/a/x;y",
                Spelling::DoubleSlash => "/api/a/x//y",
            };
            let refused = format!("{spelling:?}");
            let table = RouteTable::new([open("/api"), allowing(&[spelling], open("/api/a")), open("/api/b")]);
            check(
                &table,
                &[
                    (path, "/api/a"),
                    (&path.replace("/a/", "/b/"), &refused),
                    (&path.replace("/a/", "/c/"), &refused),
                    (&path.replace("/api/a/", "/own/"), &refused),
                ],
            );
            for other in Spelling::ALL.map(|(_, other)| other).into_iter().filter(|&other| other != spelling) {
                check(&RouteTable::new([allowing(&[other], open("/api/a"))]), &[(path, &refused)]);
            }
        }
    }

    #[test]
    fn no_reading_of_what_is_let_through_passes_a_stricter_route() {
        let all = Spelling::ALL.map(|(_, spelling)| spelling);
        let table = RouteTable::new([
            allowing(&all, open("/api/files")),
            scoped("/api/files/secret", "read"),
            scoped("/api/files/a/secret", "read"),
            open("/api/files/public"),
            open("/api/none"),
        ]);
        check(
            &table,
            &[
                ("/api/files/x%2Fy;z//w%5Cv", "/api/files"),
                ("/api/files/x//public", "/api/files"),
                ("/api/files/a%2Fsecret", "ambiguous"),
                ("/api/files/a%5CSecret/x", "ambiguous"),
                ("/api/files/secret;x", "ambiguous"),
                ("/api/files/secret%3Bx/y", "ambiguous"),
                ("/api/files/a//secret", "ambiguous"),
                ("/api/files/a;b%2Fsecret", "ambiguous"),
                ("/api/files/a;%2F%2Fsecret", "ambiguous"),
                ("/api/files/;/secret", "ambiguous"),
                ("/api/files/secret%2Fx", "ambiguous"),
                ("/api/files/x/secret;", "/api/files"),
            ],
        );
    }

    #[test]
    fn no_path_at_a_service_begins_with_two_slashes() {
        let at = |upstream: &str| {
            let route = Route { upstream_prefix: upstream.parse().unwrap(), ..open("/api/a") };
            RouteTable::new([allowing(&[Spelling::DoubleSlash], route)])
        };
        check(
            &at("/"),
            &[("/api/a//evil.example/x", "DoubleSlash"), ("/api/a/x//y", "/api/a"), ("/api/a//", "DoubleSlash")],
        );
        check(&at("/files"), &[("/api/a//x", "/api/a")]);
    }
}
