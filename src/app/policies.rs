//! The rules of the services, as the settings say them.

use std::{iter, time::Duration};

use chrono::TimeDelta;

use crate::{
    config::{Environment, SAMPLE_SERVICE, Settings},
    domain::gateway::{
        models::{
            access::Access,
            page::{OwnHosts, TrustedPages},
            provider::is_loopback,
            scope::Scope,
            service::{RouteTable, ServiceName},
            session::SessionLimits,
            signing_key::KeySchedule,
            token::Expectations,
        },
        schemas::cookie::Cookies,
        services::token::TokenPolicy,
    },
    edge::browser::BrowserSettings,
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

/// The routes of `gateway.toml`, and those that services have by default.
pub fn routes_in_force(settings: &Settings) -> RouteTable {
    let of_development: Option<ServiceName> =
        if settings.environment == Environment::Development { SAMPLE_SERVICE.parse().ok() } else { None };
    let services = settings.services.iter().map(|service| &service.name).chain(&of_development);
    RouteTable::with_defaults(settings.routes.iter().cloned(), services)
}

/// Pages of our own, and of those that are allowed beside them.
pub(super) fn trusted_pages(settings: &Settings) -> TrustedPages {
    TrustedPages::new(own_origins(settings))
}

/// In development anybody gets tokens, so it matters by which name a browser comes. In production nobody does, and proxies before us
/// may give any name.
pub(super) fn own_hosts(settings: &Settings) -> OwnHosts {
    match settings.environment {
        Environment::Development => {
            let hosts = OwnHosts::of(own_origins(settings));
            if settings.public.url_is_set { hosts.fixed() } else { hosts }
        }
        Environment::Production => OwnHosts::default(),
    }
}

/// Where browsers come by https, they can be told to keep our cookies from everybody else.
pub(super) fn cookies(settings: &Settings) -> Cookies {
    Cookies::new(settings.public.url.scheme() == "https")
}

/// Where a sign-in may return to: our own origin, which a front end may be at as well, and those that are listed.
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
        // Not on the developer's own machine: what else runs there has no certificate.
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
        // A day, so that whoever caches our JWKS has the next key in time; less if keys change more often than that.
        published_before: TimeDelta::days(1).min(signs_for / 2),
        longest_token: delta(settings.tokens.access_ttl_max),
    }
}

/// Settings are bounded far below what a `TimeDelta` can hold.
pub(super) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
