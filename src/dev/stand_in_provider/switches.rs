//! The switches for misbehaviour, and the statistics.

use std::{sync::Arc, time::Duration};

use poem::{
    Body, IntoResponse, Response, handler,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};

use super::{StandIn, signer::IdTokenFlaw, wire::Refusal};

/// The maximum length of `PUT /switches`.
const MAX_BODY_BYTES: usize = 4096;

/// `PUT` replaces all switches: a missing one gets its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Switches {
    pub(super) refresh: RefreshSwitches,
    /// The flaw in id tokens.
    pub(super) id_token: IdTokenFlaw,
    /// `"expires_in": "60"`, as with some providers.
    pub(super) expires_in_as_text: bool,
    pub(super) access_token_ttl_seconds: u32,
    /// The delay before `/token` does anything.
    pub(super) token_delay_ms: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RefreshSwitches {
    /// The delay before a refresh does anything, in addition to `token_delay_ms`.
    pub(super) delay_ms: u32,
    pub(super) fail: Failure,
    /// Whether a refresh token requires the person's consent (`prompt=consent`), as with some providers.
    pub(super) takes_consent: bool,
    /// Whether each refresh token is valid once and followed by another. If not, a response contains none and the old
    /// one stays valid.
    pub(super) rotate: bool,
    /// Whether errors of a refresh come with status 200, as with some providers.
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

/// Waits for the delay of a switch.
pub(super) async fn wait(milliseconds: u32) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
    }
}

/// Requests since the start. A request is counted when it arrives, before any delay and whatever its outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Statistics {
    /// Code exchanges.
    pub(super) exchanges: u64,
    /// Failed code exchanges.
    pub(super) exchanges_refused: u64,
    /// Refreshes.
    pub(super) refreshes: u64,
    /// Failed refreshes.
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
        // Switches contain no secret, so errors may quote them.
        Err(error) => Refusal::invalid_request(format!("these are no switches: {error}")).into_response(),
    }
}

#[handler]
pub(super) fn statistics(Data(provider): Data<&Arc<StandIn>>) -> Json<Statistics> {
    Json(provider.state().statistics)
}
