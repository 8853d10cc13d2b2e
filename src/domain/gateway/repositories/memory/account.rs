//! Password logins in memory, beside the identities and grants of the same accounts.

use std::{collections::hash_map::Entry, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MemoryOAuth, lock, oauth::State};
use crate::domain::gateway::{
    models::{
        account::{
            Account, AccountEnding, Email, ErasureOutcome, IdentityErasure, PasswordHash, PasswordLogin, Profile,
            UnlinkOutcome,
        },
        id::{AccountId, EndingId},
        oauth::{Grant, GrantStatus, ProviderName},
    },
    repositories::{RepositoryError, account::AccountRepository, truncate_to_micros},
};

/// Password logins in memory.
#[derive(Debug, Default)]
pub struct MemoryAccounts(Arc<MemoryOAuth>);

impl MemoryAccounts {
    /// The logins of the accounts in that store.
    pub fn of(accounts: Arc<MemoryOAuth>) -> Self {
        Self(accounts)
    }
}

impl State {
    fn add_login(&mut self, login: &PasswordLogin) -> Result<(), RepositoryError> {
        let is_taken = self.logins.values().any(|other| other.email == login.email);
        match self.logins.entry(login.account) {
            Entry::Vacant(vacant) if !is_taken => {
                vacant.insert(PasswordLogin { changed_at: truncate_to_micros(login.changed_at), ..login.clone() });
                Ok(())
            }
            Entry::Vacant(_) | Entry::Occupied(_) => Err(RepositoryError::Conflict),
        }
    }

    fn take_grants(&mut self, of: impl Fn(&Grant) -> bool) -> Vec<Grant> {
        let mut taken: Vec<_> =
            self.grants.extract_if(|_, stored| of(&stored.grant)).map(|(_, stored)| stored.grant).collect();
        taken.sort_by_key(|grant| grant.id);
        taken
    }
}

#[async_trait]
impl AccountRepository for MemoryAccounts {
    async fn sign_up(&self, account: &Account, login: &PasswordLogin) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0.0);
        if state.accounts.contains_key(&account.id) {
            return Err(RepositoryError::Conflict);
        }
        state.add_login(&PasswordLogin { account: account.id, ..login.clone() })?;
        state
            .accounts
            .insert(account.id, Account { created_at: truncate_to_micros(account.created_at), ..account.clone() });
        Ok(())
    }

    async fn add_login(&self, login: &PasswordLogin) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0.0);
        if !state.accounts.contains_key(&login.account) {
            return Err(RepositoryError::Conflict);
        }
        state.add_login(login)
    }

    async fn find_login(&self, email: &Email) -> Result<Option<PasswordLogin>, RepositoryError> {
        Ok(lock(&self.0.0).logins.values().find(|login| login.email == *email).cloned())
    }

    async fn replace_hash(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<bool, RepositoryError> {
        let mut state = lock(&self.0.0);
        let Some(stored) = state.logins.get_mut(&login.account).filter(|stored| stored.hash == *read) else {
            return Ok(false);
        };
        (stored.hash, stored.changed_at) = (login.hash.clone(), truncate_to_micros(login.changed_at));
        Ok(true)
    }

    async fn profile(&self, account: AccountId) -> Result<Option<Profile>, RepositoryError> {
        let state = lock(&self.0.0);
        let Some(known) = state.accounts.get(&account) else { return Ok(None) };
        Ok(Some(Profile {
            account: known.clone(),
            login: state.logins.get(&account).cloned(),
            identities: state.identities_of(account),
        }))
    }

    async fn unlink(&self, account: AccountId, provider: &ProviderName) -> Result<UnlinkOutcome, RepositoryError> {
        let mut state = lock(&self.0.0);
        let identities = state.identities_of(account);
        let there = identities.iter().filter(|identity| identity.provider == *provider).count();
        if there == 0 {
            return Ok(UnlinkOutcome::NotLinked);
        }
        if there == identities.len() && !state.logins.contains_key(&account) {
            return Ok(UnlinkOutcome::LastWayIn);
        }
        state.identities.retain(|(at, _), known| known.account.id != account || at != provider);
        let theirs = |grant: &Grant| grant.account == account && grant.provider == *provider;
        Ok(UnlinkOutcome::Unlinked(state.take_grants(theirs)))
    }

    async fn erase_identity(&self, erasure: &IdentityErasure) -> Result<ErasureOutcome, RepositoryError> {
        let IdentityErasure { provider, subject, until, ending, now } = erasure;
        let mut state = lock(&self.0.0);
        let key = (provider.clone(), subject.clone());
        let Some(account) = state.identities.get(&key).map(|known| known.account.id) else {
            return Ok(ErasureOutcome::Unknown);
        };
        let theirs = |grant: &Grant| grant.provider == *provider && grant.provider_subject == *subject;
        let is_newer =
            |grant: &Grant| grant.status == GrantStatus::Active && grant.allowed_at > truncate_to_micros(*until);
        if state.grants.values().any(|stored| theirs(&stored.grant) && is_newer(&stored.grant)) {
            return Ok(ErasureOutcome::AllowedAnew);
        }
        let is_last = state.identities_of(account).len() == 1 && !state.logins.contains_key(&account);
        state.identities.remove(&key);
        let grants = state.take_grants(theirs);
        if !is_last {
            return Ok(ErasureOutcome::Erased(account, grants));
        }
        state.accounts.remove(&account);
        let ending =
            AccountEnding { id: *ending, account, keep: None, removes: true, begun_at: truncate_to_micros(*now) };
        state.endings.insert(ending.id, ending);
        Ok(ErasureOutcome::AccountRemoved(ending, grants))
    }

    async fn remove(&self, account: AccountId) -> Result<Option<Vec<Grant>>, RepositoryError> {
        let mut state = lock(&self.0.0);
        if state.accounts.remove(&account).is_none() {
            return Ok(None);
        }
        state.logins.remove(&account);
        state.identities.retain(|_, known| known.account.id != account);
        Ok(Some(state.take_grants(|grant| grant.account == account)))
    }

    async fn begin_ending(&self, ending: &AccountEnding) -> Result<(), RepositoryError> {
        match lock(&self.0.0).endings.entry(ending.id) {
            Entry::Occupied(_) => Err(RepositoryError::Conflict),
            Entry::Vacant(vacant) => {
                vacant.insert(AccountEnding { begun_at: truncate_to_micros(ending.begun_at), ..*ending });
                Ok(())
            }
        }
    }

    async fn endings_begun_by(&self, at: DateTime<Utc>, limit: u64) -> Result<Vec<AccountEnding>, RepositoryError> {
        let state = lock(&self.0.0);
        let mut begun: Vec<_> =
            state.endings.values().filter(|ending| ending.begun_at <= truncate_to_micros(at)).copied().collect();
        begun.sort_by_key(|ending| (ending.begun_at, ending.id));
        begun.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(begun)
    }

    async fn finish_ending(&self, id: EndingId) -> Result<(), RepositoryError> {
        lock(&self.0.0).endings.remove(&id);
        Ok(())
    }
}
