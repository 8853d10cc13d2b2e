//! `POST /reload`, for operators: reads the settings again.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use poem_openapi::{OpenApi, payload::Json};

use super::{Tag, shared::problems::problems};
use crate::{
    domain::gateway::schemas::reload::Reloaded,
    problem::{FieldError, Problem},
};

/// Why newer settings are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The mistakes in them. The field is the file with its line, or the variable.
    Mistakes(Vec<FieldError>),
    /// The gateway has not finished starting, or is stopping.
    NotNow,
}

/// Reads the settings again.
#[async_trait]
pub trait Reloading: Send + Sync {
    /// Reads the files now, and uses them if they are valid.
    async fn reload(&self) -> Result<Reloaded, Refused>;
}

#[derive(Clone)]
pub(super) struct ReloadApi {
    reloading: Arc<dyn Reloading>,
}

problems! {
    /// Problems of `POST /reload`.
    ReloadProblems: 403, 422, 503;
}

impl ReloadApi {
    pub(super) fn new(reloading: Arc<dyn Reloading>) -> Self {
        Self { reloading }
    }
}

#[OpenApi(tag = "Tag::Health")]
impl ReloadApi {
    /// Read the settings again
    ///
    /// Reads gateway.toml and the services in .env now. Returns what has changed, once it is in force. If there is a
    /// mistake, nothing changes, and `errors` lists all mistakes.
    #[oai(path = "/reload", method = "post", operation_id = "reload")]
    async fn reload(&self) -> Result<Json<Reloaded>, ReloadProblems> {
        match self.reloading.reload().await {
            Ok(reloaded) => Ok(Json(reloaded)),
            Err(Refused::Mistakes(errors)) => {
                let detail = "the settings have mistakes, so the old ones stay in force";
                let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "settings_refused", detail);
                Err(Problem { errors, ..problem }.into())
            }
            Err(Refused::NotNow) => {
                let detail = "the gateway is starting or stopping; try again shortly";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).into())
            }
        }
    }
}
