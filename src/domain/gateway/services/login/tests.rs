mod consent;
mod posting;

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::TimeDelta;

use super::*;
use crate::{
    adapters::sealing::Vault,
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            login::{LoginHint, LoginState},
            oauth::{GrantFilter, ProviderTokens},
            session::{Session, SessionLimits, Visitor},
            values::secret::Secret,
        },
        repositories::{
            memory::{MemoryAccounts, MemoryLogins, MemorySessions, MemoryThrottle},
            oauth::OAuthRepository,
        },
        services::{
            oauth::{EnabledProvider, LinkPermit, OAuthParts, Provider},
            ports::{AuthorizationRequest, CodeExchange},
            provider::ProviderHealths,
            session::SessionParts,
            testing::{Bench, bench, policy},
        },
    },
    ports::testing::CountingEntropy,
};

const ISSUER: &str = "https://idp.example";

/// A provider that records its requests, and accepts any person with the code `code-of-NAME`.
#[derive(Default)]
struct FakeProvider {
    name: String,
    uses_pkce: bool,
    /// Whether browsers come back from it with a form.
    by_form: bool,
    /// Whether it may issue its refresh token only after the person's consent.
    takes_consent: bool,
    /// When it issues one.
    refresh_tokens: Mutex<RefreshTokens>,
    failure: Mutex<Option<ProviderError>>,
    /// Whether its metadata is unavailable, so that no browser can be sent there.
    is_lost: Mutex<bool>,
    requests: Mutex<Vec<AuthorizationRequest>>,
    exchanges: Mutex<Vec<CodeExchange>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum RefreshTokens {
    #[default]
    Never,
    ForConsent,
}

struct Named {
    name: ProviderName,
    fake: Arc<FakeProvider>,
}

impl FakeProvider {
    fn respond(&self) -> Result<(), ProviderError> {
        self.failure.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Provider for Named {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn display_name(&self) -> &'static str {
        "Fake"
    }

    fn uses_pkce(&self) -> bool {
        self.fake.uses_pkce
    }

    fn responds_by_form(&self, _: &[String]) -> bool {
        self.fake.by_form
    }

    fn auth_types(&self) -> &'static [&'static str] {
        if self.fake.uses_pkce { &["reprompt", "reauthenticate"] } else { &[] }
    }

    fn refresh_token_takes_consent(&self, _: &[String]) -> bool {
        self.fake.takes_consent
    }

    fn login_hint_of(&self, identity: &ProviderIdentity) -> Option<LoginHint> {
        LoginHint::parse(&identity.subject).ok()
    }

    async fn authorize_url(&self, request: &AuthorizationRequest) -> Result<String, ProviderError> {
        self.fake.respond()?;
        if *self.fake.is_lost.lock().unwrap() {
            return Err(ProviderError::Unavailable("lost".into()));
        }
        self.fake.requests.lock().unwrap().push(request.clone());
        Ok(format!("{ISSUER}/authorize?state={}", request.state.expose()))
    }

    async fn check_issuer(&self, issuer: Option<&str>) -> Result<(), ProviderError> {
        if issuer.is_none_or(|issuer| issuer == ISSUER) {
            Ok(())
        } else {
            Err(ProviderError::BadResponse("another issuer".into()))
        }
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        self.fake.respond()?;
        self.fake.exchanges.lock().unwrap().push(exchange.clone());
        let subject = exchange.code.expose().strip_prefix("code-of-").map(str::to_owned);
        let subject = subject.ok_or_else(|| ProviderError::InvalidGrant { code: "invalid_grant".into() })?;
        let request =
            self.fake.requests.lock().unwrap().iter().find(|sent| sent.state == exchange.state).cloned().unwrap();
        let gives = request.consent && *self.fake.refresh_tokens.lock().unwrap() == RefreshTokens::ForConsent;
        let scope = [vec!["email".to_owned()], request.more_scopes].concat().join(" ");
        let tokens = ProviderTokens {
            access_token: Secret::new("provider-access"),
            token_type: "Bearer".into(),
            expires_at: None,
            refresh_token: gives.then(|| Secret::new(format!("refresh-for {scope}"))),
            scope: Some(scope),
            id_token: None,
        };
        let identity = ProviderIdentity {
            provider: self.name.clone(),
            subject,
            verified_email: Some("same@example.com".into()),
            name: exchange.name.clone(),
        };
        Ok((tokens, identity))
    }

