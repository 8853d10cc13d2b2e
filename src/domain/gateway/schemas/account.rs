//! Requests and responses about accounts. Types that hold a password do not implement `Debug`.

use std::borrow::Cow;

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use validator::{Validate, ValidationError};

use super::{local, session::SessionProvider};
use crate::{
    domain::gateway::models::account::{Email, LogIn, Password, PasswordChange, Profile, SignUp},
    problem::FieldError,
};

/// A new account with a password.
#[derive(Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(rename = "SignUp", example, skip_serializing_if_is_none)]
pub struct SignUpRequest {
    /// E-mail address to sign in with, such as `jane@example.com`. The domain must be ASCII. Upper and lower case are not
    /// distinguished. The gateway sends no mail to the address, so it stays unverified.
    #[validate(custom(function = "is_email"))]
    pub email: String,
    /// Password of 8 to 256 characters. It is not trimmed or normalised.
    #[validate(custom(function = "is_password"))]
    #[oai(validator(min_length = 8, max_length = 256))]
    pub password: String,
    /// Display name, of 1 to 100 characters.
    #[validate(length(min = 1, max = 100, message = "must be 1 to 100 characters"), custom(function = "is_printable"))]
    #[oai(validator(min_length = 1, max_length = 100))]
    pub name: Option<String>,
}

impl Example for SignUpRequest {
    fn example() -> Self {
        Self {
            email: "jane@example.com".into(),
            password: "correct horse battery staple".into(),
            name: Some("Jane".into()),
        }
    }
}

impl TryFrom<SignUpRequest> for SignUp {
    type Error = FieldError;

    fn try_from(wire: SignUpRequest) -> Result<Self, FieldError> {
        Ok(Self { email: email(&wire.email)?, password: chosen("password", wire.password)?, name: wire.name })
    }
}

/// The e-mail address and the password of an account.
#[derive(Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(rename = "LogIn", example)]
pub struct LogInRequest {
    /// E-mail address of the account.
    #[validate(custom(function = "is_email"))]
    pub email: String,
    /// Password of the account.
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub password: String,
}

impl Example for LogInRequest {
    fn example() -> Self {
        Self { email: "jane@example.com".into(), password: "correct horse battery staple".into() }
    }
}

impl TryFrom<LogInRequest> for LogIn {
    type Error = FieldError;

    fn try_from(wire: LogInRequest) -> Result<Self, FieldError> {
        Ok(Self { email: email(&wire.email)?, password: Password::presented(wire.password) })
    }
}

/// A new password for an account.
#[derive(Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(rename = "ChangePassword", example, skip_serializing_if_is_none)]
pub struct ChangePasswordRequest {
    /// Current password. Not needed if the account has none.
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub current_password: Option<String>,
    /// New password of 8 to 256 characters. It is not trimmed or normalised.
    #[validate(custom(function = "is_password"))]
    #[oai(validator(min_length = 8, max_length = 256))]
    pub new_password: String,
    /// E-mail address to sign in with from now on. For an account that has no password yet.
    #[validate(custom(function = "is_email"))]
    pub email: Option<String>,
}

impl Example for ChangePasswordRequest {
    fn example() -> Self {
        Self {
            current_password: Some("correct horse battery staple".into()),
            new_password: "a better one".into(),
            email: None,
        }
    }
}

impl TryFrom<ChangePasswordRequest> for PasswordChange {
    type Error = FieldError;

    fn try_from(wire: ChangePasswordRequest) -> Result<Self, FieldError> {
        let email = wire.email.as_deref().map(email).transpose()?;
        Ok(Self { new: chosen("new_password", wire.new_password)?, email })
    }
}

/// The confirmation to delete an account.
#[derive(Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(rename = "DeleteAccount", example, skip_serializing_if_is_none)]
pub struct DeleteAccountRequest {
    /// Password of the account. Not needed if the account has none.
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub password: Option<String>,
}

