//! Ending what an account has open, to the last token: what was begun is stored, and finished by whichever replica comes by.

use chrono::{DateTime, TimeDelta, Utc};

use super::{AccountParts, AccountService, TakenBack};
use crate::domain::gateway::{
    models::{
        account::{AccountEnding, ErasureOutcome, IdentityErasure},
        attempt::Counted,
        id::{AccountId, EndingId, SessionId},
        oauth::ProviderName,
    },
    services::Failure,
};

/// How long whoever began it may take before others take it for broken off. To do it twice does no harm.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// How many are looked at in one go.
const AT_ONCE: u64 = 100;

impl AccountService {
    /// Stores that the sessions of an account but one, and all its tokens, are to end; with `removes` the account, too.
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

    /// Ends what was stored. Each step can be done again.
    ///
    /// Tokens and sessions end before the account does, and once more after it: whoever signs in at this very moment either
    /// sees that the account is gone, or is seen here.
    pub(super) async fn carry_out(&self, ending: &AccountEnding) -> Result<Vec<TakenBack>, Failure> {
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
            attempts.reset(&Counted::account(&login.email)).await?;
            attempts.reset(&Counted::first_attempts(&login.email)).await?;
        }
        self.finish(ending).await?;
        Ok(oauth.take_back(grants).await)
    }

    /// Notes that there is nothing left to end.
    pub(super) async fn finish(&self, ending: &AccountEnding) -> Result<(), Failure> {
        Ok(self.parts.accounts.finish_ending(ending.id).await?)
    }

    /// Finishes what was begun and broken off: by a store that was out of reach, or a gateway that was killed. Who signed in
    /// since then has to do so again.
    pub async fn finish_endings(&self) -> Result<(), Failure> {
        let AccountParts { accounts, clock, .. } = &*self.parts;
        for ending in accounts.endings_begun_by(clock.now() - PATIENCE, AT_ONCE).await? {
            self.carry_out(&ending).await?;
        }
        Ok(())
    }

    /// Deletes what we have of the person whom a provider calls so, at their request to the provider: the identity and its grants, and the
    /// account if that has no other way in. A person who allowed us something after `until` is back, and keeps it. It can be done
    /// again. The provider is not told: the person has removed us there already.
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
                self.carry_out(&ending).await.map(drop)
            }
        }
    }

    /// Ends the sessions of an account, and all its tokens. It can be done again.
    pub async fn end_everything_open(&self, account: AccountId) -> Result<(), Failure> {
        self.end_all(account, None).await
    }

    /// Ends the sessions of an account but this one, and all its tokens.
    async fn end_all(&self, account: AccountId, but: Option<SessionId>) -> Result<(), Failure> {
        self.parts.sessions.end_all_of(account, but).await?;
        self.parts.tokens.end_all_of(account).await
    }
}
