//! The responses about health.

use chrono::{DateTime, FixedOffset};
use poem_openapi::Object;

/// The health of the gateway.
#[derive(Debug, Object)]
pub struct Health {
    /// `ok`; `degraded` if something is missing that all gateways share; `unavailable` if another gateway would do
    /// better.
    pub status: String,
    /// Checks and their results.
    pub checks: Vec<HealthCheck>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct HealthCheck {
    /// Name of the check: `leaving`, `start`, `store`, `revocations`, `services` or `sessions`.
    pub name: String,
    /// Whether the check succeeded.
    pub ok: bool,
    /// Whether it concerns something that all gateways share, so that another one would do no better.
    pub shared: bool,
    /// Reason of a failure, without internal details.
    pub detail: Option<String>,
    /// Time when the failure was noticed.
    pub since: Option<DateTime<FixedOffset>>,
}

impl HealthCheck {
    /// A check of this gateway's own state.
    pub fn own(name: &str, ok: bool, wrong: &str) -> Self {
        Self { name: name.to_owned(), ok, shared: false, detail: (!ok).then(|| wrong.to_owned()), since: None }
    }

    /// A check of something that all gateways share; it has failed since then, or succeeds.
    pub fn shared(name: &str, failing_since: Option<DateTime<FixedOffset>>, wrong: &str) -> Self {
        let ok = failing_since.is_none();
        Self { shared: true, since: failing_since, ..Self::own(name, ok, wrong) }
    }
}

impl Health {
    /// The health by these checks.
    pub fn of(checks: Vec<HealthCheck>) -> Self {
        let status = if checks.iter().all(|check| check.ok) {
            "ok"
        } else if checks.iter().all(|check| check.ok || check.shared) {
            "degraded"
        } else {
            "unavailable"
        };
        Self { status: status.to_owned(), checks }
    }

    /// Whether it should receive requests; if `strict`, only while every check succeeds.
    pub fn is_ready(&self, strict: bool) -> bool {
        self.checks.iter().all(|check| check.ok || (check.shared && !strict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_gateway_would_do_better_makes_it_unavailable() {
        let since = DateTime::from_timestamp(1_800_000_000, 0).unwrap().fixed_offset();
        let own = |ok| HealthCheck::own("start", ok, "not yet");
        let shared = |ok: bool| HealthCheck::shared("store", (!ok).then_some(since), "no response");
        for (checks, status, is_ready, is_strictly_ready) in [
            (vec![], "ok", true, true),
            (vec![own(true), shared(true)], "ok", true, true),
            (vec![own(true), shared(false)], "degraded", true, false),
            (vec![own(false), shared(true)], "unavailable", false, false),
            (vec![shared(false), own(false)], "unavailable", false, false),
        ] {
            let health = Health::of(checks);
            assert_eq!(
                (&*health.status, health.is_ready(false), health.is_ready(true)),
                (status, is_ready, is_strictly_ready)
            );
        }
        assert_eq!((shared(false).detail.as_deref(), shared(false).since), (Some("no response"), Some(since)));
        assert_eq!((shared(true).detail, shared(true).since), (None, None));
    }
}
