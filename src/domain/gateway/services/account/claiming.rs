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
    /// Claims an e-mail for a new log-in. Every claim counts for the client's address, whatever the answer, so that e-mails cannot
    /// be probed by the thousand; one that is taken counts as a failed log-in, too. It comes before the password is hashed: a refusal costs no hash.
    pub(super) async fn claim(&self, email: Email, client: Option<IpAddr>) -> Result<FreeEmail, ClaimError> {
        let of_client = client.map(Counted::client);
        let counted: Vec<_> = of_client.into_iter().chain(client.map(Counted::enquiry)).collect();
        self.admit::<ClaimError>(&counted).await?;
        if self.parts.accounts.find_login(&email).await?.is_some() {
            return Err(ClaimError::Taken);
        }
        // It was no failure, but it stays an enquiry.
        self.forgive(of_client.as_slice()).await?;
        Ok(FreeEmail(email))
    }
}
