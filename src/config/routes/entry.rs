//! The fields of one `[[routes]]` entry: their names and types.

use serde::Deserialize;
use toml::{Spanned, de::DeValue};

use super::{
    Parser,
    access::{Claims, access_words},
    fields::{
        Field,
        Form::{Any, Duration, OneOf, Pattern, Size},
        Kind, Table, field, words,
    },
    listener::MANY,
    revocation::revocation_words,
    shapes::{FlagOrTable, TableOrTables},
    traffic::{
        preset_words,
        tables::{
            HeaderRulesEntry, MAINTENANCE, MaintenanceEntry, RATE_LIMIT, REDIRECT, REQUEST_HEADERS, RESPOND,
            RESPONSE_HEADERS, RateLimitEntry, RedirectEntry, RespondEntry,
        },
    },
};
use crate::domain::gateway::models::http::path::Spelling;

/// One `[[routes]]` entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteEntry {
    pub(super) path: Option<Spanned<String>>,
    pub(super) methods: Option<Spanned<Vec<String>>>,
    pub(super) allow: Option<Spanned<Vec<String>>>,
    pub(super) service: Option<Spanned<String>>,
    pub(super) upstream_path: Option<Spanned<String>>,
    pub(super) access: Option<Spanned<String>>,
    pub(super) scope: Option<Spanned<Vec<String>>>,
    pub(super) any_scope: Option<Spanned<Vec<String>>>,
    pub(super) claims: Option<Spanned<Claims>>,
    pub(super) provider: Option<Spanned<String>>,
    pub(super) forward_authorization: Option<Spanned<bool>>,
    pub(super) preserve_host: Option<Spanned<bool>>,
    pub(super) provider_token: Option<Spanned<String>>,
    pub(super) provider_token_header: Option<Spanned<String>>,
    pub(super) body_limit: Option<Spanned<String>>,
    pub(super) buffer_request: Option<Spanned<String>>,
    pub(super) max_requests: Option<Spanned<i64>>,
    pub(super) connect_timeout: Option<Spanned<String>>,
    pub(super) first_byte_timeout: Option<Spanned<String>>,
    pub(super) idle_timeout: Option<Spanned<String>>,
    pub(super) total_timeout: Option<Spanned<String>>,
    pub(super) end_with_token: Option<Spanned<bool>>,
    pub(super) revocation: Option<Spanned<String>>,
    pub(super) revocation_max_age: Option<Spanned<String>>,
    pub(super) assertion: Option<Spanned<bool>>,
    pub(super) rate_limit: Option<Spanned<TableOrTables<RateLimitEntry>>>,
    pub(super) protect: Option<Spanned<String>>,
    pub(super) allow_ips: Option<Spanned<Vec<String>>>,
    pub(super) deny_ips: Option<Spanned<Vec<String>>>,
    pub(super) request_headers: Option<Spanned<HeaderRulesEntry>>,
    pub(super) response_headers: Option<Spanned<HeaderRulesEntry>>,
    pub(super) redirect: Option<Spanned<RedirectEntry>>,
    pub(super) respond: Option<Spanned<RespondEntry>>,
    pub(super) maintenance: Option<Spanned<FlagOrTable<MaintenanceEntry>>>,
    pub(super) compress: Option<Spanned<bool>>,
}

const DURATION: &str = "a duration in quotes, such as \"500ms\" or \"10s\"";
const WORDS: &str = "a list of words in quotes, such as [\"read\", \"write\"]";
const ADDRESSES: &str = "a list of addresses and CIDRs in quotes, such as [\"10.0.0.0/8\"]";
const PROVIDER: &str = "the name of a provider in quotes, such as \"google\"";

#[expect(clippy::cast_possible_wrap, reason = "it is a million")]
const MOST_REQUESTS: i64 = MANY as i64;

/// The table of a route.
pub(in crate::config) static ROUTE: Table = Table {
    name: "a route",
    written: "[[routes]]",
    page: "docs/routes.md",
    about: "A route: which requests go to which service, and who may send them.",
    fields: FIELDS,
    // Without these there is no route.
    required: &[&["path"], &["service", "redirect", "respond", "maintenance"]],
};