impl Example for DeleteAccountRequest {
    fn example() -> Self {
        Self { password: Some("correct horse battery staple".into()) }
    }
}

/// The confirmation to remove a provider from an account.
#[derive(Default, Deserialize, Object, Validate)]
#[serde(deny_unknown_fields)]
#[oai(rename = "UnlinkProvider", example, skip_serializing_if_is_none)]
pub struct UnlinkProviderRequest {
    /// Password of the account. Not needed if the account has none.
    #[validate(length(min = 1, max = 256, message = "must be 1 to 256 characters"))]
    #[oai(validator(min_length = 1, max_length = 256))]
    pub password: Option<String>,
}

impl Example for UnlinkProviderRequest {
    fn example() -> Self {
        Self { password: Some("correct horse battery staple".into()) }
    }
}

/// An account.
#[derive(Debug, Object)]
#[oai(rename = "Account", skip_serializing_if_is_none)]
pub struct AccountDocument {
    /// Id of the account: the `sub` claim of its tokens.
    pub id: String,
    /// E-mail address that the person signs in with here, if there is one. It is unverified.
    pub email: Option<String>,
    /// Display name, if the person or a provider gave one.
    pub name: Option<String>,
    /// Whether the account has a password to sign in with.
    pub has_password: bool,
    /// Identities of the person at providers.
    pub providers: Vec<SessionProvider>,
    /// Time when the account was created.
    pub created_at: DateTime<FixedOffset>,
}

impl AccountDocument {
    /// Writes times with the offset of `timezone`.
    pub fn from_model(profile: Profile, timezone: Tz) -> Self {
        let name = profile.name().map(str::to_owned);
        let Profile { account, login, identities } = profile;
        Self {
            id: account.id.to_string(),
            has_password: login.is_some(),
            email: login.map(|login| login.email.as_str().to_owned()),
            name,
            providers: identities.into_iter().map(SessionProvider::from).collect(),
            created_at: local(account.created_at, timezone),
        }
    }
}

/// The password was set.
#[derive(Debug, Object)]
pub struct PasswordChanged {
    /// Result, for people.
    pub message: String,
}

impl PasswordChanged {
    /// The password was set just now.
    pub fn now() -> Self {
        Self { message: "the password is set; every other session has ended, and every token is revoked".to_owned() }
    }
}

/// The result of revoking one grant at its provider. The gateway deletes the grant in any case.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct GrantTakenBack {
    /// Name of the provider.
    pub provider: String,
    /// Whether the provider revoked the grant, too.
    pub revoked_at_provider: bool,
    /// Reason, if the provider did not revoke the grant.
    pub reason: Option<String>,
}

/// The provider was removed from the account.
#[derive(Debug, Object)]
pub struct ProviderUnlinked {
    /// Name of the provider.
    pub provider: String,
    /// Grants that were deleted with it.
    pub grants: Vec<GrantTakenBack>,
}

/// The account was deleted.
#[derive(Debug, Object)]
pub struct AccountDeleted {
    /// Always `true`.
    pub deleted: bool,
    /// Grants that were deleted with the account.
    pub grants: Vec<GrantTakenBack>,
}

fn mistake(code: &'static str, message: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new(code).with_message(message.into())
}

fn email(text: &str) -> Result<Email, FieldError> {
    Email::parse(text).map_err(|invalid| FieldError::new("email", "email", invalid.to_string()))
}

fn chosen(field: &str, text: String) -> Result<Password, FieldError> {
    Password::chosen(text).map_err(|unfit| FieldError::new(field, "length", unfit.to_string()))
}

fn is_email(text: &str) -> Result<(), ValidationError> {
    Email::parse(text).map(|_| ()).map_err(|invalid| mistake("email", invalid.to_string()))
}

fn is_password(text: &str) -> Result<(), ValidationError> {
    Password::chosen(text.to_owned()).map(|_| ()).map_err(|unfit| mistake("length", unfit.to_string()))
}

