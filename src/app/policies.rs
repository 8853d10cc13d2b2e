//! Converts the settings to the services' policies.

use std::{iter, time::Duration};

use chrono::TimeDelta;

use crate::{
    config::{Environment, SAMPLE_SERVICE, Settings},
    domain::gateway::{
        models::{
            access::Access,
            http::page::{OwnHosts, PagePolicy, TrustedPages},
            provider::is_loopback,
            service::{RouteTable, ServiceName},
            session::SessionLimits,
            signing_key::KeySchedule,
            token::Expectations,
            values::scope::Scope,
        },
        schemas::cookie::Cookies,
        services::token::TokenPolicy,
    },
    edge::browser::BrowserSettings,
};

/// How long a start or a reload waits for the addresses of services. Names are found at once, as a rule; those that are
/// not must not delay it.
pub(super) const FIRST_ANSWERS: Duration = Duration::from_secs(2);

/// The scope that allows creating tokens in production.
const ISSUE_SCOPE: &str = "tokens:issue";

/// The claims that a token must have to be accepted.
pub fn expectations(settings: &Settings) -> Expectations {
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
        family_ttl: delta(settings.tokens.family_ttl),
        refresh_grace: delta(settings.tokens.refresh_grace),
        creation: if development {
            Access::Open
        } else {
            Access::with_scope(ISSUE_SCOPE.parse().unwrap_or_else(|_| Scope::default()))
        },
        dummies: development,
    }
}

/// The routes of `gateway.toml`, and the default routes of services.
pub fn routes_in_force(settings: &Settings) -> RouteTable {
    let of_development: Option<ServiceName> =
        if settings.environment == Environment::Development { SAMPLE_SERVICE.parse().ok() } else { None };
    let services = settings.services.iter().map(|service| &service.name).chain(&of_development);
    RouteTable::with_defaults(settings.routes.iter().cloned(), services)
}

/// Our own pages, and those of the allowed origins.
fn trusted_pages(settings: &Settings) -> TrustedPages {
    TrustedPages::new(own_origins(settings))
}

/// In development every caller gets tokens, so the host name that a browser used matters. In production no caller gets
/// them like that, and proxies in front may send any name.
pub(super) fn page_policy(settings: &Settings) -> PagePolicy {
    let policy = PagePolicy::new(trusted_pages(settings));
    match settings.environment {
        Environment::Development => {
            let hosts = OwnHosts::of(own_origins(settings));
            policy.at(if settings.public.url_is_set { hosts.fixed() } else { hosts })
        }
        Environment::Production => policy,
    }
}

/// With https, browsers can be told to keep our cookies from all other sites.
pub(super) fn cookies(settings: &Settings) -> Cookies {
    Cookies::new(settings.public.url.scheme() == "https")
}

/// The allowed destinations after a sign-in: our own origin, where a front end may be as well, and the listed ones.
pub(super) fn own_origins(settings: &Settings) -> Vec<String> {
    iter::once(settings.public.origin()).chain(settings.public.allowed_origins.trusted().map(str::to_owned)).collect()
}

pub(super) fn browsers(settings: &Settings) -> BrowserSettings {
    let url = &settings.public.url;
    BrowserSettings {
        session_cookie: cookies(settings).session(),
        pages: trusted_pages(settings),
        allowed_origins: settings.public.allowed_origins.clone(),
        api_prefix: settings.public.api_prefix.as_str().to_owned(),
        // Not on the developer's own machine: other programs there have no certificate.
        strict_transport: url.scheme() == "https" && !is_loopback(url),
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
        // A day, so that caches of our JWKS have the next key in time; less if keys rotate more often.
        published_before: TimeDelta::days(1).min(signs_for / 2),
        longest_token: delta(settings.tokens.access_ttl_max),
    }
}

/// The bounds of settings are far below the maximum of a `TimeDelta`.
pub(super) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
