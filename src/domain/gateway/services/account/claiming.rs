//! Whether an e-mail is free to sign up with.

use std::net::IpAddr;

use thiserror::Error;

use super::{AccountService, TooManyAttempts};
use crate::domain::gateway::{
    models::{account::Email, attempt::Counted},
    repositories::RepositoryError,
    services::Failure,
};

/// An e-mail that is not taken. Only [`AccountService::claim`] gives it, and a new log-in is made with
/// nothing else, so no endpoint can tell whether an e-mail is taken without being counted.
#[derive(Debug)]
pub(super) struct FreeEmail(Email);

impl FreeEmail {
    pub(super) fn into_email(self) -> Email {
        self.0
    }
}

/// Why an e-mail cannot be signed up with.
#[derive(Debug, Error)]
pub(super) enum ClaimError {
    /// Another account has it.
    #[error("the e-mail is taken")]
    Taken,
    /// The client asked, or failed, too often.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<RepositoryError> for ClaimError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl AccountService {
    /// Claims an e-mail for a new log-in. Every claim counts for the client's address as a failed log-in does, whatever the answer, so
    /// that addresses cannot be probed by the thousand. It comes before the password is hashed: a refusal costs no hash.
    pub(super) async fn claim(&self, email: Email, client: Option<IpAddr>) -> Result<FreeEmail, ClaimError> {
        let counted: Vec<_> = client.map(Counted::client).into_iter().collect();
        self.admit::<ClaimError>(&counted).await?;
        match self.parts.accounts.find_login(&email).await? {
            Some(_) => Err(ClaimError::Taken),
            None => Ok(FreeEmail(email)),
        }
    }
}
