//! The reasons why a sign-in failed, in the words of its page: English in the problem, and Korean.

use http::StatusCode;

use crate::{
    domain::gateway::{
        controllers::{account::control, failed, provider::not_admitted},
        models::login::{InvalidLoginHint, InvalidReturnTo, MAX_SCOPE_BYTES},
        schemas::login::Refusal,
        services::{
            account::ControlError,
            login::FinishError,
            oauth::{AdmissionRule, ProviderError},
        },
    },
    problem::Problem,
};

/// The reasons why a provider was not linked, where they differ from those of a sign-in.
pub(super) fn not_linked(public_url: &str, provider: &str, error: FinishError) -> Refusal {
    let begin_at = format!("{public_url}/login/{provider}/link");
    match error {
        FinishError::UnknownAttempt | FinishError::FinishedBefore => Refusal::new(
            Problem::new(
                StatusCode::BAD_REQUEST,
                "unknown_attempt",
                format!(
                    "this was begun more than ten minutes ago, or was finished before; to add the provider begin again at \
                     {begin_at}"
                ),
            ),
            format!("10분이 지났거나 이미 끝난 연결입니다. {begin_at} 에서 다시 시작해 주세요."),
        ),
        FinishError::AccountEnded => Refusal::new(
            Problem::new(
                StatusCode::CONFLICT,
                "account_ended",
                "the account was deleted, or this provider was taken from it, while you were at the provider",
            ),
            "로그인 서버에 다녀오는 동안 계정이 삭제되었거나 이 로그인 서버와의 연결이 끊겼습니다.",
        ),
        FinishError::Denied => Refusal::new(
            Problem::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "you did not agree at the provider, so it was not added to your account; nothing else has changed",
            ),
            "동의하지 않아 계정에 추가하지 않았습니다. 그 밖에 바뀐 것은 없습니다.",
        ),
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
        FinishError::UnknownAttempt | FinishError::FinishedBefore => Refusal::new(
            Problem::new(
                StatusCode::BAD_REQUEST,
                "unknown_attempt",
                format!(
                    "this sign-in was not begun in this browser, is older than ten minutes, or was finished before; \
                     begin again at {begin_at}"
                ),
            ),
            format!(
                "이 브라우저에서 시작하지 않았거나, 10분이 지났거나, 이미 끝난 로그인입니다. {begin_at} 에서 다시 시작해 주세요."
            ),
        ),
        FinishError::OtherSession => Refusal::new(
            Problem::new(
                StatusCode::CONFLICT,
                "other_session",
                "the account that this was to be added to is not signed in in this browser any more; nothing was changed",
            ),
            "추가하려던 계정으로 더 이상 로그인되어 있지 않습니다. 바뀐 것은 없습니다.",
        ),
        FinishError::LinkedElsewhere => Refusal::new(
            Problem::new(
                StatusCode::CONFLICT,
                "linked_elsewhere",
                "this identity at the provider belongs to another account, and was not added to yours; accounts are never \
                 merged",
            ),
            "이미 다른 계정에 연결된 로그인 정보라 추가하지 않았습니다. 계정은 합쳐지지 않습니다.",
        ),
        FinishError::AccountEnded => Refusal::new(
            Problem::new(
                StatusCode::CONFLICT,
                "account_ended",
                format!(
                    "the account was deleted, or this provider was taken from it, while you signed in; begin again at \
                     {begin_at}"
                ),
            ),
            format!(
                "로그인하는 동안 계정이 삭제되었거나 이 로그인 서버와의 연결이 끊겼습니다. {begin_at} 에서 다시 시작해 주세요."
            ),
        ),
        FinishError::Denied => Refusal::new(
            Problem::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "you did not agree at the provider, so nobody was signed in, and nothing was kept",
            ),
            "동의하지 않아 로그인하지 않았습니다. 저장된 것은 없습니다.",
        ),
        FinishError::Malformed => Refusal::new(
            Problem::new(
                StatusCode::BAD_REQUEST,
                "malformed_callback",
                "the provider sent back neither one code nor one error; begin again",
            ),
            "로그인 서버의 응답을 이해할 수 없습니다. 다시 시작해 주세요.",
        ),
        FinishError::TooMany(too_many) => Refusal::new(
            control::too_many_attempts(too_many),
            "실패한 로그인이 너무 많았습니다. 잠시 후 다시 시도해 주세요.",
        ),
        FinishError::Provider(error) => provider_failed(provider, &error),
        FinishError::Failed(failure) => broken(failed(&failure)),
    }
}

pub(super) fn unknown_provider() -> Refusal {
    Refusal::new(
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_provider",
            "no such provider is switched on; /login lists those that are",
        ),
        "켜져 있지 않은 로그인 서버입니다. /login 에서 고를 수 있습니다.",
    )
}

pub(super) fn no_forms() -> Refusal {
    Refusal::new(
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_form_response",
            "this provider sends browsers back with a query (GET), not with a form",
        ),
        "이 로그인 서버는 양식(POST)으로 응답하지 않습니다.",
    )
}

pub(super) fn no_navigation(problem: Problem) -> Refusal {
    Refusal::new(problem, "로그인은 브라우저로 이 주소를 열 때만 시작됩니다.")
}

