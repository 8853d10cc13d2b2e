//! The import rules. Every source file belongs to a layer; the table below lists what a layer may import, and a line
//! that imports more fails here with its place and the rule. Also: the same concern has the same file name in every
//! layer; and no modules of one folder import each other in a circle. Test code may import anything.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/floors.rs"]
mod floors;
#[path = "architecture/imports.rs"]
mod imports;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

/// A layer: a module and everything below it, down to modules that are layers of their own.
struct Layer {
    name: &'static str,
    module: &'static str,
    /// Other layers that it may import; itself always.
    layers: &'static [&'static str],
    libraries: Libraries,
}

/// The libraries that a layer may import. The standard library is always allowed.
enum Libraries {
    /// Only these; `tokio::sync` allows that part of tokio.
    Only(&'static [&'static str]),
    /// All but these.
    AllBut(&'static [&'static str]),
}

use Libraries::{AllBut, Only};

const LAYERS: &[Layer] = &[
    Layer {
        name: "models",
        module: "domain::gateway::models",
        layers: &[],
        libraries: Only(&[
            "base64",
            "chrono",
            "foldhash",
            "imbl",
            "ipnet",
            "serde_json",
            "sha2",
            "short_uuid",
            "subtle",
            "thiserror",
            "url",
            "uuid",
        ]),
    },
    Layer {
        name: "repositories",
        module: "domain::gateway::repositories",
        layers: &["models"],
        libraries: Only(&["async_trait", "chrono", "thiserror", "tokio::select", "tokio::sync"]),
    },
    Layer {
        name: "repositories/memory",
        module: "domain::gateway::repositories::memory",
        layers: &["models", "repositories"],
        libraries: Only(&["async_trait", "chrono", "thiserror"]),
    },
    Layer {
        name: "repositories/sea_orm",
        module: "domain::gateway::repositories::sea_orm",
        layers: &["models", "repositories"],
        libraries: Only(&[
            "async_trait",
            "chrono",
            "migration",
            "sea_orm",
            "sea_query_sqlx",
            "serde",
            "serde_json",
            "sqlx",
            "thiserror",
            "tokio",
            "tracing",
            "url",
            "uuid",
        ]),
    },
    Layer {
        name: "repositories/redis",
        module: "domain::gateway::repositories::redis",
        layers: &["models", "repositories"],
        libraries: Only(&["async_trait", "chrono", "redis", "tokio::select", "tokio::time"]),
    },
    Layer {
        name: "services",
        module: "domain::gateway::services",
        layers: &["models", "repositories", "service ports", "ports"],
        libraries: Only(&[
            "async_trait",
            "chrono",
            "serde",
            "serde_json",
            "thiserror",
            "tokio::pin",
            "tokio::select",
            "tokio::sync",
            "tokio::task",
            "tokio::time",
            "tracing",
        ]),
    },
    Layer {
        name: "service ports",
        module: "domain::gateway::services::ports",
        layers: &["models", "ports"],
        libraries: Only(&["async_trait", "chrono", "serde_json", "thiserror"]),
    },
    Layer {
        name: "schemas",
        module: "domain::gateway::schemas",
        layers: &["models", "problem", "texts"],
        libraries: Only(&[
            "base64",
            "chrono",
            "chrono_tz",
            "http::StatusCode",
            "poem_openapi",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "validator",
        ]),
    },
    Layer {
        name: "controllers",
        module: "domain::gateway::controllers",
        layers: &["schemas", "services", "models", "problem", "texts"],
        libraries: Only(&["chrono", "chrono_tz", "http", "tracing"]),
    },
    Layer {
        name: "api",
        module: "api",
        layers: &["controllers", "schemas", "models", "problem", "texts", "json"],
        libraries: Only(&[
            "async_trait",
            "bytes",
            "http",
            "maud",
            "poem",
            "poem_openapi",
            "serde",
            "serde_json",
            "thiserror",
            "tracing",
        ]),
    },
    Layer {
        name: "adapters",
        module: "adapters",
        layers: &["models", "service ports", "ports", "json"],
        libraries: AllBut(&["migration", "poem", "poem_openapi", "redis", "sea_orm", "sqlx", "validator"]),
    },
    Layer {
        name: "config",
        module: "config",
        layers: &["models"],
        libraries: Only(&[
            "base64",
            "chrono",
            "chrono_tz",
            "dotenvy",
            "ipnet",
            "rustls",
            "serde",
            "strsim",
            "toml",
            "url",
        ]),
    },
    Layer {
        name: "dev",
        module: "dev",
        layers: &["models", "config", "ports"],
        libraries: AllBut(&["migration", "redis", "sea_orm", "sqlx"]),
    },
    Layer { name: "json", module: "json", layers: &[], libraries: Only(&["serde", "serde_json"]) },
    Layer { name: "ports", module: "ports", layers: &[], libraries: Only(&["chrono"]) },
    Layer {
        name: "problem",
        module: "problem",
        layers: &["models"],
        libraries: Only(&["http", "serde", "serde_json"]),
    },
    Layer { name: "texts", module: "texts", layers: &[], libraries: Only(&[]) },
];

