//! Sign-ins without a refresh token: the stored one is kept, whatever else is pending.

use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::domain::gateway::models::values::id::LeaseId;

impl Scene {
    /// Alice has signed in, and from now on the provider issues no refresh tokens at sign-ins.
    async fn of_alice() -> (Self, OpenGrant, Identity) {
        let scene = Self::new().await;
        let (open, alice) = scene.sign_in("alice").await;
        scene.provider.withholds.store(true, Ordering::SeqCst);
        (scene, open, alice)
    }

    fn rotate(&self) {
        self.provider.rotates.store(true, Ordering::SeqCst);
    }

    /// A refresh of Alice's grant that waits for the provider.
    async fn refresh_under_way(
        &self,
        id: GrantId,
        alice: &Identity,
    ) -> (Arc<Notify>, JoinHandle<Result<OpenGrant, GrantError>>) {
        let gate = Arc::new(Notify::new());
        *self.provider.gate.lock().unwrap() = Some(gate.clone());
        let (vault, alice) = (self.vault.clone(), alice.clone());
        let refresh = tokio::spawn(async move { vault.refresh(&alice, id).await });
        while self.provider.waiting.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        *self.provider.gate.lock().unwrap() = None;
        (gate, refresh)
    }

    /// A sign-in at a gateway, as far as it gets without further help.
    async fn sign_in_under_way(&self, vault: &Arc<OAuthService>) -> JoinHandle<Result<Exchanged, ExchangeError>> {
        let (vault, before) = (vault.clone(), self.provider.exchanges.lock().unwrap().len());
        let sign_in = tokio::spawn(async move { vault.exchange(code_of("alice"), ExchangePurpose::SignIn).await });
        while self.provider.exchanges.lock().unwrap().len() == before {
            yield_now().await;
        }
        for _ in 0..20 {
            yield_now().await;
        }
        sign_in
    }

    fn another_replica(&self) -> Arc<OAuthService> {
        Self::replica(self.store.clone(), self.store.clone(), &self.provider, &self.bench)
    }

    async fn stored(&self, id: GrantId) -> Grant {
        self.store.find_grant(id).await.unwrap().unwrap()
    }
}

fn refresh_token(open: &OpenGrant) -> Option<&str> {
    open.tokens.refresh_token.as_ref().map(Secret::expose)
}

#[tokio::test]
async fn the_stored_refresh_token_stays_and_the_access_token_is_new() {
    let (scene, first, alice) = Scene::of_alice().await;
    let (other, _) = scene.sign_in("bob").await;
    assert_eq!((refresh_token(&other), other.grant.refreshable), (None, false), "nobody else's");
    scene.bench.clock.pass(TimeDelta::minutes(30));
    scene.bench.recorder.grant_changes.lock().unwrap().clear();
    let (again, _) = scene.sign_in("alice").await;
    let now = scene.bench.clock.now();
    assert_eq!(refresh_token(&again), Some("provider-refresh"));
    assert_eq!(again.grant, scene.stored(first.grant.id).await);
    assert_eq!((again.grant.refreshable, again.grant.status), (true, GrantStatus::Active));
    assert_eq!((again.grant.expires_at, again.grant.updated_at), (Some(now + LIFE), now));
    assert_eq!(again.grant.allowed_at, now, "the person allowed it again");
    assert_eq!(again.grant.created_at, first.grant.created_at);
    assert_eq!(*scene.bench.recorder.grant_changes.lock().unwrap(), [(first.grant.account, now)]);
    // It is as valid as ever.
    scene.bench.clock.pass(LIFE);
    assert_eq!(access(&scene.vault.open(&alice, first.grant.id).await.unwrap()), "provider-access-1");
    let refreshed = scene.stored(first.grant.id).await;
    assert_eq!((refreshed.allowed_at, refreshed.updated_at), (now, now + LIFE), "a refresh allows nothing");
    // A new refresh token replaces it.
    scene.provider.withholds.store(false, Ordering::SeqCst);
    *scene.provider.refresh_token.lock().unwrap() = "another".to_owned();
    assert_eq!(refresh_token(&scene.sign_in("alice").await.0), Some("another"));
}

