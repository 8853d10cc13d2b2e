//! The right to change the ways to sign in to an account.

use std::net::IpAddr;

use thiserror::Error;

use super::{AccountParts, AccountService, TooManyAttempts, counted};
use crate::domain::gateway::{
    models::{
        access::VerifiedCaller,
        account::{Password, PasswordLogin},
        session::Session,
        throttle::ThrottleKey,
        values::id::{AccountId, SessionId},
    },
    repositories::RepositoryError,
    services::{
        Failure,
        oauth::{ExchangePurpose, LinkPermit},
        ports::Verified,
    },
};

/// The right to change the ways to sign in to an account: to set a password, to add or remove a provider, to delete the
/// account.
///
/// It takes the session of a browser and, if the account has one, the password. A token is not enough: services see
/// tokens, and must not be able to take an account over. A stolen session is not enough, either. Only
/// [`AccountService::take_control`] returns this right, and every use case of this kind requires it, so no endpoint can
/// forget the rule.
#[derive(Debug)]
pub struct AccountControl {
    account: AccountId,
    session: SessionId,
    login: Option<PasswordLogin>,
}

impl AccountControl {
    /// The account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The session that took control.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The account's password login, as stored when the password was verified.
    pub(super) fn login(&self) -> Option<&PasswordLogin> {
        self.login.as_ref()
    }

    /// The permit to link an identity, derived from this right.
    pub fn link_permit(&self) -> LinkPermit {
        LinkPermit::of(self.account, self.session)
    }
}

/// The reason why control is refused.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody is signed in in the browser.
    #[error("the browser is not signed in")]
    NotSignedIn,
    /// The caller has a token, which is not enough, whatever is sent with it.
    #[error("a browser's session is required, and a token is not accepted")]
    SessionRequired,
    /// The account does not exist any more.
    #[error("the account does not exist")]
    NoAccount,
    /// The account has a password, and none was sent.
    #[error("the password is missing")]
    PasswordMissing,
    /// The password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// Too many failed attempts.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why a caller may exchange nothing.
#[derive(Debug, Error)]
pub enum PurposeError {
    /// The caller's token represents no account, so there is none to store a grant for.
    #[error("the token does not belong to an account")]
    NoAccount,
    /// Control of the account is refused.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<RepositoryError> for ControlError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl AccountService {
    /// Takes control of the account that is signed in in the browser.
    pub async fn take_control(
        &self,
        caller: Option<VerifiedCaller>,
        password: Option<Password>,
        client: Option<IpAddr>,
    ) -> Result<AccountControl, ControlError> {
        match caller {
            None => Err(ControlError::NotSignedIn),
            Some(VerifiedCaller::Token(_)) => Err(ControlError::SessionRequired),
            Some(VerifiedCaller::Session(session)) => self.take_control_in(&session, password, client).await,
        }
    }

    /// Takes control of the account of a session. Wrong passwords count like those of a sign-in: otherwise a stolen
    /// session would allow guessing without delay.
    pub async fn take_control_in(
        &self,
        session: &Session,
        password: Option<Password>,
        client: Option<IpAddr>,
    ) -> Result<AccountControl, ControlError> {
        let AccountParts { accounts, hasher, .. } = &*self.parts;
        let profile = accounts.profile(session.account).await?.ok_or(ControlError::NoAccount)?;
        let control = AccountControl { account: session.account, session: session.id, login: profile.login };
        let Some(login) = control.login() else { return Ok(control) };
        let password = password.ok_or(ControlError::PasswordMissing)?;
        // Guesses at the login do not delay a browser that is signed in.
        let counted = counted(&login.email, Some(ThrottleKey::session(&login.email, session.id)), client);
        self.admit::<ControlError>(&counted).await?;
        match hasher.verify(password, Some(login.hash.clone())).await.map_err(Failure::from)? {
            Verified::Right { .. } => self.forgive(&counted).await?,
            Verified::Wrong => return Err(ControlError::WrongPassword),
        }
        Ok(control)
    }

    /// What a caller may exchange a provider's code for. A token, or a session without the password of an account that
    /// has one, does not change the ways to sign in.
    pub async fn exchange_purpose(
        &self,
        caller: Option<VerifiedCaller>,
        password: Option<Password>,
        client: Option<IpAddr>,
    ) -> Result<ExchangePurpose, PurposeError> {
        match caller {
            None => Ok(ExchangePurpose::SignIn),
            Some(VerifiedCaller::Token(_)) if password.is_some() => Err(ControlError::SessionRequired.into()),
            Some(VerifiedCaller::Token(identity)) => {
                identity.subject.parse().map(ExchangePurpose::KeepGrant).map_err(|_| PurposeError::NoAccount)
            }
            Some(VerifiedCaller::Session(session)) => match self.take_control_in(&session, password, client).await {
                Ok(control) => Ok(ExchangePurpose::Link(control.link_permit())),
                Err(ControlError::PasswordMissing) => Ok(ExchangePurpose::KeepGrant(session.account)),
                Err(error) => Err(error.into()),
            },
        }
    }
}
