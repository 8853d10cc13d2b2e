//! Tokens in memory.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        token::{
            DummyToken, KEPT_GENERATIONS, LEEWAY, MAX_GENERATION, NewRefreshToken, RecordedRevocation, RefreshRecord,
            Revocable, Revocation, RevocationCursor, RevocationPage, Rotation, RotationOutcome, TokenFamily,
        },
        values::{
            digest::Sha256Digest,
            id::{ClientId, FamilyId, SessionId},
        },
    },
    repositories::{Constraint, RepositoryError, token::TokenRepository, truncate_to_micros},
};

/// Tokens in memory.
#[derive(Debug, Default)]
pub struct MemoryTokens(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    families: HashMap<FamilyId, TokenFamily>,
    refresh_tokens: HashMap<Sha256Digest, StoredRefreshToken>,
    /// The stored refresh tokens of each family: a rotation searches only these.
    tokens_of: HashMap<FamilyId, Vec<Sha256Digest>>,
    dummies: HashMap<Sha256Digest, DummyToken>,
    deny_list: DenyList,
}

#[derive(Debug)]
struct StoredRefreshToken {
    family: FamilyId,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used: Option<Use>,
    generation: i32,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: DateTime<Utc>,
    successor: Sha256Digest,
}

impl StoredRefreshToken {
    fn new(family: FamilyId, generation: i32, token: &NewRefreshToken) -> Self {
        let (issued_at, expires_at) = (truncate_to_micros(token.issued_at), truncate_to_micros(token.expires_at));
        Self { family, issued_at, expires_at, used: None, generation }
    }

    /// Whether it was used and is not needed any more: it has expired, or can be recognised by a stored one.
    fn is_needless(&self, now: DateTime<Utc>, grace: TimeDelta) -> bool {
        self.used.is_some_and(|used| {
            self.expires_at <= now || (used.at <= now - grace && self.generation % KEPT_GENERATIONS != 0)
        })
    }
}

fn stored(family: &TokenFamily) -> TokenFamily {
    TokenFamily {
        created_at: truncate_to_micros(family.created_at),
        access_expires_at: truncate_to_micros(family.access_expires_at),
        revoked_at: family.revoked_at.map(truncate_to_micros),
        ..family.clone()
    }
}

#[derive(Debug, Default)]
struct DenyList {
    by_place: BTreeMap<i64, Revocation>,
    places: HashMap<Revocable, i64>,
    last_place: i64,
}

impl DenyList {
    fn add(&mut self, revocation: Revocation) {
        if let Entry::Vacant(vacant) = self.places.entry(revocation.id) {
            self.last_place += 1;
            vacant.insert(self.last_place);
            let expires_at = truncate_to_micros(revocation.expires_at);
            self.by_place.insert(self.last_place, Revocation { expires_at, ..revocation });
        }
    }

    fn purge_expired(&mut self, now: DateTime<Utc>) {
        self.by_place.retain(|_, revocation| now < revocation.expires_at);
        self.places.retain(|_, place| self.by_place.contains_key(place));
    }
}

trait Revoke {
    /// Revokes a family, and puts it on the deny-list if it may have a live access token.
    fn revoke(&mut self, now: DateTime<Utc>, deny_list: &mut DenyList);
}

impl Revoke for TokenFamily {
    fn revoke(&mut self, now: DateTime<Utc>, deny_list: &mut DenyList) {
        self.revoked_at = Some(now);
        if self.may_have_live_access_tokens(now) {
            deny_list.add(self.revocation());
        }
    }
}

impl State {
    fn rotate(&mut self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
        let now = truncate_to_micros(rotation.now);
        let successor_is_taken = self.refresh_tokens.contains_key(&rotation.successor.digest);
        let Some(token) = self.refresh_tokens.get_mut(&rotation.presented) else {
            return Ok(RotationOutcome::Unknown);
        };
        let family_id = token.family;
        let Some(family) = self.families.get_mut(&family_id) else {
            return Ok(RotationOutcome::Unknown);
        };
        if family.revoked_at.is_some() {
            return Ok(RotationOutcome::Revoked);
        }
        match token.used {
            Some(used) if now - used.at < rotation.grace => {
                let unused = |token: &StoredRefreshToken| token.used.is_none();
                if !self.refresh_tokens.get(&used.successor).is_some_and(unused) {
                    return Ok(RotationOutcome::Superseded);
                }
                *family = family.clone().with_access_token_issued(now);
                Ok(RotationOutcome::Replayed { family: family.clone(), successor: used.successor })
            }
            Some(_) => {
                family.revoke(now, &mut self.deny_list);
                Ok(RotationOutcome::Reused { family: family.clone() })
            }
            None if token.expires_at <= now || token.generation >= MAX_GENERATION => Ok(RotationOutcome::Expired),
            None if successor_is_taken => Err(RepositoryError::Conflict(Constraint::Id)),
            None => {
                token.used = Some(Use { at: now, successor: rotation.successor.digest });
                let generation = token.generation + 1;
                *family = family.clone().with_access_token_issued(now);
                let outcome = RotationOutcome::Rotated(family.clone());
                let successor = StoredRefreshToken::new(family_id, generation, &rotation.successor);
                self.refresh_tokens.insert(rotation.successor.digest, successor);
                let own = self.tokens_of.entry(family_id).or_default();
                own.push(rotation.successor.digest);
                let tokens = &mut self.refresh_tokens;
                own.retain(|digest| {
                    let is_needless = |token: &StoredRefreshToken| token.is_needless(now, rotation.grace);
                    let is_needed = tokens.get(digest).is_some_and(|token| !is_needless(token));
                    if !is_needed {
                        tokens.remove(digest);
                    }
                    is_needed
                });
                Ok(outcome)
            }
        }
    }

