//! Gets the caller's provider token for a route that forwards it. Concurrent requests of one core for the same token
//! share one question to the [`Resolver`]. The token is cached for a short while: never longer than it is fresh, and no
//! longer than until a change of the person's grants that this replica knows of. Only tokens are cached; a failure is
//! not, so the next request asks again.
//!
//! [`Resolver`]: crate::edge::ports::Resolver

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, header::InvalidHeaderValue};
use tokio::sync::OnceCell;
use tracing::error;

use super::{cache::Cache, lookup::Lookup};
use crate::{
    domain::gateway::models::{
        access::Permit,
        http::header::TokenHeader,
        oauth::{ProviderName, REMEMBERED_FOR},
        service::ProviderToken,
        values::id::AccountId,
    },
    edge::{
        error::Failure,
        ports::{ProviderAccess, ProviderAccessError},
        snapshot::Snapshot,
    },
};

/// How many people's tokens a core caches for each provider. Some kilobytes each at most.
const CAPACITY: usize = 4 * 1024;

/// The cached provider tokens of one core.
#[derive(Default)]
pub(crate) struct ProviderTokens {
    known: RefCell<HashMap<ProviderName, BySubject>>,
    asked: RefCell<HashMap<(ProviderName, AccountId), Rc<Asked>>>,
}

/// The tokens of one provider. By subject, so that a cache hit parses and copies nothing.
type BySubject = Cache<Rc<str>, Rc<Known>>;

/// A token, ready to be sent.
struct Known {
    account: AccountId,
    asked_at: DateTime<Utc>,
    /// The time from which it has to be requested again.
    until: DateTime<Utc>,
    bearer: HeaderValue,
    /// The same bytes without `Bearer `.
    bare: HeaderValue,
}

/// A question in progress, with its outcome.
struct Asked {
    at: DateTime<Utc>,
    outcome: OnceCell<Result<Rc<Known>, Failure>>,
}

/// The value of the header that `wanted` names, for the person of the permit.
pub(crate) async fn provider_token(
    lookup: &Lookup,
    tokens: &ProviderTokens,
    snapshot: &Snapshot,
    wanted: &ProviderToken,
    permit: &Permit,
) -> Result<HeaderValue, Failure> {
    let missing = || Failure::ProviderGrantMissing(wanted.provider.clone());
    let subject = permit.identity().ok_or_else(missing)?.subject.as_str();
    if let Some(known) = tokens.recall(&wanted.provider, subject, snapshot, lookup.now()) {
        return Ok(known.value(&wanted.header));
    }
    let account: AccountId = subject.parse().map_err(|_| missing())?;
    let asked = tokens.asked(&wanted.provider, account, snapshot, lookup.now());
    let ask = || async {
        let outcome = ask(lookup, &wanted.provider, account, asked.at).await;
        tokens.settle(&wanted.provider, subject, account, &asked, &outcome, lookup.now());
        outcome
    };
    let known = asked.outcome.get_or_init(ask).await.clone()?;
    Ok(known.value(&wanted.header))
}

async fn ask(
    lookup: &Lookup,
    provider: &ProviderName,
    account: AccountId,
    asked_at: DateTime<Utc>,
) -> Result<Rc<Known>, Failure> {
    let (resolver, name) = (Arc::clone(&lookup.resolver), provider.clone());
    // Continues if the client leaves: a refresh that has begun must be finished.
    let response = lookup.control.spawn(async move { resolver.provider_token(account, &name).await }).await;
    match response {
        Ok(Ok(access)) => Known::new(account, asked_at, &access).map(Rc::new).map_err(|_| {
            error!(%provider, "a provider's token cannot be sent in a header");
            Failure::Internal
        }),
        Ok(Err(error)) => Err(failure(error, provider.clone())),
        Err(_panicked) => Err(Failure::Internal),
    }
}

fn failure(error: ProviderAccessError, provider: ProviderName) -> Failure {
    match error {
        ProviderAccessError::GrantMissing => Failure::ProviderGrantMissing(provider),
        ProviderAccessError::ReauthorizationRequired => Failure::ReauthorizationRequired(provider),
        ProviderAccessError::ProviderUnavailable => Failure::ProviderUnavailable(provider),
        ProviderAccessError::Unavailable => Failure::VaultUnavailable,
        ProviderAccessError::Broken => Failure::Internal,
    }
}

impl ProviderTokens {
    /// The cached token, if it may still be used.
    fn recall(
        &self,
        provider: &ProviderName,
        subject: &str,
        snapshot: &Snapshot,
        now: DateTime<Utc>,
    ) -> Option<Rc<Known>> {
        let mut providers = self.known.borrow_mut();
        let tokens = providers.get_mut(provider)?;
        let known = tokens.get(subject)?;
        if now < known.until && !snapshot.grant_changes.concern(known.account, known.asked_at) {
            return Some(known);
        }
        tokens.forget(subject);
        None
    }

    /// The question in progress, or a new one if there is none or if its answer may be out of date already.
    fn asked(&self, provider: &ProviderName, account: AccountId, snapshot: &Snapshot, now: DateTime<Utc>) -> Rc<Asked> {
        let mut under_way = self.asked.borrow_mut();
        // Drop the questions whose clients have all gone.
        under_way.retain(|_, asked| Rc::strong_count(asked) > 1);
        let new = || Rc::new(Asked { at: now, outcome: OnceCell::new() });
        match under_way.entry((provider.clone(), account)) {
            Entry::Occupied(mut entry) => {
                if snapshot.grant_changes.concern(account, entry.get().at) {
                    entry.insert(new());
                }
                Rc::clone(entry.get())
            }
            Entry::Vacant(entry) => Rc::clone(entry.insert(new())),
        }
    }

    /// Records the answer to a question: later requests use the cached token, or ask again.
    fn settle(
        &self,
        provider: &ProviderName,
        subject: &str,
        account: AccountId,
        asked: &Rc<Asked>,
        outcome: &Result<Rc<Known>, Failure>,
        now: DateTime<Utc>,
    ) {
        let mut under_way = self.asked.borrow_mut();
        match under_way.entry((provider.clone(), account)) {
            Entry::Occupied(entry) if Rc::ptr_eq(entry.get(), asked) => drop(entry.remove()),
            // A grant has changed meanwhile, and another question has replaced this one.
            Entry::Occupied(_) | Entry::Vacant(_) => return,
        }
        if let Ok(known) = outcome
            && now < known.until
        {
            let mut providers = self.known.borrow_mut();
            let tokens = providers.entry(provider.clone()).or_insert_with(|| Cache::new(CAPACITY));
            tokens.insert(subject.into(), Rc::clone(known));
        }
    }
}

impl Known {
    fn new(account: AccountId, asked_at: DateTime<Utc>, access: &ProviderAccess) -> Result<Self, InvalidHeaderValue> {
        const SCHEME: &str = "Bearer ";
        let bytes = Bytes::from(format!("{SCHEME}{}", access.token.expose()));
        let value = |bytes| {
            HeaderValue::from_maybe_shared(bytes).map(|mut value: HeaderValue| {
                value.set_sensitive(true);
                value
            })
        };
        let at_most = asked_at + REMEMBERED_FOR;
        Ok(Self {
            account,
            asked_at,
            until: access.fresh_until.map_or(at_most, |fresh_until| fresh_until.min(at_most)),
            bearer: value(bytes.clone())?,
            bare: value(bytes.slice(SCHEME.len()..))?,
        })
    }

    fn value(&self, header: &TokenHeader) -> HeaderValue {
        if header.is_authorization() { self.bearer.clone() } else { self.bare.clone() }
    }
}
