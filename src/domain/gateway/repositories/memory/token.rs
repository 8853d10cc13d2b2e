//! Tokens in memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Mutex,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::lock;
use crate::domain::gateway::{
    models::{
        id::{ClientId, FamilyId, SessionId},
        token::{
            DummyToken, NewRefreshToken, RecordedRevocation, RefreshRecord, Revocable, Revocation, RevocationCursor,
            Rotation, RotationOutcome, TokenDigest, TokenFamily,
        },
    },
    repositories::{RepositoryError, kept, token::TokenRepository},
};

/// Tokens in memory.
#[derive(Debug, Default)]
pub struct MemoryTokens(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    families: HashMap<FamilyId, TokenFamily>,
    refresh_tokens: HashMap<TokenDigest, StoredRefreshToken>,
    dummies: HashMap<TokenDigest, DummyToken>,
    deny_list: DenyList,
}

#[derive(Debug)]
struct StoredRefreshToken {
    family: FamilyId,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used: Option<Use>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    at: DateTime<Utc>,
    successor: TokenDigest,
}

impl StoredRefreshToken {
    fn new(family: FamilyId, token: &NewRefreshToken) -> Self {
        Self { family, issued_at: kept(token.issued_at), expires_at: kept(token.expires_at), used: None }
    }
}

fn stored(family: &TokenFamily) -> TokenFamily {
    TokenFamily {
        created_at: kept(family.created_at),
        access_expires_at: kept(family.access_expires_at),
        revoked_at: family.revoked_at.map(kept),
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
            let expires_at = kept(revocation.expires_at);
            self.by_place.insert(self.last_place, Revocation { expires_at, ..revocation });
        }
    }

    fn forget_expired(&mut self, now: DateTime<Utc>) {
        self.by_place.retain(|_, revocation| now < revocation.expires_at);
        self.places.retain(|_, place| self.by_place.contains_key(place));
    }
}

impl State {
    fn rotate(&mut self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
        let now = kept(rotation.now);
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
                *family = family.clone().with_access_token_issued(now);
                Ok(RotationOutcome::Replayed { family: family.clone(), successor: used.successor })
            }
            Some(_) => {
                family.revoked_at = Some(now);
                self.deny_list.add(family.revocation());
                Ok(RotationOutcome::Reused { family: family.clone() })
            }
            None if token.expires_at <= now => Ok(RotationOutcome::Expired),
            None if successor_is_taken => Err(RepositoryError::Conflict),
            None => {
                token.used = Some(Use { at: now, successor: rotation.successor.digest });
                *family = family.clone().with_access_token_issued(now);
                let outcome = RotationOutcome::Rotated(family.clone());
                let successor = StoredRefreshToken::new(family_id, &rotation.successor);
                self.refresh_tokens.insert(rotation.successor.digest, successor);
                Ok(outcome)
            }
        }
    }

    fn forget_expired(&mut self, now: DateTime<Utc>) -> usize {
        let held = |state: &Self| state.families.len() + state.dummies.len() + state.deny_list.by_place.len();
        let before = held(self);
        self.deny_list.forget_expired(now);
        self.dummies.retain(|_, dummy| now < dummy.expires_at);
        let needed: HashSet<FamilyId> =
            self.refresh_tokens.values().filter(|token| now < token.expires_at).map(|token| token.family).collect();
        self.families.retain(|id, family| needed.contains(id) || now < family.access_expires_at);
        self.refresh_tokens.retain(|_, token| self.families.contains_key(&token.family));
        before - held(self)
    }
}

#[async_trait]
impl TokenRepository for MemoryTokens {
    async fn open_family(&self, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError> {
        let mut state = lock(&self.0);
        if state.families.contains_key(&family.id) || state.refresh_tokens.contains_key(&first.digest) {
            return Err(RepositoryError::Conflict);
        }
        state.refresh_tokens.insert(first.digest, StoredRefreshToken::new(family.id, first));
        state.families.insert(family.id, stored(family));
        Ok(())
    }

    async fn open_access_only(&self, family: &TokenFamily) -> Result<(), RepositoryError> {
        match lock(&self.0).families.entry(family.id) {
            Entry::Occupied(_) => Err(RepositoryError::Conflict),
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
        let State { families, deny_list, .. } = &mut *lock(&self.0);
        let theirs = families.values_mut().filter(|family| family.client_id == client && family.revoked_at.is_none());
        let revoked = theirs.map(|family| {
            family.revoked_at = Some(kept(now));
            deny_list.add(family.revocation());
            family.clone()
        });
        Ok(revoked.collect())
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
        lock(&self.0).rotate(rotation)
    }

    async fn find_refresh(&self, digest: &TokenDigest) -> Result<Option<RefreshRecord>, RepositoryError> {
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

    async fn revoke_family(&self, id: FamilyId, now: DateTime<Utc>) -> Result<Option<TokenFamily>, RepositoryError> {
        let mut state = lock(&self.0);
        let State { families, deny_list, .. } = &mut *state;
        Ok(families.get_mut(&id).map(|family| {
            if family.revoked_at.is_none() {
                family.revoked_at = Some(kept(now));
                deny_list.add(family.revocation());
            }
            family.clone()
        }))
    }

    async fn end_families_of(&self, subject: &str) -> Result<Vec<Revocation>, RepositoryError> {
        let State { families, refresh_tokens, deny_list, .. } = &mut *lock(&self.0);
        let ended = families.extract_if(|_, family| family.subject == subject);
        let revocations: Vec<_> = ended.map(|(_, family)| family.revocation()).collect();
        for revocation in &revocations {
            deny_list.add(*revocation);
        }
        refresh_tokens.retain(|_, token| families.contains_key(&token.family));
        Ok(revocations)
    }

    async fn revoke_families_of_sessions(
        &self,
        sessions: &[SessionId],
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError> {
        let now = kept(now);
        let mut state = lock(&self.0);
        let State { families, deny_list, .. } = &mut *state;
        let mut revoked = Vec::new();
        for family in families.values_mut() {
            let is_meant = family.session.is_some_and(|session| sessions.contains(&session));
            if is_meant && family.revoked_at.is_none() {
                family.revoked_at = Some(now);
                if family.may_have_live_access_tokens(now) {
                    deny_list.add(family.revocation());
                }
                revoked.push(family.clone());
            }
        }
        Ok(revoked)
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

    async fn revocations_after(
        &self,
        cursor: RevocationCursor,
        limit: u64,
    ) -> Result<Vec<RecordedRevocation>, RepositoryError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let recorded = |(&place, &revocation): (&i64, &Revocation)| RecordedRevocation {
            cursor: RevocationCursor(place),
            revocation,
        };
        let state = lock(&self.0);
        let after = (std::ops::Bound::Excluded(cursor.0), std::ops::Bound::Unbounded);
        Ok(state.deny_list.by_place.range(after).take(limit).map(recorded).collect())
    }

    async fn put_dummy(&self, dummy: &DummyToken) -> Result<(), RepositoryError> {
        let dummy =
            DummyToken { created_at: kept(dummy.created_at), expires_at: kept(dummy.expires_at), ..dummy.clone() };
        lock(&self.0).dummies.insert(dummy.digest, dummy);
        Ok(())
    }

    async fn find_dummy(&self, digest: &TokenDigest) -> Result<Option<DummyToken>, RepositoryError> {
        Ok(lock(&self.0).dummies.get(digest).cloned())
    }

    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let forgotten = lock(&self.0).forget_expired(now);
        Ok(forgotten.try_into().unwrap_or(u64::MAX))
    }
}
