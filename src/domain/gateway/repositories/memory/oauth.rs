//! Grants in memory.

use std::{cmp::Reverse, collections::hash_map::Entry};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    MemoryAccounts,
    account::{State, StoredGrant},
    lock,
};
use crate::domain::gateway::{
    models::{
        oauth::{
            ExpiryCursor, Grant, GrantCursor, GrantFilter, GrantStatus, LeaseOutcome, ProviderName, PutOutcome,
            RefreshLease,
        },
        values::id::GrantId,
    },
    repositories::{Constraint, RepositoryError, oauth::OAuthRepository, truncate_to_micros},
};

impl State {
    /// The grant, and until when this holder has or had its lease, unless another has taken or ended it since.
    fn leased(&mut self, lease: &RefreshLease) -> Option<(&mut StoredGrant, DateTime<Utc>)> {
        let stored = self.grants.get_mut(&lease.grant)?;
        let until = stored.lease.filter(|held| held.holder == lease.holder)?.until;
        Some((stored, until))
    }

    /// Stores a grant, unless there is one for the same identity that `stays`.
    fn put_grant(&mut self, grant: &Grant, stays: fn(&Grant) -> bool) -> Result<PutOutcome, RepositoryError> {
        let grant = Grant {
            expires_at: grant.expires_at.map(truncate_to_micros),
            created_at: truncate_to_micros(grant.created_at),
            allowed_at: truncate_to_micros(grant.allowed_at),
            updated_at: truncate_to_micros(grant.updated_at),
            ..grant.clone()
        };
        let identity = (grant.provider.clone(), grant.provider_subject.clone());
        if self.identities.get(&identity).is_none_or(|known| known.account.id != grant.account) {
            return Err(RepositoryError::Conflict(Constraint::Identity));
        }
        let owner = |grant: &Grant| (grant.account, grant.provider.clone(), grant.provider_subject.clone());
        if let Some(stored) = self.grants.values_mut().find(|stored| owner(&stored.grant) == owner(&grant)) {
            if stays(&stored.grant) {
                return Ok(PutOutcome::Renewable(stored.grant.clone()));
            }
            let Grant { id, created_at, .. } = stored.grant;
            *stored = StoredGrant { grant: Grant { id, created_at, ..grant }, lease: None };
            return Ok(PutOutcome::Stored(stored.grant.clone()));
        }
        match self.grants.entry(grant.id) {
            Entry::Vacant(vacant) => {
                Ok(PutOutcome::Stored(vacant.insert(StoredGrant { grant, lease: None }).grant.clone()))
            }
            Entry::Occupied(_) => Err(RepositoryError::Conflict(Constraint::Id)),
        }
    }

    /// The grants that are `wanted`, the least by `order` first.
    fn grants<K: Ord>(&self, wanted: impl Fn(&Grant) -> bool, order: impl Fn(&Grant) -> K, limit: u64) -> Vec<Grant> {
        let mut found: Vec<_> =
            self.grants.values().map(|stored| &stored.grant).filter(|grant| wanted(grant)).collect();
        found.sort_by_key(|grant| order(grant));
        found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect()
    }
}

#[async_trait]
impl OAuthRepository for MemoryAccounts {
    async fn put_grant(&self, grant: &Grant) -> Result<Grant, RepositoryError> {
        match lock(&self.0).put_grant(grant, |_| false)? {
            PutOutcome::Stored(grant) | PutOutcome::Renewable(grant) => Ok(grant),
        }
    }

    async fn put_grant_unless_renewable(&self, grant: &Grant) -> Result<PutOutcome, RepositoryError> {
        lock(&self.0).put_grant(grant, |held| held.status == GrantStatus::Active && held.refreshable)
    }

    async fn find_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError> {
        Ok(lock(&self.0).grants.get(&id).map(|stored| stored.grant.clone()))
    }

