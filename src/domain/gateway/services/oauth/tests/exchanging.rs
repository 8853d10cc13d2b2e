//! Codes that are exchanged, and codes that are refused.

use super::*;

#[tokio::test]
async fn an_unregistered_redirect_uri_or_provider_is_refused() {
    let scene = Scene::new().await;
    let exchange = async |request| scene.vault.exchange(request, ExchangePurpose::SignIn).await;
    let unknown = ExchangeRequest { provider: "nobody".into(), ..code_of("a") };
    assert!(matches!(exchange(unknown).await, Err(ExchangeError::UnknownProvider)));
    for uri in [
        "https://evil.example/",
        "https://app.jinmini.com/callback/",
        "HTTPS://app.jinmini.com/callback",
        // The codes of /login are redeemed there.
        CALLBACK,
    ] {
        let elsewhere = ExchangeRequest { redirect_uri: Some(uri.into()), ..code_of("a") };
        assert!(matches!(exchange(elsewhere).await, Err(ExchangeError::RedirectUri)), "{uri}");
    }
    assert!(scene.provider.exchanges.lock().unwrap().is_empty(), "no code went anywhere");
    let bad = ExchangeRequest { code: Secret::new("x"), ..code_of("a") };
    assert!(matches!(exchange(bad).await, Err(ExchangeError::Provider(ProviderError::InvalidGrant { .. }))));
    exchange(ExchangeRequest { redirect_uri: Some(OWN.into()), ..code_of("a") }).await.unwrap();
    assert!(scene.provider.exchanges.lock().unwrap().iter().all(|exchange| exchange.redirect_uri == OWN));
}

#[tokio::test]
async fn the_values_that_bind_a_code_are_required_if_the_provider_supports_them() {
    let scene = Scene::new().await;
    let secret = |text: &str| Some(Secret::new(text));
    let exchange = async |code_verifier, nonce| {
        let request = ExchangeRequest { code_verifier, nonce, ..code_of("alice") };
        scene.vault.exchange(request, ExchangePurpose::SignIn).await.map(drop)
    };
    *scene.provider.binds.lock().unwrap() = vec![Bind::Nonce];
    assert!(matches!(exchange(secret("v"), None).await, Err(ExchangeError::NonceMissing)));
    exchange(None, secret("n")).await.unwrap();
    *scene.provider.binds.lock().unwrap() = vec![Bind::Verifier];
    assert!(matches!(exchange(None, secret("n")).await, Err(ExchangeError::VerifierMissing)));
    exchange(secret("v"), None).await.unwrap();
    *scene.provider.binds.lock().unwrap() = vec![Bind::Verifier, Bind::Nonce];
    exchange(secret("v"), secret("n")).await.unwrap();
    let sent = scene.provider.exchanges.lock().unwrap().last().unwrap().clone();
    assert_eq!((sent.code_verifier, sent.nonce), (secret("v"), secret("n")), "the provider gets to see it");
}

#[tokio::test]
async fn a_state_is_passed_on_and_made_up_where_there_is_none() {
    let scene = Scene::new().await;
    for state in [Some("of the front end"), None, None] {
        let request = ExchangeRequest { state: state.map(Secret::new), ..code_of("alice") };
        scene.vault.exchange(request, ExchangePurpose::SignIn).await.unwrap();
    }
    let exchanges = scene.provider.exchanges.lock().unwrap();
    let [given, first, second] = [0, 1, 2].map(|n: usize| exchanges[n].state.expose());
    assert_eq!((given, first.len(), second.len()), ("of the front end", 43, 43));
    assert_ne!(first, second);
}

