//! `GET /status`, for operators: the state of the providers and of the settings.

use std::sync::Arc;

use poem_openapi::{OpenApi, payload::Json};

use super::Tag;
use crate::domain::gateway::schemas::status::Status;

/// Reports the state of the gateway.
pub trait StatusSource: Send + Sync {
    /// The current state.
    fn status(&self) -> Status;
}

#[derive(Clone)]
pub(super) struct StatusApi {
    source: Arc<dyn StatusSource>,
}

impl StatusApi {
    pub(super) fn new(source: Arc<dyn StatusSource>) -> Self {
        Self { source }
    }
}

#[OpenApi(tag = "Tag::Health")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl StatusApi {
    /// Get the state of the providers and of the settings
    ///
    /// The response names no person and contains no secret.
    #[oai(path = "/status", method = "get", operation_id = "status")]
    async fn status(&self) -> Json<Status> {
        Json(self.source.status())
    }
}
