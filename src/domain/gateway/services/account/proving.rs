//! Whether whoever is signed in may change what decides who may sign in.

use std::net::IpAddr;

use thiserror::Error;

use super::{AccountParts, AccountService, TooManyAttempts, counted};
use crate::domain::gateway::{
    models::{
        account::{Password, Profile},
        attempt::Counted,
        id::SessionId,
    },
    services::{Failure, ports::Verified},
};

/// What a caller has to show for it.
#[derive(Debug, Default)]
pub struct Proof {
    /// The account's password.
    pub password: Option<Password>,
    /// The session of the browser, if the caller is one that is signed in. A token does not do instead: services see
    /// tokens, and must not be able to take an account over.
    pub session: Option<SessionId>,
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
}

/// Why it is not proven.
#[derive(Debug, Error)]
pub enum ProofError {
    /// The account has a password, and it was not sent along.
    #[error("the password is missing")]
    PasswordMissing,
    /// It is another.
    #[error("the password is wrong")]
    WrongPassword,
    /// The account has no password, so that only a session will do.
    #[error("only a browser that is signed in may do this")]
    SessionMissing,
    /// It failed too often.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl AccountService {
    /// With a password it takes the password, without one the session. Failures count like those of a sign-in: else a
    /// stolen session were a way to guess without delay.
    pub(super) async fn prove(&self, profile: &Profile, proof: Proof) -> Result<(), ProofError> {
        let AccountParts { hasher, .. } = &*self.parts;
        let Proof { password, session, client } = proof;
        let Some(login) = &profile.login else {
            return session.map(|_| ()).ok_or(ProofError::SessionMissing);
        };
        let password = password.ok_or(ProofError::PasswordMissing)?;
        // Whoever guesses at the log-in does not keep those who are signed in from changing their password.
        let known = session.map(|session| Counted::session(&login.email, session));
        let counted = counted(&login.email, known, client);
        self.admit::<ProofError>(&counted).await?;
        match hasher.verify(password, Some(login.hash.clone())).await.map_err(Failure::from)? {
            Verified::Right { .. } => Ok(self.forgive(&counted).await?),
            Verified::Wrong => Err(ProofError::WrongPassword),
        }
    }
}
