//! Warnings: settings that work, and that the operator should change.

use std::time::Duration;

use super::{
    ListenerSettings, SessionSettings, TokenSettings,
    reading::{reader::Reader, units},
    services::{SERVICE_URL_SUFFIX, has_empty_entry},
    variables::{REFRESH_TOKEN_TTL, SESSION_IDLE_TTL, SESSION_TTL, TOKEN_FAMILY_TTL, TRUSTED_PROXIES, Variable},
};

/// The warnings about valid settings. A default that another setting makes ineffective is not the operator's, so it is
/// none.
pub(super) fn of(
    reader: &Reader<'_>,
    listener: Option<&ListenerSettings>,
    tokens: Option<&TokenSettings>,
    sessions: Option<&SessionSettings>,
) -> Vec<String> {
    let everybody = listener.and_then(|listener| listener.trusted_proxies.iter().find(|net| net.prefix_len() == 0));
    let without_effect = |variable: &Variable, limit: &Variable, value: Duration, most: Duration| {
        (value > most && reader.value(variable).is_some()).then(|| {
            let (value, most) = (units::show(value), units::show(most));
            format!("{} ({value}) has no effect above {} ({most})", variable.name, limit.name)
        })
    };
    let proxies = everybody.map(|net| {
        format!(
            "{} contains {net}, so every client could set its own address; name only your proxies",
            TRUSTED_PROXIES.name
        )
    });
    let refresh = tokens.and_then(|tokens| {
        without_effect(&REFRESH_TOKEN_TTL, &TOKEN_FAMILY_TTL, tokens.refresh_ttl, tokens.family_ttl)
    });
    let idle =
        sessions.and_then(|sessions| without_effect(&SESSION_IDLE_TTL, &SESSION_TTL, sessions.idle, sessions.total));
    let empty = reader.names().filter(|name| name.ends_with(SERVICE_URL_SUFFIX)).filter_map(|name| {
        let (value, place) = reader.value_and_place(name)?;
        has_empty_entry(value)
            .then(|| format!("{place} has an empty entry: is an instance missing between two commas?"))
    });
    [proxies, refresh, idle].into_iter().flatten().chain(empty).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Settings, Sources};

    fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
        let sources = Sources::default()
            .with_environment([("GATEWAY_ENV", "development")])
            .with_environment(variables.iter().copied());
        Settings::from_sources(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}")).warnings
    }

    #[test]
    fn settings_that_work_and_should_be_changed_are_warned_about() {
        for (name, value, warning) in [
            (
                "TRUSTED_PROXIES",
                "10.0.0.0/8,0.0.0.0/0",
                "TRUSTED_PROXIES contains 0.0.0.0/0, so every client could set its own address; name only your proxies",
            ),
            (
                "TRUSTED_PROXIES",
                "::/0",
                "TRUSTED_PROXIES contains ::/0, so every client could set its own address; name only your proxies",
            ),
            ("SESSION_IDLE_TTL", "60d", "SESSION_IDLE_TTL (60d) has no effect above SESSION_TTL (30d)"),
            ("REFRESH_TOKEN_TTL", "100d", "REFRESH_TOKEN_TTL (100d) has no effect above TOKEN_FAMILY_TTL (90d)"),
            (
                "SHOP_SERVICE_URL",
                "http://a,,http://b",
                "SHOP_SERVICE_URL has an empty entry: is an instance missing between two commas?",
            ),
        ] {
            assert_eq!(warnings(&[(name, value)]), [warning]);
        }
    }

    #[test]
    fn other_settings_are_not() {
        for variables in [
            &[][..],
            &[("SESSION_TTL", "1h")],
            &[("TOKEN_FAMILY_TTL", "1d")],
            &[("SESSION_IDLE_TTL", "30d"), ("REFRESH_TOKEN_TTL", "90d")],
            &[("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,")],
            &[("SHOP_SERVICE_URL", "http://a, http://b,"), ("BOARD_SERVICE_URL", ",")],
        ] {
            assert_eq!(warnings(variables), Vec::<String>::new(), "{variables:?}");
        }
    }
}
