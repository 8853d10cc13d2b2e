//! The pages for signing in and up: the choice of a provider, the forms, and their errors.

use http::StatusCode;
use maud::{Markup, html};
use poem::Response;

use super::super::pages::{self, bilingual, signed_in_as};
use crate::{
    domain::gateway::{
        models::login::ReturnTo,
        schemas::{
            login::{LinkForm, Refusal},
            oauth::OAuthProviders,
            session::SessionDocument,
        },
    },
    problem::{FieldError, Problem},
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
        h1 { (bilingual("로그인", "Sign in")) }
        @if let Some(person) = signed_in { (signed_in_as(person, "logout", Some(return_to))) }
        @if let Some(mistake) = mistake { (wrong(mistake.problem)) }
        form method="post" action="login" {
            input type="hidden" name="return_to" value=(return_to.as_str());
            (email_field(mistake))
            label for="password" { (bilingual("비밀번호", "Password")) }
            input id="password" type="password" name="password" autocomplete="current-password" required maxlength="256";
            button.main { (bilingual("로그인", "Sign in")) }
        }
        p {
            a href={ "signup?return_to=" (wanted) } { (bilingual("계정 만들기", "Make an account")) }
        }
        details {
            summary { (bilingual("비밀번호를 잊으셨나요?", "Forgot your password?")) }
            p lang="ko" {
                "이 게이트웨이는 메일을 보내지 않으므로 비밀번호를 재설정할 수 없습니다. 계정에 추가해 둔 다른 로그인을 쓰거나 운영자에게 문의해 주세요."
            }
            p {
                "This gateway sends no mail, so it cannot reset a password. Sign in at a provider that your account has, or ask "
                "the people who run this site."
            }
        }
        @if !providers.providers.is_empty() { hr; }
        @for provider in &providers.providers {
            a.choice href={ "login/" (provider.name) "?return_to=" (wanted) } {
                (bilingual(
                    &format!("{}(으)로 로그인", provider.display_name),
                    &format!("Sign in with {}", provider.display_name),
                ))
            }
        }
    };
    pages::page("로그인 · Sign in", &main)
}

/// The sign-up page, for an account with a password.
pub(super) fn sign_up(
    return_to: &ReturnTo,
    signed_in: Option<&SessionDocument>,
    mistake: Option<&Mistake<'_>>,
) -> String {
    let main = html! {
        h1 { (bilingual("계정 만들기", "Make an account")) }
        @if let Some(person) = signed_in { (signed_in_as(person, "logout", Some(return_to))) }
        @if let Some(mistake) = mistake { (wrong(mistake.problem)) }
        form method="post" action="signup" {
            input type="hidden" name="return_to" value=(return_to.as_str());
            (email_field(mistake))
            label for="name" { (bilingual("이름 (선택)", "Name (may be left out)")) }
            input id="name" name="name" value=[mistake.map(|mistake| mistake.name)] autocomplete="name" maxlength="100";
            label for="password" { (bilingual("비밀번호 (8자 이상)", "Password (8 characters or more)")) }
            input id="password" type="password" name="password" autocomplete="new-password" required minlength="8" maxlength="256";
            button.main { (bilingual("계정 만들기", "Make the account")) }
        }
        p {
            a href={ "login?return_to=" (return_to.encoded()) } { (bilingual("이미 계정이 있습니다: 로그인", "You have one: sign in")) }
        }
    };
    pages::page("계정 만들기 · Make an account", &main)
}

