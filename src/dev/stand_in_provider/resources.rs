//! What a token is good for: `/userinfo` (OIDC Core §5.3), and `/revoke` (RFC 7009).

use std::sync::Arc;

use poem::{
    Body, IntoResponse, Response, handler,
    http::{HeaderMap, StatusCode, header},
    web::{Data, Json},
};
use serde_json::Value;

use super::{
    StandIn,
    wire::{ErrorCode, Parameters, Refusal},
};

#[handler]
pub(super) fn userinfo(Data(provider): Data<&Arc<StandIn>>, headers: &HeaderMap) -> Response {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        // Who shows no token is told no error (RFC 6750 §3.1).
        return StatusCode::UNAUTHORIZED.with_header(header::WWW_AUTHENTICATE, "Bearer").into_response();
    };
    let token = authorization.to_str().ok().and_then(|value| value.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let state = provider.state();
    match token.and_then(|token| state.ledger.bearer(provider.clock.now(), token)) {
        None => {
            Refusal::new(ErrorCode::InvalidToken, "the access token is unknown, expired or revoked").into_response()
        }
        Some((_, scope)) if !scope.has("openid") => {
            Refusal::new(ErrorCode::InsufficientScope, "the access token is not for openid").into_response()
        }
        Some((person, scope)) => Json(Value::Object(person.claims(scope))).into_response(),
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
