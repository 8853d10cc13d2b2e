//! Responses by form.

use super::*;

impl Away {
    /// The provider's form after the person has agreed.
    fn form(&self, person: &str) -> ProviderResponse {
        ProviderResponse {
            state: Some(Secret::new(&*self.state)),
            code: Some(Secret::new(format!("code-of-{person}"))),
            name: Some("홍길동".to_owned()),
            ..ProviderResponse::default()
        }
    }

    /// The callback of a browser that was redirected with this response.
    fn posted(&self, response: ProviderResponse) -> Callback {
        let arrival = Arrival {
            sealed: Some(self.begun.sealed.clone()),
            visitor: Visitor::of(Some("curl/8"), None),
            client: None,
        };
        Callback::of(ProviderResponse { by_form: true, ..response }, arrival)
    }
}

impl Scene {
    /// Opens what was sealed of a form.
    fn sent_on(&self, provider: &str, response: &ProviderResponse) -> ProviderResponse {
        let sealed = self.logins.post(provider, response).unwrap();
        self.logins.posted(provider, &sealed).unwrap()
    }
}

#[tokio::test]
async fn a_form_signs_in_after_the_redirect() {
    let scene = Scene::new().await;
    let away = scene.begin("formal", Some("/orders")).await;
    let response = scene.sent_on("formal", &away.form("alice"));
    let finished = scene.finish("formal", away.posted(response)).await.unwrap();
    assert_eq!(finished.return_to.as_str(), "/orders");
    let name = async |finished: &Finished| {
        let session = scene.session(finished).await;
        scene.sessions.identities(&session).await.unwrap().remove(0).name
    };
    assert_eq!(name(&finished).await.as_deref(), Some("홍길동"));
    // The name is sent once, and stays.
    let later = scene.begin("formal", None).await;
    let response = scene.sent_on("formal", &ProviderResponse { name: None, ..later.form("alice") });
    let finished = scene.finish("formal", later.posted(response)).await.unwrap();
    assert_eq!(name(&finished).await.as_deref(), Some("홍길동"));

    let again = scene.sent_on("formal", &away.form("alice"));
    let again = scene.finish("formal", away.posted(again)).await;
    assert!(matches!(again, Err(FinishError::UnknownAttempt)), "{again:?}");
}

#[tokio::test]
async fn an_attempt_ends_in_the_response_mode_that_it_asked_for() {
    let scene = Scene::new().await;
    let formal = scene.begin("formal", None).await;
    let refused = scene.finish("formal", formal.back("alice")).await;
    assert!(matches!(refused, Err(FinishError::UnknownAttempt)), "a query for a form: {refused:?}");
    let one = scene.begin("one", None).await;
    let refused = scene.finish("one", one.posted(one.form("alice"))).await;
    assert!(matches!(refused, Err(FinishError::UnknownAttempt)), "a form for a query: {refused:?}");
    assert!(scene.one.exchanges.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_person_who_cancels_at_apple_has_declined() {
    let scene = Scene::new().await;
    let away = scene.begin("formal", None).await;
    let response =
        ProviderResponse { code: None, error: Some("user_cancelled_authorize".to_owned()), ..away.form("alice") };
    let refused = scene.finish("formal", away.posted(scene.sent_on("formal", &response))).await;
    assert!(matches!(refused, Err(FinishError::Denied)), "{refused:?}");
}

#[tokio::test]
async fn only_valid_responses_are_sealed_and_they_open_for_their_provider_only() {
    let scene = Scene::new().await;
    let state = |text: &str| ProviderResponse { state: Some(Secret::new(text)), ..ProviderResponse::default() };
    assert!(matches!(scene.logins.post("one", &state("s")), Err(PostError::NoForms)));
    assert!(matches!(scene.logins.post("nobody", &state("s")), Err(PostError::UnknownProvider)));
    assert!(matches!(scene.logins.post("No Name", &state("s")), Err(PostError::UnknownProvider)));
    assert!(scene.logins.post("formal", &state(&"s".repeat(1024))).is_ok());
    for text in ["a\nb", "\u{0}", "가", &"s".repeat(1025)] {
        let refused = scene.logins.post("formal", &state(text)).map(drop);
        assert!(matches!(refused, Err(PostError::Malformed)), "{text:?}: {refused:?}");
    }
    let sealed = scene.logins.post("formal", &state("s")).unwrap();
    assert!(scene.logins.posted("formal", &sealed).is_some());
    assert!(scene.logins.posted("one", &sealed).is_none());
    let mut damaged = sealed;
    *damaged.last_mut().unwrap() ^= 1;
    assert!(scene.logins.posted("formal", &damaged).is_none());
    // A sealed attempt is not accepted as a form, either.
    let away = scene.begin("formal", None).await;
    assert!(scene.logins.posted("formal", &away.begun.sealed).is_none());
}

#[tokio::test]
async fn a_response_comes_once_and_a_form_alone() {
    let scene = Scene::new().await;
    let away = scene.begin("formal", None).await;
    let posted = scene.logins.post("formal", &away.form("alice")).unwrap();
    let form = || CallbackParameters { posted: Some(posted.clone()), ..CallbackParameters::default() };
    let query = || CallbackParameters { code: Some("c".to_owned()), ..CallbackParameters::default() };
    let read = |parameters| scene.logins.response("formal", parameters);

    let whole = read(form());
    assert_eq!((whole.by_form, whole.code.unwrap().expose()), (true, "code-of-alice"));
    let plain = read(query());
    assert_eq!((plain.by_form, plain.code.unwrap().expose()), (false, "c"));
    let more = Some("more".to_owned());
    let sealed_elsewhere = Some(b"more".to_vec());
    for mixed in [
        CallbackParameters { state: more.clone(), ..form() },
        CallbackParameters { code: more.clone(), ..form() },
        CallbackParameters { error: more.clone(), ..form() },
        CallbackParameters { issuer: more, ..form() },
        CallbackParameters { posted: sealed_elsewhere, ..form() },
    ] {
        let read = read(mixed);
        assert!(read.by_form && read.state.is_none() && read.code.is_none() && read.error.is_none());
    }
    for doubled in [form(), query()] {
        let read = read(CallbackParameters { repeats: true, ..doubled });
        assert!(read.state.is_none() && read.code.is_none(), "either of two values may be forged");
    }
}