    async fn refresh(&self, _: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn revoke(&self, _: &ProviderTokens) -> Result<(), ProviderError> {
        Ok(())
    }
}

struct Scene {
    logins: LoginService,
    sessions: Arc<SessionService>,
    accounts: Arc<MemoryAccounts>,
    one: Arc<FakeProvider>,
    /// It issues a refresh token only after consent, if at all.
    strict: Arc<FakeProvider>,
    bench: Bench,
}

/// A request that only sets where the browser goes at the end.
fn to(return_to: Option<&str>) -> BeginRequest<'_> {
    BeginRequest { return_to, ..BeginRequest::default() }
}

/// A browser that left for the provider.
struct Away {
    begun: AuthorizationRedirect,
    state: String,
}

impl Scene {
    /// With the providers `one` and `strict`, which support PKCE, `other`, which does not, and `formal`, which responds
    /// with forms.
    async fn new() -> Self {
        let bench = bench(policy()).await;
        let entropy = Arc::new(CountingEntropy::default());
        let sealer = Arc::new(Vault::new(&[[1; 32]]).unwrap());
        let (accounts, store) = (Arc::new(MemoryAccounts::default()), Arc::new(MemorySessions::default()));
        let provider =
            |name: &str, uses_pkce| Arc::new(FakeProvider { name: name.into(), uses_pkce, ..FakeProvider::default() });
        let [one, other] = [provider("one", true), provider("other", false)];
        let strict = Arc::new(FakeProvider {
            name: "strict".into(),
            uses_pkce: true,
            takes_consent: true,
            refresh_tokens: Mutex::new(RefreshTokens::ForConsent),
            ..FakeProvider::default()
        });
        let formal = Arc::new(FakeProvider { name: "formal".into(), by_form: true, ..FakeProvider::default() });
        let enabled_provider = |fake: &Arc<FakeProvider>| EnabledProvider {
            provider: Arc::new(Named { name: fake.name.parse().unwrap(), fake: fake.clone() }),
            callback: format!("https://www.jinmini.com/login/{}/callback", fake.name),
            redirect_uris: Vec::new(),
            more_scopes: vec!["calendar".into(), "photos".into()],
            takes_unbound_codes: false,
        };
        let oauth = Arc::new(OAuthService::new(OAuthParts {
            store: accounts.clone(),
            accounts: accounts.clone(),
            attempts: Arc::new(MemoryThrottle::default()),
            providers: [&one, &other, &strict, &formal].map(enabled_provider).into(),
            healths: Arc::new(ProviderHealths::new([], bench.clock.clone())),
            sealer: sealer.clone(),
            publisher: bench.recorder.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: entropy.clone(),
        }));
        let sessions = Arc::new(SessionService::new(SessionParts {
            store: store.clone(),
            accounts: accounts.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: entropy.clone(),
            limits: SessionLimits { idle: TimeDelta::hours(1), total: TimeDelta::days(1) },
        }));
        let logins = LoginService::new(LoginParts {
            store: Arc::new(MemoryLogins::default()),
            oauth,
            sessions: sessions.clone(),
            sealer,
            clock: bench.clock.clone(),
            entropy,
            allowed_origins: vec!["https://app.jinmini.com".into()],
        });
        Self { logins, sessions, accounts, one, strict, bench }
    }

    async fn begin(&self, provider: &str, return_to: Option<&str>) -> Away {
        let begun = self.logins.begin(provider, to(return_to), None, None).await.ok().unwrap();
        let state = begun.location.expose().split_once("state=").unwrap().1.to_owned();
        Away { begun, state }
    }

    async fn finish(&self, provider: &str, returned: Callback) -> Result<Finished, FinishError> {
        self.logins.finish(provider, returned, None).await.map_err(|unfinished| unfinished.error)
    }

