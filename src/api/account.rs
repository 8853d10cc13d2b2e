//! `/accounts…`: accounts of people, with a password or without.

use poem::{IntoResponse, Request, Response};
use poem_openapi::{
    OpenApi,
    param::Path,
    payload::Json,
    registry::{MetaMediaType, MetaResponse},
    types::{ToJSON, Type},
};

use super::{
    RequestContext, Tag,
    shared::{
        extract::{Caller, JsonBody, OptionalJsonBody, SessionOnly, browser},
        pages::{responses, with_cookies},
        problems::{self, described, described_as, problems},
    },
};
use crate::{
    domain::gateway::{
        controllers::account::{AccountController, WithCookie},
        schemas::account::{
            AccountDeleted, AccountDocument, ChangePasswordRequest, DeleteAccountRequest, LogInRequest,
            PasswordChanged, ProviderUnlinked, SignUpRequest, UnlinkProviderRequest,
        },
    },
    problem::Problem,
};

problems! {
    /// Problems of `GET /accounts/me`.
    MeProblems: 400, 401, 409, 500, 503;
    /// Problems of `POST /accounts/password`.
    PasswordProblems: 400, 401, 403, 409, 413, 415, 422, 429, 500, 503;
    /// Problems of `DELETE /accounts/me/providers/{provider}`.
    UnlinkProblems: 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503;
}

#[derive(Clone)]
pub(super) struct AccountApi {
    accounts: AccountController,
}

impl AccountApi {
    pub(super) fn new(accounts: AccountController) -> Self {
        Self { accounts }
    }
}

#[OpenApi(prefix_path = "/accounts", tag = "Tag::Accounts")]
impl AccountApi {
    /// Sign up with an e-mail address and a password
    ///
    /// Creates an account and signs the user in. The response sets the session cookie, as a sign-in at a provider does.
    ///
    /// - Returns 409 `email_taken` if an account already signs in with this e-mail address. The gateway sends no mail, so
    ///   it cannot hide this. Each sign-up therefore counts for the client's address like a failed sign-in, whatever its
    ///   response.
    /// - An e-mail address never links accounts. An account that was created by a sign-in at a provider stays separate,
    ///   even if the provider reports this address.
    /// - A browser may call this operation only from a page of this site or of `ALLOWED_ORIGINS`.
    #[oai(path = "/signup", method = "post", operation_id = "sign_up")]
    async fn sign_up(&self, request: &Request, body: JsonBody<SignUpRequest>) -> SignUpResponse {
        let context = RequestContext::of(request);
        SignUpResponse(respond(
            self.accounts.sign_up(body.0, &browser(request), &RequestContext::sender(request)).await,
            &context,
        ))
    }

    /// Sign in with an e-mail address and a password
    ///
    /// Starts a session, as a sign-in at a provider does, and ends the previous session of the browser.
    ///
    /// Returns 401 `invalid_credentials` if the e-mail address or the password is wrong. Neither the response nor its time
    /// reveals which one.
    ///
    /// Failed attempts delay further attempts of the client:
    ///
    /// - For an e-mail address, the 5th failure causes a delay of one second. Each further failure doubles the delay, up to
    ///   one minute.
    /// - For a client's address (for IPv6, its /64 network), the 50th failure causes a delay of one second. Each further
    ///   failure doubles the delay, up to 15 minutes.
    /// - An attempt during a delay returns 429 with `Retry-After`, even with the right password. It counts as a failure of
    ///   the client's address.
    /// - A client without failures of its own is not delayed by the failures of other clients, until 100 such clients have
    ///   failed for the e-mail address.
    /// - A browser that has signed in to the account before is never delayed by the failures of other clients. It is
    ///   recognised by the cookie `gateway_device`.
    /// - The right password ends the delay for the e-mail address. One hour without an attempt ends both delays.
    #[oai(path = "/login", method = "post", operation_id = "log_in")]
    async fn log_in(&self, request: &Request, body: JsonBody<LogInRequest>) -> LogInResponse {
        let context = RequestContext::of(request);
        LogInResponse(respond(
            self.accounts.log_in(body.0, &browser(request), &RequestContext::sender(request)).await,
            &context,
        ))
    }

