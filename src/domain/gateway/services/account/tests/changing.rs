//! Another password, or a first one.

use super::*;

const NEW: &str = "new password";

fn change(address: Option<&str>) -> PasswordChange {
    PasswordChange { new: password(NEW), email: address.map(email) }
}

#[tokio::test]
async fn a_new_password_ends_every_other_session_and_every_token() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let account = new.profile.account.id;
    let other = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
    let tokens = scene.bench.service.sign_in(account, None).await.unwrap();
    let bystander = scene.sign_up("john@example.com").await;
    let theirs = scene.bench.service.sign_in(bystander.profile.account.id, None).await.unwrap();

    let proof = scene.proof(&new.session, Some(PASSWORD)).await;
    scene.accounts.change_password(account, change(None), proof).await.unwrap();
    assert!(scene.session(&new.session).await.is_some(), "the one that asked goes on");
    assert_eq!(scene.session(&other.session).await, None);
    assert!(scene.session(&bystander.session).await.is_some());
    let tokens_service = &scene.bench.service;
    assert!(tokens_service.refresh(tokens.refresh_token.expose()).await.is_err());
    assert!(tokens_service.authenticate(tokens.access_token.expose()).await.unwrap().is_err());
    assert_eq!(scene.bench.recorder.revocations.lock().unwrap().len(), 2, "the family and the other session");
    assert!(tokens_service.authenticate(theirs.access_token.expose()).await.unwrap().is_ok());

    assert!(scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.is_err());
    let again = scene.log_in("jane@example.com", NEW, Visitor::default()).await.unwrap();
    assert_eq!(again.profile.login.unwrap().name.as_deref(), Some("Jane"), "the name stays");
}

#[tokio::test]
async fn without_a_session_to_keep_all_of_them_end() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let proof = Proof { password: Some(password(PASSWORD)), ..Proof::default() };
    scene.accounts.change_password(new.profile.account.id, change(None), proof).await.unwrap();
    assert_eq!(scene.session(&new.session).await, None);
}

#[tokio::test]
async fn it_takes_the_current_one() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let account = new.profile.account.id;
    let missing = scene.proof(&new.session, None).await;
    let outcome = scene.accounts.change_password(account, change(None), missing).await;
    assert!(matches!(outcome, Err(PasswordError::Proof(ProofError::PasswordMissing))), "{outcome:?}");
    for _ in 0..5 {
        let wrong = scene.proof(&new.session, Some("wrong")).await;
        let outcome = scene.accounts.change_password(account, change(None), wrong).await;
        assert!(matches!(outcome, Err(PasswordError::Proof(ProofError::WrongPassword))), "{outcome:?}");
    }
    // A stolen session is no way around the delay.
    let right = scene.proof(&new.session, Some(PASSWORD)).await;
    let outcome = scene.accounts.change_password(account, change(None), right).await;
    assert!(matches!(outcome, Err(PasswordError::Proof(ProofError::TooMany(_)))), "{outcome:?}");
    scene.bench.clock.pass(TimeDelta::seconds(1));
    scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn the_email_stays_what_it_was() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let account = new.profile.account.id;
    let proof = scene.proof(&new.session, Some(PASSWORD)).await;
    let outcome = scene.accounts.change_password(account, change(Some("new@example.com")), proof).await;
    assert!(matches!(outcome, Err(PasswordError::OtherEmail)), "{outcome:?}");
    let proof = scene.proof(&new.session, Some(PASSWORD)).await;
    scene.accounts.change_password(account, change(Some("JANE@example.com")), proof).await.unwrap();
}

