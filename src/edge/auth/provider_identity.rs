//! Checks whether a caller has an identity at the provider that a route requires. The answer of the [`Resolver`] is
//! cached for a short while, and no longer than until a change of the person's grants that this replica knows of. A
//! missing identity is not cached: it is looked up each time.
//!
//! [`Resolver`]: crate::edge::ports::Resolver

use std::{cell::RefCell, rc::Rc, sync::Arc};

use chrono::{DateTime, Utc};

use super::{cache::Cache, lookup::Lookup};
use crate::{
    domain::gateway::models::{
        oauth::{ProviderName, REMEMBERED_FOR},
        values::{id::AccountId, identity::Identity},
    },
    edge::{error::Failure, snapshot::Snapshot},
};

/// For how many accounts a core caches their identities.
const CAPACITY: usize = 4 * 1024;

/// The cached identities of one core.
pub(crate) struct ProviderIdentities(RefCell<Cache<AccountId, Rc<Known>>>);

struct Known {
    providers: Vec<ProviderName>,
    asked_at: DateTime<Utc>,
}

/// The required provider, if the caller has an identity there.
pub(crate) async fn identity_at<'p>(
    lookup: &Lookup,
    accounts: &ProviderIdentities,
    snapshot: &Snapshot,
    wanted: Option<&'p ProviderName>,
    caller: Option<&Arc<Identity>>,
) -> Result<Option<&'p ProviderName>, Failure> {
    let (Some(wanted), Some(caller)) = (wanted, caller) else { return Ok(None) };
    // A subject that is not one of our accounts has no identities.
    let Ok(account) = caller.subject.parse::<AccountId>() else { return Ok(None) };
    let has_it = |known: &Rc<Known>| known.providers.contains(wanted);
    if accounts.recall(account, snapshot, lookup.now()).as_ref().is_some_and(has_it) {
        return Ok(Some(wanted));
    }
    let known = Box::pin(ask(lookup, accounts, account)).await?;
    Ok(has_it(&known).then_some(wanted))
}

async fn ask(lookup: &Lookup, accounts: &ProviderIdentities, account: AccountId) -> Result<Rc<Known>, Failure> {
    let asked_at = lookup.now();
    let providers = lookup.ask(|resolver| async move { resolver.providers_of(account).await }).await?;
    let known = Rc::new(Known { providers, asked_at });
    accounts.0.borrow_mut().insert(account, Rc::clone(&known));
    Ok(known)
}

impl ProviderIdentities {
    fn recall(&self, account: AccountId, snapshot: &Snapshot, now: DateTime<Utc>) -> Option<Rc<Known>> {
        let known = self.0.borrow_mut().get(&account)?;
        let counts = now < known.asked_at + REMEMBERED_FOR && !snapshot.grant_changes.concern(account, known.asked_at);
        counts.then_some(known)
    }
}

impl Default for ProviderIdentities {
    fn default() -> Self {
        Self(RefCell::new(Cache::new(CAPACITY)))
    }
}
