//! Changing a password, or setting a first one.

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

    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    scene.accounts.change_password(control, change(None), None).await.unwrap();
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
async fn control_requires_the_password() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let outcome = scene.control(&new.session, None).await;
    assert!(matches!(outcome, Err(ControlError::PasswordMissing)), "{outcome:?}");
    for _ in 0..5 {
        let outcome = scene.control(&new.session, Some("wrong")).await;
        assert!(matches!(outcome, Err(ControlError::WrongPassword)), "{outcome:?}");
    }
    // A stolen session does not avoid the delay.
    let outcome = scene.control(&new.session, Some(PASSWORD)).await;
    assert!(matches!(outcome, Err(ControlError::TooMany(_))), "{outcome:?}");
    scene.bench.clock.pass(TimeDelta::seconds(1));
    scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn a_password_change_keeps_the_email() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    let outcome = scene.accounts.change_password(control, change(Some("new@example.com")), None).await;
    assert!(matches!(outcome, Err(PasswordError::OtherEmail)), "{outcome:?}");
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    scene.accounts.change_password(control, change(Some("JANE@example.com")), None).await.unwrap();
}

#[tokio::test]
async fn a_first_password_requires_an_email() {
    let scene = Scene::new().await;
    let account = scene.at("one", "jane").await;
    let session = scene.sessions.open(account, Browser::default()).await.unwrap();
    scene.sign_up("taken@example.com").await;
    let ask = async |address: Option<&str>| {
        let control = scene.control(&session, None).await.unwrap();
        scene.accounts.change_password(control, change(address), None).await
    };
    let outcome = ask(None).await;
    assert!(matches!(outcome, Err(PasswordError::EmailMissing)), "{outcome:?}");
    let outcome = ask(Some("Taken@example.com")).await;
    assert!(matches!(outcome, Err(PasswordError::EmailTaken)), "{outcome:?}");
    ask(Some("j@example.com")).await.unwrap();
    let again = scene.log_in("j@example.com", NEW, Visitor::default()).await.unwrap();
    assert_eq!((again.profile.account.id, again.profile.identities.len()), (account, 1));
    let outcome = scene.control(&session, None).await;
    assert!(matches!(outcome, Err(ControlError::PasswordMissing)), "from now on there is one: {outcome:?}");
}

#[tokio::test]
async fn email_enquiries_are_counted_in_every_way_and_a_refusal_costs_no_hash() {
    let scene = Scene::new().await;
    scene.sign_up("taken@example.com").await;
    let account = scene.at("one", "jane").await;
    let session = scene.sessions.open(account, Browser::default()).await.unwrap();
    let home = Some(HOME.parse().unwrap());
    let before = scene.hasher.hashed();
    for n in 0..50 {
        let is_taken = if n % 2 == 0 {
            let wish = SignUp { email: email("taken@example.com"), password: password(NEW), name: None };
            matches!(scene.accounts.sign_up(wish, from(HOME)).await, Err(SignUpError::EmailTaken))
        } else {
            let control = scene.control(&session, None).await.unwrap();
            let outcome = scene.accounts.change_password(control, change(Some("taken@example.com")), home).await;
            matches!(outcome, Err(PasswordError::EmailTaken))
        };
        assert!(is_taken, "{n}");
    }
    // Now even a free one is refused.
    let control = scene.control(&session, None).await.unwrap();
    let outcome = scene.accounts.change_password(control, change(Some("free@example.com")), home).await;
    assert!(matches!(outcome, Err(PasswordError::TooMany(_))), "{outcome:?}");
    let wish = SignUp { email: email("free@example.com"), password: password(NEW), name: None };
    let outcome = scene.accounts.sign_up(wish, from(HOME)).await;
    assert!(matches!(outcome, Err(SignUpError::TooMany(_))), "{outcome:?}");
    assert_eq!(scene.hasher.hashed(), before, "nothing of this was hashed");
    // A client elsewhere is not affected.
    let control = scene.control(&session, None).await.unwrap();
    let elsewhere = Some("192.0.2.2".parse().unwrap());
    scene.accounts.change_password(control, change(Some("free@example.com")), elsewhere).await.unwrap();
}

#[tokio::test]
async fn of_two_concurrent_changes_one_counts() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let accounts = scene.accounts.clone();
    let first = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    scene.meanwhile(move || async move {
        let change = PasswordChange { new: password("the first"), email: None };
        accounts.change_password(first, change, None).await.unwrap();
    });
    let second = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    let outcome = scene.accounts.change_password(second, change(None), None).await;
    assert!(matches!(outcome, Err(PasswordError::ChangedMeanwhile)), "{outcome:?}");
    scene.log_in("jane@example.com", "the first", Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_tokens_even_if_a_store_is_away() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let account = new.profile.account.id;
    let other = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
    let tokens = scene.bench.service.sign_in(account, None).await.unwrap();
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    scene.session_store.away.store(true, Ordering::SeqCst);
    let outcome = scene.accounts.change_password(control, change(None), None).await;
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
    // The task is done once: a later sign-in stays.
    let again = scene.log_in("jane@example.com", NEW, Visitor::default()).await.unwrap();
    scene.bench.clock.pass(TimeDelta::hours(1));
    scene.accounts.finish_endings().await.unwrap();
    assert!(scene.session(&again.session).await.is_some());
}

#[tokio::test]
async fn a_refused_change_ends_nothing_later() {
    let scene = Scene::new().await;
    let account = scene.at("one", "jane").await;
    let session = scene.sessions.open(account, Browser::default()).await.unwrap();
    let other = scene.sessions.open(account, Browser::default()).await.unwrap();
    scene.sign_up("taken@example.com").await;
    let control = scene.control(&session, None).await.unwrap();
    let outcome = scene.accounts.change_password(control, change(Some("taken@example.com")), None).await;
    assert!(matches!(outcome, Err(PasswordError::EmailTaken)), "{outcome:?}");
    scene.bench.clock.pass(TimeDelta::hours(1));
    scene.accounts.finish_endings().await.unwrap();
    assert!(scene.session(&other).await.is_some());
}
