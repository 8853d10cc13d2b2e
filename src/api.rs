//! The gateway's own API: routers, one file per concern, composed here. A router declares method, path, security, texts
//! and status codes; it contains no logic.

mod account;
mod client;
mod docs;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod health;
mod login;
mod notice;
mod oauth;
mod registration;
mod reload;
mod service;
mod session;
mod shared;
mod signing_key;
mod status;
mod token;
mod welcome;

use std::{future::ready, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, header};
use poem::{Endpoint, EndpointExt, IntoResponse, Route, endpoint::BoxEndpoint, get};
use poem_openapi::{OpenApi, OpenApiService, Tags};

pub use self::service::LateServices;
pub use self::shared::context::RequestContext;
use self::{
    account::AccountApi,
    client::{ClientApi, MetadataApi, at_metadata},
    docs::Facts,
    health::HealthApi,
    login::{LoginApi, SignIns, SignUpPageApi},
    notice::NoticeApi,
    oauth::OAuthApi,
    registration::RegistrationApi,
    reload::ReloadApi,
    service::{OperatorServiceApi, ServiceApi},
    session::SessionApi,
    shared::{
        cors::Cors,
        operators,
        problems::{self, AllowedMethods, ProblemError},
    },
    signing_key::SigningKeyApi,
    status::StatusApi,
    token::{DummyTokenApi, OpenTokenCreationApi, TokenApi, TokenCreationApi},
    welcome::WelcomeApi,
};
pub use self::{
    docs::{DescribedService, Documents},
    health::Readiness,
    reload::{Refused, Reloading},
    status::StatusSource,
};
use crate::domain::gateway::{
    controllers::{
        account::AccountController, client::ClientController, login::LoginController, notice::NoticeController,
        oauth::OAuthController, registration::RegistrationController, service::ServiceController,
        session::SessionController, signing_key::SigningKeyController, token::TokenController,
    },
    models::http::origin::AllowedOrigins,
};

/// The parts of the API.
pub struct ApiParts {
    /// Tokens.
    pub tokens: TokenController,
    /// Grants of people at providers.
    pub oauth: OAuthController,
    /// Notices from providers.
    pub notices: NoticeController,
    /// Sign-ins at providers.
    pub logins: LoginController,
    /// Accounts of people.
    pub accounts: AccountController,
    /// Sessions of browsers.
    pub sessions: SessionController,
    /// Machine clients.
    pub clients: ClientController,
    /// The list of services.
    pub services: ServiceController,
    /// Instances that register themselves.
    pub registrations: RegistrationController,
    /// The published keys.
    pub keys: SigningKeyController,
    /// Whether the gateway is ready to serve.
    pub readiness: Arc<dyn Readiness>,
    /// The host that the welcome names.
    pub domain: String,
    /// The API is served at the root and under this path: empty, or `/…`.
    pub prefix: String,
    /// The origins of other sites whose pages may call the API.
    pub allowed_origins: AllowedOrigins,
    /// Whether the development helpers are included.
    pub development: bool,
}

/// How operations are grouped in Swagger.
#[derive(Tags)]
pub(crate) enum Tag {
    /// Create, verify, refresh and revoke access tokens and refresh tokens.
    Tokens,
    /// OAuth 2.0 endpoints for programs. Errors are those of RFC 6749 §5.2.
    #[oai(rename = "Machine clients")]
    Clients,
    /// For browsers: sign in with a password or at a provider, add providers, manage sessions, and sign out.
    #[oai(rename = "Sign in")]
    SignIn,
    /// Accounts of people: sign up and sign in with a password, get the account, set a password, remove providers, and
    /// delete the account.
    Accounts,
    /// Grants of people at providers: exchange codes, and get, refresh and delete grants. Receives notices from providers.
    OAuth,
    /// Development only: send any text and see it arrive.
    Playground,
    /// Services and their instances: list them, and register instances under a lease.
    Services,
    /// Public keys and metadata, for services that verify the gateway's tokens and for machine clients.
    Discovery,
    /// Liveness and readiness of the gateway.
    Health,
    /// Entry point of the API.
    Welcome,
}

/// The API, ready to be called.
pub struct Api {
    /// Handles requests; paths come without the prefix.
    pub endpoint: BoxEndpoint<'static>,
    docs: Arc<Documents>,
}

