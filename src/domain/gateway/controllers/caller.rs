//! The caller of a request: the holder of a bearer token, or the account of a browser's session.

use std::{net::IpAddr, sync::Arc};

use http::StatusCode;

use super::failed;
use crate::{
    domain::gateway::{
        models::{
            access::VerifiedCaller,
            access::{Accepted, Denied},
            http::page::{BrowserHeaders, FetchMetadata, Page, PagePolicy, PageRefusal},
            session::{Session, Visitor},
            values::identity::Identity,
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
    /// The headers by which a browser describes the request.
    fn browser(&self) -> BrowserHeaders<'_> {
        BrowserHeaders {
            host: self.host.as_deref(),
            scheme: self.scheme,
            page: Page {
                origin: self.origin.as_deref(),
                fetch_site: self.fetch_site.as_deref(),
                by_server: self.csrf.as_deref() == Some("1"),
            },
            fetch: FetchMetadata {
                mode: self.fetch_mode.as_deref(),
                destination: self.fetch_dest.as_deref(),
                purpose: self.purpose.as_deref(),
            },
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
    /// The rules for the pages that browsers show.
    policy: PagePolicy,
}

impl Callers {
    /// Identifies callers by these services and cookies, and admits browsers by this policy.
    pub fn new(tokens: Arc<TokenService>, sessions: Arc<SessionService>, cookies: Cookies, policy: PagePolicy) -> Self {
        Self { tokens, sessions, cookies, policy }
    }

    /// The address that the browser used, if it may differ from the configured one.
    pub(super) fn came_by(&self, credentials: &Credentials) -> Option<String> {
        self.policy.came_by(&credentials.browser())
    }

    /// The caller, if the request has credentials. A bearer token counts before a session; an invalid one is a problem,
    /// not a missing caller.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Option<VerifiedCaller>, Problem> {
        match &credentials.bearer {
            Some(bearer) => Ok(Some(VerifiedCaller::Token(of_bearer(&self.tokens, bearer).await?))),
            None => Ok(self.session(credentials).await?.map(VerifiedCaller::Session)),
        }
    }

    /// The identity of the caller; a missing caller is a problem.
    pub async fn required(&self, credentials: &Credentials) -> Result<Identity, Problem> {
        match self.identify(credentials).await? {
            Some(caller) => Ok(caller.into_identity()),
            None => Err(Problem::denied(Denied::CredentialMissing(Accepted::TokenOrSession))),
        }
    }

    /// The browser's session, if there is one. A request that changes something must come from a trusted page.
    pub async fn session(&self, credentials: &Credentials) -> Result<Option<Session>, Problem> {
        let Some(cookie) = self.session_cookie(credentials) else { return Ok(None) };
        let session = self.sessions.current(cookie).await.map_err(|failure| failed(&failure))?;
        if session.is_some() && credentials.is_unsafe {
            self.policy.check_change(&credentials.browser()).map_err(refused)?;
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

    /// Refuses pages of foreign host names.
    pub fn check_host(&self, credentials: &Credentials) -> Result<(), Problem> {
        self.policy.check_host(&credentials.browser()).map_err(refused)
    }

    /// Refuses pages of other sites.
    pub fn check_cookie(&self, credentials: &Credentials) -> Result<(), Problem> {
        self.policy.check_cookie(&credentials.browser()).map_err(refused)
    }

    /// Refuses pages at which a browser would not keep the new session.
    pub fn check_new_session(&self, credentials: &Credentials) -> Result<(), Problem> {
        self.policy.check_new_session(&credentials.browser()).map_err(refused)
    }
}

/// Refuses anything but a navigation.
pub(super) fn check_navigation(credentials: &Credentials) -> Result<(), Problem> {
    PagePolicy::check_navigation(&credentials.browser()).map_err(refused)
}

fn refused(refusal: PageRefusal) -> Problem {
    let (code, detail) = match refusal {
        PageRefusal::ActsForPerson => return Problem::cross_site(),
        PageRefusal::SessionIsLost => return Problem::cross_site_session(),
        PageRefusal::ForeignHost => (
            "foreign_host",
            "in development, browsers may use the gateway only at localhost, at an IP address, and at the hosts of PUBLIC_URL and \
             ALLOWED_ORIGINS, because any page could give its own name this address; if this name (Host) is yours, set PUBLIC_URL",
        ),
        PageRefusal::SetsCookie => (
            "cross_site_request",
            "a browser may send this only from a page of this site or of ALLOWED_ORIGINS (Sec-Fetch-Site, Origin)",
        ),
        PageRefusal::NotANavigation => (
            "not_a_navigation",
            "open this address in the browser (a link or a form), not with fetch (Sec-Fetch-Mode, Sec-Fetch-Dest)",
        ),
    };
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}

/// The identity of a bearer token.
pub(super) async fn of_bearer(tokens: &TokenService, bearer: &str) -> Result<Identity, Problem> {
    match tokens.authenticate(bearer).await {
        Ok(Ok(identity)) => Ok(identity),
        Ok(Err(rejection)) => Err(Problem::invalid_token(rejection)),
        Err(failure) => Err(failed(&failure)),
    }
}
