//! What a person took back at the provider.

use super::*;
use crate::domain::gateway::services::testing::Log;

/// The provider says that this person took back what they allowed.
fn notice_about(person: &str, sent_at: Option<DateTime<Utc>>) -> UnlinkNotice {
    let mut parameters = BTreeMap::from([("user_id", person.to_owned())]);
    parameters.extend(sent_at.map(|at| ("timestamp", at.timestamp().to_string())));
    UnlinkNotice { authorization: Some(Secret::new("proof")), parameters }
}

#[tokio::test]
async fn what_a_person_took_back_at_the_provider_is_taken_back_here_until_they_sign_in_again() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let (other, bob) = scene.sign_in("bob").await;
    let id = open.grant.id;
    // Whoever comes again, and whoever we do not know, is told the same.
    for person in ["alice", "alice", "nobody"] {
        let outcome = scene.vault.unlinked("fake", &notice_about(person, None)).await;
        assert_eq!(outcome.unwrap(), Acknowledgement::NoContent);
    }
    assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::TakenBack)), "though it is fresh");
    assert!(matches!(scene.vault.refresh(&alice, id).await, Err(GrantError::TakenBack)));
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 0, "the provider is not asked");
    assert_eq!(scene.vault.list(&alice, None, None, 10).await.unwrap()[0].status, GrantStatus::Revoked);
    assert!(scene.vault.open(&bob, other.grant.id).await.is_ok());

    let (again, _) = scene.sign_in("alice").await;
    assert_eq!((again.grant.id, again.grant.status), (id, GrantStatus::Active));
    assert!(scene.vault.open(&alice, id).await.is_ok());
}

#[tokio::test]
async fn an_old_notice_that_is_sent_again_does_not_end_what_was_allowed_anew() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let notice = notice_about("alice", Some(scene.bench.clock.now()));
    scene.vault.unlinked("fake", &notice).await.unwrap();
    assert!(matches!(scene.vault.open(&alice, open.grant.id).await, Err(GrantError::TakenBack)));

    scene.bench.clock.pass(TimeDelta::minutes(6));
    scene.sign_in("alice").await;
    scene.vault.unlinked("fake", &notice).await.unwrap();
    assert!(scene.vault.open(&alice, open.grant.id).await.is_ok());
    // One that comes from a clock behind ours is not old, and one from the future is as good as one of now.
    let behind = notice_about("alice", Some(scene.bench.clock.now() - TimeDelta::minutes(4)));
    scene.vault.unlinked("fake", &behind).await.unwrap();
    assert!(matches!(scene.vault.open(&alice, open.grant.id).await, Err(GrantError::TakenBack)));
    let ahead = notice_about("alice", Some(scene.bench.clock.now() + TimeDelta::days(1)));
    scene.bench.clock.pass(TimeDelta::minutes(6));
    scene.sign_in("alice").await;
    scene.bench.clock.pass(-TimeDelta::minutes(6));
    scene.vault.unlinked("fake", &ahead).await.unwrap();
    assert!(scene.vault.open(&alice, open.grant.id).await.is_ok(), "what is allowed after now is not meant");
}

#[tokio::test]
async fn a_notice_about_something_else_is_acknowledged_and_logged() {
    let scene = Scene::new().await;
    let log = Log::begin();
    let outcome = scene.vault.unlinked("fake", &notice_about("nothing taken back", None)).await;
    assert_eq!(outcome.unwrap(), Acknowledgement::Ok);
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains("email-disabled"), "{lines:?}");
}

#[tokio::test]
async fn a_notice_that_is_not_proven_changes_nothing() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let forged = UnlinkNotice { authorization: None, ..notice_about("alice", None) };
    let outcome = scene.vault.unlinked("fake", &forged).await;
    assert!(matches!(outcome, Err(NoticeError::Refused(UnlinkError::Unverified))), "{outcome:?}");
    for name in ["nobody", "Fake", ""] {
        let outcome = scene.vault.unlinked(name, &notice_about("alice", None)).await;
        assert!(matches!(outcome, Err(NoticeError::UnknownProvider)), "{name}: {outcome:?}");
    }
    assert!(scene.vault.open(&alice, open.grant.id).await.is_ok());
}

#[tokio::test]
async fn a_refresh_that_is_under_way_does_not_bring_back_what_was_taken_back() {
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
        scene.vault.unlinked("fake", &notice_about("alice", None)).await.unwrap();
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