impl Api {
    /// Composes the parts.
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts { tokens, oauth, notices, logins, accounts, sessions, clients, keys, .. } = parts;
        let (services, registrations) = (parts.services, parts.registrations);
        let (readiness, domain, prefix) = (parts.readiness, parts.domain, parts.prefix);
        let facts = Facts {
            longest_access_life: tokens.longest_access_life().num_seconds(),
            session_cookie: sessions.cookie_name(),
            return_origins: logins.return_origins().to_vec(),
        };
        let (cors, development) = (Cors::new(parts.allowed_origins), parts.development);
        let sign_ins = SignIns { logins, vault: oauth.clone(), accounts: accounts.clone(), sessions: sessions.clone() };
        let metadata_path = clients.metadata().path_by_issuer();
        let lasting = (
            WelcomeApi::new(&domain, sessions.clone()),
            TokenApi::new(tokens.clone()),
            (LoginApi::new(sign_ins.clone()), SignUpPageApi::new(sign_ins)),
            AccountApi::new(accounts),
            SessionApi::new(sessions, oauth.clone()),
            (OAuthApi::new(oauth), NoticeApi::new(notices)),
            ClientApi::new(clients.clone()),
            (ServiceApi::new(services), RegistrationApi::new(registrations)),
            (SigningKeyApi::new(keys), MetadataApi::new(clients)),
            HealthApi::new(readiness),
        );
        // A helper that is off has no route and is not in the document.
        let Self { endpoint, docs } = if development {
            let helpers = (OpenTokenCreationApi::new(tokens.clone()), DummyTokenApi::new(tokens));
            Self::serve((lasting, helpers), &domain, &prefix, cors, facts)
        } else {
            Self::serve((lasting, TokenCreationApi::new(tokens)), &domain, &prefix, cors, facts)
        };
        // Not an operation of its own: Swagger would list it twice, under a path that depends on the settings.
        let endpoint = endpoint.before(move |request| ready(Ok(at_metadata(request, &metadata_path)))).boxed();
        Self { endpoint, docs }
    }

    /// The API of the admin listener: `/livez`, `/readyz`, `/status`, `/services` and `/reload`. `on_loopback` is whether
    /// only this machine reaches it.
    pub fn operators(
        readiness: Arc<dyn Readiness>,
        status: Arc<dyn StatusSource>,
        services: LateServices,
        reloading: Arc<dyn Reloading>,
        on_loopback: bool,
    ) -> BoxEndpoint<'static> {
        let api = (
            HealthApi::new(readiness),
            StatusApi::new(status),
            OperatorServiceApi::new(services),
            ReloadApi::new(reloading),
        );
        let service = OpenApiService::new(api, "Gateway operations", env!("CARGO_PKG_VERSION"));
        finish(
            Route::new().nest("/", service).before(move |request| {
                ready(operators::check(&request, on_loopback).map(|()| request).map_err(|no| ProblemError(no).into()))
            }),
            AllowedMethods::of(<(HealthApi, StatusApi, OperatorServiceApi, ReloadApi)>::meta()),
            Cors::new(AllowedOrigins::default()),
        )
    }

    /// The documents, to which services are published.
    pub fn documents(&self) -> Arc<Documents> {
        self.docs.clone()
    }

    /// The OpenAPI document of the gateway and its services.
    pub fn document(&self) -> Bytes {
        self.docs.document("")
    }

    fn serve<T: OpenApi + Clone + Send + Sync + 'static>(
        api: T,
        domain: &str,
        prefix: &str,
        cors: Cors,
        facts: Facts,
    ) -> Self {
        let service = described(api, domain, prefix);
        let docs = Documents::of(&service, format!("Gateway of {domain}"), facts);
        let allowed = AllowedMethods::of(T::meta()).with("/docs").with("/openapi.json");
        let routes =
            Route::new().at("/docs", get(docs.swagger())).at("/openapi.json", get(docs.openapi())).nest("/", service);
        Self { endpoint: finish(routes, allowed, cors), docs }
    }
}

fn described<T: OpenApi>(api: T, domain: &str, prefix: &str) -> OpenApiService<T, ()> {
    let service = OpenApiService::new(api, format!("Gateway of {domain}"), env!("CARGO_PKG_VERSION")).description(
        "The gateway issues and revokes tokens, stores people's OAuth tokens, and proxies `/api/…` to services.\n\n\
         To call an operation that requires a token:\n\n\
         1. Call `POST /tokens/create` to get an access token and a refresh token.\n\
         2. Press **Authorize** and paste the access token.\n\
         3. Call the operation, here or with `curl -H 'Authorization: Bearer …'`.\n\n\
         Alternatively, [sign in](login?return_to=%2Fdocs). The operations on your own grants under **OAuth** then require no \
         token in this browser.\n\n\
         Errors are `application/problem+json` (RFC 9457) with a stable `code`. Errors of **Machine clients** are JSON as in \
         RFC 6749 §5.2.",
    );
    let service = if prefix.is_empty() { service } else { service.server(prefix) };
    service.server("/")
}

/// Applied to every response: problems instead of bare errors, and headers against framing, sniffing and leaking the
/// address (RFC 9700 §4.2.4, §4.16).
fn finish<E>(endpoint: E, allowed: AllowedMethods, cors: Cors) -> BoxEndpoint<'static>
where
    E: Endpoint + 'static,
    E::Output: IntoResponse,
{
    let allowed = Arc::new(allowed);
    endpoint
        .around(move |endpoint, request| {
            let (allowed, cors) = (allowed.clone(), cors.clone());
            async move {
                let context = RequestContext::of(&request);
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let decision = cors.decide(&request);
                let mut response = match decision.preflight(&request, &allowed) {
                    Some(response) => response,
                    None => match endpoint.call(request).await {
                        Ok(response) => response.into_response(),
                        Err(error) => problems::render(&error, &context, &method, &path, &allowed),
                    },
                };
                let headers = response.headers_mut();
                decision.apply(headers);
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
                headers
                    .entry(header::CONTENT_SECURITY_POLICY)
                    .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
                // Nearly every response contains tokens or current state (RFC 6749 §5.1).
                headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
                Ok(response)
            }
        })
        .boxed()
}

#[cfg(test)]
mod tests;
