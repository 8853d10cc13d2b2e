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
    extract::{Caller, JsonBody, OptionalJsonBody, SessionOnly, browser},
    pages::{answers, with_cookies},
    problems::{self, described, described_as, problems},
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
    /// Of the question who somebody is.
    MeProblems: 400, 401, 409, 500, 503;
    /// Of a new password.
    PasswordProblems: 400, 401, 403, 409, 413, 415, 422, 429, 500, 503;
    /// Of taking a provider from an account.
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
    /// Sign up with an e-mail and a password
    ///
    /// Makes an account and signs its owner in, with a session as after a sign-in at a provider. 409 `email_taken` if somebody
    /// signed up with it: without sending mail there is no other way to tell, so each sign-up counts for the client's address
    /// as a failed log-in does, whatever the answer. An account at a provider with the same e-mail is another one: an e-mail links nothing. From a
    /// browser it must be called by a page of this site or of `ALLOWED_ORIGINS`.
    #[oai(path = "/signup", method = "post", operation_id = "sign_up")]
    async fn sign_up(&self, request: &Request, body: JsonBody<SignUpRequest>) -> SignUpAnswer {
        let context = RequestContext::of(request);
        SignUpAnswer(answer(
            self.accounts.sign_up(body.0, &browser(request), &RequestContext::sender(request)).await,
            &context,
        ))
    }

    /// Sign in with an e-mail and a password
    ///
    /// Opens a session as after a sign-in at a provider; the one that the browser had is over. 401 `invalid_credentials`
    /// whether it is the e-mail or the password that is wrong, after the same time. Clients that fail have to wait: from the
    /// 5th failure for an e-mail a second, then twice as long each time, up to a minute; from the 50th of a client's address
    /// (of IPv6 its /64) likewise, up to 15 minutes. Until then it is 429 with `Retry-After`, for the right password too, and
    /// each attempt counts for the address. Failures of others do not delay a client without failures of its own (until a
    /// hundred such clients have failed for the e-mail), and never a browser that signed in to the account before, which shows
    /// the cookie `gateway_device`. The right password ends the e-mail's delay; an hour without an attempt ends both.
    #[oai(path = "/login", method = "post", operation_id = "log_in")]
    async fn log_in(&self, request: &Request, body: JsonBody<LogInRequest>) -> LogInAnswer {
        let context = RequestContext::of(request);
        LogInAnswer(answer(
            self.accounts.log_in(body.0, &browser(request), &RequestContext::sender(request)).await,
            &context,
        ))
    }

    /// Who you are
    #[oai(path = "/me", method = "get", operation_id = "get_account")]
    async fn show(&self, caller: Caller) -> Result<Json<AccountDocument>, MeProblems> {
        Ok(Json(self.accounts.show(&caller.0).await?))
    }

    /// Delete your account
    ///
    /// With your grants (revoked at the providers as far as these can be reached), identities, sessions and tokens: none of
    /// them is good any more, here at once and on every replica within a second. It takes the session of a browser and, if
    /// there is one, the password; a token is refused (403 `session_required`).
    #[oai(path = "/me", method = "delete", operation_id = "delete_account")]
    async fn remove(
        &self,
        request: &Request,
        caller: SessionOnly,
        body: JsonBody<DeleteAccountRequest>,
    ) -> DeletedAnswer {
        let context = RequestContext::of(request);
        DeletedAnswer(answer(self.accounts.remove(body.0, &caller.0, context.client).await, &context))
    }

    /// Set a password
    ///
    /// It takes the session of a browser, and the current password unless there is none yet; then `email` is needed, to sign in
    /// with. A token is refused (403 `session_required`). Every other session and every token of the account is over. Wrong
    /// current passwords count as failed log-ins; asking for an e-mail counts for the client's address as a sign-up does.
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

    /// Take a provider from your account
    ///
    /// What it had there is forgotten, and revoked at the provider if that can be reached. 409 `last_way_in` if nobody could
    /// sign in any more. It takes the session of a browser and, if there is one, the password; a token is refused (403
    /// `session_required`). To add a provider, open `/login/{provider}/link`.
    #[oai(path = "/me/providers/:provider", method = "delete", operation_id = "unlink_provider")]
    async fn unlink(
        &self,
        request: &Request,
        caller: SessionOnly,
        /// One of those in `GET /accounts/me`.
        provider: Path<String>,
        body: OptionalJsonBody<UnlinkProviderRequest>,
    ) -> Result<Json<ProviderUnlinked>, UnlinkProblems> {
        let client = RequestContext::of(request).client;
        Ok(Json(self.accounts.unlink(&provider.0, body.0, &caller.0, client).await?))
    }
}

fn answer<T: ToJSON>(outcome: Result<WithCookie<T>, Problem>, context: &RequestContext) -> Response {
    match outcome {
        Ok(WithCookie { answer, cookies }) => with_cookies(Json(answer).into_response(), cookies),
        Err(problem) => problems::document(problem, context),
    }
}

answers! {
    /// Of a sign-up.
    SignUpAnswer(AccountDocument): [json::<AccountDocument>("The account; the session is in the cookie.")], described: 400, 403, 409, 413, 415, 422, 429, 500, 503;
    /// Of a log-in.
    LogInAnswer(AccountDocument): [json::<AccountDocument>("The account; the session is in the cookie.")], described: 400, 401, 403, 413, 415, 422, 429, 500, 503;
    /// Of the end of an account.
    DeletedAnswer(AccountDeleted): [json::<AccountDeleted>("The account is gone.")], described: 400, 401, 403, 409, 413, 415, 422, 429, 500, 503;
}

fn json<T: Type>(description: &'static str) -> MetaResponse {
    let json = MetaMediaType { content_type: "application/json", schema: T::schema_ref() };
    described_as(200, description, vec![json])
}
