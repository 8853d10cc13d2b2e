//! Accounts of people: signing up, signing in with a password, and managing an account.

mod changing;
mod claiming;
mod control;
mod devices;
mod ending;
mod removing;

use std::{net::IpAddr, sync::Arc};

use chrono::TimeDelta;
use thiserror::Error;
use tokio::task::spawn;
use tracing::warn;

pub use self::changing::PasswordError;
pub use self::control::{AccountControl, ControlError, PurposeError};
pub use self::devices::TRUSTED_FOR;
pub use self::removing::UnlinkError;
use self::{claiming::ClaimError, devices::Devices};
use super::{
    Failure,
    oauth::OAuthService,
    ports::{PasswordHasher, Sealer, Verified},
    session::{OpenSessionError, SessionService},
    token::TokenService,
};
pub use super::{oauth::TakenBack, throttle::TooManyAttempts};
use crate::{
    domain::gateway::{
        models::{
            account::{Account, Email, Password, PasswordLogin, Profile, SignUp},
            session::{SessionSecret, Visitor as Browser},
            throttle::{ThrottleDecision, ThrottleKey},
            values::{id::AccountId, identity::Identity},
        },
        repositories::{Constraint, RepositoryError, account::AccountRepository, throttle::ThrottleRepository},
    },
    ports::{Clock, Entropy},
};

/// The dependencies of [`AccountService`].
pub struct AccountParts {
    /// Stores accounts and their password logins.
    pub accounts: Arc<dyn AccountRepository>,
    /// Counts attempts.
    pub attempts: Arc<dyn ThrottleRepository>,
    /// Hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Opens and ends sessions.
    pub sessions: Arc<SessionService>,
    /// Ends tokens.
    pub tokens: Arc<TokenService>,
    /// Revokes grants.
    pub oauth: Arc<OAuthService>,
    /// Seals what browsers store.
    pub sealer: Arc<dyn Sealer>,
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

/// The client that signs up or in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor<'v> {
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
    /// `User-Agent`
    pub user_agent: Option<&'v str>,
    /// The cookie of the browser's earlier session, which ends.
    pub old_session: Option<&'v str>,
    /// The content of the browser's device cookie.
    pub device: Option<&'v [u8]>,
}

/// The data that a session is opened with.
struct Arrival {
    browser: Browser,
    old_session: Option<String>,
}

impl Arrival {
    fn of(visitor: Visitor<'_>) -> Self {
        let old_session = visitor.old_session.map(str::to_owned);
        Self { browser: Browser::of(visitor.user_agent, visitor.client), old_session }
    }
}

/// The result of a sign-up or sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The person's profile.
    pub profile: Profile,
    /// The new session.
    pub session: SessionSecret,
    /// The device cookie, sealed: attempts from this browser are not delayed by those of others.
    pub device: Vec<u8>,
}