#[tokio::test]
async fn a_grant_that_has_ended_stores_no_refresh_token() {
    for ends_by_notice in [false, true] {
        let (scene, first, alice) = Scene::of_alice().await;
        if ends_by_notice {
            let now = scene.bench.clock.now();
            scene.store.revoke_grants_of(&first.grant.provider, "alice", now, now).await.unwrap();
        } else {
            *scene.provider.failure.lock().unwrap() =
                Some(ProviderError::InvalidGrant { code: "invalid_grant".into() });
            scene.vault.refresh(&alice, first.grant.id).await.unwrap_err();
            *scene.provider.failure.lock().unwrap() = None;
        }
        let (again, _) = scene.sign_in("alice").await;
        assert_eq!((again.grant.id, again.grant.status), (first.grant.id, GrantStatus::Active));
        assert_eq!((refresh_token(&again), again.grant.refreshable), (None, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_refresh_is_waited_for_and_its_refresh_token_stays() {
    for elsewhere in [false, true] {
        let (scene, first, alice) = Scene::of_alice().await;
        scene.rotate();
        let id = first.grant.id;
        let (gate, refresh) = scene.refresh_under_way(id, &alice).await;
        let vault = if elsewhere { scene.another_replica() } else { scene.vault.clone() };
        let sign_in = scene.sign_in_under_way(&vault).await;
        assert!(!sign_in.is_finished(), "the refresh token may be another when the provider has answered");
        gate.notify_one();
        assert_eq!(access(&refresh.await.unwrap().unwrap()), "provider-access-1");
        let open = sign_in.await.unwrap().unwrap().open;
        assert_eq!((access(&open), refresh_token(&open)), ("provider-access-0", Some("provider-refresh-1")));
        // The provider accepts no other.
        assert_eq!(access(&scene.vault.refresh(&alice, id).await.unwrap()), "provider-access-2");
        assert_eq!(scene.provider.revocations.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_refused_in_the_meantime_leaves_no_refresh_token() {
    let (scene, first, alice) = Scene::of_alice().await;
    let (gate, refresh) = scene.refresh_under_way(first.grant.id, &alice).await;
    let sign_in = scene.sign_in_under_way(&scene.another_replica()).await;
    *scene.provider.failure.lock().unwrap() = Some(ProviderError::InvalidGrant { code: "invalid_grant".into() });
    gate.notify_one();
    assert!(matches!(refresh.await.unwrap(), Err(GrantError::ReauthorizationRequired)));
    let open = sign_in.await.unwrap().unwrap().open;
    assert_eq!((open.grant.status, refresh_token(&open)), (GrantStatus::Active, None));
    assert_eq!(scene.stored(first.grant.id).await, open.grant);
}

#[tokio::test(start_paused = true)]
async fn a_vanished_holder_is_waited_for_as_long_as_its_lease_lasts() {
    let (scene, first, _) = Scene::of_alice().await;
    let now = scene.bench.clock.now();
    let vanished = |until| RefreshLease { grant: first.grant.id, holder: LeaseId::from_random([5; 16]), until };
    scene.store.acquire_lease(&vanished(now + TimeDelta::hours(1)), now).await.unwrap();
    let outcome = scene.vault.exchange(code_of("alice"), ExchangePurpose::SignIn).await;
    assert!(matches!(outcome, Err(ExchangeError::Failed(Failure::Unavailable(_)))), "{outcome:?}");
    assert_eq!(scene.stored(first.grant.id).await, first.grant, "nothing is lost");

    let sign_in = scene.sign_in_under_way(&scene.vault).await;
    scene.bench.clock.pass(TimeDelta::hours(1));
    assert_eq!(refresh_token(&sign_in.await.unwrap().unwrap().open), Some("provider-refresh"));

    let now = scene.bench.clock.now();
    scene.store.acquire_lease(&vanished(now + TimeDelta::hours(1)), now).await.unwrap();
    let sign_in = scene.sign_in_under_way(&scene.vault).await;
    scene.store.remove_grant(first.grant.id).await.unwrap();
    let open = sign_in.await.unwrap().unwrap().open;
    assert_ne!(open.grant.id, first.grant.id, "it was deleted, so this is another");
    assert_eq!(refresh_token(&open), None);
}

#[tokio::test]
async fn an_unreadable_grant_is_replaced() {
    let (scene, first, _) = Scene::of_alice().await;
    scene.store.put_grant(&Grant { sealed_tokens: vec![1; 60], ..first.grant.clone() }).await.unwrap();
    let (again, alice) = scene.sign_in("alice").await;
    assert_eq!((again.grant.id, refresh_token(&again)), (first.grant.id, None));
    assert_eq!(access(&scene.vault.open(&alice, first.grant.id).await.unwrap()), "provider-access-0");
}

#[tokio::test]
async fn a_grant_renewed_without_a_refresh_token_is_replaced_as_a_whole() {
    let scene = Scene::at(Kind::LivingTokens).await;
    let (first, _) = scene.sign_in("alice").await;
    scene.bench.clock.pass(TimeDelta::minutes(30));
    let (again, _) = scene.sign_in("alice").await;
    assert_eq!((again.grant.id, again.grant.refreshable), (first.grant.id, true));
    assert_eq!(again.grant.expires_at, Some(scene.bench.clock.now() + LIFE));
}
