//! The caller of a request: the holder of a bearer token, or the account of a browser's session.

use std::{net::IpAddr, sync::Arc};

use http::StatusCode;

use super::failed;
use crate::{
    domain::gateway::{
        models::{
            access::{Accepted, Denied},
            identity::Identity,
            page::{FetchMetadata, OwnHosts, Page, TrustedPages},
            session::{Session, Visitor},
        },
        schemas::cookie::{self, Cookies},
        services::{session::SessionService, token::TokenService},
    },
    problem::Problem,
};

/// The credentials in a request. Nothing is verified yet.
#[derive(Default)]
pub struct Credentials {
    /// The bearer token.
    pub bearer: Option<String>,
    /// The `Cookie` headers.
    pub cookies: Vec<String>,
    /// `Host`
    pub host: Option<String>,
    /// The scheme of the request: `http` or `https`.
    pub scheme: Option<&'static str>,
    /// `Origin`
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<String>,
    /// `Sec-Fetch-Mode`
    pub fetch_mode: Option<String>,
    /// `Sec-Fetch-Dest`
    pub fetch_dest: Option<String>,
    /// `Sec-Purpose`
    pub purpose: Option<String>,
    /// `X-CSRF`
    pub csrf: Option<String>,
    /// Whether the method changes something (RFC 9110 §9.2.1).
    pub is_unsafe: bool,
}

impl Credentials {
    /// The page that the request comes from.
    fn page(&self) -> Page<'_> {
        Page {
            origin: self.origin.as_deref(),
            fetch_site: self.fetch_site.as_deref(),
            by_server: self.csrf.as_deref() == Some("1"),
        }
    }

    /// Whether a browser sent it: programs send none of these headers.
    fn is_of_browser(&self) -> bool {
        [&self.origin, &self.fetch_site, &self.fetch_mode, &self.fetch_dest].iter().any(|said| said.is_some())
    }

    /// The browser's headers about the purpose of the request.
    fn fetch_metadata(&self) -> FetchMetadata<'_> {
        FetchMetadata {
            mode: self.fetch_mode.as_deref(),
            destination: self.fetch_dest.as_deref(),
            purpose: self.purpose.as_deref(),
        }
    }
}

/// The browser and address of a sign-in, as far as the request shows them. Little of it is stored.
#[derive(Default)]
pub struct Sender {
    /// `User-Agent`
    pub user_agent: Option<String>,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub address: Option<IpAddr>,
}

impl Sender {
    /// The part that is stored.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor::of(self.user_agent.as_deref(), self.address)
    }
}

/// Identifies callers.
pub struct Callers {
    tokens: Arc<TokenService>,
    sessions: Arc<SessionService>,
    cookies: Cookies,
    /// The pages that may act for the signed-in person.
    pages: TrustedPages,
    /// The host names that matter in development.
    hosts: OwnHosts,
}

impl Callers {
    /// Identifies callers by these services and cookies; `pages` may act for the signed-in person.
    pub fn new(
        tokens: Arc<TokenService>,
        sessions: Arc<SessionService>,
        cookies: Cookies,
        pages: TrustedPages,
    ) -> Self {
        Self { tokens, sessions, cookies, pages, hosts: OwnHosts::default() }
    }

    /// Sets the only host names by which browsers are served without credentials.
    #[must_use]
    pub fn at(self, hosts: OwnHosts) -> Self {
        Self { hosts, ..self }
    }

    /// The address that the browser used, if it may differ from the configured one: in development it may be
    /// `127.0.0.1`, a container of compose, or this machine's address on a LAN.
    pub(super) fn came_by(&self, credentials: &Credentials) -> Option<String> {
        let host = credentials.host.as_deref().filter(|host| self.hosts.include_unset(host))?;
        Some(format!("{}://{host}", credentials.scheme.unwrap_or("http")))
    }

    /// Whether the page that sent this may act for the signed-in person. In development our own pages have the origin
    /// of the address that the browser used; over plain http on a LAN browsers send no further headers.
    fn is_trusted(&self, credentials: &Credentials) -> bool {
        self.pages.include(credentials.page())
            || credentials.origin.as_deref().is_some_and(|origin| self.came_by(credentials).as_deref() == Some(origin))
    }