/// The reason why a sign-up fails.
#[derive(Debug, Error)]
pub enum SignUpError {
    /// An account with this e-mail exists already.
    #[error("the e-mail is taken")]
    EmailTaken,
    /// Too many sign-ups or failures of the client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// An internal failure.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The reason why a sign-in fails.
#[derive(Debug, Error)]
pub enum LogInError {
    /// The e-mail is unknown, or the password is wrong. The caller does not learn which.
    #[error("the e-mail or the password is wrong")]
    InvalidCredentials,
    /// Too many failures for the e-mail or for the client.
    #[error(transparent)]
    TooMany(#[from] TooManyAttempts),
    /// An internal failure.
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

impl From<OpenSessionError> for SignUpError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::NoAccount => Self::Failed(Failure::Broken("a new account no longer exists".into())),
            OpenSessionError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<OpenSessionError> for LogInError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::NoAccount => Self::InvalidCredentials,
            OpenSessionError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<RepositoryError> for LogInError {
    fn from(error: RepositoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl AccountService {
    /// Creates the service.
    pub fn new(parts: AccountParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Creates an account with a password login, and opens a session. Each sign-up counts for the client, so that no
    /// client creates accounts by the thousand.
    pub async fn sign_up(&self, wish: SignUp, visitor: Visitor<'_>) -> Result<SignedIn, SignUpError> {
        let AccountParts { hasher, clock, entropy, .. } = &*self.parts;
        let email = self.claim(wish.email, visitor.client).await?.into_email();
        let hash = hasher.hash(wish.password).await.map_err(Failure::from)?;
        let now = clock.now();
        let account = Account { id: AccountId::from_random(entropy.bytes()), created_at: now };
        let login = PasswordLogin { account: account.id, email, name: wish.name, hash, changed_at: now };
        let device = self.devices().remember(visitor.device, &login.email, now);
        let (this, arrival) = (self.clone(), Arrival::of(visitor));
        run_to_completion(async move {
            match this.parts.accounts.sign_up(&account, &login).await {
                Ok(()) => {}
                Err(RepositoryError::Conflict(Constraint::Email)) => return Err(SignUpError::EmailTaken),
                Err(error) => return Err(Failure::from(error).into()),
            }
            match this.open_session(account.id, arrival).await {
                Ok(session) => {
                    let profile = Profile { account, login: Some(login), identities: Vec::new() };
                    Ok(SignedIn { profile, session, device })
                }
                Err(error) => {
                    // Otherwise the e-mail would be taken when its owner tries again.
                    if let Err(error) = this.parts.accounts.remove(account.id).await {
                        warn!(%error, "a new account without a session could not be deleted");
                    }
                    Err(error.into())
                }
            }
        })
        .await?
    }

    /// Signs a person in. An unknown e-mail takes the same steps, and as long, as a wrong password.
    pub async fn log_in(
        &self,
        email: &Email,
        password: Password,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, LogInError> {
        let AccountParts { accounts, hasher, sessions, clock, .. } = &*self.parts;
        let device = visitor.device.and_then(|cookie| self.devices().known(cookie, email, clock.now()));
        let counted = counted(email, device.map(|device| ThrottleKey::device(email, device)), visitor.client);
        self.admit::<LogInError>(&counted).await?;
        let login = accounts.find_login(email).await?;
        let hash = login.as_ref().map(|login| login.hash.clone());
        let verified = hasher.verify(password.clone(), hash).await.map_err(Failure::from)?;
        let (Some(login), Verified::Right { outdated }) = (login, verified) else {
            return Err(LogInError::InvalidCredentials);
        };
        self.forgive(&counted).await?;
        if outdated {
            self.hash_anew(&login, password).await;
        }
        let session = self.open_session(login.account, Arrival::of(visitor)).await?;
        // A concurrent password change or deletion may have missed this session: check again, and end it.
        let profile = accounts.profile(login.account).await?;
        let is_still_good =
            |profile: &Profile| profile.login.as_ref().is_some_and(|now| now.changed_at == login.changed_at);
        if let Some(profile) = profile.filter(is_still_good) {
            let device = self.devices().remember(visitor.device, email, clock.now());
            return Ok(SignedIn { profile, session, device });
        }
        sessions.end(session.expose()).await?;
        Err(LogInError::InvalidCredentials)
    }

    /// The account that a caller's credential represents, if any.
    pub async fn of_caller(&self, caller: &Identity) -> Result<Option<Profile>, Failure> {
        let Ok(account) = caller.subject.parse() else { return Ok(None) };
        Ok(self.parts.accounts.profile(account).await?)
    }

    async fn open_session(&self, account: AccountId, arrival: Arrival) -> Result<SessionSecret, OpenSessionError> {
        let sessions = &self.parts.sessions;
        let session = sessions.open(account, arrival.browser).await?;
        if let Some(old) = arrival.old_session {
            sessions.end(&old).await?;
        }
        Ok(session)
    }

    /// Admits an attempt, or returns how long to wait. It counts as a failure until it is forgiven.
    async fn admit<E: From<TooManyAttempts> + From<Failure>>(&self, counted: &[ThrottleKey]) -> Result<(), E> {
        let AccountParts { attempts, clock, .. } = &*self.parts;
        match attempts.admit(counted, &|| clock.now()).await.map_err(Failure::from)? {
            ThrottleDecision::Admitted => Ok(()),
            ThrottleDecision::NotBefore(until) => {
                Err(TooManyAttempts { wait: (until - clock.now()).max(TimeDelta::zero()) }.into())
            }
        }
    }

    /// Forgives the attempt after a correct password. An account, or a browser that is known there, has no failures any
    /// more.
    async fn forgive(&self, counted: &[ThrottleKey]) -> Result<(), Failure> {
        let attempts = &self.parts.attempts;
        for of in counted {
            if of.is_client() { attempts.forgive(of).await? } else { attempts.reset(of).await? }
        }
        Ok(())
    }

    fn devices(&self) -> Devices<'_> {
        Devices { sealer: &*self.parts.sealer, entropy: &*self.parts.entropy }
    }

    /// Hashes a password with today's parameters. If that fails, the old hash stays: that is no reason to refuse the
    /// sign-in.
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
            warn!(%failure, "a password could not be rehashed");
        }
    }
}

/// The subjects that an attempt counts for: the browser, if it signed in to the account before, otherwise the account
/// and the client.
fn counted(email: &Email, known: Option<ThrottleKey>, client: Option<IpAddr>) -> Vec<ThrottleKey> {
    match known {
        Some(known) => vec![known],
        None => [ThrottleKey::account(email), ThrottleKey::first_attempts(email)]
            .into_iter()
            .chain(client.map(ThrottleKey::client))
            .collect(),
    }
}

/// Runs work to completion that must not be left half done, even if the caller goes away meanwhile.
async fn run_to_completion<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    spawn(work).await.map_err(|panic| Failure::Broken(panic.to_string()))
}

#[cfg(test)]
mod tests;
