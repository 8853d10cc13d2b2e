//! Who calls: whoever shows a bearer token, or whoever's browser has a session.

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

/// What a request says about who sent it. Nothing is verified yet.
#[derive(Default)]
pub struct Credentials {
    /// The bearer token.
    pub bearer: Option<String>,
    /// The `Cookie` headers.
    pub cookies: Vec<String>,
    /// `Host`
    pub host: Option<String>,
    /// How it came: `http` or `https`.
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
    /// From which page the request comes.
    fn page(&self) -> Page<'_> {
        Page {
            origin: self.origin.as_deref(),
            fetch_site: self.fetch_site.as_deref(),
            by_server: self.csrf.as_deref() == Some("1"),
        }
    }

    /// Whether a browser sent it: no program says any of this.
    fn is_of_browser(&self) -> bool {
        [&self.origin, &self.fetch_site, &self.fetch_mode, &self.fetch_dest].iter().any(|said| said.is_some())
    }

    /// What the browser says about the purpose of the request.
    fn fetch_metadata(&self) -> FetchMetadata<'_> {
        FetchMetadata {
            mode: self.fetch_mode.as_deref(),
            destination: self.fetch_dest.as_deref(),
            purpose: self.purpose.as_deref(),
        }
    }
}

/// Who signs in, as far as the request says. Of this little is kept.
#[derive(Default)]
pub struct Sender {
    /// `User-Agent`
    pub user_agent: Option<String>,
    /// The client's address: the peer's, or the one that a trusted proxy vouches for.
    pub address: Option<IpAddr>,
}

impl Sender {
    /// What is kept of it.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor::of(self.user_agent.as_deref(), self.address)
    }
}

/// Tells who calls.
pub struct Callers {
    tokens: Arc<TokenService>,
    sessions: Arc<SessionService>,
    cookies: Cookies,
    /// These may change things in the name of whoever is signed in.
    pages: TrustedPages,
    /// The names that matter in development.
    hosts: OwnHosts,
}

impl Callers {
    /// Puts the parts together.
    pub fn new(
        tokens: Arc<TokenService>,
        sessions: Arc<SessionService>,
        cookies: Cookies,
        pages: TrustedPages,
    ) -> Self {
        Self { tokens, sessions, cookies, pages, hosts: OwnHosts::default() }
    }

    /// Where browsers get something for nothing only by these names.
    #[must_use]
    pub fn at(self, hosts: OwnHosts) -> Self {
        Self { hosts, ..self }
    }

    /// Under which address the browser came, if that need not be the one that is set: in development it may be `127.0.0.1`, a
    /// container of compose, or this machine's on a LAN.
    pub(super) fn came_by(&self, credentials: &Credentials) -> Option<String> {
        let host = credentials.host.as_deref().filter(|host| self.hosts.include_unset(host))?;
        Some(format!("{}://{host}", credentials.scheme.unwrap_or("http")))
    }

    /// Whether a page that sends this may act for whoever is signed in. In development our own pages have the origin that the
    /// browser came by; of plain http on a LAN browsers say no more than that.
    fn is_trusted(&self, credentials: &Credentials) -> bool {
        self.pages.include(credentials.page())
            || credentials.origin.as_deref().is_some_and(|origin| self.came_by(credentials).as_deref() == Some(origin))
    }

    /// Who calls, if anybody says so. A bearer token counts before a session; one that is no good is a problem, not nobody.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Option<Identity>, Problem> {
        match &credentials.bearer {
            Some(bearer) => of_bearer(&self.tokens, bearer).await.map(Some),
            None => Ok(self.session(credentials).await?.map(|session| session.identity())),
        }
    }

    /// Who calls; nobody is a problem.
    pub async fn required(&self, credentials: &Credentials) -> Result<Identity, Problem> {
        self.identify(credentials)
            .await?
            .ok_or_else(|| Problem::denied(Denied::CredentialMissing(Accepted::TokenOrSession)))
    }

    /// The session of the browser, if there is one. What changes something must come from a page of ours.
    pub async fn session(&self, credentials: &Credentials) -> Result<Option<Session>, Problem> {
        let Some(cookie) = self.session_cookie(credentials) else { return Ok(None) };
        let session = self.sessions.current(cookie).await.map_err(|failure| failed(&failure))?;
        if session.is_some() && credentials.is_unsafe && !self.is_trusted(credentials) {
            return Err(Problem::cross_site());
        }
        Ok(session)
    }

    /// The cookie of the session that was sent along, good or not.
    pub fn session_cookie<'c>(&self, credentials: &'c Credentials) -> Option<&'c str> {
        cookie::sent(&credentials.cookies, &self.cookies.session())
    }

    /// What the device cookie that was sent along holds.
    pub fn device_cookie(&self, credentials: &Credentials) -> Option<Vec<u8>> {
        cookie::sent_bytes(&credentials.cookies, &self.cookies.device())
    }

    /// What is given to anybody in development must not be given to a page of a foreign name that leads here (DNS rebinding).
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

    /// The same for what opens a session. A page of another site that may call gets the cookie, and no browser keeps it.
    pub fn refuse_sessions_that_are_lost(&self, credentials: &Credentials) -> Result<(), Problem> {
        self.refuse_other_sites(credentials)?;
        match credentials.page().fetch_site {
            Some("cross-site") => Err(Problem::cross_site_session()),
            _ => Ok(()),
        }
    }

    /// What sets a cookie must not come from a page of another site: that could sign a browser in as somebody else. Browsers
    /// say where a request comes from; whoever says nothing is none.
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

/// Only a navigation begins a sign-in. What a page loads (an image, a frame, a request of a script) does not: otherwise a page could
/// fill a browser's cookies, or begin sign-ins that the person does not see.
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

/// Whose a bearer token is.
pub(super) async fn of_bearer(tokens: &TokenService, bearer: &str) -> Result<Identity, Problem> {
    match tokens.authenticate(bearer).await {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(rejection)) => Err(Problem::invalid_token(rejection)),
        Err(failure) => Err(failed(&failure)),
    }
}
