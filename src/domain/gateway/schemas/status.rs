//! The status of a running gateway, for operators.

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::Object;

use super::{health::HealthCheck, local, reload::SettingsStatus};
use crate::domain::gateway::models::{
    oauth::ProviderName,
    provider::health::{Ongoing, TroubleKind},
};

/// The status of a gateway.
#[derive(Debug, Object)]
pub struct Status {
    /// What the gateway needs, and since when it is missing.
    pub checks: Vec<HealthCheck>,
    /// Enabled providers, ordered by name.
    pub providers: Vec<ProviderStatus>,
    /// Routes and services from files. Not while the gateway starts.
    #[oai(skip_serializing_if_is_none)]
    pub settings: Option<SettingsStatus>,
}

/// The status of a provider, as this gateway has seen it since its start.
#[derive(Debug, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ProviderStatus {
    /// Name of the provider.
    pub name: String,
    /// Whether the provider exchanges codes and renews tokens.
    pub ok: bool,
    /// Kind of the trouble: the operator can fix a `configuration`, and the provider an `outage`.
    pub kind: Option<String>,
    /// Error code of the provider, or the error in its response.
    pub error: Option<String>,
    /// Time when the trouble began.
    pub since: Option<DateTime<FixedOffset>>,
}

impl ProviderStatus {
    /// The status of a provider with this trouble, if any. Writes times with the offset of `timezone`.
    pub fn from_model(name: &ProviderName, trouble: Option<Ongoing>, timezone: Tz) -> Self {
        let name = name.to_string();
        let Some(Ongoing { trouble, since }) = trouble else {
            return Self { name, ok: true, kind: None, error: None, since: None };
        };
        let kind = match trouble.kind {
            TroubleKind::Configuration => "configuration",
            TroubleKind::Outage => "outage",
        };
        Self {
            name,
            ok: false,
            kind: Some(kind.to_owned()),
            error: Some(trouble.error),
            since: Some(local(since, timezone)),
        }
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON;
    use serde_json::json;

    use super::*;
    use crate::domain::gateway::models::provider::health::Trouble;

    #[test]
    fn a_provider_that_does_well_has_no_trouble_to_show() {
        let name = "naver".parse().unwrap();
        let well = ProviderStatus::from_model(&name, None, chrono_tz::Asia::Seoul);
        assert_eq!(well.to_json(), Some(json!({"name": "naver", "ok": true})));
        let trouble = Trouble { kind: TroubleKind::Configuration, error: "invalid_request".into() };
        let since = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let unwell = ProviderStatus::from_model(&name, Some(Ongoing { trouble, since }), chrono_tz::Asia::Seoul);
        let expected = json!({
            "name": "naver", "ok": false, "kind": "configuration", "error": "invalid_request",
            "since": "2027-01-15T17:00:00+09:00",
        });
        assert_eq!(unwell.to_json(), Some(expected));
    }
}
