//! The rules of the services, as the settings say them.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    config::{Environment, Settings},
    domain::gateway::{
        models::{
            scope::Scope, service::Access, session::SessionLimits, signing_key::KeySchedule, token::Expectations,
        },
        services::token::TokenPolicy,
    },
};

/// The scope that lets a caller create tokens in production.
const ISSUE_SCOPE: &str = "tokens:issue";

pub(super) fn expectations(settings: &Settings) -> Expectations {
    Expectations { issuer: settings.public.base().to_owned(), audience: settings.tokens.audience.clone() }
}

pub(super) fn token_policy(settings: &Settings) -> TokenPolicy {
    let Expectations { issuer, audience } = expectations(settings);
    let development = settings.environment == Environment::Development;
    TokenPolicy {
        issuer,
        audience,
        access_ttl: delta(settings.tokens.access_ttl),
        access_ttl_max: delta(settings.tokens.access_ttl_max),
        refresh_ttl: delta(settings.tokens.refresh_ttl),
        refresh_grace: delta(settings.tokens.refresh_grace),
        creation: if development {
            Access::Open
        } else {
            Access::Token { scope: ISSUE_SCOPE.parse().unwrap_or_else(|_| Scope::default()) }
        },
        dummies: development,
    }
}

pub(super) fn session_limits(settings: &Settings) -> SessionLimits {
    SessionLimits { idle: delta(settings.sessions.idle), total: delta(settings.sessions.total) }
}

pub(super) fn key_schedule(settings: &Settings) -> KeySchedule {
    let signs_for = delta(settings.tokens.key_rotation);
    KeySchedule {
        algorithm: settings.tokens.algorithm,
        signs_for,
        // A day, so that whoever caches our JWKS has the next key in time; less if keys change more often than that.
        published_before: TimeDelta::days(1).min(signs_for / 2),
        longest_token: delta(settings.tokens.access_ttl_max),
    }
}

/// Settings are bounded far below what a `TimeDelta` can hold.
pub(super) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