    fn open(&mut self, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError> {
        if self.families.contains_key(&family.id) || self.refresh_tokens.contains_key(&first.digest) {
            return Err(RepositoryError::Conflict(Constraint::Id));
        }
        self.refresh_tokens.insert(first.digest, StoredRefreshToken::new(family.id, 0, first));
        self.tokens_of.insert(family.id, vec![first.digest]);
        self.families.insert(family.id, stored(family));
        Ok(())
    }

    /// Puts the matching families on the deny-list, and deletes them.
    fn end(&mut self, meant: impl Fn(&TokenFamily) -> bool) -> Vec<Revocation> {
        let Self { families, refresh_tokens, tokens_of, deny_list, .. } = self;
        let ended = families.extract_if(|_, family| meant(family)).map(|(id, family)| {
            deny_list.add(family.revocation());
            for token in tokens_of.remove(&id).unwrap_or_default() {
                refresh_tokens.remove(&token);
            }
            family.revocation()
        });
        ended.collect()
    }

    /// Revokes the matching families that were not revoked before.
    fn revoke(&mut self, meant: impl Fn(&TokenFamily) -> bool, now: DateTime<Utc>) -> Vec<TokenFamily> {
        let Self { families, deny_list, .. } = self;
        let alive = families.values_mut().filter(|family| family.revoked_at.is_none() && meant(family));
        let revoked = alive.map(|family| {
            family.revoke(truncate_to_micros(now), deny_list);
            family.clone()
        });
        revoked.collect()
    }

    fn purge_expired(&mut self, now: DateTime<Utc>) -> usize {
        let held = |state: &Self| state.families.len() + state.dummies.len() + state.deny_list.by_place.len();
        let before = held(self);
        self.deny_list.purge_expired(now);
        self.dummies.retain(|_, dummy| now < dummy.expires_at);
        let needed: HashSet<FamilyId> =
            self.refresh_tokens.values().filter(|token| now < token.expires_at).map(|token| token.family).collect();
        self.families.retain(|id, family| needed.contains(id) || now < family.access_expires_at + LEEWAY);
        self.refresh_tokens.retain(|_, token| self.families.contains_key(&token.family));
        self.tokens_of.retain(|family, _| self.families.contains_key(family));
        before - held(self)
    }
}

#[async_trait]
impl TokenRepository for MemoryTokens {
    async fn open_family(&self, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError> {
        lock(&self.0).open(family, first)
    }

    async fn open_family_among(
        &self,
        family: &TokenFamily,
        first: &NewRefreshToken,
        most: u64,
    ) -> Result<Vec<Revocation>, RepositoryError> {
        let mut state = lock(&self.0);
        state.open(family, first)?;
        let kind = |of: &TokenFamily| (of.session, of.subject.clone(), of.client_id.clone());
        let alike = state.families.values().filter(|other| kind(other) == kind(family));
        let mut alike: Vec<_> = alike.map(|other| (Reverse(other.created_at), Reverse(other.id))).collect();
        alike.sort_unstable();
        let oldest = alike.into_iter().skip(usize::try_from(most).unwrap_or(usize::MAX));
        let oldest: HashSet<_> = oldest.map(|(_, Reverse(id))| id).collect();
        if oldest.is_empty() {
            return Ok(Vec::new());
        }
        Ok(state.end(|family| oldest.contains(&family.id)))
    }

    async fn open_access_only(&self, family: &TokenFamily) -> Result<(), RepositoryError> {
        match lock(&self.0).families.entry(family.id) {
            Entry::Occupied(_) => Err(RepositoryError::Conflict(Constraint::Id)),
            Entry::Vacant(vacant) => {
                vacant.insert(stored(family));
                Ok(())
            }
        }
    }

    async fn revoke_families_of_client(
        &self,
        client: ClientId,
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError> {
        let client = client.to_string();
        Ok(lock(&self.0).revoke(|family| family.client_id == client, now))
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
        lock(&self.0).rotate(rotation)
    }

    async fn find_refresh(&self, digest: &Sha256Digest) -> Result<Option<RefreshRecord>, RepositoryError> {
        let state = lock(&self.0);
        let record = |token: &StoredRefreshToken| {
            Some(RefreshRecord {
                family: state.families.get(&token.family)?.clone(),
                issued_at: token.issued_at,
                expires_at: token.expires_at,
                consumed_at: token.used.map(|used| used.at),
            })
        };
        Ok(state.refresh_tokens.get(digest).and_then(record))
    }

    async fn find_family_of(&self, tokens: &[Sha256Digest]) -> Result<Option<TokenFamily>, RepositoryError> {
        let state = lock(&self.0);
        let found = tokens.iter().find_map(|token| state.refresh_tokens.get(token));
        Ok(found.and_then(|token| state.families.get(&token.family)).cloned())
    }

    async fn revoke_family(&self, id: FamilyId, now: DateTime<Utc>) -> Result<Option<TokenFamily>, RepositoryError> {
        let State { families, deny_list, .. } = &mut *lock(&self.0);
        let Some(family) = families.get_mut(&id) else { return Ok(None) };
        if family.revoked_at.is_none() {
            family.revoke(truncate_to_micros(now), deny_list);
        }
        Ok(Some(family.clone()))
    }

    async fn end_families_of(&self, subject: &str) -> Result<Vec<Revocation>, RepositoryError> {
        Ok(lock(&self.0).end(|family| family.subject == subject))
    }

    async fn revoke_families_of_sessions(
        &self,
        sessions: &[SessionId],
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError> {
        let sessions: HashSet<_> = sessions.iter().collect();
        let is_meant = |family: &TokenFamily| family.session.is_some_and(|session| sessions.contains(&session));
        Ok(lock(&self.0).revoke(is_meant, now))
    }

    async fn revoke_families_of_ended_sessions(&self, now: DateTime<Utc>) -> Result<Vec<TokenFamily>, RepositoryError> {
        let mut state = lock(&self.0);
        let ended: HashSet<_> = state.deny_list.places.keys().copied().collect();
        let is_meant =
            |family: &TokenFamily| family.session.is_some_and(|session| ended.contains(&session.as_uuid().into()));
        Ok(state.revoke(is_meant, now))
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0);
        for &revocation in revocations {
            state.deny_list.add(revocation);
        }
        Ok(())
    }

    async fn is_any_revoked(&self, ids: &[Revocable]) -> Result<bool, RepositoryError> {
        let state = lock(&self.0);
        Ok(ids.iter().any(|id| state.deny_list.places.contains_key(id)))
    }

    async fn restore(&self, revocations: &[Revocation], now: DateTime<Utc>) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0);
        let State { families, deny_list, .. } = &mut *state;
        for revocation in revocations {
            if let Some(family) = families.get_mut(&revocation.id.as_uuid().into()) {
                family.revoked_at.get_or_insert(truncate_to_micros(now));
            }
            deny_list.add(*revocation);
        }
        Ok(())
    }

