//! Settings: `.env` + environment (+ `gateway.toml`) → typed values, parsed once, every mistake reported at once.
//!
//! [`Sources`] reads them; [`Settings::from_sources`] validates them, and touches nothing else but the PEM files that
//! `gateway.toml` names. One file per area.

mod listener;
mod live;
mod misspelt;
mod providers;
mod public;
mod reading;
mod routes;
mod services;
mod session;
mod store;
mod tls;
mod tokens;
pub mod variables;
mod warnings;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use chrono_tz::Tz;
use ipnet::IpNet;
use url::Url;

pub use live::Reread;
pub use misspelt::hints;
pub use reading::{
    certificate::{TlsFiles, TlsPair, Unfit},
    fields::{Field, Form, Kind, Table},
    report::{Mistake, Mistakes},
    source::{FileTexts, Sources},
};
pub use routes::{RouteOrigin, RouteOrigins};
pub use services::{
    SAMPLE_SERVICE,
    docker::DockerUrl,
    service_variable,
    tls::files::{ServiceCredentials, UnfitServiceFile},
};
pub use store::{DEVELOPMENT_VAULT_KEY, Database, SessionStore, VaultKey};

use crate::domain::gateway::models::{
    http::{origin::AllowedOrigins, path::PathPrefix},
    provider::{ProviderSettings, STAND_IN, STAND_IN_APPLE},
    service::{DeclaredService, Route, ServiceName},
    signing_key::SigningAlgorithm,
};
use reading::reader::{Reader, one_of};

/// Most providers' tokens live for less.
const LONGEST_START: Duration = Duration::from_hours(1);
const LONGEST_AHEAD: Duration = Duration::from_hours(24 * 30);

