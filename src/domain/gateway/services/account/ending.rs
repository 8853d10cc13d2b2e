//! Ending an account's sessions and tokens. A task is stored when it begins, and any replica finishes it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{AccountParts, AccountService, TakenBack};
use crate::domain::gateway::{
    models::{
        account::{AccountEnding, ErasureOutcome, IdentityErasure},
        oauth::ProviderName,
        throttle::ThrottleKey,
        values::id::{AccountId, EndingId, SessionId},
    },
    services::Failure,
};

/// How long the replica that began a task may take before others take it over. Doing it twice is harmless.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// The number of tasks that are read at once.
const AT_ONCE: u64 = 100;

impl AccountService {
    /// Stores a task to end an account's sessions except one, and all its tokens; with `removes` the account, too.
    pub(super) async fn begin_ending(
        &self,
        account: AccountId,
        keep: Option<SessionId>,
        removes: bool,
    ) -> Result<AccountEnding, Failure> {
        let AccountParts { accounts, clock, entropy, .. } = &*self.parts;
        let id = EndingId::from_random(entropy.bytes());
        let ending = AccountEnding { id, account, keep, removes, begun_at: clock.now() };
        accounts.begin_ending(&ending).await?;
        Ok(ending)
    }

    /// Carries out a stored task. Each step can be repeated.
    ///
    /// Tokens and sessions end before the account does, and once more after it: a concurrent sign-in either finds that
    /// the account is gone, or its session is found here.
    pub(super) async fn end_everything(&self, ending: &AccountEnding) -> Result<Vec<TakenBack>, Failure> {
        let AccountParts { accounts, attempts, oauth, .. } = &*self.parts;
        let account = ending.account;
        self.end_all(account, ending.keep).await?;
        if !ending.removes {
            self.finish(ending).await?;
            return Ok(Vec::new());
        }
        let profile = accounts.profile(account).await?;
        let grants = accounts.remove(account).await?.unwrap_or_default();
        self.end_all(account, None).await?;
        if let Some(login) = profile.and_then(|profile| profile.login) {
            attempts.reset(&ThrottleKey::account(&login.email)).await?;
            attempts.reset(&ThrottleKey::first_attempts(&login.email)).await?;
        }
        self.finish(ending).await?;
        Ok(oauth.take_back(grants).await)
    }

    /// Records that the task is done.
    pub(super) async fn finish(&self, ending: &AccountEnding) -> Result<(), Failure> {
        Ok(self.parts.accounts.finish_ending(ending.id).await?)
    }

    /// Finishes interrupted tasks: a store may have been unreachable, or a gateway killed. Anyone who has signed in
    /// since then has to do so again.
    pub async fn finish_endings(&self) -> Result<(), Failure> {
        let AccountParts { accounts, clock, .. } = &*self.parts;
        for ending in accounts.endings_begun_by(clock.now() - PATIENCE, AT_ONCE).await? {
            self.end_everything(&ending).await?;
        }
        Ok(())
    }

    /// Deletes the data that we have of a provider's person, whom `subject` identifies, at their request to the
    /// provider: the identity and its grants, and the account if it has no other way to sign in. A person who has
    /// granted us access after `until` has come back and keeps it. It can be repeated. The provider is not notified:
    /// the person has already removed us there.
    pub async fn erase_identity(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let AccountParts { accounts, oauth, clock, entropy, .. } = &*self.parts;
        let erasure = IdentityErasure {
            provider: provider.clone(),
            subject: subject.to_owned(),
            until,
            ending: EndingId::from_random(entropy.bytes()),
            now: clock.now(),
        };
        match accounts.erase_identity(&erasure).await? {
            ErasureOutcome::Unknown | ErasureOutcome::AllowedAnew => Ok(()),
            ErasureOutcome::Erased(account, _) => {
                oauth.grants_changed(account);
                Ok(())
            }
            ErasureOutcome::AccountRemoved(ending, _) => {
                oauth.grants_changed(ending.account);
                self.end_everything(&ending).await.map(drop)
            }
        }
    }

    /// Ends an account's sessions, and all its tokens. It can be repeated.
    pub async fn end_everything_open(&self, account: AccountId) -> Result<(), Failure> {
        self.end_all(account, None).await
    }

    /// Ends an account's sessions except one, and all its tokens.
    async fn end_all(&self, account: AccountId, but: Option<SessionId>) -> Result<(), Failure> {
        self.parts.sessions.end_all_of(account, but).await?;
        self.parts.tokens.end_all_of(account).await
    }
}