/// Whatever the provider compares: a code of `/login` must not be exchanged here.
#[tokio::test]
async fn a_provider_that_binds_its_codes_to_nothing_is_refused_unless_the_operator_relies_on_it() {
    let scene = Scene::new().await;
    *scene.provider.binds.lock().unwrap() = vec![];
    let outcome = scene.vault.exchange(code_of("alice"), ExchangePurpose::SignIn).await;
    assert!(matches!(outcome, Err(ExchangeError::Unbound)), "{outcome:?}");
    assert!(scene.provider.exchanges.lock().unwrap().is_empty(), "the provider is not asked");

    let mut parts = Scene::parts(scene.store.clone(), &scene.provider, &scene.bench);
    parts.providers[0].takes_unbound_codes = true;
    let relying = OAuthService::new(parts);
    relying.exchange(code_of("alice"), ExchangePurpose::SignIn).await.unwrap();
    let at_the_callback = ExchangeRequest { redirect_uri: Some(CALLBACK.into()), ..code_of("alice") };
    let outcome = relying.exchange(at_the_callback, ExchangePurpose::SignIn).await;
    assert!(matches!(outcome, Err(ExchangeError::RedirectUri)), "{outcome:?}");

    let mut parts = Scene::parts(scene.store.clone(), &scene.provider, &scene.bench);
    *scene.provider.binds.lock().unwrap() = vec![Bind::Nonce];
    parts.providers[0].redirect_uris = vec![CALLBACK.into()];
    let outcome = OAuthService::new(parts).exchange(code_of("alice"), ExchangePurpose::SignIn).await;
    assert!(matches!(outcome, Err(ExchangeError::NoRedirectUris)), "{outcome:?}");
}

#[tokio::test]
async fn refused_codes_delay_only_their_client() {
    let scene = Scene::new().await;
    let from = |client: &str, code: &str| ExchangeRequest {
        client: Some(client.parse().unwrap()),
        code: Secret::new(code),
        ..code_of("")
    };
    let exchange = async |request| scene.vault.exchange(request, ExchangePurpose::SignIn).await;
    // Valid codes, and failures of the provider or of this gateway, do not count.
    for _ in 0..60 {
        exchange(from("192.0.2.1", "code-of-alice")).await.unwrap();
    }
    for failure in
        [ProviderError::Unavailable("down".into()), ProviderError::Misconfigured { code: "invalid_client".into() }]
    {
        *scene.provider.failure.lock().unwrap() = Some(failure.clone());
        for _ in 0..60 {
            let outcome = exchange(from("192.0.2.1", "code-of-alice")).await;
            assert!(matches!(&outcome, Err(ExchangeError::Provider(error)) if *error == failure), "{outcome:?}");
        }
    }
    assert_eq!(scene.trouble().unwrap().trouble.kind, TroubleKind::Configuration, "nobody can sign in");
    *scene.provider.failure.lock().unwrap() = None;
    for n in 0..50 {
        let outcome = exchange(from("192.0.2.1", "guess")).await;
        assert!(
            matches!(outcome, Err(ExchangeError::Provider(ProviderError::InvalidGrant { .. }))),
            "{n}: {outcome:?}"
        );
    }
    let asked = scene.provider.exchanges.lock().unwrap().len();
    let outcome = exchange(from("192.0.2.1", "code-of-alice")).await;
    assert!(matches!(outcome, Err(ExchangeError::TooMany(_))), "{outcome:?}");
    assert_eq!(scene.provider.exchanges.lock().unwrap().len(), asked, "the provider is left alone");
    exchange(from("192.0.2.2", "code-of-alice")).await.unwrap();
    // Refused exchanges counted, too.
    scene.bench.clock.pass(TimeDelta::seconds(2));
    exchange(from("192.0.2.1", "code-of-alice")).await.unwrap();
}

#[tokio::test]
async fn a_client_that_exhausts_the_rate_limit_of_the_provider_has_to_wait() {
    let scene = Scene::new().await;
    let from_there = || ExchangeRequest { client: Some([192, 0, 2, 1].into()), ..code_of("alice") };
    *scene.provider.failure.lock().unwrap() = Some(ProviderError::Throttled("http_429".into()));
    for _ in 0..50 {
        let outcome = scene.vault.exchange(from_there(), ExchangePurpose::SignIn).await;
        assert!(matches!(outcome, Err(ExchangeError::Provider(ProviderError::Throttled(_)))), "{outcome:?}");
    }
    let outcome = scene.vault.exchange(from_there(), ExchangePurpose::SignIn).await;
    assert!(matches!(outcome, Err(ExchangeError::TooMany(_))), "{outcome:?}");
}