/// Asks whether to add a provider. The provider's further redirects after the form are unknown.
pub(super) fn link(form: &LinkForm) -> Response {
    let name = &form.display_name;
    let main = html! {
        h1 { (bilingual(&format!("{name} 로그인 추가"), &format!("Add {name} to your account"))) }
        p {
            (bilingual(
                &format!("다음 화면에서 고르는 {name} 계정으로 이 계정에 로그인할 수 있게 됩니다."),
                &format!("The {name} account that you choose on the next page can sign in to this account from then on."),
            ))
        }
        form method="post" action="link" {
            input type="hidden" name="return_to" value=(form.return_to);
            @if form.needs_password {
                label for="password" { (bilingual("이 계정의 비밀번호", "The password of this account")) }
                input id="password" type="password" name="password" autocomplete="current-password" required;
            }
            button.main { (bilingual("계속", "Go on")) }
        }
    };
    pages::with_form(pages::answer(StatusCode::OK, pages::page("로그인 추가 · Add a sign-in", &main)), None)
}

/// The texts of a page about a failure, in Korean and English.
pub(super) struct FailurePage {
    failed: (&'static str, &'static str),
    again: (&'static str, &'static str),
}

/// For a failed sign-in.
pub(super) const SIGN_IN: FailurePage = FailurePage {
    failed: ("로그인하지 못했습니다", "The sign-in failed"),
    again: ("다시 로그인", "Sign in again"),
};

/// For a provider that could not be added.
pub(super) const LINK: FailurePage = FailurePage {
    failed: ("계정에 추가하지 못했습니다", "Nothing was added to your account"),
    again: ("다시 시도", "Try again"),
};

impl FailurePage {
    /// The cause, and two links: `begin_again`, and back to the destination of the browser.
    pub(super) fn html(&self, refusal: &Refusal, begin_again: &str) -> String {
        let (failed, again) = (self.failed, self.again);
        let main = html! {
            h1 { (bilingual(failed.0, failed.1)) }
            p lang="ko" { (refusal.korean) }
            p { (refusal.problem.detail) }
            p { a href=(begin_again) { (bilingual(again.0, again.1)) } }
            @if let Some(return_to) = &refusal.return_to {
                p { a href=(return_to.as_str()) { (bilingual("돌아가기", "Go back")) } }
            }
        };
        pages::page("로그인 · Sign in", &main)
    }
}

fn email_field(mistake: Option<&Mistake<'_>>) -> Markup {
    html! {
        label for="email" { (bilingual("이메일", "E-mail")) }
        input id="email" type="email" name="email" value=[mistake.map(|mistake| mistake.email)] autocomplete="username" required
            maxlength="254";
    }
}

/// The mistakes, by field if known.
fn wrong(problem: &Problem) -> Markup {
    html! {
        div.wrong role="alert" {
            @if problem.errors.is_empty() {
                p { (bilingual(in_korean(problem.code), &problem.detail)) }
            }
            @for FieldError { field, message, .. } in &problem.errors {
                p { (bilingual(field_in_korean(field), &format!("{field}: {message}"))) }
            }
        }
    }
}

fn in_korean(code: &str) -> &'static str {
    match code {
        "invalid_credentials" => "이메일 또는 비밀번호가 맞지 않습니다.",
        "too_many_attempts" => "시도가 너무 많았습니다. 잠시 후 다시 시도해 주세요.",
        "email_taken" => "이미 가입된 이메일입니다. 로그인하거나 다른 이메일을 적어 주세요.",
        "cross_site_request" | "cross_site_session" => {
            "이 사이트의 페이지에서만 로그인할 수 있습니다. 이 페이지에서 다시 시도해 주세요."
        }
        "foreign_host" => {
            "개발 모드에서는 localhost, IP 주소, PUBLIC_URL 과 ALLOWED_ORIGINS 의 이름으로만 로그인할 수 있습니다."
        }
        _ => "지금은 처리할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    }
}

fn field_in_korean(field: &str) -> &'static str {
    match field {
        "email" => "이메일 주소를 확인해 주세요. 예: jane@example.com",
        "password" => "비밀번호를 확인해 주세요. 새 비밀번호는 8자 이상 256자 이하입니다.",
        "name" => "이름은 1~100자로 적어 주세요.",
        _ => "입력한 값을 확인해 주세요.",
    }
}
