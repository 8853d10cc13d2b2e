//! `/tokens/…`: create, verify, refresh, revoke; in development also dummy tokens.

use poem::Request;
use poem_openapi::{OpenApi, payload::Json};

use super::{
    Tag,
    shared::{
        extract::{BearerToken, DummyBody, JsonBody, OptionalBearerToken, browser},
        problems::problems,
    },
};
use crate::domain::gateway::{
    controllers::token::TokenController,
    schemas::token::{
        CreateToken, DummyTokenPair, RefreshTokens, RevokeToken, TokenPair, TokenRevoked, TokenVerification,
        VerifyToken,
    },
};

problems! {
    /// Problems of an operation without a caller.
    OpenProblems: 400, 413, 415, 422, 500, 503;
    /// Problems of an operation that requires a caller.
    CallerProblems: 400, 401, 403, 413, 415, 422, 500, 503;
    /// Problems of `POST /tokens/dummy`.
    DummyProblems: 400, 403, 413, 415, 422, 500, 503;
    /// Problems of `POST /tokens/refresh`.
    GrantProblems: 400, 401, 403, 413, 415, 422, 500, 503;
}

#[derive(Clone)]
pub(super) struct TokenApi {
    tokens: TokenController,
}

impl TokenApi {
    pub(super) fn new(tokens: TokenController) -> Self {
        Self { tokens }
    }
}

#[OpenApi(prefix_path = "/tokens", tag = "Tag::Tokens")]
impl TokenApi {
    /// Verify a token
    ///
    /// Checks an access token, a refresh token or a dummy token, and returns its contents. An invalid token is not an
    /// error: the response is 200 with `active: false` and the `reason`.
    ///
    /// A used refresh token is `revoked` at once, even while `/tokens/refresh` still returns the same successor for it.
    #[oai(path = "/verify", method = "post", operation_id = "verify_token")]
    async fn verify(&self, body: JsonBody<VerifyToken>) -> Result<Json<TokenVerification>, OpenProblems> {
        Ok(Json(self.tokens.verify(body.0).await?))
    }

    /// Exchange a refresh token for a new pair
    ///
    /// A refresh token can be exchanged once. If the response was lost, the client may repeat the request: for a few
    /// seconds, the same refresh token returns the same successor. A later use means that the refresh token was copied, so
    /// the gateway revokes its family: all tokens that descend from the same creation (RFC 9700 §4.14.2).
    ///
    /// - Returns 401 `invalid_grant` if the refresh token is invalid.
    /// - Returns 403 `client_required` if the refresh token was issued to a machine client. The client exchanges it at
    ///   `/oauth2/token`.
    #[oai(path = "/refresh", method = "post", operation_id = "refresh_token")]
    async fn refresh(&self, body: JsonBody<RefreshTokens>) -> Result<Json<TokenPair>, GrantProblems> {
        Ok(Json(self.tokens.refresh(body.0).await?))
    }

    /// Revoke a token
    ///
    /// Revokes an access token alone, or a refresh token with its family: all tokens that descend from the same creation.
    /// Returns 200 whether or not the token is known (RFC 7009).
    ///
    /// The revocation takes effect at once in this replica, and within one second in every other replica.
    #[oai(path = "/revoke", method = "post", operation_id = "revoke_token")]
    async fn revoke(&self, body: JsonBody<RevokeToken>) -> Result<Json<TokenRevoked>, OpenProblems> {
        Ok(Json(self.tokens.revoke(body.0).await?))
    }
}

/// Creation of tokens with a caller's token.
#[derive(Clone)]
pub(super) struct TokenCreationApi {
    tokens: TokenController,
}

impl TokenCreationApi {
    pub(super) fn new(tokens: TokenController) -> Self {
        Self { tokens }
    }
}

#[OpenApi(prefix_path = "/tokens", tag = "Tag::Tokens")]
impl TokenCreationApi {
    /// Create an access token and a refresh token
    ///
    /// Send `{}` to use the defaults. The caller needs a token with the scope `tokens:issue`. The new tokens can only have
    /// scope that the caller's token has.
    #[oai(path = "/create", method = "post", operation_id = "create_token")]
    async fn create(
        &self,
        bearer: BearerToken,
        body: JsonBody<CreateToken>,
    ) -> Result<Json<TokenPair>, CallerProblems> {
        Ok(Json(self.tokens.create(body.0, &bearer.0).await?))
    }
}

/// Creation of tokens without a caller, in development.
#[derive(Clone)]
pub(super) struct OpenTokenCreationApi {
    tokens: TokenController,
}

impl OpenTokenCreationApi {
    pub(super) fn new(tokens: TokenController) -> Self {
        Self { tokens }
    }
}

#[OpenApi(prefix_path = "/tokens", tag = "Tag::Tokens")]
impl OpenTokenCreationApi {
    /// Create an access token and a refresh token
    ///
    /// Send `{}` to use the defaults.
    ///
    /// - In development, no token is required. A browser may call this operation only at `localhost`, at an IP address, or
    ///   at a host of `PUBLIC_URL` or `ALLOWED_ORIGINS`. At another host it returns 403 `foreign_host`.
    /// - In production, the caller needs a token with the scope `tokens:issue`. The new tokens can only have scope that the
    ///   caller's token has.
    #[oai(path = "/create", method = "post", operation_id = "create_token")]
    async fn create(
        &self,
        bearer: OptionalBearerToken,
        body: JsonBody<CreateToken>,
    ) -> Result<Json<TokenPair>, CallerProblems> {
        Ok(Json(self.tokens.create(body.0, &bearer.0).await?))
    }
}

#[derive(Clone)]
pub(super) struct DummyTokenApi {
    tokens: TokenController,
}

impl DummyTokenApi {
    pub(super) fn new(tokens: TokenController) -> Self {
        Self { tokens }
    }
}

#[OpenApi(prefix_path = "/tokens", tag = "Tag::Playground")]
impl DummyTokenApi {
    /// Register any text as a token
    ///
    /// Prints the text on the gateway's console and registers it as a token. You see a value travel from Swagger through
    /// router, controller, service and repository. The token verifies as active and passes `/api/…` as a test identity,
    /// until it expires or is revoked.
    ///
    /// - This operation exists only in development.
    /// - A browser may call it only from a page of this site or of `ALLOWED_ORIGINS`, and only at `localhost`, at an IP
    ///   address or at one of their hosts. At another host it returns 403 `foreign_host`.
    #[oai(path = "/dummy", method = "post", operation_id = "create_dummy_token")]
    async fn dummy(&self, request: &Request, body: DummyBody) -> Result<Json<DummyTokenPair>, DummyProblems> {
        Ok(Json(self.tokens.register_dummy(body.0, &browser(request)).await?))
    }
}
