//! `GET /.well-known/jwks.json`: the public keys.

use http::header;
use poem_openapi::{
    OpenApi,
    payload::{Json, Response},
};

use super::Tag;
use crate::domain::gateway::{controllers::key::KeyController, schemas::key::JwkSet};

pub(super) struct KeyApi {
    keys: KeyController,
}

impl KeyApi {
    pub(super) fn new(keys: KeyController) -> Self {
        Self { keys }
    }
}

#[OpenApi(tag = "Tag::Discovery")]
impl KeyApi {
    /// The public keys
    ///
    /// A JWK set (RFC 7517). With it any service can verify our access tokens by itself. The next key is listed before it
    /// signs, the old one until its last token is dead. Empty if tokens are signed with HS256.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(&self) -> Response<Json<JwkSet>> {
        // Shorter than a key is published before it signs.
        Response::new(Json(self.keys.jwks())).header(header::CACHE_CONTROL, "public, max-age=300")
    }
}
