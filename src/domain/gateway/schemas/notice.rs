//! What providers send unasked.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::{ApiResponse, Enum, Object, payload::Json, types::Example};
use serde::Deserialize;

use super::local;
use crate::domain::gateway::models::notice::NoticeProgress;

/// A provider's notice that somebody took back what they allowed. Each provider has fields of its own; more than these may
/// come, and are not looked at.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct UnlinkForm {
    /// Facebook: the signature and what it signs.
    pub signed_request: Option<String>,
    /// Naver: our client id.
    #[serde(rename = "clientId")]
    #[oai(rename = "clientId")]
    pub client_id: Option<String>,
    /// Naver: the person, encrypted.
    #[serde(rename = "encryptUniqueId")]
    #[oai(rename = "encryptUniqueId")]
    pub encrypt_unique_id: Option<String>,
    /// Naver: when it was sent, in seconds since 1970.
    pub timestamp: Option<String>,
    /// Naver: the signature of the three before.
    pub signature: Option<String>,
    /// Kakao: the person.
    pub user_id: Option<String>,
}

/// A notice in JSON, of GitHub or Apple. More members come, and are not looked at.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct JsonNotice {
    /// GitHub, of the event `github_app_authorization`: `revoked`.
    pub action: Option<String>,
    /// GitHub, of the same: the person.
    pub sender: Option<GitHubSender>,
    /// Apple: a JWT that is signed with a key of Apple's.
    pub payload: Option<String>,
}

/// The person whom GitHub's notice is about. More members come, and are not looked at.
#[derive(Debug, Object)]
#[oai(rename = "GitHubSender")]
pub struct GitHubSender {
    /// What GitHub calls the person.
    pub id: i64,
}

impl Example for JsonNotice {
    /// GitHub's.
    fn example() -> Self {
        Self { action: Some("revoked".to_owned()), sender: Some(GitHubSender { id: 583_231 }), payload: None }
    }
}

/// What a provider sends, in the form in which it came.
pub enum NoticePayload {
    /// A form.
    Form(UnlinkForm),
    /// JSON, byte by byte.
    Json(Vec<u8>),
}

/// The headers by which GitHub names and proves what it sends.
pub struct GitHubHeaders {
    /// `X-GitHub-Event`
    pub event: Option<String>,
    /// `X-GitHub-Delivery`
    pub delivery: Option<String>,
    /// `X-Hub-Signature-256`
    pub signature: Option<String>,
}

impl GitHubHeaders {
    /// Those that came, by their names in lower case.
    pub fn into_headers(self) -> BTreeMap<&'static str, String> {
        [("x-github-event", self.event), ("x-github-delivery", self.delivery), ("x-hub-signature-256", self.signature)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

impl Example for UnlinkForm {
    /// Kakao's.
    fn example() -> Self {
        Self { user_id: Some("123456789".to_owned()), ..Self::default() }
    }
}

impl UnlinkForm {
    /// What was sent, by the provider's names.
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

/// A provider's notice that somebody wants us to delete what we have of them. More fields may come, and are not looked at.
#[derive(Debug, Default, Deserialize, Object)]
#[serde(default)]
#[oai(example, skip_serializing_if_is_none)]
pub struct DeletionForm {
    /// Facebook: the signature and what it signs.
    pub signed_request: Option<String>,
}

impl Example for DeletionForm {
    fn example() -> Self {
        Self { signed_request: Some("c2lnbmF0dXJl.eyJ1c2VyX2lkIjoiMSJ9".to_owned()) }
    }
}

impl DeletionForm {
    /// What was sent, by the provider's names.
    pub fn into_parameters(self) -> BTreeMap<&'static str, String> {
        self.signed_request.map(|signed_request| ("signed_request", signed_request)).into_iter().collect()
    }
}

/// Where the person can see how far the deletion is.
#[derive(Debug, Object)]
pub struct DeletionRequested {
    /// The page that says so.
    pub url: String,
    /// The code in its address.
    pub confirmation_code: String,
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DeletionState {
    /// The request is stored, and will be carried out.
    Received,
    /// Everything that it asks for is deleted.
    Done,
}

/// How far the deletion of a person's data is. It says nothing of the person.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct DeletionStatus {
    /// How far it is.
    pub status: DeletionState,
    /// When the request came in.
    pub received_at: DateTime<FixedOffset>,
    /// When everything was deleted.
    pub done_at: Option<DateTime<FixedOffset>>,
}

impl DeletionStatus {
    /// With times of this zone.
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
    /// It is no such token, or its claims are not of the form that the standard wants.
    InvalidRequest,
    /// It is not signed with a key of its issuer.
    InvalidKey,
    /// The provider did not issue it.
    InvalidIssuer,
    /// It is for another app.
    InvalidAudience,
}

/// What is wrong with a Security Event Token (RFC 8935 §2.3).
#[derive(Debug, Object)]
pub struct SecurityEventError {
    /// The registered code.
    pub err: SecurityEventFlaw,
    /// What was wrong, for people.
    pub description: String,
}

/// What became of a Security Event Token.
#[derive(Debug, ApiResponse)]
pub enum SecurityEventReceived {
    /// It was understood and is kept.
    #[oai(status = 202)]
    Accepted,
    /// It is no good, and sending it again does not help.
    #[oai(status = 400)]
    Refused(
        Json<SecurityEventError>,
        /// The language of the description.
        #[oai(header = "Content-Language")]
        Option<String>,
    ),
}

impl SecurityEventReceived {
    /// Refused for this flaw.
    pub fn refused(flaw: SecurityEventFlaw) -> Self {
        let description = match flaw {
            SecurityEventFlaw::InvalidRequest => {
                "the body is no security event token with iss, aud, iat, jti and events, or it is from the future"
            }
            SecurityEventFlaw::InvalidKey => {
                "the token is not signed with a key of its issuer, by the algorithm of that key"
            }
            SecurityEventFlaw::InvalidIssuer => "the token's iss is not the issuer of this provider's security events",
            SecurityEventFlaw::InvalidAudience => "the token's aud is not our client id at this provider",
        };
        let error = SecurityEventError { err: flaw, description: description.to_owned() };
        Self::Refused(Json(error), Some("en".to_owned()))
    }
}

/// The notice was understood and is kept. It says no more, so that nobody learns from it whom we know.
#[derive(Debug, ApiResponse)]
pub enum NoticeAcknowledged {
    /// The notice was understood and is kept (Kakao, Facebook, GitHub, Apple).
    #[oai(status = 200)]
    Ok,
    /// The notice was understood and is kept (Naver).
    #[oai(status = 204)]
    NoContent,
}
