//! The number of store calls, and failures and changes in between.

use super::*;
use crate::domain::gateway::models::oauth::{ExpiryCursor, LeaseOutcome, PutOutcome};

/// A store in memory that records its calls.
#[derive(Default)]
struct Counting {
    store: Arc<MemoryAccounts>,
    asked: Mutex<Vec<&'static str>>,
    /// The number of refreshes that cannot be stored.
    away: AtomicU32,
    /// Whether an account ends just before its grant is stored.
    ends: AtomicBool,
}

impl Counting {
    fn ask(&self, what: &'static str) -> &MemoryAccounts {
        self.asked.lock().unwrap().push(what);
        &self.store
    }

    async fn end(&self, account: AccountId) {
        if self.ends.load(Ordering::SeqCst) {
            self.store.remove(account).await.unwrap();
        }
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

type Stored<T> = Result<T, RepositoryError>;

#[async_trait]
impl OAuthRepository for Counting {
    async fn put_grant(&self, grant: &Grant) -> Stored<Grant> {
        self.end(grant.account).await;
        self.ask("put_grant").put_grant(grant).await
    }

    async fn put_grant_unless_renewable(&self, grant: &Grant) -> Stored<PutOutcome> {
        self.end(grant.account).await;
        self.ask("put_grant_unless_renewable").put_grant_unless_renewable(grant).await
    }

    async fn find_grant(&self, id: GrantId) -> Stored<Option<Grant>> {
        self.ask("find_grant").find_grant(id).await
    }

    async fn list_grants(&self, filter: &GrantFilter, after: Option<GrantCursor>, limit: u64) -> Stored<Vec<Grant>> {
        self.ask("list_grants").list_grants(filter, after, limit).await
    }

    async fn acquire_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Stored<LeaseOutcome> {
        self.ask("acquire_lease").acquire_lease(lease, now).await
    }

    async fn renew_lease(&self, lease: &RefreshLease, now: DateTime<Utc>) -> Stored<bool> {
        self.ask("renew_lease").renew_lease(lease, now).await
    }

    async fn finish_refresh(&self, lease: &RefreshLease, refreshed: &Grant) -> Stored<bool> {
        let is_away = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_away {
            return Err(RepositoryError::Unavailable("away".into()));
        }
        self.ask("finish_refresh").finish_refresh(lease, refreshed).await
    }

    async fn release_lease(&self, lease: &RefreshLease) -> Stored<()> {
        self.ask("release_lease").release_lease(lease).await
    }

    async fn revoke_grants_of(
        &self,
        provider: &ProviderName,
        subject: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Stored<Vec<Grant>> {
        self.ask("revoke_grants_of").revoke_grants_of(provider, subject, until, now).await
    }

    async fn reseal_grant(&self, id: GrantId, read: &[u8], resealed: &[u8]) -> Stored<bool> {
        self.ask("reseal_grant").reseal_grant(id, read, resealed).await
    }

    async fn remove_grant(&self, id: GrantId) -> Stored<Option<Grant>> {
        self.ask("remove_grant").remove_grant(id).await
    }

    async fn grants_expiring(
        &self,
        provider: &ProviderName,
        before: DateTime<Utc>,
        after: Option<ExpiryCursor>,
        limit: u64,
    ) -> Stored<Vec<Grant>> {
        self.ask("grants_expiring").grants_expiring(provider, before, after, limit).await
    }
}

#[tokio::test]
async fn a_fresh_grant_costs_one_read_and_a_refresh_two_reads_and_two_writes() {
    let scene = Scene::new().await;
    let store = Arc::new(Counting::default());
    let counted =
        Scene { vault: Scene::replica(store.store.clone(), store.clone(), &scene.provider, &scene.bench), ..scene };
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

async fn counted() -> (Scene, Arc<Counting>) {
    let scene = Scene::new().await;
    let store = Arc::new(Counting::default());
    (Scene { vault: Scene::replica(store.store.clone(), store.clone(), &scene.provider, &scene.bench), ..scene }, store)
}

#[tokio::test(start_paused = true)]
async fn new_tokens_wait_for_an_unavailable_store() {
    let (scene, store) = counted().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    store.away.store(60, Ordering::SeqCst);
    let opened = scene.vault.open(&alice, open.grant.id).await.unwrap();
    assert_eq!(opened.tokens.access_token.expose(), "provider-access-1");
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 1, "the provider was asked once");
    // Not for ever.
    scene.bench.clock.pass(LIFE);
    store.away.store(u32::MAX, Ordering::SeqCst);
    let outcome = scene.vault.open(&alice, open.grant.id).await;
    assert!(matches!(outcome, Err(GrantError::Failed(Failure::Unavailable(_)))), "{outcome:?}");
}

#[tokio::test]
async fn new_tokens_are_stored_even_if_their_caller_is_gone() {
    let (scene, store) = counted().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    let gate = Arc::new(Notify::new());
    *scene.provider.gate.lock().unwrap() = Some(gate.clone());
    let (vault, id) = (scene.vault.clone(), open.grant.id);
    let call = tokio::spawn(async move { vault.open(&alice, id).await });
    while scene.provider.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    gate.notify_one();
    while store.store.find_grant(id).await.unwrap().unwrap().updated_at == open.grant.updated_at {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn new_tokens_of_a_deleted_grant_are_revoked() {
    for allowed_anew in [false, true] {
        let (scene, store) = counted().await;
        let (open, alice) = scene.sign_in("alice").await;
        scene.bench.clock.pass(LIFE);
        let gate = Arc::new(Notify::new());
        *scene.provider.gate.lock().unwrap() = Some(gate.clone());
        let (vault, id) = (scene.vault.clone(), open.grant.id);
        let call = tokio::spawn(async move { vault.open(&alice, id).await });
        while scene.provider.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        store.store.remove_grant(id).await.unwrap();
        if allowed_anew {
            store.store.put_grant(&Grant { id: GrantId::from_random([9; 16]), ..open.grant }).await.unwrap();
        }
        gate.notify_one();
        assert!(matches!(call.await.unwrap(), Err(GrantError::NotFound)));
        // Some providers revoke everything that the person allowed.
        assert_eq!(scene.provider.revocations.load(Ordering::SeqCst), u32::from(!allowed_anew));
    }
}

#[tokio::test]
async fn a_sign_in_that_meets_the_end_of_its_account_gets_an_error() {
    for without_refresh_token in [false, true] {
        let (scene, store) = counted().await;
        scene.provider.withholds.store(without_refresh_token, Ordering::SeqCst);
        store.ends.store(true, Ordering::SeqCst);
        let outcome = scene.vault.exchange(code_of("alice"), ExchangePurpose::SignIn).await;
        assert!(matches!(outcome, Err(ExchangeError::AccountEnded)), "{outcome:?}");
        assert_eq!(scene.provider.revocations.load(Ordering::SeqCst), 1, "nobody keeps what the provider gave out");
        store.ends.store(false, Ordering::SeqCst);
        scene.sign_in("alice").await;
    }
}
