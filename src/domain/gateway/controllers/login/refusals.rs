//! Maps the errors of a sign-in to status, code and text.

use http::StatusCode;

use crate::{
    domain::gateway::{
        controllers::{account::control, failed, provider::not_admitted},
        models::login::{InvalidLoginHint, InvalidReturnTo, MAX_SCOPE_BYTES},
        schemas::login::Refusal,
        services::{account::ControlError, login::FinishError, oauth::ProviderError},
    },
    problem::Problem,
    texts::sign_in as text,
};

/// The reasons why a provider was not linked, where they differ from those of a sign-in.
pub(super) fn not_linked(public_url: &str, provider: &str, error: FinishError) -> Refusal {
    match error {
        FinishError::UnknownAttempt | FinishError::FinishedBefore => {
            let begin_at = format!("{public_url}/login/{provider}/link");
            Refusal::of(StatusCode::BAD_REQUEST, "unknown_attempt", text::unknown_link_attempt(&begin_at))
        }
        FinishError::AccountEnded => Refusal::of(StatusCode::CONFLICT, "account_ended", text::LINK_ACCOUNT_ENDED),
        FinishError::Denied => Refusal::of(StatusCode::FORBIDDEN, "access_denied", text::LINK_DENIED),
        other @ (FinishError::UnknownProvider
        | FinishError::OtherSession
        | FinishError::LinkedElsewhere
        | FinishError::Malformed
        | FinishError::TooMany(_)
        | FinishError::Provider(_)
        | FinishError::Failed(_)) => not_signed_in(public_url, provider, other),
    }
}

/// The reasons why a sign-in failed.
pub(super) fn not_signed_in(public_url: &str, provider: &str, error: FinishError) -> Refusal {
    let begin_at = format!("{public_url}/login");
    match error {
        FinishError::UnknownProvider => unknown_provider(),
        FinishError::UnknownAttempt | FinishError::FinishedBefore => {
            Refusal::of(StatusCode::BAD_REQUEST, "unknown_attempt", text::unknown_attempt(&begin_at))
        }
        FinishError::OtherSession => Refusal::of(StatusCode::CONFLICT, "other_session", text::OTHER_SESSION),
        FinishError::LinkedElsewhere => Refusal::of(StatusCode::CONFLICT, "linked_elsewhere", text::LINKED_ELSEWHERE),
        FinishError::AccountEnded => Refusal::of(StatusCode::CONFLICT, "account_ended", text::account_ended(&begin_at)),
        FinishError::Denied => Refusal::of(StatusCode::FORBIDDEN, "access_denied", text::DENIED),
        FinishError::Malformed => Refusal::of(StatusCode::BAD_REQUEST, "malformed_callback", text::MALFORMED_CALLBACK),
        FinishError::TooMany(too_many) => Refusal::about(control::too_many_attempts(too_many)),
        FinishError::Provider(error) => provider_failed(provider, &error),
        FinishError::Failed(failure) => Refusal::about(failed(&failure)),
    }
}

pub(super) fn unknown_provider() -> Refusal {
    Refusal::of(StatusCode::NOT_FOUND, "unknown_provider", text::UNKNOWN_PROVIDER)
}

pub(super) fn no_forms() -> Refusal {
    Refusal::of(StatusCode::NOT_FOUND, "no_form_response", text::NO_FORM_RESPONSE)
}

pub(super) fn uncontrolled(error: ControlError) -> Refusal {
    let is_password_missing = matches!(error, ControlError::PasswordMissing);
    let mut refusal = Refusal::about(control::refused(error, "password"));
    if is_password_missing {
        // A sentence for the page, in place of the field's name and its rule.
        refusal.korean = text::PASSWORD_MISSING.ko;
        refusal.problem.detail = text::PASSWORD_MISSING.en;
    }
    refusal
}

pub(super) fn invalid_return_to(invalid: InvalidReturnTo) -> Refusal {
    Refusal::about(Problem::new(StatusCode::BAD_REQUEST, "invalid_return_to", invalid.to_string()))
}

pub(super) fn invalid_login_hint(invalid: InvalidLoginHint) -> Refusal {
    Refusal::about(Problem::new(StatusCode::BAD_REQUEST, "invalid_login_hint", invalid.to_string()))
}

pub(super) fn unknown_auth_type(known: &[&str]) -> Refusal {
    let text = if known.is_empty() { text::NO_AUTH_TYPES } else { text::auth_types(&known.join(", ")) };
    Refusal::of(StatusCode::BAD_REQUEST, "unknown_auth_type", text)
}

pub(super) fn scope_not_allowed(allowed: &[String]) -> Refusal {
    let text = if allowed.is_empty() {
        tracing::info!("a sign-in asks for a scope, and <PROVIDER>_MORE_SCOPES or OIDC_<NAME>_MORE_SCOPES allows none");
        text::NO_MORE_SCOPES
    } else {
        text::more_scopes(&MAX_SCOPE_BYTES.to_string(), &allowed.join(" "))
    };
    Refusal::of(StatusCode::BAD_REQUEST, "scope_not_allowed", text)
}

pub(super) fn provider_failed(provider: &str, error: &ProviderError) -> Refusal {
    tracing::warn!(provider, %error, "a sign-in failed at the provider");
    let unavailable = |text| Refusal::of(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", text);
    match error {
        ProviderError::Misconfigured { .. } => unavailable(text::PROVIDER_REFUSES_GATEWAY),
        ProviderError::Unavailable(_) => unavailable(text::PROVIDER_UNREACHABLE),
        ProviderError::Throttled(_) => unavailable(text::PROVIDER_THROTTLES),
        ProviderError::InvalidGrant { code } | ProviderError::Refused { code } => {
            Refusal::of(StatusCode::BAD_REQUEST, "provider_refused", text::provider_refused(code))
        }
        ProviderError::NoIdToken { remedy } => {
            Refusal::of(StatusCode::BAD_GATEWAY, "id_token_missing", text::id_token_missing(remedy))
        }
        ProviderError::NotAdmitted(rule) => Refusal::of(StatusCode::FORBIDDEN, rule.code(), not_admitted(*rule)),
        ProviderError::BadResponse(_) | ProviderError::NonceMismatch | ProviderError::Unsupported => {
            Refusal::of(StatusCode::BAD_GATEWAY, "provider_bad_answer", text::INVALID_RESPONSE)
        }
    }
}