pub(super) fn uncontrolled(error: ControlError) -> Refusal {
    let korean = match &error {
        ControlError::NotSignedIn | ControlError::SessionRequired => "먼저 로그인해 주세요.",
        ControlError::NoAccount => "계정이 없습니다.",
        ControlError::PasswordMissing => "계정의 비밀번호를 입력해 주세요.",
        ControlError::WrongPassword => "계정의 비밀번호가 아닙니다.",
        ControlError::TooMany(_) => "시도가 너무 많았습니다. 잠시 후 다시 시도해 주세요.",
        ControlError::Failed(_) => "지금은 추가할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    };
    Refusal::new(control::refused(error, "password"), korean)
}

pub(super) fn nowhere(invalid: InvalidReturnTo) -> Refusal {
    Refusal::new(
        Problem::new(StatusCode::BAD_REQUEST, "invalid_return_to", invalid.to_string()),
        "return_to 는 이 사이트의 경로이거나 운영자가 허용한 사이트의 주소여야 합니다.",
    )
}

pub(super) fn nobody(invalid: InvalidLoginHint) -> Refusal {
    Refusal::new(
        Problem::new(StatusCode::BAD_REQUEST, "invalid_login_hint", invalid.to_string()),
        "login_hint 는 로그인 서버가 아는 이메일 주소나 이름이어야 하며, 제어 문자 없이 1~254자여야 합니다.",
    )
}

pub(super) fn unknown_auth_type(known: &[&str]) -> Refusal {
    let (detail, korean) = if known.is_empty() {
        (
            "this provider has no auth_type: leave it out".to_owned(),
            "이 로그인 서버에는 auth_type 이 없습니다.".to_owned(),
        )
    } else {
        let (english, korean) = (known.join(" or "), known.join(", "));
        (
            format!("auth_type of this provider is {english}"),
            format!("이 로그인 서버의 auth_type 은 {korean} 중 하나입니다."),
        )
    };
    Refusal::new(Problem::new(StatusCode::BAD_REQUEST, "unknown_auth_type", detail), korean)
}

pub(super) fn scope_not_allowed(allowed: &[String]) -> Refusal {
    let (detail, korean) = if allowed.is_empty() {
        tracing::info!("a sign-in asks for a scope, and <PROVIDER>_MORE_SCOPES or OIDC_<NAME>_MORE_SCOPES allows none");
        (
            "no scope may be asked for here besides those that are always asked for; ask whoever runs this site to allow more"
                .to_owned(),
            "이 로그인 서버에는 늘 요청하는 것 외에 요청할 수 있는 scope 가 없습니다. 사이트 운영자에게 문의해 주세요.".to_owned(),
        )
    } else {
        let allowed = allowed.join(" ");
        (
            format!(
                "scope is one or more of these, separated by blanks, of at most {MAX_SCOPE_BYTES} characters in all: {allowed}"
            ),
            format!("scope 는 다음 중에서 빈칸으로 구분해 {MAX_SCOPE_BYTES}자까지 고를 수 있습니다: {allowed}"),
        )
    };
    Refusal::new(Problem::new(StatusCode::BAD_REQUEST, "scope_not_allowed", detail), korean)
}

pub(super) fn broken(problem: Problem) -> Refusal {
    Refusal::new(problem, "지금은 로그인할 수 없습니다. 잠시 후 다시 시도해 주세요.")
}

pub(super) fn provider_failed(provider: &str, error: &ProviderError) -> Refusal {
    tracing::warn!(provider, %error, "a sign-in failed at the provider");
    match error {
        ProviderError::Misconfigured { .. } => Refusal::new(
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                "the provider does not accept the gateway at the moment, which its operator can mend: the log says why",
            ),
            "로그인 서버가 게이트웨이를 받아들이지 않습니다. 운영자가 고칠 수 있으며, 이유는 로그에 있습니다.",
        ),
        ProviderError::Unavailable(_) => Refusal::new(
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                "the provider cannot be reached at the moment; try again shortly",
            ),
            "로그인 서버에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.",
        ),
        ProviderError::Throttled(_) => Refusal::new(
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "provider_unavailable",
                "the provider is asked too much at the moment; try again later",
            ),
            "로그인 서버에 요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.",
        ),
        ProviderError::InvalidGrant { code } | ProviderError::Refused { code } => Refusal::new(
            Problem::new(
                StatusCode::BAD_REQUEST,
                "provider_refused",
                format!("the provider refuses ({code}); begin again"),
            ),
            format!("로그인 서버가 거절했습니다({code}). 다시 시작해 주세요."),
        ),
        ProviderError::NoIdToken { remedy } => Refusal::new(
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "id_token_missing",
                format!("the provider gave no id token, so nobody was signed in; as the operator {remedy}"),
            ),
            format!("로그인 서버가 ID 토큰을 주지 않아 로그인하지 못했습니다. 운영자라면: {remedy}"),
        ),
        ProviderError::NotAdmitted(rule) => Refusal::new(
            Problem::new(StatusCode::FORBIDDEN, rule.code(), not_admitted(*rule)),
            match rule {
                AdmissionRule::HostedDomain => "정해진 Google Workspace 도메인의 계정으로만 로그인할 수 있습니다.",
                AdmissionRule::Tenant => "이 조직의 계정으로는 로그인할 수 없습니다. 사이트 운영자에게 문의해 주세요.",
                AdmissionRule::Group => "정해진 그룹의 구성원만 로그인할 수 있습니다. 사이트 운영자에게 문의해 주세요.",
                AdmissionRule::GroupsElsewhere => {
                    "속한 그룹이 너무 많아 ID 토큰에 담기지 않았습니다. 운영자에게 문의해 주세요."
                }
            },
        ),
        ProviderError::BadAnswer(_) | ProviderError::NonceMismatch | ProviderError::Unsupported => Refusal::new(
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "provider_bad_answer",
                "the provider's answer is not usable; the gateway's log says why",
            ),
            "로그인 서버의 응답이 올바르지 않습니다.",
        ),
    }
}
