//! Accounts in memory: their identities, password logins and grants, behind one lock.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        account::{
            Account, AccountEnding, Email, ErasureOutcome, IdentityErasure, PasswordHash, PasswordLogin, Profile,
            ProviderIdentity, UnlinkOutcome,
        },
        oauth::{Grant, GrantStatus, ProviderName, RefreshLease},
        values::id::{AccountId, EndingId, GrantId},
    },
    repositories::{Constraint, RepositoryError, account::AccountRepository, truncate_to_micros},
};

/// Accounts and grants in memory.
#[derive(Debug, Default)]
pub struct MemoryAccounts(pub(super) Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    accounts: HashMap<AccountId, Account>,
    logins: HashMap<AccountId, PasswordLogin>,
    endings: HashMap<EndingId, AccountEnding>,
    pub(super) identities: HashMap<(ProviderName, String), KnownIdentity>,
    pub(super) grants: HashMap<GrantId, StoredGrant>,
}

#[derive(Debug)]
pub(super) struct KnownIdentity {
    pub(super) account: Account,
    identity: ProviderIdentity,
}

#[derive(Debug)]
pub(super) struct StoredGrant {
    pub(super) grant: Grant,
    pub(super) lease: Option<RefreshLease>,
}

impl State {
    /// The identities of an account.
    pub(super) fn identities_of(&self, account: AccountId) -> Vec<ProviderIdentity> {
        let of_account = self.identities.values().filter(|known| known.account.id == account);
        let mut identities: Vec<_> = of_account.map(|known| known.identity.clone()).collect();
        identities.sort_by_cached_key(key);
        identities
    }

    fn add_login(&mut self, login: &PasswordLogin) -> Result<(), RepositoryError> {
        let is_taken = self.logins.values().any(|other| other.email == login.email);
        match self.logins.entry(login.account) {
            Entry::Occupied(_) => Err(RepositoryError::Conflict(Constraint::Login)),
            Entry::Vacant(_) if is_taken => Err(RepositoryError::Conflict(Constraint::Email)),
            Entry::Vacant(vacant) => {
                vacant.insert(PasswordLogin { changed_at: truncate_to_micros(login.changed_at), ..login.clone() });
                Ok(())
            }
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
    async fn account_of(&self, identity: &ProviderIdentity, new_account: &Account) -> Result<Account, RepositoryError> {
        let mut state = lock(&self.0);
        let State { accounts, identities, .. } = &mut *state;
        let unknown = match identities.entry(key(identity)) {
            Entry::Occupied(mut known) => {
                let stored = &mut known.get_mut().identity;
                let name = identity.name.clone().or_else(|| stored.name.take());
                *stored = ProviderIdentity { name, ..identity.clone() };
                return Ok(known.get().account.clone());
            }
            Entry::Vacant(unknown) => unknown,
        };
        let Entry::Vacant(vacant) = accounts.entry(new_account.id) else {
            return Err(RepositoryError::Conflict(Constraint::Id));
        };
        let account = Account { created_at: truncate_to_micros(new_account.created_at), ..new_account.clone() };
        vacant.insert(account.clone());
        unknown.insert(KnownIdentity { account: account.clone(), identity: identity.clone() });
        Ok(account)
    }

    async fn find_account(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, RepositoryError> {
        let key = (provider.clone(), subject.to_owned());
        Ok(lock(&self.0).identities.get(&key).map(|known| known.account.id))
    }

    async fn link(&self, identity: &ProviderIdentity, account: &Account) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0);
        let State { accounts, identities, .. } = &mut *state;
        match identities.entry(key(identity)) {
            Entry::Occupied(known) if known.get().account.id == account.id => Ok(()),
            Entry::Occupied(_) => Err(RepositoryError::Conflict(Constraint::Identity)),
            Entry::Vacant(vacant) => {
                let account = accounts.get(&account.id).ok_or(RepositoryError::Conflict(Constraint::Account))?;
                vacant.insert(KnownIdentity { account: account.clone(), identity: identity.clone() });
                Ok(())
            }
        }
    }

    async fn identities_of(&self, account: AccountId) -> Result<Vec<ProviderIdentity>, RepositoryError> {
        Ok(lock(&self.0).identities_of(account))
    }

    async fn sign_up(&self, account: &Account, login: &PasswordLogin) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0);
        if state.accounts.contains_key(&account.id) {
            return Err(RepositoryError::Conflict(Constraint::Id));
        }
        state.add_login(&PasswordLogin { account: account.id, ..login.clone() })?;
        state
            .accounts
            .insert(account.id, Account { created_at: truncate_to_micros(account.created_at), ..account.clone() });
        Ok(())
    }

    async fn add_login(&self, login: &PasswordLogin) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0);
        if !state.accounts.contains_key(&login.account) {
            return Err(RepositoryError::Conflict(Constraint::Account));
        }
        state.add_login(login)
    }

    async fn find_login(&self, email: &Email) -> Result<Option<PasswordLogin>, RepositoryError> {
        Ok(lock(&self.0).logins.values().find(|login| login.email == *email).cloned())
    }

    async fn replace_hash(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<bool, RepositoryError> {
        let mut state = lock(&self.0);
        let Some(stored) = state.logins.get_mut(&login.account).filter(|stored| stored.hash == *read) else {
            return Ok(false);
        };
        (stored.hash, stored.changed_at) = (login.hash.clone(), truncate_to_micros(login.changed_at));
        Ok(true)
    }

    async fn profile(&self, account: AccountId) -> Result<Option<Profile>, RepositoryError> {
        let state = lock(&self.0);
        let Some(known) = state.accounts.get(&account) else { return Ok(None) };
        Ok(Some(Profile {
            account: known.clone(),
            login: state.logins.get(&account).cloned(),
            identities: state.identities_of(account),
        }))
    }

    async fn unlink(&self, account: AccountId, provider: &ProviderName) -> Result<UnlinkOutcome, RepositoryError> {
        let mut state = lock(&self.0);
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
        let mut state = lock(&self.0);
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
        let mut state = lock(&self.0);
        if state.accounts.remove(&account).is_none() {
            return Ok(None);
        }
        state.logins.remove(&account);
        state.identities.retain(|_, known| known.account.id != account);
        Ok(Some(state.take_grants(|grant| grant.account == account)))
    }

    async fn begin_ending(&self, ending: &AccountEnding) -> Result<(), RepositoryError> {
        match lock(&self.0).endings.entry(ending.id) {
            Entry::Occupied(_) => Err(RepositoryError::Conflict(Constraint::Id)),
            Entry::Vacant(vacant) => {
                vacant.insert(AccountEnding { begun_at: truncate_to_micros(ending.begun_at), ..*ending });
                Ok(())
            }
        }
    }

    async fn endings_begun_by(&self, at: DateTime<Utc>, limit: u64) -> Result<Vec<AccountEnding>, RepositoryError> {
        let state = lock(&self.0);
        let mut begun: Vec<_> =
            state.endings.values().filter(|ending| ending.begun_at <= truncate_to_micros(at)).copied().collect();
        begun.sort_by_key(|ending| (ending.begun_at, ending.id));
        begun.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(begun)
    }

    async fn finish_ending(&self, id: EndingId) -> Result<(), RepositoryError> {
        lock(&self.0).endings.remove(&id);
        Ok(())
    }
}

fn key(identity: &ProviderIdentity) -> (ProviderName, String) {
    (identity.provider.clone(), identity.subject.clone())
}
