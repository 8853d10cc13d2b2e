//! `/oauth…`: the grants of people at providers.

use poem::Request;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use super::{
    RequestContext, Tag,
    shared::{
        extract::{Caller, JsonBody, OptionalCaller},
        problems::problems,
    },
};
use crate::domain::gateway::{
    controllers::oauth::OAuthController,
    schemas::oauth::{ExchangeCode, ListGrants, OAuthGrant, OAuthGrantDeleted, OAuthGrants, OAuthProviders},
};

problems! {
    /// Problems of `POST /oauth`.
    ExchangeProblems: 400, 401, 403, 409, 413, 415, 422, 429, 500, 502, 503;
    /// Problems of `GET /oauth`.
    ListProblems: 400, 401, 422, 500, 503;
    /// Problems of an operation on one grant.
    GrantProblems: 400, 401, 403, 404, 409, 500, 502, 503;
}

#[derive(Clone)]
pub(super) struct OAuthApi {
    vault: OAuthController,
}

impl OAuthApi {
    pub(super) fn new(vault: OAuthController) -> Self {
        Self { vault }
    }
}

#[OpenApi(prefix_path = "/oauth", tag = "Tag::OAuth")]
#[expect(clippy::unused_async, reason = "poem-openapi wants async operations")]
impl OAuthApi {
    /// List the enabled providers
    ///
    /// A provider is enabled if its client id and secret are set. To sign in at a provider, open its `sign_in` link in a
    /// browser.
    #[oai(path = "/providers", method = "get", operation_id = "list_oauth_providers")]
    async fn providers(&self) -> Json<OAuthProviders> {
        Json(self.vault.providers())
    }

    /// Exchange an authorization code and store the grant
    ///
    /// For a front end that sends browsers to a provider itself, with its own redirect URI (`OAUTH_REDIRECT_URIS`). The
    /// front end must check the `state` itself.
    ///
    /// The request must prove that the code belongs to this front end:
    ///
    /// - `code_verifier` is required if the provider supports PKCE.
    /// - `nonce` is required for OpenID Connect. Returns 400 `nonce_mismatch` if the id token contains another nonce.
    /// - A provider with neither cannot be used here by default, because its codes could stem from a sign-in that began at
    ///   `/login` (Naver with plain OAuth 2.0). `<PROVIDER>_UNBOUND_CODES=accept` allows it, and is the default for
    ///   Facebook, which compares the redirect URIs.
    ///
    /// The credentials of the request determine the account:
    ///
    /// - Without credentials, the exchange is a sign-in. The account is found or created by provider and subject, never by
    ///   e-mail address. The gateway's own tokens for the account are in `tokens`.
    /// - With a token, the grant is stored if the identity belongs to your account. Otherwise it returns 403
    ///   `identity_not_linked`: services see tokens, so a token must not add a way to sign in.
    /// - With the session of a browser and, if the account has one, the `password`, the identity is added to your account.
    ///
    /// Failed exchanges delay further exchanges of the client's address, like failed sign-ins. The 50th failure causes a
    /// delay of one second, and each further failure doubles it, up to 15 minutes. An exchange during the delay returns 429.
    ///
    /// If the provider returns no refresh token, the stored refresh token of the same identity is kept. Google, and
    /// providers with the scope `offline_access`, may return one only if the authorization request contains
    /// `prompt=consent`. The front end must add it.
    #[oai(path = "/", method = "post", operation_id = "exchange_oauth_code")]
    async fn exchange(
        &self,
        request: &Request,
        caller: OptionalCaller,
        body: JsonBody<ExchangeCode>,
    ) -> Result<Json<OAuthGrant>, ExchangeProblems> {
        let client = RequestContext::of(request).client;
        Ok(Json(self.vault.exchange(body.0, &caller.0, client).await?))
    }

    /// List your grants
    ///
    /// Returns the grants without their tokens, newest first.
    #[oai(path = "/", method = "get", operation_id = "list_oauth_grants")]
    async fn list(
        &self,
        caller: Caller,
        /// Name of a provider. Only grants at this provider are returned.
        provider: Query<Option<String>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
        /// Maximum number of grants in the response, 1 to 100. Default: 20.
        limit: Query<Option<u64>>,
    ) -> Result<Json<OAuthGrants>, ListProblems> {
        let query = ListGrants { provider: provider.0, cursor: cursor.0, limit: limit.0 };
        Ok(Json(self.vault.list(&caller.0, query).await?))
    }

    /// Get a grant with valid tokens
    ///
    /// Refreshes an expired access token first if possible, once for all concurrent callers. Returns 409
    /// `reauthorization_required` if the provider no longer renews the grant, or if the person revoked it there.
    ///
    /// Allowed for the owner of the grant, and for a token with the scope `oauth:read`. Returns 404 for other callers.
    #[oai(path = "/:id", method = "get", operation_id = "get_oauth_grant")]
    async fn open(
        &self,
        caller: Caller,
        /// Id of the grant.
        id: Path<String>,
    ) -> Result<Json<OAuthGrant>, GrantProblems> {
        Ok(Json(self.vault.open(&caller.0, &id.0).await?))
    }

    /// Refresh a grant now
    ///
    /// Returns 503 `provider_unavailable` if the provider issues no new token at the moment. An access token that is still
    /// valid can be read with `GET /oauth/{id}`.
    ///
    /// Allowed for the owner of the grant, and for a token with the scope `oauth:write`. Returns 403 `insufficient_scope`
    /// for a token with only the scope `oauth:read`.
    #[oai(path = "/:id/refresh", method = "post", operation_id = "refresh_oauth_grant")]
    async fn refresh(
        &self,
        caller: Caller,
        /// Id of the grant.
        id: Path<String>,
    ) -> Result<Json<OAuthGrant>, GrantProblems> {
        Ok(Json(self.vault.refresh(&caller.0, &id.0).await?))
    }

    /// Revoke and delete a grant
    ///
    /// Revokes the grant at the provider, then deletes it. If the provider cannot be reached, the grant is deleted anyway,
    /// and `revoked_at_provider` is `false`.
    ///
    /// Allowed for the owner of the grant, and for a token with the scope `oauth:write`. Returns 403 `insufficient_scope`
    /// for a token with only the scope `oauth:read`.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_oauth_grant")]
    async fn delete(
        &self,
        caller: Caller,
        /// Id of the grant.
        id: Path<String>,
    ) -> Result<Json<OAuthGrantDeleted>, GrantProblems> {
        Ok(Json(self.vault.delete(&caller.0, &id.0).await?))
    }
}
