//! What operators see of a running gateway, over the wire.

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::Object;

use super::local;
use crate::domain::gateway::models::{
    oauth::ProviderName,
    provider::health::{Ongoing, TroubleKind},
};

/// How a gateway does.
#[derive(Debug, Object)]
pub struct Status {
    /// The providers that are switched on, by name.
    pub providers: Vec<ProviderStatus>,
}

/// How a provider does, as far as this gateway has seen since it started.
#[derive(Debug, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ProviderStatus {
    /// Its name.
    pub name: String,
    /// Whether it exchanges codes and renews tokens.
    pub ok: bool,
    /// Who can mend it: `configuration` is for the operator, an `outage` is the provider's.
    pub kind: Option<String>,
    /// The provider's error code, or what is wrong with its response.
    pub error: Option<String>,
    /// Since when.
    pub since: Option<DateTime<FixedOffset>>,
}

impl ProviderStatus {
    /// From what is known of it.
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
