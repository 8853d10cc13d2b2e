//! The pages for signing in and up: the choice of a provider, the forms, and their errors.

use http::StatusCode;
use maud::{Markup, html};
use poem::Response;

use crate::{
    api::shared::pages::{self, bilingual, paragraphs, signed_in_as},
    domain::gateway::{
        models::login::ReturnTo,
        schemas::{
            login::{LinkForm, Refusal},
            oauth::OAuthProviders,
            session::SessionDocument,
        },
    },
    problem::{FieldError, Problem},
    texts::{Text, codes, pages as text},
};

/// The refused values of a form, and the error.
pub(super) struct Mistake<'m> {
    pub(super) problem: &'m Problem,
    pub(super) email: &'m str,
    pub(super) name: &'m str,
}

/// The sign-in page: with a password, or at a provider.
pub(super) fn sign_in(
    providers: &OAuthProviders,
    return_to: &ReturnTo,
    signed_in: Option<&SessionDocument>,
    mistake: Option<&Mistake<'_>>,
) -> String {
    let wanted = return_to.encoded();
    let main = html! {
        h1 { (bilingual(&text::SIGN_IN)) }
        @if let Some(person) = signed_in { (signed_in_as(person, "logout", Some(return_to))) }
        @if let Some(mistake) = mistake { (wrong(mistake.problem)) }
        form method="post" action="login" {
            input type="hidden" name="return_to" value=(return_to.as_str());
            (email_field(mistake))
            label for="password" { (bilingual(&text::PASSWORD)) }
            input id="password" type="password" name="password" autocomplete="current-password" required maxlength="256";
            button.main { (bilingual(&text::SIGN_IN)) }
        }
        p {
            a href={ "signup?return_to=" (wanted) } { (bilingual(&text::CREATE_ACCOUNT)) }
        }
        details {
            summary { (bilingual(&text::FORGOT_PASSWORD)) }
            (paragraphs(&text::NO_PASSWORD_RESET))
        }
        @if !providers.providers.is_empty() { hr; }
        @for provider in &providers.providers {
            a.choice href={ "login/" (provider.name) "?return_to=" (wanted) } {
                (bilingual(&text::sign_in_with(&provider.display_name)))
            }
        }
    };
    pages::page(&text::SIGN_IN.both(), &main)
}

/// The sign-up page, for an account with a password.
pub(super) fn sign_up(
    return_to: &ReturnTo,
    signed_in: Option<&SessionDocument>,
    mistake: Option<&Mistake<'_>>,
) -> String {
    let main = html! {
        h1 { (bilingual(&text::CREATE_ACCOUNT)) }
        @if let Some(person) = signed_in { (signed_in_as(person, "logout", Some(return_to))) }
        @if let Some(mistake) = mistake { (wrong(mistake.problem)) }
        form method="post" action="signup" {
            input type="hidden" name="return_to" value=(return_to.as_str());
            (email_field(mistake))
            label for="name" { (bilingual(&text::OPTIONAL_NAME)) }
            input id="name" name="name" value=[mistake.map(|mistake| mistake.name)] autocomplete="name" maxlength="100";
            label for="password" { (bilingual(&text::NEW_PASSWORD)) }
            input id="password" type="password" name="password" autocomplete="new-password" required minlength="8" maxlength="256";
            button.main { (bilingual(&text::CREATE_ACCOUNT)) }
        }
        p {
            a href={ "login?return_to=" (return_to.encoded()) } { (bilingual(&text::HAVE_ACCOUNT)) }
        }
    };
    pages::page(&text::CREATE_ACCOUNT.both(), &main)
}

/// Asks whether to add a provider. The provider's further redirects after the form are unknown.
pub(super) fn link(form: &LinkForm) -> Response {
    let name = &form.display_name;
    let main = html! {
        h1 { (bilingual(&text::add_to_your_account(name))) }
        p { (bilingual(&text::effect_of_adding(name))) }
        form method="post" action="link" {
            input type="hidden" name="return_to" value=(form.return_to);
            @if form.needs_password {
                label for="password" { (bilingual(&text::ACCOUNT_PASSWORD)) }
                input id="password" type="password" name="password" autocomplete="current-password" required;
            }
            button.main { (bilingual(&text::CONTINUE)) }
        }
    };
    pages::with_form(pages::page_response(StatusCode::OK, pages::page(&text::ADD_SIGN_IN.both(), &main)), None)
}

/// The texts of a page about a failure.
pub(super) struct FailurePage {
    failed: Text,
    again: Text,
}

/// For a failed sign-in.
pub(super) const SIGN_IN: FailurePage = FailurePage { failed: text::SIGN_IN_FAILED, again: text::SIGN_IN_AGAIN };

/// For a provider that could not be added.
pub(super) const LINK: FailurePage = FailurePage { failed: text::LINK_FAILED, again: text::TRY_AGAIN };

impl FailurePage {
    /// The cause, and two links: `begin_again`, and back to the destination of the browser.
    pub(super) fn html(&self, refusal: &Refusal, begin_again: &str) -> String {
        let main = html! {
            h1 { (bilingual(&self.failed)) }
            p lang="ko" { (refusal.korean) }
            p { (refusal.problem.detail) }
            p { a href=(begin_again) { (bilingual(&self.again)) } }
            @if let Some(return_to) = &refusal.return_to {
                p { a href=(return_to.as_str()) { (bilingual(&text::GO_BACK)) } }
            }
        };
        pages::page(&text::SIGN_IN.both(), &main)
    }
}

fn email_field(mistake: Option<&Mistake<'_>>) -> Markup {
    html! {
        label for="email" { (bilingual(&text::EMAIL)) }
        input id="email" type="email" name="email" value=[mistake.map(|mistake| mistake.email)] autocomplete="username" required
            maxlength="254";
    }
}

/// The mistakes, by field if known.
fn wrong(problem: &Problem) -> Markup {
    html! {
        div.wrong role="alert" {
            @if problem.errors.is_empty() {
                p { (bilingual(&codes::problem(problem.code, problem.detail.clone()))) }
            }
            @for FieldError { field, message, .. } in &problem.errors {
                p { (bilingual(&codes::field(field, message))) }
            }
        }
    }
}
