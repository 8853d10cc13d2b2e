//! Consent: the second attempt that follows if the first one brought no refresh token, and additional scopes.

use super::*;
use crate::domain::gateway::models::oauth::Grant;

impl Scene {
    /// The second attempt that the first one led to.
    fn away_again(finished: &mut Finished) -> Away {
        let begun = finished.consent.take().expect("the person is asked for their consent");
        let state = begun.location.expose().split_once("state=").unwrap().1.to_owned();
        Away { begun, state }
    }

    /// Signs in at the strict provider; returns the session and the second attempt.
    async fn asked_for_consent(&self, person: &str, return_to: Option<&str>) -> (SessionSecret, Away) {
        let away = self.begin("strict", return_to).await;
        let mut finished = self.finish("strict", away.back(person)).await.unwrap();
        let again = Self::away_again(&mut finished);
        (finished.session.unwrap(), again)
    }

    async fn finish_in(&self, session: &SessionSecret, returned: Callback) -> Result<Finished, FinishError> {
        let finished = self.logins.finish("strict", returned, Some(session.expose())).await;
        finished.map_err(|unfinished| unfinished.error)
    }

    async fn grants(&self, session: &SessionSecret) -> Vec<Grant> {
        let account = self.of(session).await.account;
        self.accounts.list_grants(&GrantFilter { account: Some(account), provider: None }, None, 9).await.unwrap()
    }