fn is_printable(text: &str) -> Result<(), ValidationError> {
    if text.chars().any(char::is_control) {
        return Err(mistake("control_character", "must not contain control characters"));
    }
    if text.trim().is_empty() {
        return Err(mistake("blank", "must not be blank; leave it out if there is no name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::gateway::{
            models::{
                account::{Account, PasswordHash, PasswordLogin, ProviderIdentity},
                values::id::AccountId,
            },
            schemas::{parse_json, validated},
        },
        problem::Problem,
    };

    fn read<T: serde::de::DeserializeOwned + Validate>(json: &Value) -> Result<T, Problem> {
        validated(parse_json(json.to_string().as_bytes())?)
    }

    fn mistakes<T: serde::de::DeserializeOwned + Validate>(json: &Value) -> Vec<(String, String)> {
        let problem = read::<T>(json).err().unwrap();
        assert_eq!(problem.code, "validation_failed");
        problem.errors.into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn every_field_that_is_wrong_is_named_and_none_is_quoted() {
        let wrong = json!({"email": "s3cret", "password": "s3cret!", "name": "s3\u{0}cret"});
        let problem = read::<SignUpRequest>(&wrong).err().unwrap();
        assert!(!String::from_utf8(problem.to_json()).unwrap().contains("s3"));
        let code = |field: &str, code: &str| (field.to_owned(), code.to_owned());
        assert_eq!(
            mistakes::<SignUpRequest>(&wrong),
            [code("email", "email"), code("name", "control_character"), code("password", "length")]
        );
        assert_eq!(mistakes::<LogInRequest>(&json!({"email": "a@b.c", "password": ""})), [code("password", "length")]);
        let change = json!({"current_password": "", "new_password": "x".repeat(257), "email": "a"});
        let wanted = [code("current_password", "length"), code("email", "email"), code("new_password", "length")];
        assert_eq!(mistakes::<ChangePasswordRequest>(&change), wanted);
        for (blank, wanted) in [("", "length"), (" ", "blank")] {
            let nameless = json!({"email": "a@b.c", "password": "12345678", "name": blank});
            assert_eq!(mistakes::<SignUpRequest>(&nameless), [code("name", wanted)]);
        }
    }

    #[test]
    fn a_password_counts_in_characters() {
        for (text, good) in [("가나다라마바사", false), ("가나다라마바사아", true)] {
            let wish = json!({"email": "a@b.c", "password": text});
            assert_eq!(read::<SignUpRequest>(&wish).is_ok(), good, "{text}");
        }
        assert!(read::<SignUpRequest>(&json!({"email": "a@b.c", "password": "😀".repeat(256)})).is_ok());
    }

    #[test]
    fn an_account_goes_out_without_its_password() {
        let id = AccountId::from_random([1; 16]);
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let identity = ProviderIdentity {
            provider: "google".parse().unwrap(),
            subject: "1".into(),
            verified_email: Some("other@example.com".into()),
            name: Some("At Google".into()),
        };
        let login = PasswordLogin {
            account: id,
            email: Email::parse("Jane@example.com").unwrap(),
            name: None,
            hash: PasswordHash::new("$argon2id$s3cret"),
            changed_at: at,
        };
        let profile =
            Profile { account: Account { id, created_at: at }, login: Some(login), identities: vec![identity] };
        let without = Profile { login: None, ..profile.clone() };
        let document = AccountDocument::from_model(profile, chrono_tz::Asia::Seoul);
        assert!(!format!("{document:?}").contains("s3cret"));
        assert_eq!(
            (document.email.as_deref(), document.name.as_deref()),
            (Some("Jane@example.com"), Some("At Google"))
        );
        assert!(document.has_password && document.created_at.to_rfc3339().ends_with("+09:00"));
        let document = AccountDocument::from_model(without, chrono_tz::UTC);
        assert_eq!(
            (document.email, document.has_password),
            (None, false),
            "a provider's e-mail is not one to sign in with"
        );
    }
}
