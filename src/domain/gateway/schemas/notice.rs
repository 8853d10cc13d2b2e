//! Notices, security events and deletion requests from providers, and the responses to them.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::{ApiResponse, Enum, Object, payload::Json, types::Example};
use serde::Deserialize;

use super::local;
use crate::domain::gateway::models::notice::NoticeProgress;

/// A provider's notice that a person unlinked the app. Each provider has its own fields. Additional fields are ignored.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct UnlinkForm {
    /// Facebook: signature and signed contents.
    pub signed_request: Option<String>,
    /// Naver: client id of the gateway.
    #[serde(rename = "clientId")]
    #[oai(rename = "clientId")]
    pub client_id: Option<String>,
    /// Naver: encrypted id of the person.
    #[serde(rename = "encryptUniqueId")]
    #[oai(rename = "encryptUniqueId")]
    pub encrypt_unique_id: Option<String>,
    /// Naver: time when the notice was sent, in seconds since 1970.
    pub timestamp: Option<String>,
    /// Naver: signature of the three fields above.
    pub signature: Option<String>,
    /// Kakao: id of the person.
    pub user_id: Option<String>,
}

/// A notice in JSON, from GitHub or Apple. Additional members are ignored.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct JsonNotice {
    /// GitHub: `revoked`, for the event `github_app_authorization`.
    pub action: Option<String>,
    /// GitHub: the person, for the event `github_app_authorization`.
    pub sender: Option<GitHubSender>,
    /// Apple: JWT that is signed with one of Apple's keys.
    pub payload: Option<String>,
}

/// The person whom a notice from GitHub is about. Additional members are ignored.
#[derive(Debug, Object)]
#[oai(rename = "GitHubSender")]
pub struct GitHubSender {
    /// Id of the person at GitHub.
    pub id: i64,
}

impl Example for JsonNotice {
    /// A notice from GitHub.
    fn example() -> Self {
        Self { action: Some("revoked".to_owned()), sender: Some(GitHubSender { id: 583_231 }), payload: None }
    }
}

/// A provider's notice as it was sent.
pub enum NoticePayload {
    /// A form.
    Form(UnlinkForm),
    /// The bytes of a JSON body, which the signature covers.
    Json(Vec<u8>),
}

/// The headers with which GitHub names and proves a notice.
pub struct GitHubHeaders {
    /// `X-GitHub-Event`
    pub event: Option<String>,
    /// `X-GitHub-Delivery`
    pub delivery: Option<String>,
    /// `X-Hub-Signature-256`
    pub signature: Option<String>,
}

impl GitHubHeaders {
    /// The headers that were sent, by their names in lower case.
    pub fn into_headers(self) -> BTreeMap<&'static str, String> {
        [("x-github-event", self.event), ("x-github-delivery", self.delivery), ("x-hub-signature-256", self.signature)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

impl Example for UnlinkForm {
    /// A notice from Kakao.
    fn example() -> Self {
        Self { user_id: Some("123456789".to_owned()), ..Self::default() }
    }
}

impl UnlinkForm {
    /// The fields that were sent, by the provider's names.
    pub fn into_parameters(self) -> BTreeMap<&'static str, String> {
        [
            ("signed_request", self.signed_request),
            ("clientId", self.client_id),
            ("encryptUniqueId", self.encrypt_unique_id),
            ("timestamp", self.timestamp),
            ("signature", self.signature),
            ("user_id", self.user_id),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// A person's request, sent by a provider, to delete their data. Additional fields are ignored.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct DeletionForm {
    /// Facebook: signature and signed contents.
    pub signed_request: Option<String>,
}

impl Example for DeletionForm {
    fn example() -> Self {
        Self { signed_request: Some("c2lnbmF0dXJl.eyJ1c2VyX2lkIjoiMSJ9".to_owned()) }
    }
}

impl DeletionForm {
    /// The fields that were sent, by the provider's names.
    pub fn into_parameters(self) -> BTreeMap<&'static str, String> {
        self.signed_request.map(|signed_request| ("signed_request", signed_request)).into_iter().collect()
    }
}

/// The request was stored. The person can see its status at `url`.
#[derive(Debug, Object)]
pub struct DeletionRequested {
    /// URL of the page with the status of the deletion.
    pub url: String,
    /// Code of the request, which is also in `url`.
    pub confirmation_code: String,
}

/// The state of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DeletionState {
    /// The request is stored and will be carried out.
    Received,
    /// The deletion is done.
    Done,
}

/// The status of the deletion of a person's data. It does not identify the person.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct DeletionStatus {
    /// `received` until the data is deleted, then `done`.
    pub status: DeletionState,
    /// Time when the request was received.
    pub received_at: DateTime<FixedOffset>,
    /// Time when the deletion was done.
    pub done_at: Option<DateTime<FixedOffset>>,
}

impl DeletionStatus {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(progress: &NoticeProgress, timezone: Tz) -> Self {
        Self {
            status: if progress.applied_at.is_some() { DeletionState::Done } else { DeletionState::Received },
            received_at: local(progress.received_at, timezone),
            done_at: progress.applied_at.map(|at| local(at, timezone)),
        }
    }
}

/// Why a Security Event Token was refused (RFC 8935 §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SecurityEventFlaw {
    /// The body is not a Security Event Token, or its claims do not have the form that the standard requires.
    InvalidRequest,
    /// The token is not signed with a key of its issuer.
    InvalidKey,
    /// The token was not issued by the provider.
    InvalidIssuer,
    /// The token is for another app.
    InvalidAudience,
}

/// The error of a Security Event Token (RFC 8935 §2.3).
#[derive(Debug, Object)]
pub struct SecurityEventError {
    /// Registered error code.
    pub err: SecurityEventFlaw,
    /// Description of the error, for people.
    pub description: String,
}

/// The response to a Security Event Token.
#[derive(Debug, ApiResponse)]
pub enum SecurityEventReceived {
    /// The token is valid, and its event is stored.
    #[oai(status = 202)]
    Accepted,
    /// The token is invalid. Sending it again does not help.
    #[oai(status = 400)]
    Refused(
        Json<SecurityEventError>,
        /// Language of the description.
        #[oai(header = "Content-Language")]
        Option<String>,
    ),
}

impl SecurityEventReceived {
    /// Refuses a token with this flaw.
    pub fn refused(flaw: SecurityEventFlaw) -> Self {
        let description = match flaw {
            SecurityEventFlaw::InvalidRequest => {
                "the body must be a security event token with iss, aud, iat, jti and events, and not from the future"
            }
            SecurityEventFlaw::InvalidKey => {
                "the token must be signed with a key of its issuer, by the algorithm of that key"
            }
            SecurityEventFlaw::InvalidIssuer => "the token's iss must be the issuer of this provider's security events",
            SecurityEventFlaw::InvalidAudience => {
                "the token's aud must be the client id of this gateway at the provider"
            }
        };
        let error = SecurityEventError { err: flaw, description: description.to_owned() };
        Self::Refused(Json(error), Some("en".to_owned()))
    }
}

/// The notice is valid and stored. The response says no more, so that it does not reveal which people are known here.
#[derive(Debug, ApiResponse)]
pub enum NoticeAcknowledged {
    /// The notice is valid and stored (Kakao, Facebook, GitHub, Apple).
    #[oai(status = 200)]
    Ok,
    /// The notice is valid and stored (Naver).
    #[oai(status = 204)]
    NoContent,
}