/// All settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `GATEWAY_ENV`
    pub environment: Environment,
    /// The listener for clients, and its limits.
    pub listener: ListenerSettings,
    /// `TLS_CERTIFICATE` and `TLS_KEY`: with these, clients are served by TLS.
    pub tls: Option<TlsFiles>,
    /// `ADMIN_ADDR`: the listener for operators, without TLS.
    pub admin_address: SocketAddr,
    /// The public face of the gateway.
    pub public: PublicSettings,
    /// `DATABASE_URL`
    pub database: Database,
    /// `REDIS_URL`
    pub session_store: SessionStore,
    /// `STARTUP_TIMEOUT`: how long the start waits for a store that is not available yet.
    pub startup_timeout: Duration,
    /// `VAULT_KEY`: the first key seals, all keys open.
    pub vault_keys: Vec<VaultKey>,
    /// Tokens and the keys that sign them.
    pub tokens: TokenSettings,
    /// Sessions of browsers.
    pub sessions: SessionSettings,
    /// `<NAME>_SERVICE_URL` and `[services.<name>]`: services, and where their instances are found.
    pub services: Vec<DeclaredService>,
    /// `<NAME>_SERVICE_OPENAPI`: the path of a service's OpenAPI document; `None` disables it.
    pub service_documents: HashMap<ServiceName, Option<String>>,
    /// The routes of `gateway.toml`, and the shipped ones that stay beside them.
    pub routes: Vec<Route>,
    /// `DNS_SERVERS`: the name servers that know the names of services; none for those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// `DOCKER_URL`: the container engine whose labels are followed, if any.
    pub docker_url: DockerUrl,
    /// `SERVICE_CIDRS`: the networks in which instances may register themselves.
    pub service_networks: Vec<IpNet>,
    /// Where each of them comes from.
    pub route_origins: RouteOrigins,
    /// Limits for requests to services.
    pub upstream: UpstreamSettings,
    /// `GOOGLE_CLIENT_ID` and so on: the providers for signing in.
    pub providers: Vec<ProviderSettings>,
    /// `OAUTH_REFRESH_AHEAD`: how long before its expiry a provider's token is refreshed in the background; zero is
    /// never.
    pub oauth_refresh_ahead: Duration,
    /// `LOG_FORMAT`
    pub log_format: LogFormat,
    /// Sentences about settings that work, and that the operator should change.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads and validates every setting.
    ///
    /// # Errors
    /// All mistakes, not only the first.
    pub fn from_sources(sources: &Sources) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(sources);
        for mistake in misspelt::mistakes(sources) {
            reader.note(mistake);
        }
        let named = reader.read(&variables::GATEWAY_ENV, |text| {
            one_of(text, &[("development", Environment::Development), ("production", Environment::Production)])
        });
        // While the environment is unknown, do not report rules of production.
        let environment = named.unwrap_or(Environment::Development);
        let listener = listener::read(&mut reader, environment);
        let clients = listener.as_ref().map(|listener| listener.address);
        let admin_address = listener::read_admin_address(&mut reader, clients);
        let tls = tls::read(&mut reader);
        let public = public::read(&mut reader, environment, clients, tls.is_some());
        let database = store::read_database(&mut reader, environment);
        let startup_timeout = reader.duration(&variables::STARTUP_TIMEOUT, Duration::ZERO..=LONGEST_START);
        let session_store = store::read_session_store(&mut reader);
        let vault_keys = store::read_vault_keys(&mut reader, environment);
        let tokens = tokens::read(&mut reader, public.as_ref());
        let sessions = session::read(&mut reader);
        let services = services::read(&mut reader);
        let service_documents = services::read_documents(&mut reader);
        let providers = providers::read(&mut reader, environment, public.as_ref());
        let on = providers.as_deref().map(|on| names(on, environment));
        let algorithm = tokens.as_ref().map(|tokens| tokens.algorithm);
        let with_address = services.iter().map(|service| service.name.as_str());
        let sample = (environment == Environment::Development).then_some(SAMPLE_SERVICE);
        let with_address: Vec<&str> = with_address.chain(sample).collect();
        let redis = session_store.as_ref().map(|store| matches!(store, SessionStore::Redis(_)));
        let known = routes::Known { providers: on.as_deref(), algorithm, services: Some(&with_address), redis };
        let dns_servers = services::names::read_servers(&mut reader);
        let docker_url = services::docker::read_url(&mut reader);
        let routes::Routes { routes, origins: route_origins } = routes::read(&mut reader, known);
        let upstream = services::read_upstream(&mut reader);
        let service_networks = services::read_networks(&mut reader);
        let oauth_refresh_ahead = reader.duration(&variables::OAUTH_REFRESH_AHEAD, Duration::ZERO..=LONGEST_AHEAD);
        let log_format = read_log_format(&mut reader, environment);
        let warnings = warnings::of(&reader, listener.as_ref(), tokens.as_ref(), sessions.as_ref());
        let whole = || {
            Some(Self {
                environment,
                listener: listener?,
                tls,
                admin_address: admin_address?,
                public: public?,
                database: database?,
                session_store: session_store?,
                startup_timeout: startup_timeout?,
                vault_keys: vault_keys?,
                tokens: tokens?,
                sessions: sessions?,
                services,
                service_documents,
                routes,
                dns_servers: dns_servers?,
                docker_url: docker_url?,
                service_networks: service_networks?,
                route_origins,
                upstream: upstream?,
                providers: providers?,
                oauth_refresh_ahead: oauth_refresh_ahead?,
                log_format: log_format?,
                warnings,
            })
        };
        reader.finish(whole())
    }

    /// The scheme of the listener for clients: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// The parts of `gateway.toml`, as the parser accepts them: the field at the top, and the tables of a service and of a
/// route.
pub fn file_format() -> (&'static Field, &'static Table, &'static Table) {
    (&reading::file::DEFAULT_ROUTES, &services::SERVICE, &routes::ROUTE)
}

/// Whether development starts the stand-in provider.
pub fn wants_stand_in(environment: Environment, providers: &[ProviderSettings]) -> bool {
    environment == Environment::Development && providers.is_empty()
}

/// The names of the enabled providers.
fn names(providers: &[ProviderSettings], environment: Environment) -> Vec<&str> {
    if wants_stand_in(environment, providers) {
        vec![STAND_IN, STAND_IN_APPLE]
    } else {
        providers.iter().map(|provider| provider.name.as_str()).collect()
    }
}

fn read_log_format(reader: &mut Reader<'_>, environment: Environment) -> Option<LogFormat> {
    let usual = match environment {
        Environment::Development => "text",
        Environment::Production => "json",
    };
    reader.read_or(&variables::LOG_FORMAT, usual, |text| {
        one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
    })
}

/// `GATEWAY_ENV`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Dummy tokens, open `/tokens/create`, the sample service. Never reachable from outside by default.
    Development,
    /// Safe by default; `GATEWAY_ENV` unset means this.
    Production,
}

