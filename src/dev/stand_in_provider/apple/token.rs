//! `/apple/token`, `/apple/revoke` and `/apple/keys`; and `/apple/notice`, which signs a notice for sending by hand.

use std::sync::Arc;

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use poem::{
    Body, IntoResponse, Response, handler,
    http::{HeaderMap, StatusCode, Uri, header},
    web::{Data, Json},
};
use serde_json::{Value, json};

use super::{
    super::{
        StandIn,
        ledger::{Issued, Redemption},
        people::Person,
        signer::at_hash,
        wire::{ErrorCode, Parameters, Refusal},
    },
    CLIENT_ID, ISSUER, KEY_ID, PUBLIC_KEY, TEAM_ID, address_of,
};

/// The lifetime of an access token.
const LIFE: TimeDelta = TimeDelta::hours(1);
/// The lifetime of an id token and a notice.
const ID_TOKEN_SECONDS: i64 = 24 * 60 * 60;
/// The maximum lifetime of a client secret.
const SIX_MONTHS: i64 = 15_777_000;

#[handler]
pub(super) async fn token(Data(provider): Data<&Arc<StandIn>>, headers: &HeaderMap, body: Body) -> Response {
    match exchanged(provider, headers, body).await {
        Ok(response) => Json(response).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

#[handler]
pub(super) async fn revoke(Data(provider): Data<&Arc<StandIn>>, headers: &HeaderMap, body: Body) -> Response {
    let revoked = async {
        let form = Parameters::of_form(headers, body).await?;
        authenticate(provider, headers, &form)?;
        provider.apple.state().ledger.revoke(form.require("token")?);
        Ok::<_, Refusal>(())
    };
    match revoked.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refused(&refusal),
    }
}

#[handler]
pub(super) fn keys(Data(provider): Data<&Arc<StandIn>>) -> Response {
    match provider.apple.signer() {
        Ok(signer) => Json(json!({"keys": [signer.jwk]})).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// `GET /apple/notice?type=consent-revoked&person=alice` returns the body of a notice.
#[handler]
pub(super) fn notice(Data(provider): Data<&Arc<StandIn>>, uri: &Uri) -> Response {
    let signed = || -> Result<String, Refusal> {
        let parameters = Parameters::parse(uri.query().unwrap_or_default().as_bytes())?;
        let person = Person::called(parameters.require("person")?);
        let person = person.ok_or_else(|| Refusal::invalid_request("person is no name"))?;
        let now = provider.clock.now();
        let event = json!({
            "type": parameters.require("type")?, "sub": person.subject, "event_time": now.timestamp_millis(),
        });
        provider.apple.signer()?.sign(&json!({
            "iss": ISSUER, "aud": CLIENT_ID, "iat": now.timestamp(), "exp": now.timestamp() + ID_TOKEN_SECONDS,
            "events": event.to_string(),
        }))
    };
    match signed() {
        Ok(payload) => Json(json!({ "payload": payload })).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// An error in Apple's format.
fn refused(refusal: &Refusal) -> Response {
    let body = json!({"error": refusal.code.as_str(), "error_description": refusal.description});
    Json(body).with_status(StatusCode::BAD_REQUEST).into_response()
}

async fn exchanged(provider: &StandIn, headers: &HeaderMap, body: Body) -> Result<Value, Refusal> {
    let form = Parameters::of_form(headers, body).await?;
    authenticate(provider, headers, &form)?;
    let now = provider.clock.now();
    let issued = match form.require("grant_type")? {
        "authorization_code" => {
            let redemption = Redemption {
                code: form.require("code")?,
                redirect_uri: form.require("redirect_uri")?,
                code_verifier: form.get("code_verifier"),
                takes_consent: false,
            };
            provider.apple.state().ledger.redeem(now, LIFE, &redemption)?
        }
        "refresh_token" => {
            let presented = form.require("refresh_token")?;
            provider.apple.state().ledger.refresh(now, LIFE, false, presented, None)?
        }
        _ => return Err(Refusal::new(ErrorCode::UnsupportedGrantType, "authorization_code or refresh_token")),
    };
    respond(provider, &issued)
}

/// The client secret is a JWT of the team, sent in the form.
fn authenticate(provider: &StandIn, headers: &HeaderMap, form: &Parameters) -> Result<(), Refusal> {
    let no_good = |why: &str| Refusal::new(ErrorCode::InvalidClient, why);
    if headers.contains_key(header::AUTHORIZATION) || form.get("client_id") != Some(CLIENT_ID) {
        return Err(no_good("client_id stands in the form, and nothing in a header"));
    }
    let secret = form.get("client_secret").ok_or_else(|| no_good("there is no client_secret"))?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[ISSUER]);
    validation.set_issuer(&[TEAM_ID]);
    validation.sub = Some(CLIENT_ID.to_owned());
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    // By our own clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_ec_components(PUBLIC_KEY.0, PUBLIC_KEY.1);
    let proof = key.and_then(|key| jsonwebtoken::decode::<Value>(secret, &key, &validation));
    let proof = proof.map_err(|_| no_good("the client_secret is not signed by the team for this client"))?;
    let now = provider.clock.now().timestamp();
    let time = |claim: &str| proof.claims.get(claim).and_then(Value::as_i64);
    let is_timely =
        time("iat").zip(time("exp")).is_some_and(|(iat, exp)| iat <= now && now < exp && exp - iat <= SIX_MONTHS);
    if proof.header.kid.as_deref() != Some(KEY_ID) || !is_timely {
        return Err(no_good("the client_secret is another key's, or is not valid now"));
    }
    Ok(())
}

fn respond(provider: &StandIn, issued: &Issued) -> Result<Value, Refusal> {
    let now = provider.clock.now().timestamp();
    let mut claims = json!({
        "iss": ISSUER, "aud": CLIENT_ID, "iat": now, "exp": now + ID_TOKEN_SECONDS, "sub": issued.person.subject,
        "at_hash": at_hash(&issued.access_token), "auth_time": issued.signed_in_at.timestamp(), "nonce_supported": true,
    });
    if issued.scope.has("email") {
        let (address, is_relay) = address_of(&issued.person);
        claims["email"] = json!(address);
        claims["email_verified"] = json!(true);
        if is_relay {
            claims["is_private_email"] = json!(true);
        }
    }
    if let Some(nonce) = &issued.nonce {
        claims["nonce"] = json!(nonce);
    }
    let mut response = json!({
        "access_token": issued.access_token, "token_type": "Bearer", "expires_in": LIFE.num_seconds(),
        "id_token": provider.apple.signer()?.sign(&claims)?,
    });
    if let Some(refresh_token) = &issued.refresh_token {
        response["refresh_token"] = json!(refresh_token);
    }
    Ok(response)
}
