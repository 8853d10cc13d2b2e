//! Access that a person revoked at the provider.

use super::*;

impl Scene {
    /// The provider reports that this person revoked what they had allowed until now.
    async fn take_back_at_provider(&self, person: &str) -> usize {
        let until = self.bench.clock.now();
        self.vault.revoked_at_provider(&self.provider.name, person, until).await.unwrap()
    }
}

#[tokio::test]
async fn access_revoked_at_the_provider_is_revoked_here_until_the_next_sign_in() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let (other, bob) = scene.sign_in("bob").await;
    let id = open.grant.id;
    let changes = || scene.bench.recorder.grant_changes.lock().unwrap().len();
    let before = changes();
    for (person, grants) in [("alice", 1), ("alice", 0), ("nobody", 0)] {
        assert_eq!(scene.take_back_at_provider(person).await, grants, "{person}");
    }
    assert_eq!(changes(), before + 1, "the data plane is told");
    assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::TakenBack)), "though it is fresh");
    assert!(matches!(scene.vault.refresh(&alice, id).await, Err(GrantError::TakenBack)));
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 0, "the provider is not asked");
    assert_eq!(scene.vault.list(&alice, GrantQuery::default()).await.unwrap().grants[0].status, GrantStatus::Revoked);
    assert!(scene.vault.open(&bob, other.grant.id).await.is_ok());

    let (again, _) = scene.sign_in("alice").await;
    assert_eq!((again.grant.id, again.grant.status), (id, GrantStatus::Active));
    assert!(scene.vault.open(&alice, id).await.is_ok());
}

#[tokio::test]
async fn a_pending_refresh_does_not_restore_revoked_access() {
    for refused in [false, true] {
        let scene = Scene::new().await;
        let (open, alice) = scene.sign_in("alice").await;
        let (gate, id) = (Arc::new(Notify::new()), open.grant.id);
        *scene.provider.gate.lock().unwrap() = Some(gate.clone());
        let (vault, caller) = (scene.vault.clone(), alice.clone());
        let refreshing = tokio::spawn(async move { vault.refresh(&caller, id).await });
        while scene.provider.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(scene.take_back_at_provider("alice").await, 1);
        if refused {
            *scene.provider.failure.lock().unwrap() =
                Some(ProviderError::InvalidGrant { code: "invalid_grant".into() });
        }
        gate.notify_one();
        assert!(refreshing.await.unwrap().is_err());
        let grant = scene.store.find_grant(id).await.unwrap().unwrap();
        assert_eq!(grant.status, GrantStatus::Revoked);
        assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::TakenBack)));
    }
}
