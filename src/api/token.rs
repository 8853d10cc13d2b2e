//! `/tokens/…`: create, verify, refresh, revoke; in development also dummy tokens.

use poem::Request;
use poem_openapi::{OpenApi, payload::Json};

use super::{
    Tag,
    extract::{BearerToken, DummyBody, JsonBody, OptionalBearerToken, browser},
    problems::problems,
};
use crate::domain::gateway::{
    controllers::token::TokenController,
    schemas::token::{
        CreateToken, DummyTokenPair, RefreshTokens, RevokeToken, TokenPair, TokenRevoked, TokenVerification,
        VerifyToken,
    },
};

problems! {
    /// Of an operation that needs no caller.
    OpenProblems: 400, 413, 415, 422, 500, 503;
    /// Of an operation that a caller may be refused.
    CallerProblems: 400, 401, 403, 413, 415, 422, 500, 503;
    /// Of a dummy token.
    DummyProblems: 400, 403, 413, 415, 422, 500, 503;
    /// Of an exchange of a refresh token.
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
    /// Look at a token
    ///
    /// Says whether an access token, refresh token or dummy token is good, and what it holds. A token that is not good is
    /// no error: the answer is 200 with `active: false` and the reason. A refresh token that was used is `revoked` at once, also
    /// while its repetition at `/tokens/refresh` still gets the same successor.
    #[oai(path = "/verify", method = "post", operation_id = "verify_token")]
    async fn verify(&self, body: JsonBody<VerifyToken>) -> Result<Json<TokenVerification>, OpenProblems> {
        Ok(Json(self.tokens.verify(body.0).await?))
    }

    /// Exchange a refresh token for a new pair
    ///
    /// The old refresh token is used up. If the answer got lost, the same one gets the same successor for a few seconds;
    /// after that its return means that someone has a copy, and everything that descends from it is revoked
    /// (RFC 9700 §4.14.2). A refresh token that is not good is answered with 401 and the code `invalid_grant`; one that was
    /// issued to a machine client with 403 and the code `client_required`: the client exchanges it at `/oauth2/token`.
    #[oai(path = "/refresh", method = "post", operation_id = "refresh_token")]
    async fn refresh(&self, body: JsonBody<RefreshTokens>) -> Result<Json<TokenPair>, GrantProblems> {
        Ok(Json(self.tokens.refresh(body.0).await?))
    }

    /// Revoke a token
    ///
    /// 200 whether or not it was known (RFC 7009). An access token goes alone; a refresh token takes along every token
    /// that descends from the same creation. It holds here at once, and on every replica within a second.
    #[oai(path = "/revoke", method = "post", operation_id = "revoke_token")]
    async fn revoke(&self, body: JsonBody<RevokeToken>) -> Result<Json<TokenRevoked>, OpenProblems> {
        Ok(Json(self.tokens.revoke(body.0).await?))
    }
}

/// Creating tokens with a caller's token.
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
    /// Send `{}` to take the defaults. The caller needs a token with the scope `tokens:issue`. The new tokens may have no scope that
    /// the caller's token lacks.
    #[oai(path = "/create", method = "post", operation_id = "create_token")]
    async fn create(
        &self,
        bearer: BearerToken,
        body: JsonBody<CreateToken>,
    ) -> Result<Json<TokenPair>, CallerProblems> {
        Ok(Json(self.tokens.create(body.0, &bearer.0).await?))
    }
}

/// Creating tokens without a caller: in development.
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
    /// Send `{}` to take the defaults. In development anybody may, a browser only at `localhost`, at an address or at the host of
    /// `PUBLIC_URL` or `ALLOWED_ORIGINS` (403 `foreign_host`); in production the caller needs a token with the scope
    /// `tokens:issue`, and the new tokens may have no scope that the caller's token lacks.
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
    /// Type anything and see it arrive
    ///
    /// The text is printed on the gateway's console and is a token from then on: it verifies as active and passes
    /// `/api/…` as a test identity until it expires or is revoked. So you see a value travel from Swagger through router,
    /// controller, service and repository. Only in development, and from a browser only by a page of this site or of
    /// `ALLOWED_ORIGINS`, at `localhost`, an address or one of their hosts (403 `foreign_host`).
    #[oai(path = "/dummy", method = "post", operation_id = "create_dummy_token")]
    async fn dummy(&self, request: &Request, body: DummyBody) -> Result<Json<DummyTokenPair>, DummyProblems> {
        Ok(Json(self.tokens.register_dummy(body.0, &browser(request)).await?))
    }
}
