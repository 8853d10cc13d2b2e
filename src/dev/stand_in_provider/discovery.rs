//! What the provider says of itself (OIDC Discovery §3, RFC 8414, RFC 7517).

use std::sync::Arc;

use poem::{
    handler,
    web::{Data, Json},
};
use serde_json::{Value, json};

use super::StandIn;

#[handler]
pub(super) fn metadata(Data(provider): Data<&Arc<StandIn>>) -> Json<Value> {
    let issuer = &provider.issuer;
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
pub(super) fn keys(Data(provider): Data<&Arc<StandIn>>) -> Json<Value> {
    Json(json!({"keys": [provider.signer.jwk]}))
}
