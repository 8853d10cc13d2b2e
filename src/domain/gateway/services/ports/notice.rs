//! Notices, unrequested messages of a provider: before and after their verification.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::ProviderError;
use crate::domain::gateway::models::{notice::NoticeKind, values::secret::Secret};

/// A provider's notice as received. Nothing in it is verified.
#[derive(Debug, Clone)]
pub struct UnverifiedNotice {
    /// The `Authorization` header, if there is one.
    pub authorization: Option<Secret>,
    /// Other headers by which providers identify and sign their notices, by their names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// Its content.
    pub body: NoticeBody,
}

/// The content of a notice, in the form in which it came.
#[derive(Debug, Clone)]
pub enum NoticeBody {
    /// A form or a query: the parameters, by name.
    Parameters(BTreeMap<&'static str, String>),
    /// A form with a person's request to delete their data: the parameters, by name.
    DeletionRequest(BTreeMap<&'static str, String>),
    /// JSON, byte for byte as received: the signature may cover it.
    Json(Vec<u8>),
    /// A Security Event Token (RFC 8417).
    SecurityEvent(Secret),
}

/// The content of a verified notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNotice {
    /// The events and their people; empty if the notice asks for nothing.
    pub events: Vec<NoticeEvent>,
    /// The provider's id of the notice, if it has one: a repeated delivery has the same.
    pub id: Option<String>,
    /// When it happened or was sent, if that is proven, too.
    pub sent_at: Option<DateTime<Utc>>,
    /// When the provider wrote it, if that is proven, too. An old event may be reported late.
    pub issued_at: Option<DateTime<Utc>>,
    /// The response that the provider expects on success.
    pub acknowledgement: Acknowledgement,
    /// What the provider does if it is not acknowledged.
    pub unacknowledged: Unacknowledged,
}

/// An event that concerns a person at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeEvent {
    /// The provider's identifier of the person.
    pub subject: String,
    /// The kind of event.
    pub kind: NoticeKind,
}

/// The response by which a notice is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// Success.
    Ok,
    /// Success, with no content.
    NoContent,
}

/// A provider's reaction to a notice that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unacknowledged {
    /// It is not known to repeat the notice, but it reports the error to the people who run the app, or to the person.
    Told,
    /// It never repeats the notice, and documents that it wants no errors.
    Lost,
}

/// The reason why a notice is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoticeRefusal {
    /// The provider sends no such notices, or the setting that verifies them is missing.
    #[error("the provider sends no notices that can be verified here")]
    Unsupported,
    /// It is not proven to come from the provider.
    #[error("the notice is not proven to come from the provider")]
    Unverified,
    /// Something is missing or invalid.
    #[error("the notice does not have the form that the provider documents")]
    Malformed,
    /// Another issuer has issued it.
    #[error("the notice has another issuer")]
    WrongIssuer,
    /// It is meant for another app.
    #[error("the notice is for another app")]
    WrongAudience,
    /// It is signed with a key that the issuer does not have, or the signature is invalid.
    #[error("the notice is not signed with a key of its issuer")]
    WrongKey,
    /// The issuer's keys are not available for now.
    #[error("the keys of the notice's issuer are unavailable: {0}")]
    KeysUnavailable(ProviderError),
}
