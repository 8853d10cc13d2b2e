//! Accounts of people: signing up and in with a password, and what else somebody does with an account of theirs.

mod claiming;
mod control;
mod removing;

use std::{net::IpAddr, sync::Arc};

use chrono::TimeDelta;
use thiserror::Error;
use tokio::task::spawn;
use tracing::warn;

use self::claiming::ClaimError;
pub use self::control::{AccountControl, ControlError, LinkPermit};
pub use self::removing::UnlinkError;
pub use super::oauth::TakenBack;
use super::{
    Failure,
    oauth::OAuthService,
    ports::{PasswordHasher, Verified},
    session::SessionService,
    token::TokenService,
};
use crate::{
    domain::gateway::{
        models::{
            account::{Account, Email, Password, PasswordHash, PasswordLogin, Profile},
            attempt::{Admission, Counted},
            id::{AccountId, SessionId},
            identity::Identity,
            session::{SessionSecret, Visitor as Browser},
        },
        repositories::{RepositoryError, account::AccountRepository, attempt::AttemptRepository},
    },
    ports::{Clock, Entropy},
};

/// What [`AccountService`] is made of.
pub struct AccountParts {
    /// Where log-ins are kept.
    pub accounts: Arc<dyn AccountRepository>,
    /// Where attempts are counted.
    pub attempts: Arc<dyn AttemptRepository>,
    /// Hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Opens sessions, and ends them.
    pub sessions: Arc<SessionService>,
    /// Ends tokens.
    pub tokens: Arc<TokenService>,
    /// Takes grants back.
    pub oauth: Arc<OAuthService>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Accounts: one method per use case.
#[derive(Clone)]
pub struct AccountService {
    parts: Arc<AccountParts>,
}

/// Who wants to sign up.
#[derive(Debug)]
pub struct SignUp {
    /// What the person will sign in with.
    pub email: Email,
    /// The password that goes with it.
    pub password: Password,
    /// The name to show.
    pub name: Option<String>,
}

/// From where somebody signs up or in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor<'v> {
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
    /// `User-Agent`
    pub user_agent: Option<&'v str>,
    /// The cookie of the session that the browser had: it is over.
    pub old_session: Option<&'v str>,
}

/// Somebody signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub profile: Profile,
    /// The new session.
    pub session: SessionSecret,
}

/// It failed too often: how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there were too many attempts")]
pub struct TooManyAttempts {
    /// From now on.
    pub wait: TimeDelta,
}

