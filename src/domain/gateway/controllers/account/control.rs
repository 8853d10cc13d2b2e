//! Control of an account: the right to change the ways to sign in to it.

use std::{net::IpAddr, time::Duration};

use http::StatusCode;

use crate::{
    domain::gateway::{
        controllers::{
            caller::{Callers, Credentials},
            failed,
        },
        models::{
            access::{Accepted, Denied},
            account::Password,
        },
        services::account::{AccountControl, AccountService, ControlError, TooManyAttempts},
    },
    problem::Problem,
};

/// The proof of that right in a request.
pub(in crate::domain::gateway::controllers) struct Proof<'r> {
    /// The sender's credentials.
    pub(in crate::domain::gateway::controllers) credentials: &'r Credentials,
    /// The account's password.
    pub(in crate::domain::gateway::controllers) password: Option<String>,
    /// The name of the field with the password, for errors.
    pub(in crate::domain::gateway::controllers) field: &'static str,
    /// The client's address, if it is known.
    pub(in crate::domain::gateway::controllers) client: Option<IpAddr>,
}

impl Proof<'_> {
    /// Takes control of the account that is signed in in the browser.
    pub(in crate::domain::gateway::controllers) async fn control(
        self,
        callers: &Callers,
        accounts: &AccountService,
    ) -> Result<AccountControl, Problem> {
        let Self { credentials, password, field, client } = self;
        let caller = callers.identify(credentials).await?;
        let control = accounts.take_control(caller, password.map(Password::presented), client).await;
        control.map_err(|error| refused(error, field))
    }
}

/// `field` names the field with the password.
pub(in crate::domain::gateway::controllers) fn refused(error: ControlError, field: &'static str) -> Problem {
    match error {
        ControlError::NotSignedIn => Problem::denied(Denied::CredentialMissing(Accepted::Session)),
        ControlError::SessionRequired => session_required(),
        ControlError::NoAccount => no_account(),
        ControlError::PasswordMissing => {
            Problem::invalid_field(field, "required", "is required, because the account has a password")
        }
        ControlError::WrongPassword => Problem::new(StatusCode::FORBIDDEN, "wrong_password", "the password is wrong"),
        ControlError::TooMany(too_many) => too_many_attempts(too_many),
        ControlError::Failed(failure) => failed(&failure),
    }
}

pub(in crate::domain::gateway::controllers) fn too_many_attempts(TooManyAttempts { wait }: TooManyAttempts) -> Problem {
    // Rounded up: a client that comes back at that time must be admitted.
    let seconds = wait.num_seconds().saturating_add(1).unsigned_abs();
    let unit = if seconds == 1 { "second" } else { "seconds" };
    Problem {
        retry_after: Some(Duration::from_secs(seconds)),
        ..Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_attempts",
            format!("too many attempts; try again in {seconds} {unit}"),
        )
    }
}

pub(in crate::domain::gateway::controllers) fn no_account() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "no_account",
        "your token does not belong to an account, or the account no longer exists",
    )
}

/// Services see tokens, and must not be able to take an account over.
fn session_required() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "session_required",
        "this changes the ways to sign in, so it requires the session of a browser that is signed in, and accepts no token; leave \
         the Authorization header out",
    )
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn one_second_is_singular() {
        for (wait, said) in [(0, "in 1 second"), (1, "in 2 seconds")] {
            let problem = too_many_attempts(TooManyAttempts { wait: TimeDelta::seconds(wait) });
            assert!(problem.detail.ends_with(said), "{}", problem.detail);
        }
    }
}
