//! Notices: what a provider tells us unasked, before and after it was verified.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::ProviderError;
use crate::domain::gateway::models::{notice::NoticeKind, oauth::Secret};

/// A provider's notice as it came in. Nothing in it is verified.
#[derive(Debug, Clone)]
pub struct UnverifiedNotice {
    /// The `Authorization` header, if there is one.
    pub authorization: Option<Secret>,
    /// Other headers by which providers name and prove what they send, by their names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// What it says.
    pub body: NoticeBody,
}

/// What a notice says, in the form in which it came.
#[derive(Debug, Clone)]
pub enum NoticeBody {
    /// A form or a query: the parameters, by name.
    Parameters(BTreeMap<&'static str, String>),
    /// A form by which a person wants us to delete what we have of them: the parameters, by name.
    DeletionRequest(BTreeMap<&'static str, String>),
    /// JSON, byte by byte as it came: that is what may be signed.
    Json(Vec<u8>),
    /// A Security Event Token (RFC 8417).
    SecurityEvent(Secret),
}

/// What a verified notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNotice {
    /// What happened, and to whom; nothing if it asks for nothing.
    pub events: Vec<NoticeEvent>,
    /// The provider's name for it, if it has one: a repeated delivery has the same.
    pub id: Option<String>,
    /// When it happened, or was sent, if that is proven, too.
    pub sent_at: Option<DateTime<Utc>>,
    /// When the provider wrote it, if that is proven, too. An old event may be told late.
    pub issued_at: Option<DateTime<Utc>>,
    /// How the provider wants to hear that all is well.
    pub acknowledgement: Acknowledgement,
    /// What becomes of it if it is not acknowledged.
    pub unacknowledged: Unacknowledged,
}

/// Something that happened to a person at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeEvent {
    /// What the provider calls the person.
    pub subject: String,
    /// What happened.
    pub kind: NoticeKind,
}

/// How a provider wants to hear that its notice was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// Success.
    Ok,
    /// Success, and explicitly nothing else.
    NoContent,
}

/// What a provider does about a notice that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unacknowledged {
    /// It is not known to send it again by itself, but an error is told to the people who run the app, or to the person.
    Told,
    /// It never sends it again, and documents that it wants no errors.
    Lost,
}

/// Why a notice is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoticeRefusal {
    /// The provider sends no such notices, or what proves them is not set.
    #[error("the provider sends no such notices that could be verified here")]
    Unsupported,
    /// It was not proven to come from the provider.
    #[error("the notice is not proven to come from the provider")]
    Unverified,
    /// It lacks something, or what it holds makes no sense.
    #[error("the notice is not of the form that the provider documents")]
    Malformed,
    /// Another has issued it.
    #[error("the notice is another issuer's")]
    WrongIssuer,
    /// It is for another app.
    #[error("the notice is for another app than ours")]
    WrongAudience,
    /// It is signed with a key that the issuer does not have, or the signature is bad.
    #[error("the notice is not signed with a key of its issuer")]
    WrongKey,
    /// The issuer's keys cannot be had for now.
    #[error("the keys of the notice's issuer cannot be had: {0}")]
    KeysUnavailable(ProviderError),
}
