//! Unlinking a provider from an account, and deleting an account.

use super::*;

impl Scene {
    /// A person with a password, a session, tokens, and grants at both providers.
    async fn settled(&self) -> SignedIn {
        let new = self.sign_up("jane@example.com").await;
        for provider in ["one", "other"] {
            self.link(provider, "jane", &new.session).await;
        }
        new
    }

    fn taken_back(&self) -> [usize; 2] {
        [0, 1].map(|n| *self.providers[n].taken_back.lock().unwrap())
    }

    async fn grants(&self) -> usize {
        self.people.list_grants(&GrantFilter::default(), None, 99).await.unwrap().len()
    }
}

#[tokio::test]
async fn everything_ends_with_its_account() {
    let scene = Scene::new().await;
    let bystander = scene.at("one", "john").await;
    let new = scene.settled().await;
    let account = new.profile.account.id;
    let tokens = scene.bench.service.sign_in(account, None).await.unwrap();
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    let taken = scene.accounts.remove(control).await.unwrap();
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|one| one.deletion.not_revoked.is_none()));
    assert_eq!((scene.taken_back(), scene.grants().await), ([1, 1], 1));
    assert_eq!(scene.session(&new.session).await, None);
    assert!(scene.bench.service.authenticate(tokens.access_token.expose()).await.unwrap().is_err());
    assert!(scene.bench.service.refresh(tokens.refresh_token.expose()).await.is_err());
    assert!(scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.is_err());
    let changes = scene.bench.recorder.grant_changes.lock().unwrap().clone();
    assert!(changes.iter().rev().take(2).all(|(changed, _)| *changed == account), "the data plane is told");
    // A later sign-in with the identity makes a new account, and the e-mail is free.
    assert_ne!(scene.at("one", "jane").await, account);
    assert_ne!(scene.sign_up("jane@example.com").await.profile.account.id, account);
    assert_eq!(scene.at("one", "john").await, bystander);
}

#[tokio::test]
async fn a_provider_that_is_down_does_not_keep_an_account() {
    let scene = Scene::new().await;
    let new = scene.settled().await;
    *scene.providers[0].is_down.lock().unwrap() = true;
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    let taken = scene.accounts.remove(control).await.unwrap();
    let told: Vec<_> = taken.iter().map(|one| (one.provider.as_str(), one.deletion.not_revoked.is_some())).collect();
    assert!(told.contains(&("one", true)) && told.contains(&("other", false)), "{told:?}");
    assert_eq!(scene.grants().await, 0);
}

#[tokio::test]
async fn without_a_password_the_session_is_enough_and_one_without_an_account_is_not() {
    let scene = Scene::new().await;
    let account = scene.at("one", "john").await;
    let secret = scene.sessions.open(account, Browser::default()).await.unwrap();
    let session = scene.session(&secret).await.unwrap();
    let control = scene.control(&secret, None).await.unwrap();
    assert_eq!((control.account(), control.session()), (account, session.id));
    scene.accounts.remove(control).await.unwrap();
    let outcome = scene.accounts.take_control_in(&session, None, None).await;
    assert!(matches!(outcome, Err(ControlError::NoAccount)), "{outcome:?}");
}

#[tokio::test]
async fn a_log_in_overtaken_by_the_end_of_the_account_opens_no_session() {
    let scene = Scene::new().await;
    let new = scene.settled().await;
    let (accounts, account) = (scene.accounts.clone(), new.profile.account.id);
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    scene.meanwhile(move || async move {
        accounts.remove(control).await.unwrap();
    });
    let outcome = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await;
    assert!(matches!(outcome, Err(LogInError::InvalidCredentials)), "{outcome:?}");
    assert_eq!(scene.open_sessions(account).await, 0);
}

#[tokio::test]
async fn a_provider_is_unlinked_with_its_grants_unless_it_is_the_last_way_in() {
    let scene = Scene::new().await;
    let account = scene.at("one", "jane").await;
    let session = scene.sessions.open(account, Browser::default()).await.unwrap();
    let unlink = async |provider: &str| {
        let control = scene.control(&session, None).await.unwrap();
        scene.accounts.unlink(control, provider).await
    };
    let outcome = unlink("one").await;
    assert!(matches!(outcome, Err(UnlinkError::LastWayIn)), "{outcome:?}");
    for unknown in ["other", "nobody", "", "ONE"] {
        let outcome = unlink(unknown).await;
        assert!(matches!(outcome, Err(UnlinkError::NotLinked)), "{unknown}: {outcome:?}");
    }
    assert_eq!(scene.taken_back(), [0, 0]);
    scene.link("other", "jane", &session).await;
    let taken = unlink("one").await.unwrap();
    assert_eq!((taken.len(), scene.taken_back(), scene.grants().await), (1, [1, 0], 1));
    assert!(matches!(unlink("other").await, Err(UnlinkError::LastWayIn)));
    assert_ne!(scene.at("one", "jane").await, account, "it finds the account no more");
    // A password is a way to sign in, too.
    let change = PasswordChange { new: password(PASSWORD), email: Some(email("jane@example.com")) };
    let control = scene.control(&session, None).await.unwrap();
    scene.accounts.change_password(control, change, None).await.unwrap();
    let control = scene.control(&session, Some(PASSWORD)).await.unwrap();
    scene.accounts.unlink(control, "other").await.unwrap();
    scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_ending_is_finished() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let account = new.profile.account.id;
    let tokens = scene.bench.service.sign_in(account, None).await.unwrap();
    // The gateway was killed after the first step.
    scene.accounts.begin_ending(account, None, true).await.unwrap();
    scene.bench.clock.pass(TimeDelta::minutes(1));
    for _ in 0..2 {
        scene.accounts.finish_endings().await.unwrap();
        assert_eq!(scene.session(&new.session).await, None);
        assert!(scene.bench.service.authenticate(tokens.access_token.expose()).await.unwrap().is_err());
        let outcome = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await;
        assert!(matches!(outcome, Err(LogInError::InvalidCredentials)), "{outcome:?}");
    }
}
