//! The inner tables of a route's traffic policy: their fields, as the parser and the schema know them.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{MOST_REQUESTS, STATUSES};
use crate::config::reading::fields::{
    Field,
    Form::{Any, Duration, Pattern},
    Kind, Table, field,
};

const PAGE: &str = "docs/routes.md";
const NUMBER: &str = "a whole number";
const DURATION: &str = "a duration in quotes, such as \"1m\"";

/// The table `rate_limit`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config::routes) struct RateLimitEntry {
    pub(super) requests: Option<Spanned<i64>>,
    pub(super) per: Option<Spanned<String>>,
    pub(super) burst: Option<Spanned<i64>>,
    pub(super) by: Option<Spanned<String>>,
    pub(super) shared: Option<Spanned<bool>>,
}

pub(in crate::config::routes) static RATE_LIMIT: Table = Table {
    name: "rate_limit",
    written: "rate_limit",
    page: PAGE,
    about: "A limit of requests in a time.",
    fields: &[
        field("requests", Kind::Number(1..=MOST_REQUESTS), NUMBER, "How many requests are accepted in the time."),
        field("per", Kind::Text(Duration), DURATION, "The time: 1s to 24h, in whole seconds."),
        field(
            "burst",
            Kind::Number(1..=10 * MOST_REQUESTS),
            NUMBER,
            "How many requests are accepted at once after a silence. Default: requests.",
        ),
        field(
            "by",
            Kind::Text(Pattern("^(address|account|client|header:.+)$")),
            "a text in quotes, such as \"address\"",
            "Which requests count together: those of an address, an account, a client, or with a value of a header. \
             Default: address.",
        ),
        field(
            "shared",
            Kind::Flag,
            "true or false",
            "Whether all replicas count together, in the Redis of REDIS_URL. Default: false.",
        ),
    ],
    required: &[&["requests"], &["per"]],
};

/// The headers that are set or added. A value may be of another type: the mistake must not repeat it, as it may be a
/// secret.
pub(super) type Headers = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

/// The tables `request_headers` and `response_headers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config::routes) struct HeaderRulesEntry {
    pub(super) set: Option<Headers>,
    pub(super) add: Option<Headers>,
    pub(super) remove: Option<Vec<Spanned<String>>>,
}

const HEADERS: &str = "a table, such as { X-Team = \"blue\" }";

pub(in crate::config::routes) static REQUEST_HEADERS: Table = header_rules("request_headers");
pub(in crate::config::routes) static RESPONSE_HEADERS: Table = header_rules("response_headers");

const fn header_rules(name: &'static str) -> Table {
    let about = "Changes of headers: remove is applied first, then set, then add.";
    Table { name, written: name, page: PAGE, about, fields: HEADER_RULES, required: &[] }
}

const HEADER_RULES: &[Field] = &[
    field("set", Kind::Headers, HEADERS, "Headers that replace others of the same name."),
    field("add", Kind::Headers, HEADERS, "Headers that are added."),
    field("remove", Kind::Texts(Any), "a list of names in quotes, such as [\"X-Debug\"]", "Headers that are removed."),
];

/// The table `redirect`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config::routes) struct RedirectEntry {
    pub(super) to: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<i64>>,
}

pub(in crate::config::routes) static REDIRECT: Table = Table {
    name: "redirect",
    written: "redirect",
    page: PAGE,
    about: "A redirect.",
    fields: &[
        field(
            "to",
            Kind::Text(Pattern("^(https?://|/)")),
            "a URL or a path in quotes, such as \"https://www.example.com/new\"",
            "The URL or path. With /{rest} at its end, the rest of the path and the query are appended.",
        ),
        field("status", Kind::Number(301..=308), NUMBER, "301, 302, 307 or 308. Default: 307."),
    ],
    required: &[&["to"]],
};

/// The table `respond`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config::routes) struct RespondEntry {
    pub(super) status: Option<Spanned<i64>>,
    pub(super) content_type: Option<Spanned<String>>,
    pub(super) body: Option<Spanned<String>>,
}

pub(in crate::config::routes) static RESPOND: Table = Table {
    name: "respond",
    written: "respond",
    page: PAGE,
    about: "A fixed response.",
    fields: &[
        field("status", Kind::Number(STATUSES), NUMBER, "The status code."),
        field(
            "content_type",
            Kind::Text(Pattern("/")),
            "a media type in quotes, such as \"application/json\"",
            "The media type of the body. Default: text/plain; charset=utf-8.",
        ),
        field("body", Kind::Text(Any), "a text in quotes", "The body, up to 64KiB. Default: none."),
    ],
    required: &[&["status"]],
};

/// The table `maintenance`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config::routes) struct MaintenanceEntry {
    pub(super) retry_after: Option<Spanned<String>>,
    pub(super) message: Option<Spanned<String>>,
}

pub(in crate::config::routes) static MAINTENANCE: Table = Table {
    name: "maintenance",
    written: "maintenance",
    page: PAGE,
    about: "A route that is closed for now.",
    fields: &[
        field("retry_after", Kind::Text(Duration), DURATION, "When to try again. Default: 5m."),
        field("message", Kind::Text(Any), "a text in quotes", "What people read, in place of the usual words."),
    ],
    required: &[],
};