#[tokio::test]
async fn a_first_password_takes_a_session_and_an_email() {
    let scene = Scene::new().await;
    let account = scene.at("one", "jane", None).await;
    let session = scene.sessions.open(account, Browser::default()).await.unwrap();
    scene.sign_up("taken@example.com").await;
    // A token is seen by services, which could take the account over.
    let outcome = scene.accounts.change_password(account, change(Some("j@example.com")), Proof::default()).await;
    assert!(matches!(outcome, Err(PasswordError::Proof(ProofError::SessionMissing))), "{outcome:?}");
    let proof = scene.proof(&session, None).await;
    let outcome = scene.accounts.change_password(account, change(None), proof).await;
    assert!(matches!(outcome, Err(PasswordError::EmailMissing)), "{outcome:?}");
    let proof = scene.proof(&session, None).await;
    let outcome = scene.accounts.change_password(account, change(Some("Taken@example.com")), proof).await;
    assert!(matches!(outcome, Err(PasswordError::EmailTaken)), "{outcome:?}");
    let proof = scene.proof(&session, None).await;
    scene.accounts.change_password(account, change(Some("j@example.com")), proof).await.unwrap();
    let again = scene.log_in("j@example.com", NEW, Visitor::default()).await.unwrap();
    assert_eq!((again.profile.account.id, again.profile.identities.len()), (account, 1));
}

#[tokio::test]
async fn of_two_changes_at_once_one_counts() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let (accounts, account) = (scene.accounts.clone(), new.profile.account.id);
    let first = scene.proof(&new.session, Some(PASSWORD)).await;
    scene.meanwhile(move || async move {
        let change = PasswordChange { new: password("the first"), email: None };
        accounts.change_password(account, change, first).await.unwrap();
    });
    let second = scene.proof(&new.session, Some(PASSWORD)).await;
    let outcome = scene.accounts.change_password(account, change(None), second).await;
    assert!(matches!(outcome, Err(PasswordError::ChangedMeanwhile)), "{outcome:?}");
    scene.log_in("jane@example.com", "the first", Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn what_a_new_password_ends_ends_though_a_store_is_away() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let account = new.profile.account.id;
    let other = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
    let tokens = scene.bench.service.sign_in(account, None).await.unwrap();
    let proof = scene.proof(&new.session, Some(PASSWORD)).await;
    scene.session_store.away.store(true, Ordering::SeqCst);
    let outcome = scene.accounts.change_password(account, change(None), proof).await;
    assert!(matches!(outcome, Err(PasswordError::Failed(_))), "{outcome:?}");
    let is_good = async || scene.bench.service.authenticate(tokens.access_token.expose()).await.unwrap().is_ok();
    assert!(is_good().await, "it was broken off");
    scene.session_store.away.store(false, Ordering::SeqCst);
    scene.accounts.finish_endings().await.unwrap();
    assert!(is_good().await, "whoever began it may still be at it");
    scene.bench.clock.pass(TimeDelta::minutes(1));
    scene.accounts.finish_endings().await.unwrap();
    assert!(!is_good().await);
    assert_eq!(scene.session(&other.session).await, None);
    assert!(scene.session(&new.session).await.is_some(), "the one that asked goes on");
    // It is done once: who signs in now stays.
    let again = scene.log_in("jane@example.com", NEW, Visitor::default()).await.unwrap();
    scene.bench.clock.pass(TimeDelta::hours(1));
    scene.accounts.finish_endings().await.unwrap();
    assert!(scene.session(&again.session).await.is_some());
}

#[tokio::test]
async fn a_change_that_is_refused_ends_nothing_later() {
    let scene = Scene::new().await;
    let account = scene.at("one", "jane", None).await;
    let session = scene.sessions.open(account, Browser::default()).await.unwrap();
    let other = scene.sessions.open(account, Browser::default()).await.unwrap();
    scene.sign_up("taken@example.com").await;
    let proof = scene.proof(&session, None).await;
    let outcome = scene.accounts.change_password(account, change(Some("taken@example.com")), proof).await;
    assert!(matches!(outcome, Err(PasswordError::EmailTaken)), "{outcome:?}");
    scene.bench.clock.pass(TimeDelta::hours(1));
    scene.accounts.finish_endings().await.unwrap();
    assert!(scene.session(&other).await.is_some());
}
