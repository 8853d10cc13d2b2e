//! The uses of a token: `/userinfo` (OIDC Core §5.3), and `/revoke` (RFC 7009).

use std::sync::Arc;

use poem::{
    Body, IntoResponse, Response, handler,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    web::{Data, Json},
};
use serde_json::json;

use super::{
    StandIn,
    dialect::Dialect,
    wire::{ErrorCode, Parameters, Refusal},
};

#[handler]
pub(super) fn userinfo(
    Data(provider): Data<&Arc<StandIn>>,
    Data(dialect): Data<&Dialect>,
    headers: &HeaderMap,
) -> Response {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        // Without a token the response contains no error code (RFC 6750 §3.1).
        return StatusCode::UNAUTHORIZED.with_header(header::WWW_AUTHENTICATE, "Bearer").into_response();
    };
    let token = bearer(authorization);
    let state = provider.state();
    match token.and_then(|token| state.ledger.bearer(provider.clock.now(), token)) {
        None => {
            Refusal::new(ErrorCode::InvalidToken, "the access token is unknown, expired or revoked").into_response()
        }
        Some((_, scope)) if dialect.needs_openid() && !scope.has("openid") => {
            Refusal::new(ErrorCode::InsufficientScope, "the access token is not for openid").into_response()
        }
        Some((person, scope)) => Json(dialect.userinfo(person, scope)).into_response(),
    }
}

/// The token in an `Authorization` header.
fn bearer(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Kakao revokes a grant by its access token.
#[handler]
pub(super) fn unlink(
    Data(provider): Data<&Arc<StandIn>>,
    Data(dialect): Data<&Dialect>,
    headers: &HeaderMap,
) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(bearer).unwrap_or_default();
    let mut state = provider.state();
    state.statistics.revocations += 1;
    let now = provider.clock.now();
    let person = state.ledger.bearer(now, token).map(|(person, scope)| dialect.userinfo(person, scope)["id"].clone());
    match person {
        Some(id) => {
            state.ledger.end_grant_of(token);
            Json(json!({"id": id})).into_response()
        }
        None => Json(json!({"msg": "this access token does not exist", "code": -401}))
            .with_status(StatusCode::UNAUTHORIZED)
            .into_response(),
    }
}

#[handler]
pub(super) async fn revoke(Data(provider): Data<&Arc<StandIn>>, headers: &HeaderMap, body: Body) -> Response {
    provider.state().statistics.revocations += 1;
    match end(provider, headers, body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn end(provider: &StandIn, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
    let form = Parameters::of_form(headers, body).await?;
    provider.client.authenticate(headers, &form)?;
    // The hint is not needed: every token is looked up as both kinds.
    let token = form.require("token")?;
    provider.state().ledger.revoke(token);
    Ok(())
}