    /// The caller, if the request has credentials. A bearer token counts before a session; an invalid one is a problem,
    /// not a missing caller.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Option<Identity>, Problem> {
        match &credentials.bearer {
            Some(bearer) => of_bearer(&self.tokens, bearer).await.map(Some),
            None => Ok(self.session(credentials).await?.map(|session| session.identity())),
        }
    }

    /// The caller; a missing one is a problem.
    pub async fn required(&self, credentials: &Credentials) -> Result<Identity, Problem> {
        self.identify(credentials)
            .await?
            .ok_or_else(|| Problem::denied(Denied::CredentialMissing(Accepted::TokenOrSession)))
    }

    /// The browser's session, if there is one. A request that changes something must come from a trusted page.
    pub async fn session(&self, credentials: &Credentials) -> Result<Option<Session>, Problem> {
        let Some(cookie) = self.session_cookie(credentials) else { return Ok(None) };
        let session = self.sessions.current(cookie).await.map_err(|failure| failed(&failure))?;
        if session.is_some() && credentials.is_unsafe && !self.is_trusted(credentials) {
            return Err(Problem::cross_site());
        }
        Ok(session)
    }

    /// The session cookie of the request, valid or not.
    pub fn session_cookie<'c>(&self, credentials: &'c Credentials) -> Option<&'c str> {
        cookie::sent(&credentials.cookies, &self.cookies.session())
    }

    /// The content of the request's device cookie.
    pub fn device_cookie(&self, credentials: &Credentials) -> Option<Vec<u8>> {
        cookie::sent_bytes(&credentials.cookies, &self.cookies.device())
    }

    /// Refuses pages of foreign host names that resolve to us (DNS rebinding): they must not get what everyone gets in
    /// development.
    pub fn refuse_other_hosts(&self, credentials: &Credentials) -> Result<(), Problem> {
        let is_foreign = credentials.host.as_ref().is_some_and(|host| !self.hosts.include(host));
        if !is_foreign || !credentials.is_of_browser() {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            "in development a browser gets this only at localhost, at an address, and at the hosts of PUBLIC_URL and \
             ALLOWED_ORIGINS, since any page could give its own name this address: if this name (Host) is yours, set PUBLIC_URL",
        ))
    }

    /// The same for requests that open a session. Also refuses a page of another site that may call the gateway: it
    /// would get the cookie, but no browser would keep it.
    pub fn refuse_sessions_that_are_lost(&self, credentials: &Credentials) -> Result<(), Problem> {
        self.refuse_other_sites(credentials)?;
        match credentials.page().fetch_site {
            Some("cross-site") => Err(Problem::cross_site_session()),
            _ => Ok(()),
        }
    }

    /// Refuses pages of other sites where a response sets a cookie: such a page could sign a browser in to another
    /// account. Browsers send the origin of a request; a request without one is not from a browser.
    pub fn refuse_other_sites(&self, credentials: &Credentials) -> Result<(), Problem> {
        self.refuse_other_hosts(credentials)?;
        let page = credentials.page();
        if page.is_unknown() || self.is_trusted(credentials) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "cross_site_request",
            "a browser may send this only from a page of this site or of ALLOWED_ORIGINS (Sec-Fetch-Site, Origin)",
        ))
    }
}

/// Only a navigation begins a sign-in. Anything that a page loads (an image, a frame, a request of a script) does not:
/// otherwise a page could fill a browser's cookies, or begin sign-ins that the person does not see.
pub(super) fn refuse_other_than_navigation(credentials: &Credentials) -> Result<(), Problem> {
    if credentials.fetch_metadata().is_navigation() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "not_a_navigation",
        "a sign-in begins when a browser goes to this address: link to it, or send a form; a page cannot load it \
         (Sec-Fetch-Mode, Sec-Fetch-Dest)",
    ))
}

/// The identity of a bearer token.
pub(super) async fn of_bearer(tokens: &TokenService, bearer: &str) -> Result<Identity, Problem> {
    match tokens.authenticate(bearer).await {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(rejection)) => Err(Problem::invalid_token(rejection)),
        Err(failure) => Err(failed(&failure)),
    }
}