    fn requests(&self) -> Vec<AuthorizationRequest> {
        self.strict.requests.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn an_attempt_may_request_more_scopes_than_configured() {
    let scene = Scene::new().await;
    let begin = async |provider: &str, request| scene.logins.begin(provider, request, None, None).await;
    let request = BeginRequest {
        login_hint: Some("mina@example.com"),
        auth_type: Some("reauthenticate"),
        scope: Some("photos,calendar photos"),
        ..to(None)
    };
    begin("one", request).await.unwrap();
    let sent = scene.one.requests.lock().unwrap().pop().unwrap();
    assert_eq!(sent.login_hint.as_ref().map(LoginHint::expose), Some("mina@example.com"));
    assert_eq!((sent.auth_type, sent.consent), (Some("reauthenticate"), false));
    assert_eq!(sent.more_scopes, ["photos", "calendar"]);
    begin("one", to(None)).await.unwrap();
    let sent = scene.one.requests.lock().unwrap().pop().unwrap();
    assert_eq!((sent.login_hint, sent.auth_type, sent.more_scopes), (None, None, vec![]));

    let too_long = "calendar ".repeat(57);
    for scope in ["", " ", "calendar mail", "Calendar", "calendar\nphotos", &too_long] {
        let refused = begin("one", BeginRequest { scope: Some(scope), ..to(None) }).await.unwrap_err();
        let BeginError::ScopeNotAllowed(allowed) = refused else { panic!("{scope:?}: {refused}") };
        assert_eq!(allowed, ["calendar", "photos"]);
    }
    for (provider, auth_type, known) in [
        ("one", "rerequest", &["reprompt", "reauthenticate"][..]),
        ("one", "", &["reprompt", "reauthenticate"]),
        ("other", "reprompt", &[]),
    ] {
        let refused = begin(provider, BeginRequest { auth_type: Some(auth_type), ..to(None) }).await.unwrap_err();
        let BeginError::AuthType(types) = refused else { panic!("{auth_type:?}: {refused}") };
        assert_eq!(types, known);
    }
    let nobody = begin("one", BeginRequest { login_hint: Some("a\nb"), ..to(None) }).await;
    assert!(matches!(nobody, Err(BeginError::LoginHint(_))), "{nobody:?}");
    assert!(scene.one.requests.lock().unwrap().is_empty(), "nobody was sent away");
}

#[tokio::test]
async fn a_person_without_a_refresh_token_is_asked_for_consent_once() {
    let scene = Scene::new().await;
    let (session, again) = scene.asked_for_consent("alice", Some("/orders")).await;
    assert!(!scene.grants(&session).await[0].refreshable, "what came is kept already");
    let [first, second] = scene.requests().try_into().unwrap();
    assert_eq!((first.consent, second.consent), (false, true));
    assert_eq!(second.login_hint.as_ref().map(LoginHint::expose), Some("alice"));
    assert_eq!(second.redirect_uri, first.redirect_uri);
    assert!(second.state != first.state && second.nonce != first.nonce && second.code_verifier != first.code_verifier);
    assert!(second.code_verifier.is_some());

    let finished = scene.finish_in(&session, again.back("alice")).await.unwrap();
    assert_eq!(finished.return_to.as_str(), "/orders");
    assert!(finished.session.is_none() && finished.consent.is_none(), "the browser keeps its session");
    let grants = scene.grants(&session).await;
    assert!(grants.len() == 1 && grants[0].refreshable);

    // From now on a refresh token is stored.
    let away = scene.begin("strict", None).await;
    let finished = scene.finish_in(&session, away.back("alice")).await.unwrap();
    assert!(finished.consent.is_none() && finished.session.is_some());
    assert!(scene.grants(finished.session.as_ref().unwrap()).await[0].refreshable);
    // But not for another person, nor once it is no longer valid.
    scene.asked_for_consent("bob", None).await;
    let now = scene.bench.clock.now();
    scene.accounts.revoke_grants_of(&"strict".parse().unwrap(), "alice", now, now).await.unwrap();
    scene.asked_for_consent("alice", None).await;
}

#[tokio::test]
async fn the_browser_returns_to_its_address_the_second_time_too() {
    let scene = Scene::new().await;
    let begun = scene.logins.begin("strict", to(None), None, Some("http://127.0.0.1:8080")).await.unwrap();
    assert!(begun.is_elsewhere);
    let state = begun.location.expose().split_once("state=").unwrap().1.to_owned();
    let mut finished = scene.finish("strict", Away { begun, state }.back("alice")).await.unwrap();
    assert!(Scene::away_again(&mut finished).begun.is_elsewhere);
    let there = "http://127.0.0.1:8080/login/strict/callback";
    assert!(scene.requests().iter().all(|request| request.redirect_uri == there));
}

#[tokio::test]
async fn the_settings_or_the_provider_may_rule_consent_out() {
    let scene = Scene::new().await;
    let away = scene.begin("one", None).await;
    assert!(scene.finish("one", away.back("alice")).await.unwrap().consent.is_none());
}

#[tokio::test]
async fn a_second_attempt_without_a_refresh_token_is_the_last() {
    let scene = Scene::new().await;
    *scene.strict.refresh_tokens.lock().unwrap() = RefreshTokens::Never;
    let (session, again) = scene.asked_for_consent("alice", Some("/orders")).await;
    let finished = scene.finish_in(&session, again.back("alice")).await.unwrap();
    assert!(finished.consent.is_none() && finished.return_to.as_str() == "/orders");
    assert_eq!(scene.requests().len(), 2);
}

#[tokio::test]
async fn a_person_who_refuses_consent_stays_signed_in_and_goes_on() {
    let scene = Scene::new().await;
    for outcome in [
        Outcome::Error("access_denied".into()),
        Outcome::Error("consent_required".into()),
        Outcome::Error("server_error".into()),
        Outcome::Malformed,
        Outcome::Code(Secret::new("used")),
    ] {
        let (session, again) = scene.asked_for_consent("alice", Some("/orders")).await;
        let finished = scene.finish_in(&session, again.with(outcome)).await.unwrap();
        assert_eq!(finished.return_to.as_str(), "/orders");
        assert!(finished.session.is_none() && finished.consent.is_none());
        scene.of(&session).await;
        // It counts once, like any other attempt.
        let replayed = scene.finish_in(&session, again.back("alice")).await;
        assert!(matches!(replayed, Err(FinishError::FinishedBefore)), "{replayed:?}");
    }
    // On a first attempt it is a refusal, as always.
    let (session, _) = scene.asked_for_consent("alice", None).await;
    let first = scene.begin("strict", None).await;
    let denied = scene.finish_in(&session, first.with(Outcome::Error("access_denied".into()))).await;
    assert!(matches!(denied, Err(FinishError::Denied)), "{denied:?}");
}

#[tokio::test]
async fn a_person_who_signed_out_meanwhile_is_not_signed_in_again_by_consent() {
    let scene = Scene::new().await;
    for outcome in [Outcome::Error("access_denied".into()), Outcome::Code(Secret::new("alice"))] {
        let (session, again) = scene.asked_for_consent("alice", None).await;
        let asked = scene.strict.exchanges.lock().unwrap().len();
        scene.sessions.end(session.expose()).await.unwrap();
        let late = scene.finish_in(&session, again.with(outcome)).await;
        assert!(matches!(late, Err(FinishError::UnknownAttempt)), "{late:?}");
        assert_eq!(scene.strict.exchanges.lock().unwrap().len(), asked, "the code is not used");
    }
}

#[tokio::test]
async fn a_provider_lost_in_between_undoes_no_sign_in() {
    let scene = Scene::new().await;
    let away = scene.begin("strict", Some("/orders")).await;
    *scene.strict.is_lost.lock().unwrap() = true;
    let finished = scene.finish("strict", away.back("alice")).await.unwrap();
    assert!(finished.session.is_some() && finished.consent.is_none() && finished.return_to.as_str() == "/orders");
}

#[tokio::test]
async fn another_person_who_returns_from_the_second_attempt_is_signed_in_as_themselves() {
    let scene = Scene::new().await;
    let (alice, again) = scene.asked_for_consent("alice", None).await;
    let finished = scene.finish_in(&alice, again.back("bob")).await.unwrap();
    let bob = finished.session.unwrap();
    assert_eq!(scene.sessions.identities(&scene.of(&bob).await).await.unwrap()[0].subject, "bob");
    assert_eq!(scene.sessions.current(alice.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn linking_a_provider_asks_for_consent_in_the_same_session() {
    let scene = Scene::new().await;
    let [alice, mallory] = [scene.signed_in("alice").await, scene.signed_in("mallory").await];
    let session = scene.of(&alice).await;
    let permit = || Some(LinkPermit::unproven(session.account, session.id));
    for as_mallory in [false, true] {
        let begun = scene.logins.begin("strict", to(Some("/me")), permit(), None).await.unwrap();
        let state = begun.location.expose().split_once("state=").unwrap().1.to_owned();
        let away = Away { begun, state };
        let person = format!("alice-elsewhere-{as_mallory}");
        let mut finished = scene.finish_in(&alice, away.back(&person)).await.unwrap();
        let again = Scene::away_again(&mut finished);
        assert!(finished.session.is_none());
        if as_mallory {
            let refused = scene.finish_in(&mallory, again.back(&person)).await;
            assert!(matches!(refused, Err(FinishError::OtherSession)), "{refused:?}");
        } else {
            let finished = scene.finish_in(&alice, again.back(&person)).await.unwrap();
            assert!(finished.session.is_none() && finished.return_to.as_str() == "/me");
        }
    }
    let refreshable: Vec<_> = scene.grants(&alice).await.into_iter().filter(|grant| grant.refreshable).collect();
    assert_eq!(
        refreshable.iter().map(|grant| grant.provider_subject.as_str()).collect::<Vec<_>>(),
        ["alice-elsewhere-false"]
    );
}

#[tokio::test]
async fn a_refresh_token_from_before_more_scopes_were_allowed_is_not_enough() {
    let scene = Scene::new().await;
    let (session, again) = scene.asked_for_consent("alice", None).await;
    scene.finish_in(&session, again.back("alice")).await.unwrap();
    let ask_for = async |scope: &str| {
        let request = BeginRequest { scope: Some(scope), ..to(None) };
        let begun = scene.logins.begin("strict", request, None, None).await.unwrap();
        let state = begun.location.expose().split_once("state=").unwrap().1.to_owned();
        scene.finish("strict", Away { begun, state }.back("alice")).await.unwrap()
    };
    let mut finished = ask_for("calendar").await;
    let again = Scene::away_again(&mut finished);
    assert_eq!(scene.requests().last().unwrap().more_scopes, ["calendar"], "the second asks for the same");
    let session = finished.session.unwrap();
    scene.finish_in(&session, again.back("alice")).await.unwrap();
    // The new refresh token covers it.
    assert!(ask_for("calendar").await.consent.is_none());
    assert!(ask_for("calendar photos").await.consent.is_some());
}