/// Why somebody is not signed up.
#[derive(Debug, Error)]
pub enum SignUpError {
    /// Somebody signed up with this e-mail before.
    #[error("the e-mail is taken")]
    EmailTaken,
    /// The client signed up, or failed, too often.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why somebody is not signed in.
#[derive(Debug, Error)]
pub enum LogInError {
    /// There is no such e-mail, or it is not its password. Which of the two, nobody is told.
    #[error("the e-mail or the password is wrong")]
    InvalidCredentials,
    /// It failed too often, for the e-mail or for the client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The wish to have another password, or a first one.
#[derive(Debug)]
pub struct PasswordChange {
    /// The new password.
    pub new: Password,
    /// What to sign in with, for an account that had no password yet.
    pub email: Option<Email>,
}

/// Why a password was not changed.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// The account is gone.
    #[error("there is no such account")]
    NoAccount,
    /// The client asked for e-mails, or failed, too often.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// A first password needs an e-mail to sign in with.
    #[error("there is no e-mail to sign in with")]
    EmailMissing,
    /// The account has another e-mail.
    #[error("the account has another e-mail")]
    OtherEmail,
    /// Somebody signed up with this e-mail before.
    #[error("the e-mail is taken")]
    EmailTaken,
    /// It was changed while this was under way.
    #[error("the password was changed meanwhile")]
    ChangedMeanwhile,
    /// Something of ours failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<ClaimError> for SignUpError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken => Self::EmailTaken,
            ClaimError::TooMany(too_many) => Self::TooMany(too_many),
            ClaimError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<ClaimError> for PasswordError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken => Self::EmailTaken,
            ClaimError::TooMany(too_many) => Self::TooMany(too_many),
            ClaimError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<RepositoryError> for LogInError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RepositoryError> for PasswordError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl AccountService {
    /// Puts the parts together.
    pub fn new(parts: AccountParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Makes an account that signs in with a password, and opens a session. Each sign-up counts for the client, so that
    /// nobody makes accounts by the thousand.
    pub async fn sign_up(&self, wish: SignUp, visitor: Visitor<'_>) -> Result<SignedIn, SignUpError> {
        let AccountParts { accounts, hasher, clock, entropy, .. } = &*self.parts;
        let email = self.claim(wish.email, visitor.client).await?.into_email();
        let hash = hasher.hash(wish.password).await.map_err(Failure::from)?;
        let now = clock.now();
        let account = Account { id: AccountId::from_random(entropy.bytes()), created_at: now };
        let login = PasswordLogin { account: account.id, email, name: wish.name, hash, changed_at: now };
        match accounts.sign_up(&account, &login).await {
            Ok(()) => {}
            Err(RepositoryError::Conflict) => return Err(SignUpError::EmailTaken),
            Err(error @ (RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_))) => {
                return Err(Failure::from(error).into());
            }
        }
        let session = self.open_session(account.id, visitor).await?;
        Ok(SignedIn { profile: Profile { account, login: Some(login), identities: Vec::new() }, session })
    }

    /// Signs somebody in. An e-mail that nobody has takes the same way, and as long, as a wrong password.
    pub async fn log_in(
        &self,
        email: &Email,
        password: Password,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, LogInError> {
        let AccountParts { accounts, hasher, sessions, .. } = &*self.parts;
        let counted = counted(email, visitor.client);
        self.admit::<LogInError>(&counted).await?;
        let login = accounts.find_login(email).await?;
        let hash = login.as_ref().map(|login| login.hash.clone());
        let verified = hasher.verify(password.clone(), hash).await.map_err(Failure::from)?;
        let (Some(login), Verified::Right { outdated }) = (login, verified) else {
            return Err(LogInError::InvalidCredentials);
        };
        self.forgive(email, visitor.client).await?;
        if outdated {
            self.hash_anew(&login, password).await;
        }
        let session = self.open_session(login.account, visitor).await?;
        // The account may have ended, or its password changed, while this was under way: whoever ends sessions for that did
        // not see this one, and it is not to stay.
        let profile = accounts.profile(login.account).await?;
        let is_still_good =
            |profile: &Profile| profile.login.as_ref().is_some_and(|now| now.changed_at == login.changed_at);
        if let Some(profile) = profile.filter(is_still_good) {
            return Ok(SignedIn { profile, session });
        }
        sessions.end(session.expose()).await?;
        Err(LogInError::InvalidCredentials)
    }

    /// The account that a caller's credential speaks for, if it is one.
    pub async fn of_caller(&self, caller: &Identity) -> Result<Option<Profile>, Failure> {
        let Ok(account) = caller.subject.parse() else { return Ok(None) };
        Ok(self.parts.accounts.profile(account).await?)
    }

    /// Sets a password, the first or another. Every other session ends, and every token that was issued for the account.
    pub async fn change_password(
        &self,
        control: AccountControl,
        change: PasswordChange,
        client: Option<IpAddr>,
    ) -> Result<(), PasswordError> {
        let AccountParts { hasher, clock, .. } = &*self.parts;
        let (account, session) = (control.account(), control.session());
        let (email, read) = match (control.login(), change.email) {
            (None, None) => return Err(PasswordError::EmailMissing),
            (None, Some(email)) => (self.claim(email, client).await?.into_email(), None),
            (Some(login), Some(email)) if email != login.email => return Err(PasswordError::OtherEmail),
            (Some(login), _) => (login.email.clone(), Some(login.hash.clone())),
        };
        let hash = hasher.hash(change.new).await.map_err(Failure::from)?;
        let login = PasswordLogin { account, email, name: None, hash, changed_at: clock.now() };
        let this = self.clone();
        carried_through(async move {
            match read {
                Some(read) => this.replace(&read, &login).await?,
                None => this.add(&login).await?,
            }
            this.end_all(account, Some(session)).await?;
            Ok(())
        })
        .await?
    }

    async fn replace(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<(), PasswordError> {
        let replaced = self.parts.accounts.replace_hash(read, login).await?;
        if replaced { Ok(()) } else { Err(PasswordError::ChangedMeanwhile) }
    }

    async fn add(&self, login: &PasswordLogin) -> Result<(), PasswordError> {
        let accounts = &self.parts.accounts;
        match accounts.add_login(login).await {
            Ok(()) => Ok(()),
            Err(RepositoryError::Conflict) => match accounts.profile(login.account).await? {
                None => Err(PasswordError::NoAccount),
                Some(Profile { login: Some(_), .. }) => Err(PasswordError::ChangedMeanwhile),
                Some(Profile { login: None, .. }) => Err(PasswordError::EmailTaken),
            },
            Err(error @ (RepositoryError::Unavailable(_) | RepositoryError::Corrupt(_))) => Err(error.into()),
        }
    }

    /// Ends the sessions of an account but this one, and all its tokens.
    async fn end_all(&self, account: AccountId, but: Option<SessionId>) -> Result<(), Failure> {
        self.parts.sessions.end_all_of(account, but).await?;
        self.parts.tokens.end_all_of(account).await
    }

    async fn open_session(&self, account: AccountId, visitor: Visitor<'_>) -> Result<SessionSecret, Failure> {
        let sessions = &self.parts.sessions;
        let session = sessions.open(account, Browser::of(visitor.user_agent, visitor.client)).await?;
        if let Some(old) = visitor.old_session {
            sessions.end(old).await?;
        }
        Ok(session)
    }

    /// Lets an attempt go on, or says how long to wait. It counts as a failure until it is forgiven.
    async fn admit<E: From<TooManyAttempts> + From<Failure>>(&self, counted: &[Counted]) -> Result<(), E> {
        let now = self.parts.clock.now();
        match self.parts.attempts.admit(counted, now).await.map_err(Failure::from)? {
            Admission::Admitted => Ok(()),
            Admission::NotBefore(until) => Err(TooManyAttempts { wait: until - now }.into()),
        }
    }

    /// The password was right: the account has no failures any more, and the client one less.
    async fn forgive(&self, email: &Email, client: Option<IpAddr>) -> Result<(), Failure> {
        let attempts = &self.parts.attempts;
        attempts.reset(&Counted::account(email)).await?;
        if let Some(client) = client {
            attempts.forgive(&Counted::client(client)).await?;
        }
        Ok(())
    }

    /// Hashes a password as one is hashed today. If that fails it stays as it is, which is no reason to keep its owner out.
    async fn hash_anew(&self, login: &PasswordLogin, password: Password) {
        let AccountParts { accounts, hasher, .. } = &*self.parts;
        let failed = match hasher.hash(password).await {
            Ok(hash) => accounts
                .replace_hash(&login.hash, &PasswordLogin { hash, ..login.clone() })
                .await
                .err()
                .map(Failure::from),
            Err(error) => Some(error.into()),
        };
        if let Some(failure) = failed {
            warn!(%failure, "a password could not be hashed anew");
        }
    }
}

/// Whom a failure is counted for.
fn counted(email: &Email, client: Option<IpAddr>) -> Vec<Counted> {
    [Counted::account(email)].into_iter().chain(client.map(Counted::client)).collect()
}

/// Does to the end what must not be left half done, though the caller may go away meanwhile.
async fn carried_through<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    spawn(work).await.map_err(|panic| Failure::Broken(panic.to_string()))
}

#[cfg(test)]
mod tests;
