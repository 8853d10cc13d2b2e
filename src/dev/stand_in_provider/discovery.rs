//! The provider's metadata and keys (OIDC Discovery §3, RFC 8414, RFC 7517).

use std::sync::Arc;

use poem::{
    IntoResponse, Response, handler,
    web::{Data, Json},
};
use serde_json::{Value, json};

use super::{StandIn, dialect::Dialect};

#[handler]
pub(super) fn metadata(Data(provider): Data<&Arc<StandIn>>, Data(dialect): Data<&Dialect>) -> Json<Value> {
    let issuer = &provider.issuer;
    if let Some(published) = dialect.published_issuer(&issuer.text) {
        return Json(entra(provider, &published));
    }
    let authentication = ["client_secret_basic", "client_secret_post"];
    Json(json!({
        "issuer": issuer.text,
        "authorization_endpoint": provider.authorize_url,
        "token_endpoint": issuer.at("/token"),
        "userinfo_endpoint": issuer.at("/userinfo"),
        "revocation_endpoint": issuer.at("/revoke"),
        "jwks_uri": issuer.at("/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_methods_supported": authentication,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "email"],
        "claims_supported":
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "name", "email", "email_verified"],
        "ui_locales_supported": ["ko", "en"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

#[handler]
pub(super) fn keys(Data(provider): Data<&Arc<StandIn>>, Data(dialect): Data<&Dialect>) -> Response {
    match provider.signer.jwk(*dialect, &provider.issuer.text) {
        Ok(jwk) => Json(json!({"keys": [jwk]})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// As login.microsoftonline.com publishes for `common`: no revocation, and a template for the issuer.
fn entra(provider: &StandIn, issuer: &str) -> Value {
    let at = |path: &str| provider.issuer.at(&format!("/entra/common{path}"));
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
    })
}
