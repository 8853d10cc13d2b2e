//! Reseals every value that is not sealed with the first key of `VAULT_KEY`, so that the other keys can be removed.
//! Gateways may be running meanwhile: values that they have changed since are read again.

use std::sync::Arc;

use super::{
    Failure, oauth,
    ports::{OpenError, Sealer},
    signing_key,
};
use crate::domain::gateway::{
    models::oauth::{Grant, GrantCursor, GrantFilter},
    repositories::{oauth::OAuthRepository, signing_key::SigningKeyRepository},
};

/// The number of grants that are read at once.
const PAGE: u64 = 200;

/// The stores of sealed values.
pub struct Resealing {
    /// Grants, with the providers' tokens.
    pub grants: Arc<dyn OAuthRepository>,
    /// Signing keys, with their private halves.
    pub keys: Arc<dyn SigningKeyRepository>,
    /// Opens with all keys, and seals with the first.
    pub sealer: Arc<dyn Sealer>,
}

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// The number of values that were resealed.
    pub resealed: u64,
    /// The number of values that were sealed with the first key already.
    pub current: u64,
    /// The values that could not be opened: they are unchanged.
    pub unopened: Vec<Unopened>,
}

/// A value that could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Unopened {
    /// Its name: `grant …` or `signing key …`.
    pub what: String,
    /// The reason.
    pub reason: OpenError,
}

impl Resealing {
    /// Processes every value once. Repeating it is harmless.
    pub async fn run(&self) -> Result<Resealed, Failure> {
        let mut done = Resealed::default();
        self.reseal_keys(&mut done).await?;
        self.reseal_grants(&mut done).await?;
        Ok(done)
    }

    async fn reseal_keys(&self, done: &mut Resealed) -> Result<(), Failure> {
        for key in self.keys.list().await? {
            let outcome = self.sealer.reseal(&signing_key::sealing_context(&key.kid), &key.sealed_private_key);
            if let Some(resealed) = done.note(outcome, || format!("signing key {}", key.kid))
                && self.keys.reseal(&key.kid, &key.sealed_private_key, &resealed).await?
            {
                // Otherwise it was deleted, or another run was faster: gateways never change a key.
                done.resealed += 1;
            }
        }
        Ok(())
    }

    async fn reseal_grants(&self, done: &mut Resealed) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let page = self.grants.list_grants(&GrantFilter::default(), after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(GrantCursor { created_at: last.created_at, id: last.id });
            for grant in page {
                self.reseal_grant(grant, done).await?;
            }
        }
    }

    async fn reseal_grant(&self, mut grant: Grant, done: &mut Resealed) -> Result<(), Failure> {
        loop {
            let outcome = self.sealer.reseal(&oauth::sealing_context(&grant), &grant.sealed_tokens);
            let Some(resealed) = done.note(outcome, || format!("grant {}", grant.id)) else { return Ok(()) };
            if self.grants.reseal_grant(grant.id, &grant.sealed_tokens, &resealed).await? {
                done.resealed += 1;
                return Ok(());
            }
            // It was refreshed or deleted in the meantime.
            let Some(now) = self.grants.find_grant(grant.id).await? else { return Ok(()) };
            grant = now;
        }
    }
}

impl Resealed {
    /// Counts a value that needs nothing, or that cannot be resealed; returns the value to store for any other.
    fn note(&mut self, outcome: Result<Option<Vec<u8>>, OpenError>, what: impl Fn() -> String) -> Option<Vec<u8>> {
        match outcome {
            Ok(Some(resealed)) => return Some(resealed),
            Ok(None) => self.current += 1,
            Err(reason) => self.unopened.push(Unopened { what: what(), reason }),
        }
        None
    }
}

#[cfg(test)]
mod tests;
