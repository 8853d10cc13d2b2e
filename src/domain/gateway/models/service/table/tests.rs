use super::super::super::access::Access;
use super::super::Methods;
use super::*;
use crate::domain::gateway::models::http::path::PathPrefix;

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

/// The prefix of the route, or the other outcome.
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
fn a_service_has_a_default_route_only_if_no_other_leads_to_it() {
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
    // A route declared for all services comes before the default ones.
    let table = RouteTable::with_defaults([open("/api")], &names);
    check(&table, &[("/api/board/x", "/api")]);
    assert_eq!(table.iter().count(), 1);
}

#[test]
fn a_method_belongs_to_the_route_that_names_it_or_to_the_one_that_names_none() {
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
    // No shorter, laxer route takes over.
    assert_eq!(found("GET", "/api/posts/old/1"), "takes DELETE");
    assert_eq!(found("PATCH", "/api/posts/old"), "takes DELETE");
}

#[test]
fn a_preflight_belongs_to_the_route_that_it_asks_about() {
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
            // Every caller that passes the first would pass the second.
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
    // A method that the route for the other spelling does not match.
    assert_eq!(outcome(table.find(wanted("POST", "/api/docs/List"))), "ambiguous");
    assert_eq!(outcome(table.find(wanted("POST", "/api/docs/list"))), "takes GET, HEAD");
    let upper = RouteTable::new([open("/api/users"), scoped("/api/users/Me", "")]);
    check(
        &upper,
        &[("/api/users/me", "ambiguous"), ("/api/users/Me", "/api/users/Me"), ("/api/users/x", "/api/users")],
    );
    // No prefix is in lower case only.
    let no_plain_one = RouteTable::new([open("/Api/users"), scoped("/Api/users/Me", "")]);
    check(&no_plain_one, &[("/Api/users/ME", "ambiguous"), ("/Api/users/X", "/Api/users")]);
    let twins = RouteTable::new([open("/api/a"), scoped("/api/A", "")]);
    check(&twins, &[("/api/a/x", "ambiguous"), ("/api/A/x", "/api/A")]);
}

#[test]
fn letters_that_fold_to_several_pass_no_stricter_route() {
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
fn only_the_route_allows_ambiguous_spellings() {
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
fn no_reading_of_an_allowed_spelling_passes_a_stricter_route() {
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
