//! `/oauth…`: the grants of people at providers.

use poem::Request;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};

use super::{
    RequestContext, Tag,
    extract::{Caller, JsonBody, OptionalCaller},
    problems::problems,
};
use crate::domain::gateway::{
    controllers::oauth::OAuthController,
    schemas::oauth::{ExchangeCode, OAuthGrant, OAuthGrantDeleted, OAuthGrants, OAuthProviders},
};

problems! {
    /// Of an exchange.
    ExchangeProblems: 400, 401, 403, 409, 413, 415, 422, 429, 500, 502, 503;
    /// Of a list.
    ListProblems: 400, 401, 422, 500, 503;
    /// Of a call about one grant.
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
    /// The providers that are switched on
    ///
    /// A provider is on when its client id and secret are set. Open a `sign_in` link in a browser to sign in there.
    #[oai(path = "/providers", method = "get", operation_id = "list_oauth_providers")]
    async fn providers(&self) -> Json<OAuthProviders> {
        Json(self.vault.providers())
    }

    /// Exchange an authorization code and keep the grant
    ///
    /// For a front end that sends browsers to a provider itself, with a redirect URI of its own (`OAUTH_REDIRECT_URIS`); it checks
    /// the `state` there. Wherever the provider has them, the `code_verifier` (PKCE) and the `nonce` (OpenID Connect) are
    /// needed; another nonce than the id token holds is 400 `nonce_mismatch`. A code that was begun at `/login` is redeemed there
    /// alone, so codes of a provider with neither (Facebook, or Naver by plain OAuth 2.0) are refused unless the operator has said otherwise.
    ///
    /// Without a caller the exchange is the sign-in: the account is found or made by provider and subject (never by e-mail),
    /// and `tokens` holds our own tokens for it. With a token the grant is kept if the identity is one of your account; 403
    /// `identity_not_linked` otherwise, since services see tokens. With the session of a browser and, if there is one, the
    /// `password`, the identity is added to your account. Exchanges that fail delay the next of the client's address, like failed
    /// log-ins: from the 50th a second, then twice as long each time, up to 15 minutes (429).
    ///
    /// If the provider gives no refresh token, the one that is held for the same identity stays. Google, and others with the scope
    /// `offline_access`, may give one only for a request with `prompt=consent`, which is the front end's to send.
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

    /// Your grants
    ///
    /// Newest first, without their tokens.
    #[oai(path = "/", method = "get", operation_id = "list_oauth_grants")]
    async fn list(
        &self,
        caller: Caller,
        /// Those at this provider only.
        provider: Query<Option<String>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many at most: 1 to 100, default 20.
        limit: Query<Option<u64>>,
    ) -> Result<Json<OAuthGrants>, ListProblems> {
        Ok(Json(self.vault.list(&caller.0, provider.0, cursor.0, limit.0).await?))
    }

    /// One grant, with tokens that are good
    ///
    /// Never an expired access token while it can be refreshed: then it is refreshed first, once, however many ask. 409
    /// `reauthorization_required` if the provider does not renew it any more, or the person took it back there. The owner may, or a token with the scope
    /// `oauth:read`; to others it does not exist.
    #[oai(path = "/:id", method = "get", operation_id = "get_oauth_grant")]
    async fn open(
        &self,
        caller: Caller,
        /// The grant.
        id: Path<String>,
    ) -> Result<Json<OAuthGrant>, GrantProblems> {
        Ok(Json(self.vault.open(&caller.0, &id.0).await?))
    }

    /// Refresh a grant now
    ///
    /// 503 `provider_unavailable` if the provider gives no new token for now; the one that is good can still be read with GET.
    /// The owner may, or a token with the scope `oauth:write`; with `oauth:read` alone it is 403 `insufficient_scope`.
    #[oai(path = "/:id/refresh", method = "post", operation_id = "refresh_oauth_grant")]
    async fn refresh(
        &self,
        caller: Caller,
        /// The grant.
        id: Path<String>,
    ) -> Result<Json<OAuthGrant>, GrantProblems> {
        Ok(Json(self.vault.refresh(&caller.0, &id.0).await?))
    }

    /// Take a grant back and forget it
    ///
    /// It is revoked at the provider first. If the provider cannot be reached it is forgotten all the same, and the answer
    /// says so. The owner may, or a token with the scope `oauth:write`; with `oauth:read` alone it is 403 `insufficient_scope`.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_oauth_grant")]
    async fn delete(
        &self,
        caller: Caller,
        /// The grant.
        id: Path<String>,
    ) -> Result<Json<OAuthGrantDeleted>, GrantProblems> {
        Ok(Json(self.vault.delete(&caller.0, &id.0).await?))
    }
}
