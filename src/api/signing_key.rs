//! `GET /.well-known/jwks.json`: the public keys.

use http::header;
use poem_openapi::{
    OpenApi,
    payload::{Json, Response},
};

use super::Tag;
use crate::domain::gateway::{controllers::signing_key::SigningKeyController, schemas::signing_key::JwkSet};

#[derive(Clone)]
pub(super) struct SigningKeyApi {
    keys: SigningKeyController,
}

impl SigningKeyApi {
    pub(super) fn new(keys: SigningKeyController) -> Self {
        Self { keys }
    }
}

#[OpenApi(tag = "Tag::Discovery")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl SigningKeyApi {
    /// Get the public keys
    ///
    /// Returns a JWK set (RFC 7517), with which any service can verify the gateway's access tokens. A new key is listed
    /// before it signs, and an old key until its last token has expired. The set is empty if tokens are signed with HS256.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(&self) -> Response<Json<JwkSet>> {
        // Shorter than the time for which a key is published before it signs.
        Response::new(Json(self.keys.jwks())).header(header::CACHE_CONTROL, "public, max-age=300")
    }
}
