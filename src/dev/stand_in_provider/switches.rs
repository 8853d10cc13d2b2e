//! How the provider is told to misbehave, and what it counts.

use std::{sync::Arc, time::Duration};

use poem::{
    Body, IntoResponse, Response, handler,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};

use super::{StandIn, signer::IdTokenFlaw, wire::Refusal};

/// No honest `PUT /switches` is longer.
const MAX_BODY_BYTES: usize = 4096;

/// `PUT` replaces them all: a switch that is not named goes back to its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Switches {
    pub(super) refresh: RefreshSwitches,
    /// What is wrong with id tokens.
    pub(super) id_token: IdTokenFlaw,
    /// `"expires_in": "60"`, as some providers write it.
    pub(super) expires_in_as_text: bool,
    pub(super) access_token_ttl_seconds: u32,
    /// How long `/token` waits before it does anything.
    pub(super) token_delay_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RefreshSwitches {
    /// How long a refresh waits, on top of `token_delay_ms`, before it does anything.
    pub(super) delay_ms: u32,
    pub(super) fail: Failure,
    /// Whether only a person who was asked for their consent (`prompt=consent`) brings a refresh token, as some providers want it.
    pub(super) takes_consent: bool,
    /// Whether a refresh token is good once and followed by another. If not, an answer has none and the old one stays.
    pub(super) rotate: bool,
    /// Whether errors of a refresh come with status 200, as some providers send them.
    pub(super) error_in_200: bool,
}

/// How every refresh of the client fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    None,
    InvalidGrant,
    ServerError,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            refresh: RefreshSwitches::default(),
            id_token: IdTokenFlaw::None,
            expires_in_as_text: false,
            access_token_ttl_seconds: 60,
            token_delay_ms: 0,
        }
    }
}

impl Default for RefreshSwitches {
    fn default() -> Self {
        Self { delay_ms: 0, fail: Failure::None, takes_consent: false, rotate: true, error_in_200: false }
    }
}

/// Waits as a switch says.
pub(super) async fn wait(milliseconds: u32) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
    }
}

/// Requests since the start. One is counted when it arrives, before any delay and whatever becomes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Statistics {
    /// Code exchanges.
    pub(super) exchanges: u64,
    /// Those of them that were answered with an error.
    pub(super) exchanges_refused: u64,
    /// Refreshes.
    pub(super) refreshes: u64,
    /// Those of them that were answered with an error.
    pub(super) refreshes_refused: u64,
    /// Revocations.
    pub(super) revocations: u64,
}

#[handler]
pub(super) fn show(Data(provider): Data<&Arc<StandIn>>) -> Json<Switches> {
    Json(provider.state().switches)
}

#[handler]
pub(super) async fn set(Data(provider): Data<&Arc<StandIn>>, body: Body) -> Response {
    let body = body.into_bytes_limit(MAX_BODY_BYTES).await.unwrap_or_default();
    match serde_json::from_slice::<Switches>(&body) {
        Ok(switches) => {
            provider.state().switches = switches;
            Json(switches).into_response()
        }
        // Switches hold no secret, so what is wrong with them may be said.
        Err(error) => Refusal::invalid_request(format!("these are no switches: {error}")).into_response(),
    }
}

#[handler]
pub(super) fn statistics(Data(provider): Data<&Arc<StandIn>>) -> Json<Statistics> {
    Json(provider.state().statistics)
}