/// The listener for clients, and its limits.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// `HOST` and `PORT`
    pub address: SocketAddr,
    /// `HEAD_TIMEOUT`: time to send the request head.
    pub head_timeout: Duration,
    /// `IDLE_TIMEOUT`: how long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// `DRAIN_GRACE`: how long requests are accepted after SIGTERM.
    pub drain_grace: Duration,
    /// `DRAIN_TIMEOUT`: how long requests in flight may take after that.
    pub drain_timeout: Duration,
    /// `MAX_CONNECTIONS`: the total number of connections.
    pub max_connections: usize,
    /// `MAX_CONNECTIONS_PER_CLIENT`: connections of one client address.
    pub max_connections_per_client: usize,
    /// `MAX_REQUESTS_PER_CLIENT`: requests in flight of one client address.
    pub max_requests_per_client: usize,
    /// `TRUSTED_PROXIES`: the proxies that are trusted with the client's address, scheme and host.
    pub trusted_proxies: Vec<IpNet>,
    /// `CLIENT_ADDRESS_HEADER`: the header in which such a proxy sends the client's address.
    pub client_address_header: ClientAddressHeader,
}

/// `CLIENT_ADDRESS_HEADER`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAddressHeader {
    /// `X-Forwarded-For`. A request with neither that nor `Forwarded` may name its client in `X-Real-IP`.
    #[default]
    ForwardedFor,
    /// `X-Real-IP`, and nothing else.
    RealIp,
}

/// The public face of the gateway.
#[derive(Debug, Clone)]
pub struct PublicSettings {
    /// `DOMAIN`: its name for people.
    pub domain: Option<String>,
    /// `PUBLIC_URL`: its URL for browsers, and the issuer of its tokens.
    pub url: Url,
    /// Whether `PUBLIC_URL` is set.
    pub url_is_set: bool,
    /// `API_PREFIX`: the gateway's own API is served at the root and under this.
    pub api_prefix: PathPrefix,
    /// `TIMEZONE`: the offset of times in responses.
    pub timezone: Tz,
    /// `ALLOWED_ORIGINS`: other sites that a sign-in may return to, and whose pages may act for the signed-in person.
    pub allowed_origins: AllowedOrigins,
}

impl PublicSettings {
    /// The URL without a trailing slash.
    pub fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The URL of its own API for browsers: under its prefix, unless the path of the URL leads there already.
    pub fn api_base(&self) -> String {
        let prefix = if self.url.path() == "/" { self.api_prefix.as_str() } else { "" };
        format!("{}{prefix}", self.base())
    }

    /// The origin of its pages, as browsers write it.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Its name for people.
    pub fn domain(&self) -> &str {
        self.domain.as_deref().or(self.url.host_str()).unwrap_or_default()
    }
}

/// Tokens and the keys that sign them.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `TOKEN_ALGORITHM`
    pub algorithm: SigningAlgorithm,
    /// `TOKEN_AUDIENCE`: the `aud` that accepted tokens must contain, and the default of new ones. Default: the issuer.
    pub audience: String,
    /// `ACCESS_TOKEN_TTL`: the default lifetime of an access token.
    pub access_ttl: Duration,
    /// `ACCESS_TOKEN_MAX_TTL`: the longest lifetime that can be requested.
    pub access_ttl_max: Duration,
    /// `REFRESH_TOKEN_TTL`: how long an unused refresh token stays valid.
    pub refresh_ttl: Duration,
    /// `TOKEN_FAMILY_TTL`: the total lifetime of a refresh token and its successors.
    pub family_ttl: Duration,
    /// `REFRESH_GRACE`: how long a used refresh token still gets the same successor.
    pub refresh_grace: Duration,
    /// `KEY_ROTATION`: how long a key signs.
    pub key_rotation: Duration,
}

/// Sessions of browsers.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// `SESSION_TTL`: the longest total lifetime of a session.
    pub total: Duration,
    /// `SESSION_IDLE_TTL`: how long an unused session stays valid.
    pub idle: Duration,
}

/// Limits for requests to services.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// `CONNECT_TIMEOUT`
    pub connect_timeout: Duration,
    /// `FIRST_BYTE_TIMEOUT`: from the end of the request to the head of the response.
    pub first_byte_timeout: Duration,
    /// `UPSTREAM_IDLE_TIMEOUT`: how long an idle connection to a service is kept.
    pub idle_timeout: Duration,
    /// `MAX_REQUESTS_PER_SERVICE`: requests in flight to one service.
    pub max_requests: usize,
}

/// `LOG_FORMAT`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
