//! Health over the wire.

use poem_openapi::Object;

/// Whether the gateway runs, or is ready to serve.
#[derive(Debug, Object)]
pub struct Health {
    /// `ok`, or `unavailable`.
    pub status: String,
    /// What is checked, and how it is.
    pub checks: Vec<HealthCheck>,
}

/// One thing that is checked.
#[derive(Debug, Clone, Object)]
pub struct HealthCheck {
    /// What: `store`, `revocations`.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong, in words that give nothing away.
    #[oai(skip_serializing_if_is_none)]
    pub detail: Option<String>,
}

impl Health {
    /// Well, if everything is.
    pub fn of(checks: Vec<HealthCheck>) -> Self {
        let ok = checks.iter().all(|check| check.ok);
        Self { status: if ok { "ok" } else { "unavailable" }.to_owned(), checks }
    }

    /// Whether everything is well.
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
