//! The tables of a service, as the parser and the schema know them.

use super::policy::{BREAKER_REQUESTS, COUNTS, EJECT_AFTER, MOST_REQUESTS, PERCENT, balance_words};
use crate::config::reading::fields::{
    Form::{Any, Duration, OneOf, Pattern},
    Kind, Table, field,
};

const DURATION: &str = "a duration in quotes, such as \"500ms\" or \"10s\"";
const NUMBER: &str = "a whole number";
const FILE: &str = "the path of a PEM file in quotes, such as \"certs/ca.pem\"";
const PAGE: &str = "docs/services.md";

/// The table of a service.
pub(in crate::config) static SERVICE: Table = Table {
    name: "a service",
    written: "[services.NAME]",
    page: PAGE,
    about: "A service: where its instances are, and how they are chosen, checked and protected.",
    fields: &[
        field(
            "url",
            Kind::TextOrTexts(Pattern("^(srv\\+)?(https?|h2c|h2s)://")),
            "a URL in quotes, such as \"http://shop:8001\", or a list of them",
            "Where the instances are. Without it they come from <NAME>_SERVICE_URL, or register themselves.",
        ),
        field(
            "balance",
            Kind::Text(OneOf(balance_words)),
            "least-of-two, round-robin, least-requests, hash or sticky, in quotes",
            "How an instance is chosen for a request. Default: least-of-two.",
        ),
        field(
            "hash_on",
            Kind::Text(Pattern("^(client|header:.+|cookie:.+)$")),
            "a text in quotes, such as \"header:X-Tenant\", \"cookie:cart\" or \"client\"",
            "With balance = \"hash\": requests that are equal in this go to the same instance.",
        ),
        field(
            "cookie",
            Kind::Text(Any),
            "the name of a cookie in quotes, such as \"shop_instance\"",
            "With balance = \"sticky\": the cookie that keeps a browser at its instance.",
        ),
        field(
            "slow_start",
            Kind::Text(Duration),
            DURATION,
            "How long a new instance gets fewer requests than the others. Default: 0s.",
        ),
        field(
            "check",
            Kind::Table(&CHECK),
            "a table, such as { path = \"/health\" }",
            "Calls every instance regularly, and takes it out while it does not answer. Default: no check.",
        ),
        field(
            "eject",
            Kind::Table(&EJECT),
            "a table, such as { after = 5, time = \"5s\" }",
            "Takes an instance out for a while after failures in a row.",
        ),
        field(
            "breaker",
            Kind::Table(&BREAKER),
            "a table, such as { failures = 50, open = \"5s\" }",
            "Refuses requests to the service for a while when too many have failed. Default: no breaker.",
        ),
        field(
            "max_requests",
            Kind::Number(1..=MOST_REQUESTS),
            NUMBER,
            "The most requests in flight to the service; further ones get 503. Default: MAX_REQUESTS_PER_SERVICE.",
        ),
        field(
            "max_pending",
            Kind::Number(1..=MOST_REQUESTS),
            NUMBER,
            "The most requests that wait for a response of the service; further ones get 503. Default: no limit.",
        ),
        field(
            "connection_age",
            Kind::Text(Duration),
            DURATION,
            "How long a connection is used before it is replaced. Default: no limit.",
        ),
        field(
            "tls",
            Kind::Table(&TLS),
            "a table, such as { ca = \"certs/ca.pem\" }",
            "How the certificate of an https:// or h2s:// service is verified, and ours is shown.",
        ),
    ],
    required: &[],
};

static CHECK: Table = Table {
    name: "check",
    written: "check",
    page: PAGE,
    about: "An active check of every instance.",
    fields: &[
        field(
            "path",
            Kind::Text(Pattern("^/")),
            "a path in quotes, such as \"/health\"",
            "The path that is called. Default: /health.",
        ),
        field("interval", Kind::Text(Duration), DURATION, "The time between two checks of an instance. Default: 5s."),
        field("timeout", Kind::Text(Duration), DURATION, "The time in which it must answer. Default: 1s."),
        field(
            "status",
            Kind::Text(Pattern("^[1-5][0-9]{2}(-[1-5][0-9]{2})?$")),
            "a status or a range in quotes, such as \"204\" or \"200-299\"",
            "The status codes of a healthy instance. Default: 200-299.",
        ),
        field(
            "unhealthy_after",
            Kind::Number(COUNTS),
            NUMBER,
            "After this many failed checks in a row an instance gets no requests. Default: 3.",
        ),
        field(
            "healthy_after",
            Kind::Number(COUNTS),
            NUMBER,
            "After this many successful checks in a row it gets requests again. Default: 1.",
        ),
    ],
    required: &[],
};

static EJECT: Table = Table {
    name: "eject",
    written: "eject",
    page: PAGE,
    about: "When an instance is taken out because of its responses.",
    fields: &[
        field(
            "after",
            Kind::Number(EJECT_AFTER),
            NUMBER,
            "After this many failures in a row; 0 switches ejection off. Default: 5.",
        ),
        field(
            "time",
            Kind::Text(Duration),
            DURATION,
            "For how long the first time. The time doubles with each ejection in a row. Default: 5s.",
        ),
        field("max_time", Kind::Text(Duration), DURATION, "The longest such time. Default: 2m."),
    ],
    required: &[],
};

static BREAKER: Table = Table {
    name: "breaker",
    written: "breaker",
    page: PAGE,
    about: "When the service gets no requests at all for a while.",
    fields: &[
        field("failures", Kind::Number(PERCENT), NUMBER, "So many percent of the requests have failed. Default: 50."),
        field(
            "requests",
            Kind::Number(BREAKER_REQUESTS),
            NUMBER,
            "There were at least this many requests in the window. Default: 20.",
        ),
        field("window", Kind::Text(Duration), DURATION, "The time in which requests are counted. Default: 10s."),
        field(
            "open",
            Kind::Text(Duration),
            DURATION,
            "For how long requests are refused. Then one shows whether the service works again. Default: 5s.",
        ),
    ],
    required: &[],
};

static TLS: Table = Table {
    name: "tls",
    written: "tls",
    page: PAGE,
    about: "TLS to the service. Paths are relative to this file.",
    fields: &[
        field(
            "ca",
            Kind::Text(Any),
            FILE,
            "The certificates that the service's certificate must lead to. Default: those of the system.",
        ),
        field(
            "client_certificate",
            Kind::Text(Any),
            FILE,
            "Our certificate, which the service gets. Needs client_key.",
        ),
        field("client_key", Kind::Text(Any), FILE, "The private key of client_certificate."),
        field(
            "server_name",
            Kind::Text(Any),
            "a name in quotes, such as \"shop.internal\"",
            "The name in the service's certificate. Default: the host of the URL.",
        ),
    ],
    required: &[],
};