/// Modules that only hold others.
const FOLDERS: [&str; 3] = ["", "domain", "domain::gateway"];

/// The composition root: these may import everything.
const ROOTS: [&str; 3] = ["app", "cli", "main"];

/// A forbidden import.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// A source file that is not for tests alone.
struct Source {
    path: String,
    module: String,
    imports: Vec<imports::Import>,
}

/// Reads files, given as path (`src/…`) and text. `libraries` are the names by which code knows them.
fn read(files: &BTreeMap<String, String>, libraries: &BTreeSet<String>) -> Vec<Source> {
    let mut for_tests = Vec::new();
    let mut sources = Vec::new();
    for (path, text) in files {
        let module = module_of(path);
        let segments: Vec<_> = module.split("::").filter(|segment| !segment.is_empty()).collect();
        let found = imports::find(text, &segments, libraries);
        for_tests.extend(found.test_modules.iter().map(|name| join(&module, name)));
        sources.push(Source { path: path.clone(), module, imports: found.imports });
    }
    sources.retain(|source| !for_tests.iter().any(|test| is_within(&source.module, test)));
    sources
}

/// Every forbidden import.
fn validate(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for Source { path, module, imports } in sources {
        if ROOTS.contains(&top_of(module)) {
            continue;
        }
        let place = |line, rule| Violation { path: path.clone(), line, rule };
        let layer = layer_of(module);
        if layer.is_none() && !FOLDERS.contains(&module.as_str()) {
            violations.push(place(1, "this file belongs to no layer: give it one in tests/architecture.rs".to_owned()));
            continue;
        }
        for import in imports {
            violations.extend(broken_rule(layer, &import.path).map(|rule| place(import.line, rule)));
        }
    }
    violations
}