    /// Get your account
    #[oai(path = "/me", method = "get", operation_id = "get_account")]
    async fn show(&self, caller: Caller) -> Result<Json<AccountDocument>, MeProblems> {
        Ok(Json(self.accounts.show(&caller.0).await?))
    }

    /// Delete your account
    ///
    /// Deletes the account with its grants, identities, sessions and tokens. The grants are also revoked at the providers
    /// that can be reached. Sessions and tokens become invalid at once in this replica, and within one second in every
    /// other replica.
    ///
    /// Requires the session of a browser and, if the account has one, the password. Returns 403 `session_required` for a
    /// token.
    #[oai(path = "/me", method = "delete", operation_id = "delete_account")]
    async fn remove(
        &self,
        request: &Request,
        caller: SessionOnly,
        body: JsonBody<DeleteAccountRequest>,
    ) -> DeletedResponse {
        let context = RequestContext::of(request);
        DeletedResponse(respond(self.accounts.remove(body.0, &caller.0, context.client).await, &context))
    }

    /// Set a password
    ///
    /// Sets the first password of the account, or changes it. Ends every other session and revokes every token of the
    /// account.
    ///
    /// - Requires the session of a browser. Returns 403 `session_required` for a token.
    /// - If the account has a password, `current_password` is required. A wrong one counts as a failed sign-in.
    /// - If the account has no password, `email` is required: the address to sign in with. A request with `email` counts
    ///   for the client's address like a sign-up.
    #[oai(path = "/password", method = "post", operation_id = "change_password")]
    async fn change_password(
        &self,
        request: &Request,
        caller: SessionOnly,
        body: JsonBody<ChangePasswordRequest>,
    ) -> Result<Json<PasswordChanged>, PasswordProblems> {
        let client = RequestContext::of(request).client;
        Ok(Json(self.accounts.change_password(body.0, &caller.0, client).await?))
    }

    /// Remove a provider from your account
    ///
    /// Deletes the identity and the grants of this provider from the account. The grants are also revoked at the provider
    /// if it can be reached. Returns 409 `last_way_in` if this is the only way to sign in to the account.
    ///
    /// Requires the session of a browser and, if the account has one, the password. Returns 403 `session_required` for a
    /// token.
    ///
    /// To add a provider, open `/login/{provider}/link`.
    #[oai(path = "/me/providers/:provider", method = "delete", operation_id = "unlink_provider")]
    async fn unlink(
        &self,
        request: &Request,
        caller: SessionOnly,
        /// Name of a provider in the response of `GET /accounts/me`.
        provider: Path<String>,
        body: OptionalJsonBody<UnlinkProviderRequest>,
    ) -> Result<Json<ProviderUnlinked>, UnlinkProblems> {
        let client = RequestContext::of(request).client;
        Ok(Json(self.accounts.unlink(&provider.0, body.0, &caller.0, client).await?))
    }
}

fn respond<T: ToJSON>(outcome: Result<WithCookie<T>, Problem>, context: &RequestContext) -> Response {
    match outcome {
        Ok(WithCookie { response, cookies }) => with_cookies(Json(response).into_response(), cookies),
        Err(problem) => problems::document(problem, context),
    }
}

responses! {
    /// Response of `POST /accounts/signup`.
    SignUpResponse(AccountDocument): [json::<AccountDocument>("The new account. The session is in the cookie.")], described: 400, 403, 409, 413, 415, 422, 429, 500, 503;
    /// Response of `POST /accounts/login`.
    LogInResponse(AccountDocument): [json::<AccountDocument>("The account. The session is in the cookie.")], described: 400, 401, 403, 413, 415, 422, 429, 500, 503;
    /// Response of `DELETE /accounts/me`.
    DeletedResponse(AccountDeleted): [json::<AccountDeleted>("The account was deleted.")], described: 400, 401, 403, 409, 413, 415, 422, 429, 500, 503;
}

fn json<T: Type>(description: &'static str) -> MetaResponse {
    let json = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
    described_as(200, description, vec![json])
}