    async fn revoked_among(&self, ids: &[Revocable]) -> Result<Vec<Revocable>, RepositoryError> {
        let state = lock(&self.0);
        Ok(ids.iter().filter(|id| state.deny_list.places.contains_key(id)).copied().collect())
    }

    async fn revocations_after(&self, cursor: RevocationCursor, limit: u64) -> Result<RevocationPage, RepositoryError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let recorded = |(&place, &revocation): (&i64, &Revocation)| RecordedRevocation {
            cursor: RevocationCursor::at(place),
            revocation,
        };
        let state = lock(&self.0);
        let after = (std::ops::Bound::Excluded(cursor.place()), std::ops::Bound::Unbounded);
        let entries = state.deny_list.by_place.range(after).take(limit).map(recorded).collect();
        // It never loses an entry.
        Ok(RevocationPage { entries, end: RevocationCursor::at(state.deny_list.last_place), is_continued: true })
    }

    async fn put_dummy(&self, dummy: &DummyToken) -> Result<(), RepositoryError> {
        let dummy = DummyToken {
            created_at: truncate_to_micros(dummy.created_at),
            expires_at: truncate_to_micros(dummy.expires_at),
            ..dummy.clone()
        };
        lock(&self.0).dummies.insert(dummy.digest, dummy);
        Ok(())
    }

    async fn find_dummy(&self, digest: &Sha256Digest) -> Result<Option<DummyToken>, RepositoryError> {
        Ok(lock(&self.0).dummies.get(digest).cloned())
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let forgotten = lock(&self.0).purge_expired(now);
        Ok(forgotten.try_into().unwrap_or(u64::MAX))
    }
}