const FIELDS: &[Field] = &[
    field(
        "path",
        Kind::Text(Pattern("^/api(/|$)")),
        "a path in quotes, such as \"/api/users\"",
        "This path and everything below it. All paths are under /api.",
    ),
    field(
        "methods",
        Kind::Texts(Pattern("^[A-Z-]+$")),
        "a list of names in quotes, such as [\"GET\", \"POST\"]",
        "The methods of the requests; GET includes HEAD. Default: all that no other route of this path names.",
    ),
    field(
        "allow",
        Kind::Texts(OneOf(|| words(&Spelling::ALL))),
        "a list of words in quotes, such as [\"semicolon\"]",
        "Ambiguous spellings of paths that this route lets through; all are refused otherwise.",
    ),
    field(
        "service",
        Kind::Text(Pattern("^[a-z][a-z0-9-]{0,62}$")),
        "the name of a service in quotes, such as \"users\"",
        "The service that the requests go to.",
    ),
    field(
        "upstream_path",
        Kind::Text(Pattern("^/")),
        "a path in quotes, such as \"/users\"",
        "Replaces the path at the service. Default: the path without /api, or without /api/<its service>.",
    ),
    field(
        "access",
        Kind::Text(OneOf(access_words)),
        "open, token, session or token-or-session, in quotes",
        "Who may send requests. Default: callers with a valid token.",
    ),
    field("scope", Kind::Texts(Any), WORDS, "Scopes that the token must have, all of them."),
    field("any_scope", Kind::Texts(Any), WORDS, "Scopes of which the token must have at least one."),
    field(
        "claims",
        Kind::Claims,
        "a table, such as { team = \"blue\" }",
        "Claims that the caller must have: this value, or one of several.",
    ),
    field("provider", Kind::Text(Any), PROVIDER, "The provider at which the caller must have an identity."),
    field(
        "forward_authorization",
        Kind::Flag,
        "true or false",
        "Whether the service gets the caller's Authorization header. Default: false.",
    ),
    field(
        "preserve_host",
        Kind::Flag,
        "true or false",
        "Whether the service gets the Host of the client's request instead of its own. Default: false.",
    ),
    field("provider_token", Kind::Text(Any), PROVIDER, "Sends the caller's valid token at this provider along."),
    field(
        "provider_token_header",
        Kind::Text(Any),
        "a header's name in quotes, such as \"X-Provider-Token\"",
        "The header of that token. Default: Authorization.",
    ),
    field(
        "body_limit",
        Kind::Text(Size),
        "a size in quotes, such as \"64KiB\" or \"10MiB\"",
        "The largest body of a request. Default: 10MiB.",
    ),
    field(
        "buffer_request",
        Kind::Text(Size),
        "a size in quotes, such as \"64KiB\"",
        "This much of a body is read before the service is called. Default: 64KiB.",
    ),
    field(
        "max_requests",
        Kind::Number(1..=MOST_REQUESTS),
        "a whole number",
        "The most requests in flight on this route; further ones get 503.",
    ),
    field(
        "connect_timeout",
        Kind::Text(Duration),
        DURATION,
        "Until the service accepts a connection. Default: CONNECT_TIMEOUT.",
    ),
    field(
        "first_byte_timeout",
        Kind::Text(Duration),
        DURATION,
        "From the end of the request to the head of the response. Default: FIRST_BYTE_TIMEOUT.",
    ),
    field(
        "idle_timeout",
        Kind::Text(Duration),
        DURATION,
        "Without a byte of a body or WebSocket in either direction. Default: IDLE_TIMEOUT.",
    ),
    field(
        "total_timeout",
        Kind::Text(Duration),
        DURATION,
        "From the head of the request to the end of the response. Default: no limit.",
    ),
    field(
        "end_with_token",
        Kind::Flag,
        "true or false",
        "Whether event streams and WebSockets end with the token or session of their caller. Default: true.",
    ),
    field(
        "revocation",
        Kind::Text(OneOf(revocation_words)),
        "available or strict, in quotes",
        "strict refuses callers while revocations of other gateways do not arrive. Default: available.",
    ),
    field(
        "revocation_max_age",
        Kind::Text(Duration),
        DURATION,
        "With revocation = \"strict\": for how long none may have arrived. Default: 5s.",
    ),
    field(
        "assertion",
        Kind::Flag,
        "true or false",
        "Whether the service also gets a signed assertion of the caller. Default: false.",
    ),
    field(
        "rate_limit",
        Kind::TableOrTables(&RATE_LIMIT),
        "a table or a list of tables, such as { requests = 100, per = \"1m\" }",
        "How many requests are accepted in a time; further ones get 429.",
    ),
    field(
        "protect",
        Kind::Text(OneOf(preset_words)),
        "\"login\"",
        "A preset of rate limits. login is for a log-in route: 10 attempts a minute and 100 an hour per address.",
    ),
    field("allow_ips", Kind::Texts(Any), ADDRESSES, "Only these clients may send requests; others get 403."),
    field("deny_ips", Kind::Texts(Any), ADDRESSES, "These clients get 403, even if allow_ips has them."),
    field(
        "request_headers",
        Kind::Table(&REQUEST_HEADERS),
        "a table, such as { set = { X-Team = \"blue\" } }",
        "Changes the headers that the service gets.",
    ),
    field(
        "response_headers",
        Kind::Table(&RESPONSE_HEADERS),
        "a table, such as { remove = [\"Server\"] }",
        "Changes the headers that clients get.",
    ),
    field(
        "redirect",
        Kind::Table(&REDIRECT),
        "a table, such as { to = \"https://www.example.com/new\" }",
        "Redirects requests. Such a route needs no service.",
    ),
    field(
        "respond",
        Kind::Table(&RESPOND),
        "a table, such as { status = 200, body = \"ok\" }",
        "Responds with the same to all requests. Such a route needs no service.",
    ),
    field(
        "maintenance",
        Kind::FlagOrTable(&MAINTENANCE),
        "true, false or a table, such as { retry_after = \"10m\" }",
        "Responds with 503 and a page that says so. Such a route needs no service.",
    ),
    field(
        "compress",
        Kind::Flag,
        "true or false",
        "Whether plain responses of the service are compressed as the client prefers. Default: false.",
    ),
];

impl Parser<'_, '_> {
    /// Reads the fields of a route.
    pub(super) fn entry(&mut self, entry: Spanned<DeValue<'_>>) -> Option<RouteEntry> {
        self.file.entry(&ROUTE, entry)
    }
}
