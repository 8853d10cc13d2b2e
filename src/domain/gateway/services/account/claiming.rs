//! Whether an e-mail is free for a sign-up.

use std::net::IpAddr;

use thiserror::Error;

use super::{AccountService, TooManyAttempts};
use crate::domain::gateway::{
    models::{account::Email, throttle::ThrottleKey},
    repositories::RepositoryError,
    services::Failure,
};

/// An e-mail that is not taken. Only [`AccountService::claim`] returns one, and a new login needs one, so no endpoint
/// can reveal whether an e-mail is taken without being counted.
#[derive(Debug)]
pub(super) struct FreeEmail(Email);

impl FreeEmail {
    pub(super) fn into_email(self) -> Email {
        self.0
    }
}

/// The reason why an e-mail cannot be used to sign up.
#[derive(Debug, Error)]
pub(super) enum ClaimError {
    /// Another account has it.
    #[error("the e-mail is taken")]
    Taken,
    /// Too many enquiries or failures of the client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<RepositoryError> for ClaimError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl AccountService {
    /// Claims an e-mail for a new login. Every claim counts for the client's address, whatever the result, so that
    /// e-mails cannot be probed by the thousand; a taken one counts as a failed sign-in, too. The claim comes before
    /// the password is hashed, so a refusal costs no hash.
    pub(super) async fn claim(&self, email: Email, client: Option<IpAddr>) -> Result<FreeEmail, ClaimError> {
        let of_client = client.map(ThrottleKey::client);
        let counted: Vec<_> = of_client.into_iter().chain(client.map(ThrottleKey::enquiry)).collect();
        self.admit::<ClaimError>(&counted).await?;
        if self.parts.accounts.find_login(&email).await?.is_some() {
            return Err(ClaimError::Taken);
        }
        // It was no failure, but it still counts as an enquiry.
        self.forgive(of_client.as_slice()).await?;
        Ok(FreeEmail(email))
    }
}