    async fn list_grants(
        &self,
        filter: &GrantFilter,
        after: Option<GrantCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError> {
        let wanted = |grant: &Grant| {
            filter.account.is_none_or(|account| account == grant.account)
                && filter.provider.as_ref().is_none_or(|provider| *provider == grant.provider)
                && after
                    .is_none_or(|after| (grant.created_at, grant.id) < (truncate_to_micros(after.created_at), after.id))
        };
        Ok(lock(&self.0).grants(wanted, |grant| Reverse((grant.created_at, grant.id)), limit))
    }

    async fn acquire_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<LeaseOutcome, RepositoryError> {
        let mut state = lock(&self.0);
        let Some(stored) = state.grants.get_mut(&lease.grant) else { return Ok(LeaseOutcome::Gone) };
        match stored.lease {
            Some(RefreshLease { until, .. }) if truncate_to_micros(now) < until => Ok(LeaseOutcome::Held { until }),
            Some(_) | None => {
                stored.lease = Some(RefreshLease { until: truncate_to_micros(lease.until), ..*lease });
                Ok(LeaseOutcome::Acquired(stored.grant.clone()))
            }
        }
    }

    async fn renew_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Result<bool, RepositoryError> {
        let mut state = lock(&self.0);
        match state.leased(lease) {
            Some((stored, until)) if truncate_to_micros(now) < until => {
                stored.lease = Some(RefreshLease { until: truncate_to_micros(lease.until), ..*lease });
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    async fn finish_refresh(&self, lease: &RefreshLease, refreshed: &Grant) -> Result<bool, RepositoryError> {
        let mut state = lock(&self.0);
        let Some((StoredGrant { grant, lease }, _)) = state.leased(lease) else { return Ok(false) };
        grant.status = refreshed.status;
        grant.sealed_tokens.clone_from(&refreshed.sealed_tokens);
        grant.expires_at = refreshed.expires_at.map(truncate_to_micros);
        grant.refreshable = refreshed.refreshable;
        grant.allowed_at = truncate_to_micros(refreshed.allowed_at);
        grant.updated_at = truncate_to_micros(refreshed.updated_at);
        *lease = None;
        Ok(true)
    }

    async fn release_lease(&self, lease: &RefreshLease) -> Result<(), RepositoryError> {
        if let Some(stored) = lock(&self.0).grants.get_mut(&lease.grant) {
            stored.lease = stored.lease.filter(|held| held.holder != lease.holder);
        }
        Ok(())
    }

    async fn revoke_grants_of(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Grant>, RepositoryError> {
        let mut revoked = Vec::new();
        for StoredGrant { grant, lease } in lock(&self.0).grants.values_mut() {
            let theirs = grant.provider == *provider && grant.provider_subject == subject;
            if theirs && grant.status != GrantStatus::Revoked && grant.allowed_at <= truncate_to_micros(until) {
                (grant.status, grant.updated_at, *lease) = (GrantStatus::Revoked, truncate_to_micros(now), None);
                revoked.push(grant.clone());
            }
        }
        Ok(revoked)
    }

    async fn reseal_grant(&self, id: GrantId, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError> {
        let mut state = lock(&self.0);
        let stored = state.grants.get_mut(&id).filter(|stored| stored.grant.sealed_tokens == read);
        let Some(StoredGrant { grant, .. }) = stored else { return Ok(false) };
        grant.sealed_tokens = resealed.to_vec();
        Ok(true)
    }

    async fn remove_grant(&self, id: GrantId) -> Result<Option<Grant>, RepositoryError> {
        Ok(lock(&self.0).grants.remove(&id).map(|stored| stored.grant))
    }

    async fn grants_expiring(
        &self,
        provider: &ProviderName,
        before: DateTime<Utc>,
        after: Option<ExpiryCursor>,
        limit: u64,
    ) -> Result<Vec<Grant>, RepositoryError> {
        let in_time = |id, expires_at| {
            expires_at <= truncate_to_micros(before)
                && after.is_none_or(|after| (truncate_to_micros(after.expires_at), after.id) < (expires_at, id))
        };
        let wanted = |grant: &Grant| {
            grant.provider == *provider
                && grant.status == GrantStatus::Active
                && grant.refreshable
                && grant.expires_at.is_some_and(|expires_at| in_time(grant.id, expires_at))
        };
        Ok(lock(&self.0).grants(wanted, |grant| (grant.expires_at, grant.id), limit))
    }
}
