//! `/signup`: sign-up in a browser.

use http::StatusCode;
use poem::{IntoResponse, Request};
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::super::{RequestContext, Tag};
use super::{
    SignIns, asked_again, goes_on_to,
    pages::{self, Mistake, SIGN_IN},
    refused,
};
use crate::{
    api::shared::{
        extract::{FormBody, OptionalSession, browser},
        pages::{goes_on, is_wanted, json_or_page, page_response, problem_or_page, responses, with_form},
        problems,
    },
    domain::gateway::{
        controllers::caller::Credentials,
        models::login::ReturnTo,
        schemas::{account::SignUpRequest, login::SignUpForm, oauth::OAuthProviders},
    },
};

#[derive(Clone)]
pub(in crate::api) struct SignUpPageApi {
    parts: SignIns,
}

impl SignUpPageApi {
    pub(in crate::api) fn new(parts: SignIns) -> Self {
        Self { parts }
    }

    async fn page(&self, return_to: &ReturnTo, caller: &Credentials, mistake: Option<&Mistake<'_>>) -> String {
        let signed_in = self.parts.sessions.seen(caller).await;
        pages::sign_up(return_to, signed_in.as_ref(), mistake)
    }
}

#[OpenApi(prefix_path = "/signup", tag = "Tag::SignIn")]
impl SignUpPageApi {
    /// Show the sign-up page
    ///
    /// Returns a page to a browser, with a form for e-mail address, name and password. Returns the providers as JSON to
    /// programs: the first sign-in at a provider creates an account.
    #[oai(path = "/", method = "get", operation_id = "sign_up_page")]
    async fn show(
        &self,
        request: &Request,
        /// Destination of the browser after the sign-up: a path of this site, or a URL at one of the exact origins in
        /// `ALLOWED_ORIGINS`. Default: `/`.
        return_to: Query<Option<String>>,
        caller: OptionalSession,
    ) -> SignUpPageResponse {
        SignUpPageResponse(match self.parts.logins.return_to(return_to.0.as_deref()) {
            Err(refusal) => refused(request, refusal, &SIGN_IN, "login"),
            Ok(return_to) if is_wanted(request) => {
                let page = self.page(&return_to, &caller.0, None).await;
                with_form(page_response(StatusCode::OK, page), Some(self.parts.logins.return_origins()))
            }
            Ok(_) => Json(self.parts.vault.providers()).into_response(),
        })
    }

    /// Sign up with the form of the sign-up page
    ///
    /// Creates an account like `POST /accounts/signup`, for the page of `GET /signup`. The browser is redirected to
    /// `return_to`, or gets the page again with the mistakes.
    #[oai(path = "/", method = "post", operation_id = "sign_up_by_form")]
    async fn sign_up(&self, request: &Request, form: FormBody<SignUpForm>) -> SignUpFormResponse {
        let SignUpForm { email, password, name, return_to } = form.0;
        let return_to = match self.parts.logins.return_to(return_to.as_deref()) {
            Ok(return_to) => return_to,
            Err(refusal) => return SignUpFormResponse(refused(request, refusal, &SIGN_IN, "login")),
        };
        // Browsers send empty fields, too.
        let name = name.filter(|name| !name.trim().is_empty());
        let wish = SignUpRequest { email: email.clone(), password, name: name.clone() };
        let (caller, sender) = (browser(request), RequestContext::sender(request));
        let outcome = self.parts.accounts.sign_up(wish, &caller, &sender).await;
        SignUpFormResponse(match outcome {
            Ok(signed_in) => goes_on_to(&return_to, signed_in),
            Err(problem) if is_wanted(request) => {
                let name = name.as_deref().unwrap_or_default();
                let mistake = Mistake { problem: &problem, email: &email, name };
                let page = self.page(&return_to, &caller, Some(&mistake)).await;
                asked_again(request, problem, page, self.parts.logins.return_origins())
            }
            Err(problem) => problems::document(problem, &RequestContext::of(request)),
        })
    }
}

responses! {
    /// Response of `GET /signup`.
    SignUpPageResponse(OAuthProviders): [json_or_page::<OAuthProviders>("The sign-up page, or the enabled providers.")], problem_or_page: 400, 500;
    /// Response of `POST /signup`.
    SignUpFormResponse(OAuthProviders): [goes_on()], problem_or_page: 400, 403, 409, 413, 415, 422, 429, 500, 503;
}
