//! Responses about sessions.

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::Object;

use super::local;
use crate::domain::gateway::models::{
    account::{Profile, ProviderIdentity},
    session::Session,
    values::id::SessionId,
};

/// The session of a browser and its person.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionDocument {
    /// Id of the account: the `sub` claim of its tokens.
    pub subject: String,
    /// Display name, if the person or a provider gave one.
    pub name: Option<String>,
    /// E-mail address that the person signs in with here, if there is one. It is unverified.
    pub email: Option<String>,
    /// Time of the sign-in.
    pub signed_in_at: DateTime<FixedOffset>,
    /// Time when the session ends if it is not used before.
    pub idle_until: DateTime<FixedOffset>,
    /// Time when the session ends in any case.
    pub expires_at: DateTime<FixedOffset>,
    /// Identities of the person at providers.
    pub providers: Vec<SessionProvider>,
}

/// The identity of a person at a provider.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionProvider {
    /// Name of the provider.
    pub provider: String,
    /// Id of the person at the provider.
    pub subject: String,
    /// E-mail address of the person, if the provider reported it as verified.
    pub email: Option<String>,
    /// `true` if the e-mail address is one of Apple's private relay, which hides the person's own address. Absent
    /// otherwise.
    pub email_is_relay: Option<bool>,
    /// Display name, if the provider reported one.
    pub name: Option<String>,
}

impl From<ProviderIdentity> for SessionProvider {
    fn from(identity: ProviderIdentity) -> Self {
        Self {
            email_is_relay: identity.has_relay_email().then_some(true),
            provider: identity.provider.to_string(),
            subject: identity.subject,
            email: identity.verified_email,
            name: identity.name,
        }
    }
}

impl SessionDocument {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(session: &Session, profile: Profile, timezone: Tz) -> Self {
        Self {
            subject: session.account.to_string(),
            name: profile.name().map(str::to_owned),
            email: profile.login.map(|login| login.email.as_str().to_owned()),
            signed_in_at: local(session.created_at, timezone),
            idle_until: local(session.idle_until, timezone),
            expires_at: local(session.expires_at, timezone),
            providers: profile.identities.into_iter().map(SessionProvider::from).collect(),
        }
    }
}

impl SessionDocument {
    /// The name of the person on a page: the display name, else the e-mail address, else the account's id.
    pub fn shown_name(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}

/// The sessions of an account.
#[derive(Debug, Object)]
pub struct OpenSessions {
    /// At most 100 sessions, the most recently used first.
    pub sessions: Vec<OpenSession>,
}

/// A session of an account.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OpenSession {
    /// Id of the session, for `DELETE /sessions/{id}`.
    pub id: String,
    /// Whether it is the session of this browser.
    pub current: bool,
    /// Time of the sign-in.
    pub signed_in_at: DateTime<FixedOffset>,
    /// Time of the last use. It is accurate to one sixtieth of the idle timeout.
    pub used_at: DateTime<FixedOffset>,
    /// Time when the session ends if it is not used before.
    pub idle_until: DateTime<FixedOffset>,
    /// Time when the session ends in any case.
    pub expires_at: DateTime<FixedOffset>,
    /// Kind of the browser that signed in, such as `Firefox on Windows`, if it is known.
    pub browser: Option<String>,
    /// Network that the browser signed in from: `203.0.113.0/24`, or a `/48` for IPv6. The address itself is not stored.
    pub network: Option<String>,
}

impl OpenSession {
    /// `current` is the session of the caller. Writes times with the offset of `timezone`.
    pub fn from_model(session: Session, current: SessionId, timezone: Tz) -> Self {
        Self {
            id: session.id.to_string(),
            current: session.id == current,
            signed_in_at: local(session.created_at, timezone),
            used_at: local(session.used_at, timezone),
            idle_until: local(session.idle_until, timezone),
            expires_at: local(session.expires_at, timezone),
            browser: session.visitor.browser,
            network: session.visitor.network,
        }
    }
}

/// The sessions have ended, and their tokens are revoked.
#[derive(Debug, Object)]
pub struct SessionsEnded {
    /// Number of sessions that ended.
    pub ended: usize,
}

/// The browser is signed out.
#[derive(Debug, Object)]
pub struct SignedOut {
    /// Result, for people.
    pub message: String,
}

impl SignedOut {
    /// The browser was signed out just now.
    pub fn now() -> Self {
        Self { message: "signed out".to_owned() }
    }
}
