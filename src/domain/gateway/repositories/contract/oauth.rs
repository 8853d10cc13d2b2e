//! Contract of a store of accounts and grants. The values of its cases are here.

use chrono::{DateTime, TimeDelta, Utc};

use super::harness::{Store, at};
use crate::domain::gateway::{
    models::{
        account::{Account, ProviderIdentity},
        oauth::{Grant, GrantStatus, LeaseOutcome, ProviderName, RefreshLease},
        values::id::{AccountId, GrantId, LeaseId},
    },
    repositories::{RepositoryError, account::AccountRepository, oauth::OAuthRepository},
};

mod account;
mod database;
mod grant;
mod lease;
mod listing;
mod race;

/// Below the precision of a store.
const FINER: TimeDelta = TimeDelta::nanoseconds(999);

/// Providers' identifiers of people, written so that a careless store would mix them up.
const SUBJECTS: [&str; 4] = ["제인 \"doe\"%_\\ '; -- 😀", "subject", "SUBJECT", "subject "];

fn provider(name: &str) -> ProviderName {
    name.parse().unwrap()
}

fn account_id(n: u8) -> AccountId {
    AccountId::from_random([n; 16])
}

fn grant_id(n: u8) -> GrantId {
    GrantId::from_random([n; 16])
}

fn account(n: u8) -> Account {
    Account { id: account_id(n), created_at: at(n.into()) }
}

fn identity(provider_name: &str, subject: &str) -> ProviderIdentity {
    ProviderIdentity {
        provider: provider(provider_name),
        subject: subject.to_owned(),
        verified_email: Some("jane@example.com".to_owned()),
        name: Some("제인 \"Doe\"'; --".to_owned()),
    }
}

/// A grant of `account_id(account)`, created at `at(0)`, that uses every field.
fn grant(n: u8, account: u8) -> Grant {
    Grant {
        id: grant_id(n),
        account: account_id(account),
        provider: provider("google"),
        provider_subject: format!("{} {n}", SUBJECTS[0]),
        status: GrantStatus::Active,
        sealed_tokens: (0..=255).chain([n]).collect(),
        expires_at: Some(at(3600)),
        refreshable: true,
        created_at: at(0),
        allowed_at: at(1),
        updated_at: at(1),
    }
}

/// The request of holder `n` to refresh grant 1.
fn lease(n: u8, until: DateTime<Utc>) -> RefreshLease {
    RefreshLease { grant: grant_id(1), holder: LeaseId::from_random([n; 16]), until }
}

/// A copy of `before` that differs in everything that a refresh may change, and in nothing else.
fn refreshed(before: &Grant, now: DateTime<Utc>) -> Grant {
    Grant {
        status: GrantStatus::NeedsReauthorization,
        sealed_tokens: vec![0, 7],
        expires_at: None,
        refreshable: false,
        updated_at: now,
        ..before.clone()
    }
}

/// Stores `account(n)`.
async fn met(store: &Store, n: u8) {
    let identity = identity("github", &format!("met {n}"));
    assert_eq!(store.accounts.account_of(&identity, &account(n)).await.unwrap(), account(n));
}

/// Links the identity of a grant to its account, and stores the grant.
async fn put(
    accounts: &dyn AccountRepository,
    oauth: &dyn OAuthRepository,
    grant: &Grant,
) -> Result<Grant, RepositoryError> {
    let account = Account { id: grant.account, created_at: at(0) };
    accounts.link(&identity(grant.provider.as_str(), &grant.provider_subject), &account).await?;
    oauth.put_grant(grant).await
}

/// Stores `grant(1, 1)` and its account.
async fn granted(store: &Store) -> Grant {
    met(store, 1).await;
    put(&*store.accounts, &*store.oauth, &grant(1, 1)).await.unwrap()
}

/// Gives holder 1 the lease on a new grant 1 from `at(100)` until `at(130)`.
async fn leased(store: &Store) -> Grant {
    let grant = granted(store).await;
    let outcome = store.oauth.acquire_lease(&lease(1, at(130)), at(100)).await.unwrap();
    assert_eq!(outcome, LeaseOutcome::Acquired(grant.clone()));
    grant
}
