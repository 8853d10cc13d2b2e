//! The fields of one `[services.NAME]` table: their names and types.

use serde::Deserialize;
use toml::Spanned;

/// One `[services.NAME]` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEntry {
    pub(super) url: Option<Spanned<Urls>>,
    pub(super) balance: Option<Spanned<String>>,
    pub(super) hash_on: Option<Spanned<String>>,
    pub(super) cookie: Option<Spanned<String>>,
    pub(super) slow_start: Option<Spanned<String>>,
    pub(super) check: Option<Spanned<CheckEntry>>,
    pub(super) eject: Option<Spanned<EjectEntry>>,
    pub(super) breaker: Option<Spanned<BreakerEntry>>,
    pub(super) max_requests: Option<Spanned<i64>>,
    pub(super) max_pending: Option<Spanned<i64>>,
    pub(super) connection_age: Option<Spanned<String>>,
    pub(super) tls: Option<Spanned<TlsEntry>>,
}

/// The addresses, as in `<NAME>_SERVICE_URL` or one by one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Urls {
    Text(String),
    List(Vec<String>),
}

/// The table `check`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckEntry {
    pub(super) path: Option<Spanned<String>>,
    pub(super) interval: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<String>>,
    pub(super) unhealthy_after: Option<Spanned<i64>>,
    pub(super) healthy_after: Option<Spanned<i64>>,
}

/// The table `eject`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EjectEntry {
    pub(super) after: Option<Spanned<i64>>,
    pub(super) time: Option<Spanned<String>>,
    pub(super) max_time: Option<Spanned<String>>,
}

/// The table `breaker`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerEntry {
    pub(super) failures: Option<Spanned<i64>>,
    pub(super) requests: Option<Spanned<i64>>,
    pub(super) window: Option<Spanned<String>>,
    pub(super) open: Option<Spanned<String>>,
}

/// The table `tls`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsEntry {
    pub(super) ca: Option<Spanned<String>>,
    pub(super) client_certificate: Option<Spanned<String>>,
    pub(super) client_key: Option<Spanned<String>>,
    pub(super) server_name: Option<Spanned<String>>,
}