/// Why a layer (or a module that only holds others) may not import a path.
fn broken_rule(layer: Option<&Layer>, path: &[String]) -> Option<String> {
    let name = layer.map_or("a module that only holds others", |layer| layer.name);
    if let [first, ours @ ..] = path
        && first == "crate"
    {
        let target = ours.join("::");
        return match (layer, layer_of(&target)) {
            (Some(layer), Some(target)) if target.name == layer.name || layer.layers.contains(&target.name) => None,
            (Some(layer), Some(target)) => {
                Some(format!("{name} may not import {}; of ours {}", target.name, listed(layer.layers)))
            }
            (_, None) if ROOTS.contains(&top_of(&target)) => {
                Some(format!("{name} may not import {target}: it imports all"))
            }
            // Through a parent, every layer below it could be reached unseen.
            (_, None) => {
                Some(format!("{name} may not import crate::{target}, which is no layer: import what you need of it"))
            }
            (None, Some(target)) => Some(format!("{name} may not import {}", target.name)),
        };
    }
    let library = path.join("::");
    let covers = |known: &&str| is_within(&library, known);
    match layer.map(|layer| &layer.libraries) {
        Some(Only(known)) if !known.iter().any(covers) => {
            Some(format!("{name} may not import {library}; of libraries {}", listed(known)))
        }
        Some(AllBut(banned)) if banned.iter().any(covers) => Some(format!("{name} may not import {library}")),
        None => Some(format!("{name} may not import {library}")),
        Some(_) => None,
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { format!("only {}", names.join(", ")) }
}

/// `src/domain/gateway.rs` and `src/domain/gateway/mod.rs` are `domain::gateway`; `src/lib.rs` is the empty module.
fn module_of(path: &str) -> String {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let module = inside.strip_suffix("/mod.rs").or_else(|| inside.strip_suffix(".rs")).unwrap_or(inside);
    if module == "lib" { String::new() } else { module.replace('/', "::") }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn top_of(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

fn layer_of(module: &str) -> Option<&'static Layer> {
    LAYERS
        .iter()
        .chain(&floors::FLOORS)
        .filter(|layer| is_within(module, layer.module))
        .max_by_key(|layer| layer.module.len())
}

/// Remaining circles: the folder, and its modules in the circle.
const KNOWN_CIRCLES: &[(&str, &[&str])] = &[
    // Controllers create problems, and problems use models; models know neither.
    ("", &["domain", "problem"]),
];

/// Names in one folder must be names in another, so that a concern has one name in every layer.
struct Parallel {
    folder: &'static str,
    like: &'static str,
    /// Files that are no concern of their own, or have no counterpart, and why.
    apart: &'static [(&'static str, &'static str)],
}

const PARALLELS: &[Parallel] = &[
    Parallel {
        folder: "src/domain/gateway/repositories",
        like: "src/domain/gateway/models",
        apart: &[
            ("availability", "shared by all"),
            ("memory", "an adapter"),
            ("redis", "an adapter"),
            ("sea_orm", "an adapter"),
        ],
    },
    Parallel { folder: "src/domain/gateway/repositories/memory", like: "src/domain/gateway/repositories", apart: &[] },
    Parallel {
        folder: "src/domain/gateway/repositories/sea_orm",
        like: "src/domain/gateway/repositories",
        apart: &[
            ("connection", "shared by all"),
            ("entities", "the tables, named as the database names them"),
            ("forgetting", "shared by all"),
        ],
    },
    Parallel {
        folder: "src/domain/gateway/repositories/redis",
        like: "src/domain/gateway/repositories",
        apart: &[("connection", "shared by all"), ("keys", "shared by all")],
    },
    Parallel {
        folder: "src/domain/gateway/services",
        like: "src/domain/gateway/models",
        apart: &[
            ("discovery", "finds the instances of models/service"),
            ("last_known", "shared by all"),
            ("ports", "what the services ask of the world"),
            ("resealing", "is about whatever is sealed, which are grants and signing keys"),
            ("revocation", "follows the deny-list, which is a part of models/token"),
        ],
    },
    Parallel {
        folder: "src/domain/gateway/controllers",
        like: "src/domain/gateway/services",
        apart: &[("caller", "shared by all")],
    },
    Parallel {
        folder: "src/domain/gateway/schemas",
        like: "src/domain/gateway/controllers",
        apart: &[
            ("cookie", "shared by all"),
            ("health", "nothing to control"),
            ("problem", "shared by all"),
            ("reload", "nothing to control"),
            ("status", "nothing to control"),
            ("welcome", "nothing to control"),
        ],
    },
    Parallel {
        folder: "src/api",
        like: "src/domain/gateway/controllers",
        apart: &[
            ("shared", "shared by all"),
            ("docs", "serves the OpenAPI document"),
            ("health", "nothing to control"),
            ("reload", "nothing to control"),
            ("status", "nothing to control"),
            ("welcome", "nothing to control"),
        ],
    },
];

/// The names in a folder: of its files and of its subfolders.
fn names_in<'s>(sources: &'s [Source], folder: &str) -> BTreeSet<&'s str> {
    let inside = |source: &'s Source| source.path.strip_prefix(folder)?.strip_prefix('/');
    let first = |path: &'s str| path.split('/').next().unwrap_or(path);
    sources.iter().filter_map(inside).map(first).map(|name| name.strip_suffix(".rs").unwrap_or(name)).collect()
}