    async fn session(&self, finished: &Finished) -> Session {
        self.sessions.current(finished.session.as_ref().unwrap().expose()).await.unwrap().unwrap()
    }
}

impl Away {
    fn with(&self, outcome: Outcome) -> Callback {
        Callback {
            state: LoginState::presented(&self.state),
            sealed: Some(self.begun.sealed.clone()),
            issuer: None,
            by_form: false,
            name: None,
            outcome,
            visitor: Visitor::of(Some("curl/8"), None),
            client: None,
        }
    }

    fn back(&self, person: &str) -> Callback {
        self.with(Outcome::Code(Secret::new(format!("code-of-{person}"))))
    }
}

#[tokio::test]
async fn made_up_codes_at_the_callback_delay_only_their_client() {
    let scene = Scene::new().await;
    let from = |returned: Callback, last: u8| Callback { client: Some([192, 0, 2, last].into()), ..returned };
    // Valid codes do not count.
    for _ in 0..60 {
        scene.finish("one", from(scene.begin("one", None).await.back("alice"), 1)).await.unwrap();
    }
    for n in 0..50 {
        let away = scene.begin("one", None).await;
        let guess = away.with(Outcome::Code(Secret::new(format!("guess-{n}"))));
        let outcome = scene.finish("one", from(guess, 1)).await;
        assert!(matches!(outcome, Err(FinishError::Provider(ProviderError::InvalidGrant { .. }))), "{n}: {outcome:?}");
    }
    let asked = scene.one.exchanges.lock().unwrap().len();
    let outcome = scene.finish("one", from(scene.begin("one", None).await.back("alice"), 1)).await;
    assert!(matches!(outcome, Err(FinishError::TooMany(_))), "{outcome:?}");
    assert_eq!(scene.one.exchanges.lock().unwrap().len(), asked, "the provider is left alone");
    scene.finish("one", from(scene.begin("one", None).await.back("alice"), 2)).await.unwrap();
    scene.bench.clock.pass(TimeDelta::seconds(2));
    scene.finish("one", from(scene.begin("one", None).await.back("alice"), 1)).await.unwrap();
}

#[tokio::test]
async fn a_sign_in_gives_a_session_and_a_grant_and_ends_at_the_requested_address() {
    let scene = Scene::new().await;
    let away = scene.begin("one", Some("/orders?page=2")).await;
    let finished = scene.finish("one", away.back("alice")).await.unwrap();
    assert_eq!(finished.return_to.as_str(), "/orders?page=2");
    let session = scene.session(&finished).await;
    let of_alice = GrantFilter { account: Some(session.account), provider: None };
    assert_eq!(scene.accounts.list_grants(&of_alice, None, 9).await.unwrap().len(), 1);
    assert_eq!(scene.sessions.identities(&session).await.unwrap()[0].subject, "alice");
}

#[tokio::test]
async fn the_exchange_is_bound_to_what_was_sent_with_the_browser() {
    let scene = Scene::new().await;
    let away = scene.begin("one", None).await;
    scene.finish("one", away.back("alice")).await.unwrap();
    let sent = scene.one.requests.lock().unwrap()[0].clone();
    let exchange = scene.one.exchanges.lock().unwrap()[0].clone();
    assert_eq!(exchange.redirect_uri, "https://www.jinmini.com/login/one/callback");
    assert_eq!(exchange.redirect_uri, sent.redirect_uri);
    assert!(sent.code_verifier.is_some() && exchange.code_verifier == sent.code_verifier);
    assert!(sent.nonce.is_some() && exchange.nonce == sent.nonce);
    assert_eq!((&exchange.state, sent.state.expose()), (&sent.state, away.state.as_str()));
    let secrets = [&sent.state, sent.nonce.as_ref().unwrap(), sent.code_verifier.as_ref().unwrap()];
    assert_eq!(secrets.map(|secret| secret.expose().len()), [43, 64, 43], "256 bits each");
    assert!(secrets[1].expose().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "Naver drops an A");
    assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2]);
}

