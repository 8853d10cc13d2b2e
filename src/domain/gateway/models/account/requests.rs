//! What people ask for with a password.

use super::{Email, Password};

/// A request to sign up.
#[derive(Debug)]
pub struct SignUp {
    /// The e-mail that the person will sign in with.
    pub email: Email,
    /// The password.
    pub password: Password,
    /// The display name.
    pub name: Option<String>,
}

/// A request to sign in.
#[derive(Debug)]
pub struct LogIn {
    /// The e-mail of the account.
    pub email: Email,
    /// The password as it was typed in.
    pub password: Password,
}

/// A request to change the password, or to set a first one.
#[derive(Debug)]
pub struct PasswordChange {
    /// The new password.
    pub new: Password,
    /// The e-mail to sign in with, for an account without a password.
    pub email: Option<Email>,
}
