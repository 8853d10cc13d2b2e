//! The responses about health.

use poem_openapi::Object;

/// The health of the gateway.
#[derive(Debug, Object)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
    /// Checks and their results.
    pub checks: Vec<HealthCheck>,
}

/// The result of one check.
#[derive(Debug, Clone, Object)]
pub struct HealthCheck {
    /// Name of the check: `start`, `store`, `revocations` or `sessions`.
    pub name: String,
    /// Whether the check succeeded.
    pub ok: bool,
    /// Reason of a failure, without internal details.
    #[oai(skip_serializing_if_is_none)]
    pub detail: Option<String>,
}

impl Health {
    /// `ok` if every check succeeded.
    pub fn of(checks: Vec<HealthCheck>) -> Self {
        let ok = checks.iter().all(|check| check.ok);
        Self { status: if ok { "ok" } else { "unavailable" }.to_owned(), checks }
    }

    /// Whether every check succeeded.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_check_is_enough() {
        let check = |ok| HealthCheck { name: "store".into(), ok, detail: None };
        assert_eq!(Health::of(vec![]).status, "ok");
        assert_eq!(Health::of(vec![check(true)]).status, "ok");
        let bad = Health::of(vec![check(true), check(false)]);
        assert!(bad.status == "unavailable" && !bad.is_ok());
    }
}
