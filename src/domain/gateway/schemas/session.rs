//! Sessions over the wire.

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::Object;

use super::local;
use crate::domain::gateway::models::{
    account::{Profile, ProviderIdentity},
    id::SessionId,
    session::Session,
};

/// Who is signed in.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionDocument {
    /// The account: the `sub` of this person's tokens.
    pub subject: String,
    /// What to call the person, if they or a provider told.
    pub name: Option<String>,
    /// The e-mail that the person signs in with here, if they do. Nobody proved that it is theirs.
    pub email: Option<String>,
    /// When they signed in.
    pub signed_in_at: DateTime<FixedOffset>,
    /// The session ends then unless it is used before.
    pub idle_until: DateTime<FixedOffset>,
    /// The session ends then in any case.
    pub expires_at: DateTime<FixedOffset>,
    /// Who the person is at the providers.
    pub providers: Vec<SessionProvider>,
}

/// Who a person is at a provider.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionProvider {
    /// The provider.
    pub provider: String,
    /// What the provider calls the person.
    pub subject: String,
    /// E-mail, if the provider told it and vouches that it is the person's.
    pub email: Option<String>,
    /// `true` if the e-mail is an address of Apple's private relay, by which the person hides theirs; else left out.
    pub email_is_relay: Option<bool>,
    /// The name to show, if the provider told it.
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
    /// Times go out with the offset of `timezone`.
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
    /// What a page calls the person: their name, their e-mail, or else the account's id.
    pub fn shown_name(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}

/// A person's sessions.
#[derive(Debug, Object)]
pub struct OpenSessions {
    /// Those that were used last, the latest first; at most a hundred.
    pub sessions: Vec<OpenSession>,
}

/// A browser that somebody is signed in with.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OpenSession {
    /// Names it; `DELETE /sessions/{id}` ends it.
    pub id: String,
    /// Whether it is this browser.
    pub current: bool,
    /// When they signed in.
    pub signed_in_at: DateTime<FixedOffset>,
    /// When it was used last, to within a sixtieth of the time that it may lie idle.
    pub used_at: DateTime<FixedOffset>,
    /// The session ends then unless it is used before.
    pub idle_until: DateTime<FixedOffset>,
    /// The session ends then in any case.
    pub expires_at: DateTime<FixedOffset>,
    /// The kind of browser that signed in, if it was told: `Firefox on Windows`.
    pub browser: Option<String>,
    /// The network from which they signed in: `203.0.113.0/24`, or a `/48` of IPv6. The address itself is not kept.
    pub network: Option<String>,
}

impl OpenSession {
    /// `current` is the session of whoever looks. Times go out with the offset of `timezone`.
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

/// Sessions were ended, and their tokens revoked.
#[derive(Debug, Object)]
pub struct SessionsEnded {
    /// How many.
    pub ended: usize,
}

/// Nobody is signed in any more.
#[derive(Debug, Object)]
pub struct SignedOut {
    /// Says so.
    pub message: String,
}

impl SignedOut {
    /// Says so.
    pub fn now() -> Self {
        Self { message: "signed out".to_owned() }
    }
}