/// The mistakes in the names of the files.
fn misnamed(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Parallel { folder, like, apart } in PARALLELS {
        let (names, known) = (names_in(sources, folder), names_in(sources, like));
        let is_apart = |name: &str| apart.iter().any(|(known, _)| *known == name);
        for name in names.iter().filter(|name| !known.contains(*name) && !is_apart(name)) {
            wrong.push(format!(
                "{folder}/{name}.rs: a concern has one name in every layer, and {like} has none of this name"
            ));
        }
        let is_there = !names.is_empty();
        for (name, why) in apart.iter().filter(|(name, _)| is_there && !names.contains(name)) {
            wrong.push(format!("{folder}/{name}.rs is gone: take it ({why}) out of the list in tests/architecture.rs"));
        }
    }
    wrong
}

/// Every source file of the project.
fn sources() -> Vec<Source> {
    fn collect(folder: &Path, root: &Path, files: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    collect(&root.join("src"), root, &mut files);
    read(&files, &libraries())
}

/// The libraries of Cargo.toml, by the names that code knows them by.
fn libraries() -> BTreeSet<String> {
    let manifest: toml::Table = toml::from_str(include_str!("../Cargo.toml")).unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

#[test]
fn every_layer_imports_only_what_it_may() {
    let violations: Vec<_> = validate(&sources()).iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn no_modules_of_a_folder_import_each_other_in_a_circle() {
    let sources = sources();
    let found = circles::circles(&sources, KNOWN_CIRCLES);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    let gone = circles::gone(&sources, KNOWN_CIRCLES);
    assert!(gone.is_empty(), "these circles are gone: take them out of KNOWN_CIRCLES: {}", gone.join(", "));
}

#[test]
fn the_same_concern_has_the_same_name_in_every_layer() {
    let wrong = misnamed(&sources());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Tests of the checker itself.
mod the_checker {
    use super::*;

    fn violations(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        validate(&read(&files, &libraries())).iter().map(ToString::to_string).collect()
    }

    fn one(path: &str, text: &str) -> String {
        let found = violations(&[(path, text)]);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.into_iter().next().unwrap()
    }

    const SERVICE: &str = "src/domain/gateway/services/token.rs";

    #[test]
    fn reports_a_service_that_imports_poem() {
        let text = "//! Tokens.\n\nuse std::sync::Arc;\n\nuse poem::Response;\n";
        let said = one(SERVICE, text);
        assert!(
            said.starts_with("src/domain/gateway/services/token.rs:5: services may not import poem::Response"),
            "{said}"
        );
    }

    #[test]
    fn sees_through_groups_re_exports_written_out_paths_and_detours() {
        let adapter = "use crate::domain::gateway::{\n    models::token::TokenId,\n    repositories::{memory::Memory, token::TokenRepository},\n};";
        assert!(one(SERVICE, adapter).contains("token.rs:3: services may not import repositories/memory"));
        assert!(one(SERVICE, "pub use crate::edge::ports::Body;").contains("services may not import edge/ports"));
        assert!(one(SERVICE, "fn a() {\n    crate::api::b();\n}").contains("token.rs:2: services may not import api"));
        assert!(one(SERVICE, "fn a(b: &sea_orm::DbErr) {}").contains("services may not import sea_orm::DbErr"));
        assert!(one(SERVICE, "use super::super::controllers;").contains("services may not import controllers"));
        assert!(one(SERVICE, "use crate::domain as d;").contains("which is no layer"));
        assert!(one(SERVICE, "use super::super::*;").contains("which is no layer"));
        assert!(one(SERVICE, "use crate::app::App;").contains("services may not import app::App"));
    }

    #[test]
    fn knows_each_layer() {
        for (path, text, rule) in [
            (
                "src/domain/gateway/models/token.rs",
                "use crate::domain::gateway::repositories::RepositoryError;",
                "models may not import repositories",
            ),
            ("src/domain/gateway/models/token.rs", "use serde::Serialize;", "models may not import serde::Serialize"),
            (
                "src/domain/gateway/repositories/token.rs",
                "use sea_orm::Value;",
                "repositories may not import sea_orm::Value",
            ),
            (
                "src/domain/gateway/repositories/memory/token.rs",
                "use super::super::sea_orm::Db;",
                "repositories/memory may not import repositories/sea_orm",
            ),
            (
                "src/domain/gateway/services/token.rs",
                "use tokio::net::TcpStream;",
                "services may not import tokio::net::TcpStream",
            ),
            (
                "src/domain/gateway/schemas/token.rs",
                "use crate::domain::gateway::services::token::X;",
                "schemas may not import services",
            ),
            (
                "src/domain/gateway/controllers/token.rs",
                "use crate::domain::gateway::repositories::token::X;",
                "controllers may not import repositories",
            ),
            (
                "src/domain/gateway/controllers/token.rs",
                "use poem::Response;",
                "controllers may not import poem::Response",
            ),
            ("src/api/token.rs", "use crate::domain::gateway::services::token::X;", "api may not import services"),
            (
                "src/edge/listener/server.rs",
                "use crate::domain::gateway::schemas::token::X;",
                "edge/listener may not import schemas",
            ),
            ("src/edge/listener/server.rs", "use poem::Endpoint;", "edge/listener may not import poem::Endpoint"),
            (
                "src/adapters/jwt.rs",
                "use crate::domain::gateway::services::token::X;",
                "adapters may not import services",
            ),
            ("src/config.rs", "use crate::edge::ports::X;", "config may not import edge/ports"),
            ("src/dev/sample_service.rs", "use crate::api::X;", "dev may not import api"),
            ("src/texts/pages.rs", "use crate::problem::Problem;", "texts may not import problem; of ours nothing"),
            ("src/texts/pages.rs", "use maud::Markup;", "texts may not import maud::Markup; of libraries nothing"),
            (SERVICE, "use crate::texts::pages;", "services may not import texts"),
            ("src/lib.rs", "pub use crate::api::X;", "a module that only holds others may not import api"),
            ("src/helpers.rs", "", "this file belongs to no layer"),
        ] {
            let said = one(path, text);
            assert!(said.starts_with(&format!("{path}:1: {rule}")), "{said}");
        }
    }

    #[test]
    fn lets_each_layer_do_its_work() {
        let none = violations(&[
            ("src/app.rs", "use crate::{api, edge, domain::gateway::repositories::sea_orm};\nuse poem::Endpoint;"),
            ("src/main.rs", "use gateway::app;"),
            (
                "src/edge/listener/server.rs",
                "use crate::{config::Settings, domain::gateway::models::service::Route, problem::Problem};",
            ),
            (
                SERVICE,
                "use super::{ports::Sealer, signing_key::SigningKeys};\nuse tokio::sync::Mutex;\nuse crate::ports::Clock;",
            ),
            ("src/adapters/jwt.rs", "use crate::domain::gateway::services::ports::KeyGenerator;"),
            ("src/api/pages.rs", "use crate::texts::{self, Text, pages as text};"),
            ("src/texts/codes.rs", "use std::borrow::Cow;\nuse super::Text;"),
            ("src/domain/gateway.rs", "pub mod models;\npub mod services;"),
        ]);
        assert_eq!(none, Vec::<String>::new());
    }

    #[test]
    fn lets_tests_import_what_they_like() {
        let none = violations(&[
            (SERVICE, "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more { use poem::Response; }"),
            ("src/domain/gateway/services/token/tests.rs", "use poem::Response;"),
            ("src/domain/gateway/services/token/tests/deeper.rs", "use poem::Response;"),
        ]);
        assert_eq!(none, Vec::<String>::new());
        assert!(one("src/domain/gateway/services/token/tests.rs", "use poem::Response;").contains("services may not"));
    }

    #[test]
    fn reports_a_low_floor_that_imports_a_high_one() {
        for (path, text, rule) in [
            (
                "src/edge/http/path.rs",
                "use crate::edge::pipeline::core::Core;",
                "edge/http may not import edge/pipeline",
            ),
            (
                "src/edge/http1/connection.rs",
                "use super::super::upstream::State;",
                "edge/http1 may not import edge/upstream",
            ),
            (
                "src/edge/upstream/forward.rs",
                "use crate::edge::listener::parts::Parts;",
                "edge/upstream may not import edge/listener",
            ),
            (
                "src/edge/timer/deadlines.rs",
                "use crate::edge::body::incoming::Incoming;",
                "edge/timer may not import edge/body",
            ),
            ("src/edge/http/path.rs", "use tokio::net::TcpStream;", "edge/http may not import tokio::net::TcpStream"),
        ] {
            let said = one(path, text);
            assert!(said.starts_with(&format!("{path}:1: {rule}")), "{said}");
        }
    }

    #[test]
    fn reports_modules_that_import_each_other() {
        let read = |files: &[(&str, &str)]| {
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
            read(&files, &libraries())
        };
        let folders = read(&[
            ("src/edge/http/a.rs", "use crate::edge::net::b::B;"),
            ("src/edge/net/b.rs", "use crate::edge::timer::C;"),
            ("src/edge/timer.rs", "use super::http::a::A;"),
            ("src/edge/body.rs", "use super::timer::C;"),
        ]);
        let said = "edge: these import each other in a circle: http → net, net → timer, timer → http";
        assert_eq!(circles::circles(&folders, &[]), [said]);
        assert_eq!(circles::circles(&folders, &[("edge", &["http", "net", "timer"])]), Vec::<String>::new());
        assert_eq!(circles::gone(&folders, &[("edge", &["http", "net", "timer"])]), Vec::<String>::new());
        let files = read(&[("src/config/a.rs", "use super::b::B;"), ("src/config/b.rs", "use super::a::A;")]);
        assert_eq!(circles::circles(&files, &[]), ["config: these import each other in a circle: a → b, b → a"]);
        let none = read(&[
            ("src/config/a.rs", "mod inner;\nuse super::b::B;\nuse inner::I;"),
            ("src/config/a/inner.rs", "use super::A;"),
            ("src/config/b.rs", "#[cfg(test)]\nmod tests { use super::super::a::A; }"),
        ]);
        assert_eq!(circles::circles(&none, &[]), Vec::<String>::new());
        assert_eq!(circles::gone(&none, &[("config", &["a", "b"])]), ["config"]);
    }

    #[test]
    fn reports_a_concern_under_two_names() {
        let files = |names: &[&str]| {
            let services = names.iter().map(|name| format!("domain/gateway/services/{name}"));
            let paths = services.chain(["domain/gateway/models/token".to_owned()]);
            let text = "#[cfg(test)]\nmod tests;".to_owned();
            read(&paths.map(|path| (format!("src/{path}.rs"), text.clone())).collect(), &libraries())
        };
        assert_eq!(
            misnamed(&files(&[
                "token",
                "token/issuing",
                "token/tests",
                "discovery",
                "last_known",
                "ports",
                "resealing",
                "revocation"
            ])),
            Vec::<String>::new()
        );
        let wrong = misnamed(&files(&["tokens", "discovery", "ports"]));
        assert_eq!(wrong.len(), 4, "{wrong:#?}");
        assert!(wrong[0].starts_with("src/domain/gateway/services/tokens.rs: a concern has one name"), "{wrong:#?}");
        assert!(wrong[3].starts_with("src/domain/gateway/services/revocation.rs is gone"), "{wrong:#?}");
    }
}
