//! The Korean of a problem, by its code, and of an invalid field, by its name. The English is the problem's own detail.

use std::borrow::Cow;

use super::Text;

/// By the code of the problem.
const PROBLEMS: &[(&str, &str)] = &[
    // Signing in and up with a password.
    ("invalid_credentials", "이메일 또는 비밀번호가 맞지 않습니다."),
    ("too_many_attempts", "시도가 너무 많았습니다. 잠시 후 다시 시도해 주세요."),
    ("email_taken", "이미 가입된 이메일입니다. 로그인하거나 다른 이메일을 적어 주세요."),
    ("validation_failed", CHECK_VALUES),
    // Where the request comes from.
    ("cross_site_request", "이 사이트의 페이지에서만 할 수 있습니다. 이 페이지에서 다시 시도해 주세요."),
    ("cross_site_session", "이 사이트의 페이지에서만 로그인할 수 있습니다. 이 페이지에서 다시 시도해 주세요."),
    (
        "foreign_host",
        "개발 모드에서는 localhost, IP 주소, PUBLIC_URL 과 ALLOWED_ORIGINS 의 이름으로만 로그인할 수 있습니다.",
    ),
    ("not_a_navigation", "로그인은 브라우저로 이 주소를 열 때만 시작됩니다."),
    // Signing in at a provider, and adding one to an account.
    ("invalid_return_to", "return_to 는 이 사이트의 경로이거나 운영자가 허용한 사이트의 주소여야 합니다."),
    (
        "invalid_login_hint",
        "login_hint 는 로그인 서버가 아는 이메일 주소나 이름이어야 하며, 제어 문자 없이 1~254자여야 합니다.",
    ),
    ("session_missing", "먼저 로그인해 주세요."),
    ("session_required", "먼저 로그인해 주세요."),
    ("no_account", "계정이 없습니다."),
    ("wrong_password", "계정의 비밀번호가 아닙니다."),
    // The progress of a deletion.
    ("deletion_not_found", "이 코드의 삭제 요청이 없거나, 처리한 지 1년이 지났습니다. 주소를 확인해 주세요."),
];

/// For every other problem.
const OTHER: &str = "지금은 처리할 수 없습니다. 잠시 후 다시 시도해 주세요.";

/// By the name of the field.
const FIELDS: &[(&str, &str)] = &[
    ("email", "이메일 주소를 확인해 주세요. 예: jane@example.com"),
    ("password", "비밀번호를 확인해 주세요. 새 비밀번호는 8자 이상 256자 이하입니다."),
    ("name", "이름은 1~100자로 적어 주세요."),
];

/// For every other field.
const CHECK_VALUES: &str = "입력한 값을 확인해 주세요.";

/// The Korean of a problem.
pub fn korean(code: &str) -> &'static str {
    find(PROBLEMS, code).unwrap_or(OTHER)
}

/// The text of a problem.
pub fn problem(code: &str, detail: Cow<'static, str>) -> Text {
    Text { ko: korean(code).into(), en: detail }
}

/// The text of an invalid field.
pub fn field(name: &str, message: &str) -> Text {
    Text { ko: find(FIELDS, name).unwrap_or(CHECK_VALUES).into(), en: format!("{name}: {message}").into() }
}

fn find(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == key).map(|(_, korean)| *korean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_field_has_one_text() {
        for table in [PROBLEMS, FIELDS] {
            for (key, korean) in table {
                assert!(!korean.trim().is_empty(), "{key}");
                assert_eq!(table.iter().filter(|(other, _)| other == key).count(), 1, "{key}");
            }
        }
    }

    #[test]
    fn others_have_one_as_well() {
        assert_eq!(problem("wrong_password", "it is wrong".into()).ko, "계정의 비밀번호가 아닙니다.");
        assert_eq!(problem("unavailable", "try again".into()), Text { ko: OTHER.into(), en: "try again".into() });
        assert_eq!(field("other", "is odd"), Text { ko: CHECK_VALUES.into(), en: "other: is odd".into() });
    }
}
