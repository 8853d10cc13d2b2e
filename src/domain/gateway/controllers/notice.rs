//! Notices of providers: schema → service → schema.

use std::{collections::BTreeMap, sync::Arc};

use chrono_tz::Tz;
use http::StatusCode;

use super::failed;
use crate::{
    domain::gateway::{
        models::values::secret::Secret,
        schemas::notice::{
            DeletionForm, DeletionRequested, DeletionStatus, GitHubHeaders, NoticeAcknowledged, NoticePayload,
            SecurityEventFlaw, SecurityEventReceived,
        },
        services::notice::{Acknowledgement, NoticeBody, NoticeError, NoticeRefusal, NoticeService, UnverifiedNotice},
    },
    problem::Problem,
};

/// The endpoints for providers.
#[derive(Clone)]
pub struct NoticeController {
    notices: Arc<NoticeService>,
    public_url: String,
    timezone: Tz,
}

impl NoticeController {
    /// Browsers reach the gateway at `public_url`; times are written with the offset of `timezone`.
    pub fn new(notices: Arc<NoticeService>, public_url: String, timezone: Tz) -> Self {
        Self { notices, public_url, timezone }
    }

    /// `POST /oauth/webhooks/{provider}`
    pub async fn receive(
        &self,
        provider: &str,
        authorization: Option<String>,
        headers: GitHubHeaders,
        payload: NoticePayload,
    ) -> Result<NoticeAcknowledged, Problem> {
        let notice = UnverifiedNotice {
            authorization: authorization.map(Secret::new),
            headers: headers.into_headers(),
            body: match payload {
                NoticePayload::Form(form) => NoticeBody::Parameters(form.into_parameters()),
                NoticePayload::Json(bytes) => NoticeBody::Json(bytes),
            },
        };
        match self.notices.receive(provider, &notice).await {
            Ok(Acknowledgement::Ok) => Ok(NoticeAcknowledged::Ok),
            Ok(Acknowledgement::NoContent) => Ok(NoticeAcknowledged::NoContent),
            Err(error) => Err(refused(error)),
        }
    }

    /// `POST /oauth/webhooks/{provider}/deletion`
    pub async fn request_deletion(&self, provider: &str, form: DeletionForm) -> Result<DeletionRequested, Problem> {
        let body = NoticeBody::DeletionRequest(form.into_parameters());
        let notice = UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body };
        let code = self.notices.request_deletion(provider, &notice).await.map_err(refused)?;
        let url = format!("{}/oauth/deletions/{code}", self.public_url);
        Ok(DeletionRequested { url, confirmation_code: code.to_string() })
    }

    /// `GET /oauth/deletions/{code}`
    pub async fn deletion(&self, code: &str) -> Result<DeletionStatus, Problem> {
        match self.notices.deletion(code).await {
            Ok(Some(progress)) => Ok(DeletionStatus::from_model(&progress, self.timezone)),
            Ok(None) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "deletion_not_found",
                "no deletion has this code, or it was carried out more than a year ago",
            )),
            Err(failure) => Err(failed(&failure)),
        }
    }

    /// `POST /oauth/events/{provider}`
    pub async fn receive_event(&self, provider: &str, token: String) -> Result<SecurityEventReceived, Problem> {
        let body = NoticeBody::SecurityEvent(Secret::new(token));
        let notice = UnverifiedNotice { authorization: None, headers: BTreeMap::new(), body };
        let flaw = match self.notices.receive(provider, &notice).await {
            Ok(Acknowledgement::Ok | Acknowledgement::NoContent) => return Ok(SecurityEventReceived::Accepted),
            Err(NoticeError::Refused(NoticeRefusal::Malformed)) => SecurityEventFlaw::InvalidRequest,
            Err(NoticeError::Refused(NoticeRefusal::WrongKey | NoticeRefusal::Unverified)) => {
                SecurityEventFlaw::InvalidKey
            }
            Err(NoticeError::Refused(NoticeRefusal::WrongIssuer)) => SecurityEventFlaw::InvalidIssuer,
            Err(NoticeError::Refused(NoticeRefusal::WrongAudience)) => SecurityEventFlaw::InvalidAudience,
            Err(error) => return Err(refused(error)),
        };
        Ok(SecurityEventReceived::refused(flaw))
    }
}

fn refused(error: NoticeError) -> Problem {
    match error {
        NoticeError::UnknownProvider | NoticeError::Refused(NoticeRefusal::Unsupported) => Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "the provider is unknown or not enabled, or it sends no notices",
        ),
        NoticeError::Refused(
            NoticeRefusal::Unverified
            | NoticeRefusal::WrongIssuer
            | NoticeRefusal::WrongAudience
            | NoticeRefusal::WrongKey,
        ) => Problem::new(
            StatusCode::FORBIDDEN,
            "notice_not_verified",
            "the notice is not proven to come from the provider",
        ),
        NoticeError::Refused(NoticeRefusal::Malformed) => Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_request",
            "the notice does not have the form that the provider documents",
        ),
        NoticeError::Refused(NoticeRefusal::KeysUnavailable(_)) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "provider_unavailable",
            "the keys of the provider are unavailable at the moment; send the notice again later",
        ),
        NoticeError::Failed(failure) => failed(&failure),
    }
}
