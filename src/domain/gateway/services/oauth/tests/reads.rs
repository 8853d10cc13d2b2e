//! How often the store is asked.

use super::*;
use crate::domain::gateway::models::oauth::{ExpiryCursor, LeaseOutcome};

/// A store in memory that writes down what it is asked.
#[derive(Default)]
struct Counting {
    store: MemoryOAuth,
    asked: Mutex<Vec<&'static str>>,
}

impl Counting {
    fn ask(&self, what: &'static str) -> &MemoryOAuth {
        self.asked.lock().unwrap().push(what);
        &self.store
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

type Answer<T> = Result<T, RepositoryError>;

#[async_trait]
impl OAuthRepository for Counting {
    async fn account_of(&self, identity: &ProviderIdentity, newcomer: &Account) -> Answer<Account> {
        self.ask("account_of").account_of(identity, newcomer).await
    }

    async fn link(&self, identity: &ProviderIdentity, account: &Account) -> Answer<()> {
        self.ask("link").link(identity, account).await
    }

    async fn put_grant(&self, grant: &Grant) -> Answer<Grant> {
        self.ask("put_grant").put_grant(grant).await
    }

    async fn find_grant(&self, id: GrantId) -> Answer<Option<Grant>> {
        self.ask("find_grant").find_grant(id).await
    }

    async fn list_grants(&self, filter: &GrantFilter, after: Option<GrantCursor>, limit: u64) -> Answer<Vec<Grant>> {
        self.ask("list_grants").list_grants(filter, after, limit).await
    }

    async fn acquire_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Answer<LeaseOutcome> {
        self.ask("acquire_lease").acquire_lease(lease, now).await
    }

    async fn renew_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Answer<bool> {
        self.ask("renew_lease").renew_lease(lease, now).await
    }

    async fn finish_refresh(&self, lease: &RefreshLease, refreshed: &Grant) -> Answer<bool> {
        self.ask("finish_refresh").finish_refresh(lease, refreshed).await
    }

    async fn release_lease(&self, lease: &RefreshLease) -> Answer<()> {
        self.ask("release_lease").release_lease(lease).await
    }

    async fn identities_of(&self, account: AccountId) -> Answer<Vec<ProviderIdentity>> {
        self.ask("identities_of").identities_of(account).await
    }

    async fn revoke_grants_of(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Answer<Vec<Grant>> {
        self.ask("revoke_grants_of").revoke_grants_of(provider, subject, until, now).await
    }

    async fn reseal_grant(&self, id: GrantId, read: &[u8], resealed: &[u8]) -> Answer<bool> {
        self.ask("reseal_grant").reseal_grant(id, read, resealed).await
    }

    async fn remove_grant(&self, id: GrantId) -> Answer<Option<Grant>> {
        self.ask("remove_grant").remove_grant(id).await
    }

    async fn grants_expiring(
        &self,
        provider: &ProviderName,
        before: DateTime<Utc>,
        after: Option<ExpiryCursor>,
        limit: u64,
    ) -> Answer<Vec<Grant>> {
        self.ask("grants_expiring").grants_expiring(provider, before, after, limit).await
    }
}

#[tokio::test]
async fn a_fresh_grant_costs_one_read_and_a_refresh_two_reads_and_two_writes() {
    let scene = Scene::new().await;
    let store = Arc::new(Counting::default());
    let counted = Scene { vault: Scene::replica(store.clone(), &scene.provider, &scene.bench), ..scene };
    let (open, alice) = counted.sign_in("alice").await;
    store.asked();
    for _ in 0..3 {
        counted.vault.open(&alice, open.grant.id).await.unwrap();
        assert_eq!(store.asked(), ["find_grant"]);
    }
    counted.bench.clock.pass(LIFE);
    counted.vault.open(&alice, open.grant.id).await.unwrap();
    assert_eq!(store.asked(), ["find_grant", "find_grant", "acquire_lease", "finish_refresh"]);
}
