//! `/token`: exchanges codes and refreshes (RFC 6749 §4.1.3, §6).

use std::sync::Arc;

use chrono::TimeDelta;
use poem::{
    Body, IntoResponse, Response, handler,
    http::{HeaderMap, StatusCode},
    web::{Data, Json},
};
use serde_json::{Map, Value, json};

use super::{
    StandIn,
    dialect::Dialect,
    ledger::{Issued, Redemption},
    switches::{Failure, Switches, wait},
    wire::{ErrorCode, Parameters, Refusal, Scope},
};

#[handler]
pub(super) async fn token(
    Data(provider): Data<&Arc<StandIn>>,
    Data(dialect): Data<&Dialect>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let form = match Parameters::of_form(headers, body).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    match form.get("grant_type") {
        Some("authorization_code") => {
            provider.state().statistics.exchanges += 1;
            let outcome = exchange(provider, *dialect, headers, &form).await;
            provider.state().statistics.exchanges_refused += u64::from(outcome.is_err());
            outcome.map_or_else(IntoResponse::into_response, IntoResponse::into_response)
        }
        Some("refresh_token") => {
            let switches = {
                let mut state = provider.state();
                state.statistics.refreshes += 1;
                state.switches
            };
            match refresh(provider, *dialect, headers, &form, switches).await {
                Ok(response) => response.into_response(),
                Err(refusal) => {
                    provider.state().statistics.refreshes_refused += 1;
                    let mut response = refusal.into_response();
                    if switches.refresh.error_in_200 {
                        response.set_status(StatusCode::OK);
                    }
                    response
                }
            }
        }
        _ => provider.client.authenticate(headers, &form).err().unwrap_or_else(|| no_grant_type(&form)).into_response(),
    }
}

fn no_grant_type(form: &Parameters) -> Refusal {
    match form.require("grant_type") {
        Ok(_) => Refusal::new(ErrorCode::UnsupportedGrantType, "authorization_code or refresh_token"),
        Err(refusal) => refusal,
    }
}

async fn exchange(
    provider: &StandIn,
    dialect: Dialect,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Json<Value>, Refusal> {
    let switches = provider.state().switches;
    provider.client.authenticate_by(dialect.is_form_only(), headers, form)?;
    dialect.check_exchange(form)?;
    let redemption = Redemption {
        code: form.require("code")?,
        redirect_uri: form.require("redirect_uri")?,
        code_verifier: form.get("code_verifier"),
        takes_consent: switches.refresh.takes_consent,
    };
    wait(switches.token_delay_ms).await;
    let issued = provider.state().ledger.redeem(provider.clock.now(), life(switches), &redemption)?;
    respond(provider, dialect, switches, &issued)
}

async fn refresh(
    provider: &StandIn,
    dialect: Dialect,
    headers: &HeaderMap,
    form: &Parameters,
    switches: Switches,
) -> Result<Json<Value>, Refusal> {
    provider.client.authenticate_by(dialect.is_form_only(), headers, form)?;
    let presented = form.require("refresh_token")?;
    let scope = form.get("scope").map(Scope::parse).transpose()?;
    wait(switches.token_delay_ms).await;
    wait(switches.refresh.delay_ms).await;
    match switches.refresh.fail {
        Failure::None => {}
        Failure::InvalidGrant => return Err(Refusal::invalid_grant("a switch says so")),
        Failure::ServerError => return Err(Refusal::new(ErrorCode::ServerError, "a switch says so")),
    }
    let rotate = switches.refresh.rotate;
    let issued = provider.state().ledger.refresh(provider.clock.now(), life(switches), rotate, presented, scope)?;
    respond(provider, dialect, switches, &issued)
}

fn life(switches: Switches) -> TimeDelta {
    TimeDelta::seconds(switches.access_token_ttl_seconds.into())
}

fn respond(provider: &StandIn, dialect: Dialect, switches: Switches, issued: &Issued) -> Result<Json<Value>, Refusal> {
    let seconds = switches.access_token_ttl_seconds;
    let expires_in = if switches.expires_in_as_text { json!(seconds.to_string()) } else { json!(seconds) };
    let mut response = Map::new();
    response.insert("access_token".to_owned(), json!(issued.access_token));
    response.insert("token_type".to_owned(), json!("Bearer"));
    response.insert("expires_in".to_owned(), expires_in);
    response.insert("scope".to_owned(), json!(issued.scope.text()));
    if let Some(refresh_token) = &issued.refresh_token {
        response.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    if issued.scope.has("openid") {
        let now = provider.clock.now();
        let (base, client) = (&provider.issuer.text, provider.client.id());
        let id_token = provider.signer.id_token(dialect, base, client, issued, now, switches.id_token)?;
        response.extend(id_token.map(|id_token| ("id_token".to_owned(), json!(id_token))));
    }
    Ok(Json(Value::Object(response)))
}