#[tokio::test]
async fn a_provider_without_pkce_gets_no_challenge() {
    let scene = Scene::new().await;
    let away = scene.begin("other", None).await;
    let finished = scene.finish("other", away.back("alice")).await.unwrap();
    assert_eq!(finished.return_to.as_str(), "/");
    assert!(scene.one.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn two_tabs_sign_in_concurrently() {
    let scene = Scene::new().await;
    let [first, second] = [scene.begin("one", Some("/1")).await, scene.begin("one", Some("/2")).await];
    assert_ne!(first.begun.label, second.begun.label);
    assert_eq!(scene.finish("one", second.back("alice")).await.unwrap().return_to.as_str(), "/2");
    assert_eq!(scene.finish("one", first.back("alice")).await.unwrap().return_to.as_str(), "/1");
}

#[tokio::test]
async fn an_attempt_is_finished_once() {
    let scene = Scene::new().await;
    let away = scene.begin("one", None).await;
    scene.finish("one", away.back("alice")).await.unwrap();
    for outcome in [away.back("alice"), away.back("mallory"), away.with(Outcome::Error("access_denied".into()))] {
        assert!(matches!(scene.finish("one", outcome).await, Err(FinishError::UnknownAttempt)));
    }
    assert_eq!(scene.one.exchanges.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_of_another_browser_tab_or_provider_is_unknown() {
    let scene = Scene::new().await;
    let [mine, other_tab] = [scene.begin("one", None).await, scene.begin("one", None).await];
    let elsewhere = scene.begin("other", None).await;
    let mut damaged = mine.begun.sealed.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (what, provider, returned) in [
        ("nothing in this browser", "one", Callback { sealed: None, ..mine.back("alice") }),
        (
            "what belongs to another state",
            "one",
            Callback { sealed: Some(other_tab.begun.sealed), ..mine.back("alice") },
        ),
        ("a changed byte", "one", Callback { sealed: Some(damaged), ..mine.back("alice") }),
        ("no state", "one", Callback { state: LoginState::presented(""), ..mine.back("alice") }),
        ("a made-up state", "one", Callback { state: LoginState::presented("x"), ..mine.back("alice") }),
        // Mix-up: the code of one provider at the callback of another.
        ("another provider's callback", "other", mine.back("alice")),
        ("another provider's callback", "one", elsewhere.back("alice")),
    ] {
        assert!(matches!(scene.finish(provider, returned).await, Err(FinishError::UnknownAttempt)), "{what}");
    }
    assert!(scene.one.exchanges.lock().unwrap().is_empty(), "no code went anywhere");
    // None of these used the attempt up.
    scene.finish("one", mine.back("alice")).await.unwrap();
}

#[tokio::test]
async fn an_attempt_expires_after_ten_minutes() {
    let scene = Scene::new().await;
    let [in_time, late] = [scene.begin("one", None).await, scene.begin("one", None).await];
    scene.bench.clock.pass(TimeDelta::minutes(10) - TimeDelta::seconds(1));
    scene.finish("one", in_time.back("alice")).await.unwrap();
    scene.bench.clock.pass(TimeDelta::seconds(1));
    assert!(matches!(scene.finish("one", late.back("alice")).await, Err(FinishError::UnknownAttempt)));
}

#[tokio::test]
async fn the_returned_issuer_must_be_the_provider() {
    let scene = Scene::new().await;
    let [good, bad] = [scene.begin("one", None).await, scene.begin("one", None).await];
    let from = |away: &Away, issuer: &str| Callback { issuer: Some(issuer.into()), ..away.back("alice") };
    scene.finish("one", from(&good, ISSUER)).await.unwrap();
    let refused = scene.finish("one", from(&bad, "https://evil.example")).await;
    assert!(matches!(refused, Err(FinishError::Provider(ProviderError::BadResponse(_)))));
    assert_eq!(scene.one.exchanges.lock().unwrap().len(), 1, "the code of a wrong issuer goes nowhere");
}

/// RFC 9207 §2.4: an error of another issuer says nothing about the provider that was asked.
#[tokio::test]
async fn an_error_counts_only_if_the_provider_sent_it() {
    let scene = Scene::new().await;
    for code in ["access_denied", "server_error"] {
        let away = scene.begin("one", None).await;
        let error = || away.with(Outcome::Error(code.into()));
        let foreign = Callback { issuer: Some("https://evil.example".into()), ..error() };
        let refused = scene.finish("one", foreign).await.unwrap_err();
        assert!(matches!(refused, FinishError::Provider(ProviderError::BadResponse(_))), "{code}: {refused}");
        let away = scene.begin("one", None).await;
        let own = Callback { issuer: Some(ISSUER.into()), ..away.with(Outcome::Error(code.into())) };
        let refused = scene.finish("one", own).await.unwrap_err();
        assert!(!matches!(refused, FinishError::Provider(ProviderError::BadResponse(_))), "{code}: {refused}");
    }
}

#[tokio::test]
async fn responses_of_a_provider_are_distinguished() {
    let scene = Scene::new().await;
    let mut outcomes = Vec::new();
    for outcome in [
        Outcome::Error("access_denied".into()),
        Outcome::Error("server_error".into()),
        Outcome::Error("<script>\u{7}\"".into()),
        Outcome::Malformed,
        Outcome::Code(Secret::new("used")),
    ] {
        let away = scene.begin("one", None).await;
        outcomes.push(scene.finish("one", away.with(outcome)).await.unwrap_err().to_string());
    }
    assert_eq!(
        outcomes,
        [
            "the person did not give consent",
            "the provider refuses the request: server_error",
            "the provider refuses the request: <script>",
            "the provider's response is malformed",
            "the provider says that the grant is not valid: invalid_grant",
        ]
    );
}

#[tokio::test]
async fn a_provider_that_is_down_is_reported_at_either_end() {
    let scene = Scene::new().await;
    let away = scene.begin("one", None).await;
    *scene.one.failure.lock().unwrap() = Some(ProviderError::Unavailable("down".into()));
    assert!(matches!(
        scene.logins.begin("one", to(None), None, None).await,
        Err(BeginError::Provider(ProviderError::Unavailable(_)))
    ));
    let failed = scene.finish("one", away.back("alice")).await;
    assert!(matches!(failed, Err(FinishError::Provider(ProviderError::Unavailable(_)))));
}

#[tokio::test]
async fn a_new_sign_in_ends_the_earlier_session_of_the_browser() {
    let scene = Scene::new().await;
    let first = scene.begin("one", None).await;
    let first = scene.finish("one", first.back("alice")).await.unwrap().session.unwrap();
    let second = scene.begin("one", None).await;
    let second = scene.logins.finish("one", second.back("alice"), Some(first.expose())).await.unwrap();
    assert_ne!(first.expose(), second.session.as_ref().unwrap().expose());
    assert_eq!(scene.sessions.current(first.expose()).await.unwrap(), None);
    scene.session(&second).await;
}

#[tokio::test]
async fn the_same_email_at_two_providers_is_two_accounts() {
    let scene = Scene::new().await;
    let [one, other] = [scene.begin("one", None).await, scene.begin("other", None).await];
    let one = scene.finish("one", one.back("alice")).await.unwrap();
    let other = scene.finish("other", other.back("alice")).await.unwrap();
    assert_ne!(scene.session(&one).await.account, scene.session(&other).await.account);
}

#[tokio::test]
async fn an_attempt_that_cannot_begin_gives_the_reason() {
    let scene = Scene::new().await;
    for name in ["nobody", "", "ONE", "one/"] {
        assert!(
            matches!(scene.logins.begin(name, to(None), None, None).await, Err(BeginError::UnknownProvider)),
            "{name}"
        );
    }
    assert!(matches!(
        scene.logins.begin("one", to(Some("//evil.example")), None, None).await,
        Err(BeginError::ReturnTo(_))
    ));
    let away = scene.begin("one", Some("https://app.jinmini.com")).await;
    assert_eq!(scene.finish("one", away.back("alice")).await.unwrap().return_to.as_str(), "https://app.jinmini.com");
}

impl Scene {
    async fn signed_in(&self, person: &str) -> SessionSecret {
        let away = self.begin("one", None).await;
        self.finish("one", away.back(person)).await.unwrap().session.unwrap()
    }

    async fn of(&self, secret: &SessionSecret) -> Session {
        self.sessions.current(secret.expose()).await.unwrap().unwrap()
    }

    /// Begins an attempt to link the provider `other` to a session's account.
    async fn begin_link(&self, secret: &SessionSecret) -> Away {
        let session = self.of(secret).await;
        let permit = LinkPermit::unproven(session.account, session.id);
        let begun = self.logins.begin("other", to(Some("/me")), Some(permit), None).await.ok().unwrap();
        let state = begun.location.expose().split_once("state=").unwrap().1.to_owned();
        Away { begun, state }
    }
}

#[tokio::test]
async fn a_second_provider_is_linked_to_the_account_that_asked_for_it() {
    let scene = Scene::new().await;
    let alice = scene.signed_in("alice").await;
    let away = scene.begin_link(&alice).await;
    let finished = scene.logins.finish("other", away.back("alice-elsewhere"), Some(alice.expose())).await.unwrap();
    assert!(finished.session.is_none() && finished.return_to.as_str() == "/me");
    let session = scene.of(&alice).await;
    let identities = scene.sessions.identities(&session).await.unwrap();
    assert_eq!(identities.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["alice", "alice-elsewhere"]);
    let of_alice = GrantFilter { account: Some(session.account), provider: None };
    assert_eq!(scene.accounts.list_grants(&of_alice, None, 9).await.unwrap().len(), 2);
    // From now on it is a way to sign in.
    let away = scene.begin("other", None).await;
    let again = scene.finish("other", away.back("alice-elsewhere")).await.unwrap();
    assert_eq!(scene.session(&again).await.account, session.account);
    // An attempt counts once, whatever its purpose.
    let again = scene.begin_link(&alice).await;
    scene.logins.finish("other", again.back("third"), Some(alice.expose())).await.unwrap();
    let replayed = scene.logins.finish("other", again.back("fourth"), Some(alice.expose())).await;
    let wish = Some(Wish { is_link: true, return_to: ReturnTo::parse("/me", &[]).unwrap() });
    let Err(Unfinished { error: FinishError::FinishedBefore, wish: known }) = replayed else { panic!("{replayed:?}") };
    assert_eq!(known, wish, "what it was for is known all the same");
    let elsewhere = scene.logins.finish("other", again.back("fourth"), Some(&"A".repeat(43))).await;
    assert!(matches!(elsewhere, Err(Unfinished { error: FinishError::UnknownAttempt, .. })), "{elsewhere:?}");
}

#[tokio::test]
async fn an_identity_of_another_account_is_neither_linked_nor_merged() {
    let scene = Scene::new().await;
    let bob = scene.begin("other", None).await;
    let bob = scene.finish("other", bob.back("bob")).await.unwrap().session.unwrap();
    let alice = scene.signed_in("alice").await;
    let away = scene.begin_link(&alice).await;
    let refused = scene.logins.finish("other", away.back("bob"), Some(alice.expose())).await;
    assert!(matches!(refused, Err(Unfinished { error: FinishError::LinkedElsewhere, .. })));
    for (secret, subject) in [(alice, "alice"), (bob, "bob")] {
        let session = scene.of(&secret).await;
        let identities = scene.sessions.identities(&session).await.unwrap();
        assert_eq!(identities.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), [subject]);
    }
}

#[tokio::test]
async fn only_the_session_that_began_it_links_the_provider() {
    let scene = Scene::new().await;
    let [alice, mallory] = [scene.signed_in("alice").await, scene.signed_in("mallory").await];
    let elsewhere = scene.signed_in("alice").await;
    for session in [None, Some(&mallory), Some(&elsewhere)] {
        let away = scene.begin_link(&alice).await;
        let refused = scene.logins.finish("other", away.back("new"), session.map(SessionSecret::expose)).await;
        assert!(matches!(refused, Err(Unfinished { error: FinishError::OtherSession, .. })));
    }
    let away = scene.begin_link(&alice).await;
    scene.sessions.end(alice.expose()).await.unwrap();
    let refused = scene.logins.finish("other", away.back("new"), Some(alice.expose())).await;
    assert!(matches!(refused, Err(Unfinished { error: FinishError::OtherSession, .. })));
    assert!(scene.one.exchanges.lock().unwrap().len() == 3, "no code of an attempt to link went anywhere");
}
