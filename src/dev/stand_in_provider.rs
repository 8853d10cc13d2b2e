//! A stand-in identity provider (OIDC): people sign in under any name, without a password, so that signing in can be
//! tried and tested without an account elsewhere. Otherwise it follows the rules of a strict provider. It listens on
//! loopback only, loses all data when it ends, and can be told to misbehave (`PUT /switches`). It also imitates Naver,
//! Kakao and Microsoft Entra: see `dialect`.

pub mod apple;
mod authorize;
mod client;
mod dialect;
mod discovery;
mod ledger;
mod page;
mod people;
mod resources;
mod signer;
mod switches;
mod token;
mod wire;

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use poem::{
    Endpoint, EndpointExt, Response, Route, Server, get, http::header, listener::TcpAcceptor, middleware::SetHeader,
    post,
};
use tokio::net::TcpListener;
use url::Url;

use self::{
    apple::Apple,
    client::Client,
    dialect::Dialect,
    ledger::Ledger,
    signer::Signer,
    switches::{Statistics, Switches},
};
use crate::ports::{Clock, Entropy};

/// How long requests in flight may take to end after the shutdown began.
const DRAIN: Duration = Duration::from_secs(1);

/// The provider: one client, one signing key, and its state.
pub struct StandIn {
    issuer: Issuer,
    /// The URL of the authorization endpoint for browsers.
    authorize_url: String,
    client: Client,
    signer: Signer,
    apple: Apple,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// The mutable state of the provider.
struct State {
    ledger: Ledger,
    switches: Switches,
    statistics: Statistics,
}

impl StandIn {
    /// A provider with one client and a new signing key. `issuer_url` is its URL for browsers and the client; it may
    /// have a path.
    ///
    /// # Errors
    /// The issuer is not an http or https URL, or has a query or a fragment; or no key could be created.
    pub fn new(
        issuer_url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> io::Result<Self> {
        let issuer = Issuer::parse(issuer_url.into())?;
        Ok(Self {
            authorize_url: issuer.at("/authorize"),
            issuer,
            client: Client::new(client_id, client_secret),
            signer: Signer::generate()?,
            apple: Apple::new(entropy.clone()),
            clock,
            state: Mutex::new(State {
                ledger: Ledger::new(entropy),
                switches: Switches::default(),
                statistics: Statistics::default(),
            }),
        })
    }

    /// Sets another URL of the authorization endpoint for browsers: behind a gateway.
    #[must_use]
    pub fn with_authorize_url(self, authorize_url: impl Into<String>) -> Self {
        Self { authorize_url: authorize_url.into(), ..self }
    }

    /// A poisoned lock is used all the same: at worst a token is lost, which does no harm here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The issuer, exactly as given, because clients compare the text (OIDC Core §3.1.3.7).
struct Issuer {
    text: String,
    /// The prefix of all paths: empty, or begins with a slash and does not end with one.
    path: String,
}

impl Issuer {
    fn parse(text: String) -> io::Result<Self> {
        let url = Url::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            let what = "an issuer is an http or https URL without a query and a fragment";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(Self { path: url.path().trim_end_matches('/').to_owned(), text })
    }

    /// The URL of a path of this provider.
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text.trim_end_matches('/'))
    }
}

/// Serves until `shutdown`.
///
/// # Errors
/// The listener is not on loopback (callers may claim any identity here), or is no longer usable.
pub async fn serve(listener: TcpListener, provider: StandIn, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    if !listener.local_addr()?.ip().to_canonical().is_loopback() {
        let what = "the stand-in provider lets anybody in, so it listens on loopback only";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?)
        .run_with_graceful_shutdown(endpoint(provider), shutdown, Some(DRAIN))
        .await
}

/// The provider, without the server around it.
pub fn endpoint(provider: StandIn) -> impl Endpoint<Output = Response> {
    let path = if provider.issuer.path.is_empty() { "/".to_owned() } else { provider.issuer.path.clone() };
    let own = Route::new()
        .at("/switches", get(switches::show).put(switches::set))
        .at("/statistics", get(switches::statistics))
        .nest("/apple", apple::routes())
        .nest("/", protocol().data(Dialect::Standard));
    let routes =
        Dialect::OTHERS.into_iter().fold(own, |routes, (path, dialect)| routes.nest(path, protocol().data(dialect)));
    // The keys change with every start, and everything else is for one reader: responses must not be stored (RFC 6749
    // §5.1).
    let headers = SetHeader::new()
        .overriding(header::CACHE_CONTROL, "no-store")
        .overriding(header::REFERRER_POLICY, "no-referrer")
        .overriding(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Route::new().nest(path, routes).data(Arc::new(provider)).catch_all_error(wire::framework_error).with(headers)
}

/// The endpoints for clients and browsers.
fn protocol() -> Route {
    Route::new()
        .at("/.well-known/openid-configuration", get(discovery::metadata))
        // Entra's issuer has a version.
        .at("/v2.0/.well-known/openid-configuration", get(discovery::metadata))
        .at("/jwks", get(discovery::keys))
        .at("/authorize", get(authorize::ask).post(authorize::decide))
        .at("/token", post(token::token))
        .at("/userinfo", get(resources::userinfo).post(resources::userinfo))
        .at("/unlink", post(resources::unlink))
        .at("/revoke", post(resources::revoke))
}

#[cfg(test)]
mod tests;
