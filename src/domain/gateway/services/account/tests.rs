use std::{
    pin::Pin,
    sync::{Mutex, atomic::Ordering},
};

use async_trait::async_trait;
use chrono::TimeDelta;

use super::*;
use crate::{
    adapters::sealing::Vault,
    domain::gateway::{
        models::{
            access::VerifiedCaller,
            account::{PasswordChange, PasswordHash, ProviderIdentity},
            oauth::{GrantFilter, ProviderName, ProviderTokens},
            session::{Session, SessionLimits},
            values::secret::Secret,
        },
        repositories::{
            memory::{MemoryAccounts, MemoryThrottle},
            oauth::OAuthRepository,
            session::SessionRepository,
        },
        services::{
            oauth::{
                EnabledProvider, ExchangePurpose, ExchangeRequest, LinkPermit, OAuthParts, Provider, ProviderError,
            },
            ports::{AuthorizationRequest, CodeExchange, HashingError},
            provider::ProviderHealths,
            session::SessionParts,
            testing::{Bench, FlakySessions, PlainHasher, bench, policy},
        },
    },
    ports::testing::CountingEntropy,
};

mod changing;
mod removing;

/// Hashes like `PlainHasher`, and lets something happen while a password is verified.
#[derive(Default)]
struct Hasher {
    meanwhile: Mutex<Option<Meanwhile>>,
    verified: Mutex<Vec<bool>>,
    hashed: Mutex<usize>,
}

impl Hasher {
    /// The number of passwords that were hashed for the store.
    fn hashed(&self) -> usize {
        *self.hashed.lock().unwrap()
    }
}

type Meanwhile = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

#[async_trait]
impl PasswordHasher for Hasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        *self.hashed.lock().unwrap() += 1;
        PlainHasher.hash(password).await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verified, HashingError> {
        self.verified.lock().unwrap().push(hash.is_some());
        let verified = PlainHasher.verify(password, hash).await;
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile().await;
        }
        verified
    }
}

/// A provider that accepts any person with the code `code-of-NAME`, and counts revocations.
struct FakeProvider {
    name: ProviderName,
    taken_back: Mutex<usize>,
    is_down: Mutex<bool>,
}

#[async_trait]
impl Provider for FakeProvider {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn display_name(&self) -> &'static str {
        "Fake"
    }

    fn uses_pkce(&self) -> bool {
        false
    }

    async fn authorize_url(&self, _: &AuthorizationRequest) -> Result<String, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        let tokens = ProviderTokens {
            access_token: Secret::new("provider-access"),
            token_type: "Bearer".into(),
            expires_at: None,
            refresh_token: None,
            scope: None,
            id_token: None,
        };
        let identity = ProviderIdentity {
            provider: self.name.clone(),
            subject: exchange.code.expose().to_owned(),
            verified_email: Some("jane@example.com".into()),
            name: Some("At the provider".into()),
        };
        Ok((tokens, identity))
    }

    async fn refresh(&self, _: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn revoke(&self, _: &ProviderTokens) -> Result<(), ProviderError> {
        if *self.is_down.lock().unwrap() {
            return Err(ProviderError::Unavailable("down".into()));
        }
        *self.taken_back.lock().unwrap() += 1;
        Ok(())
    }
}

struct Scene {
    accounts: AccountService,
    sessions: Arc<SessionService>,
    session_store: Arc<FlakySessions>,
    oauth: Arc<OAuthService>,
    people: Arc<MemoryAccounts>,
    hasher: Arc<Hasher>,
    providers: [Arc<FakeProvider>; 2],
    bench: Bench,
}

const PASSWORD: &str = "hunter42";
const HOME: &str = "192.0.2.1";

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn password(text: &str) -> Password {
    Password::presented(text.to_owned())
}

fn from(client: &str) -> Visitor<'static> {
    Visitor { client: Some(client.parse().unwrap()), ..Visitor::default() }
}

impl Scene {
    async fn new() -> Self {
        let bench = bench(policy()).await;
        let entropy = Arc::new(CountingEntropy::default());
        let people = Arc::new(MemoryAccounts::default());
        let providers = ["one", "other"].map(|name| {
            Arc::new(FakeProvider {
                name: name.parse().unwrap(),
                taken_back: Mutex::default(),
                is_down: Mutex::default(),
            })
        });
        let enabled_provider = |provider: &Arc<FakeProvider>| EnabledProvider {
            provider: provider.clone(),
            callback: "https://www.jinmini.com/login/fake/callback".into(),
            redirect_uris: vec!["https://app.jinmini.com/cb".into()],
            more_scopes: Vec::new(),
            takes_unbound_codes: true,
        };
        let attempts = Arc::new(MemoryThrottle::default());
        let oauth = Arc::new(OAuthService::new(OAuthParts {
            store: people.clone(),
            accounts: people.clone(),
            attempts: attempts.clone(),
            providers: providers.iter().map(enabled_provider).collect(),
            healths: Arc::new(ProviderHealths::new([], bench.clock.clone())),
            sealer: Arc::new(Vault::new(&[[1; 32]]).unwrap()),
            publisher: bench.recorder.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: entropy.clone(),
        }));
        let session_store = Arc::new(FlakySessions::default());
        let sessions = Arc::new(SessionService::new(SessionParts {
            store: session_store.clone(),
            accounts: people.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: entropy.clone(),
            limits: SessionLimits { idle: TimeDelta::hours(12), total: TimeDelta::days(1) },
        }));
        let hasher = Arc::new(Hasher::default());
        let accounts = AccountService::new(AccountParts {
            accounts: people.clone(),
            attempts,
            hasher: hasher.clone(),
            sessions: sessions.clone(),
            tokens: bench.service.clone(),
            oauth: oauth.clone(),
            sealer: Arc::new(Vault::new(&[[1; 32]]).unwrap()),
            clock: bench.clock.clone(),
            entropy,
        });
        Self { accounts, sessions, session_store, oauth, people, hasher, providers, bench }
    }

    async fn sign_up(&self, address: &str) -> SignedIn {
        let wish = SignUp { email: email(address), password: password(PASSWORD), name: Some("Jane".into()) };
        self.accounts.sign_up(wish, Visitor::default()).await.unwrap()
    }

    async fn log_in(&self, address: &str, text: &str, visitor: Visitor<'_>) -> Result<SignedIn, LogInError> {
        self.accounts.log_in(&email(address), password(text), visitor).await
    }

    async fn session(&self, secret: &SessionSecret) -> Option<Session> {
        self.sessions.current(secret.expose()).await.unwrap()
    }

    /// Signs in at a provider.
    async fn at(&self, provider: &str, person: &str) -> AccountId {
        self.exchange(provider, person, ExchangePurpose::SignIn).await
    }

    /// Adds an identity at a provider to a session's account, as if its owner had proven it there.
    async fn link(&self, provider: &str, person: &str, session: &SessionSecret) -> AccountId {
        let session = self.session(session).await.unwrap();
        self.exchange(provider, person, ExchangePurpose::Link(LinkPermit::unproven(session.account, session.id))).await
    }

    async fn exchange(&self, provider: &str, person: &str, purpose: ExchangePurpose) -> AccountId {
        let request = ExchangeRequest {
            provider: provider.into(),
            code: Secret::new(person),
            redirect_uri: None,
            code_verifier: None,
            nonce: None,
            state: None,
            client: None,
        };
        self.oauth.exchange(request, purpose).await.unwrap().open.grant.account
    }

    /// The number of an account's live sessions; it ends them.
    async fn open_sessions(&self, account: AccountId) -> usize {
        self.session_store.end_all_of(account, None).await.unwrap().len()
    }

    async fn control(&self, secret: &SessionSecret, text: Option<&str>) -> Result<AccountControl, ControlError> {
        let session = self.session(secret).await.unwrap();
        self.accounts.take_control_in(&session, text.map(password), None).await
    }

    fn meanwhile<F: Future<Output = ()> + Send + 'static>(&self, what: impl FnOnce() -> F + Send + 'static) {
        *self.hasher.meanwhile.lock().unwrap() = Some(Box::new(|| Box::pin(what())));
    }
}

fn wait(outcome: &Result<SignedIn, LogInError>) -> i64 {
    match outcome {
        Err(LogInError::TooMany(TooManyAttempts { wait })) => wait.num_seconds(),
        Ok(_) | Err(LogInError::InvalidCredentials | LogInError::Failed(_)) => 0,
    }
}

#[tokio::test]
async fn only_a_session_takes_control_and_only_with_the_password_it_links() {
    let scene = Scene::new().await;
    let jane = scene.sign_up("jane@example.com").await;
    let session = scene.session(&jane.session).await.unwrap();
    let account = session.account;
    let token = || Some(VerifiedCaller::Token(session.identity()));
    let browser = || Some(VerifiedCaller::Session(session.clone()));
    let right = || Some(password(PASSWORD));

    let refused = scene.accounts.take_control(None, right(), None).await;
    assert!(matches!(refused, Err(ControlError::NotSignedIn)), "{refused:?}");
    let refused = scene.accounts.take_control(token(), right(), None).await;
    assert!(matches!(refused, Err(ControlError::SessionRequired)), "{refused:?}");
    scene.accounts.take_control(browser(), right(), None).await.unwrap();

    let purpose = async |caller, password| scene.accounts.exchange_purpose(caller, password, None).await;
    assert!(matches!(purpose(None, None).await, Ok(ExchangePurpose::SignIn)));
    assert!(matches!(purpose(token(), None).await, Ok(ExchangePurpose::KeepGrant(of)) if of == account));
    assert!(matches!(purpose(browser(), None).await, Ok(ExchangePurpose::KeepGrant(of)) if of == account));
    assert!(
        matches!(purpose(browser(), right()).await, Ok(ExchangePurpose::Link(permit)) if permit.account() == account)
    );
    let refused = purpose(token(), right()).await;
    assert!(matches!(refused, Err(PurposeError::Control(ControlError::SessionRequired))), "{refused:?}");
    let refused = purpose(browser(), Some(password("wrong password"))).await;
    assert!(matches!(refused, Err(PurposeError::Control(ControlError::WrongPassword))), "{refused:?}");
    let program = Identity { subject: "orders".to_owned(), ..session.identity() };
    let refused = purpose(Some(VerifiedCaller::Token(program)), None).await;
    assert!(matches!(refused, Err(PurposeError::NoAccount)), "{refused:?}");
}

#[tokio::test]
async fn a_person_who_signed_up_signs_in_again_with_the_same_email_however_written() {
    let scene = Scene::new().await;
    let new = scene.sign_up("Jane@Example.com").await;
    let session = scene.session(&new.session).await.unwrap();
    assert_eq!(session.account, new.profile.account.id);
    let visitor = Visitor { old_session: Some(new.session.expose()), ..Visitor::default() };
    let again = scene.log_in(" jane@EXAMPLE.com ", PASSWORD, visitor).await.unwrap();
    assert_eq!(again.profile, new.profile);
    assert_ne!(again.session.expose(), new.session.expose());
    assert_eq!(scene.session(&new.session).await, None, "the session that the browser had is over");
    assert_eq!(scene.session(&again.session).await.unwrap().account, session.account);
    assert_eq!(scene.accounts.of_caller(&session.identity()).await.unwrap(), Some(new.profile));
    for nobody in ["developer", "", &AccountId::from_random([9; 16]).to_string()] {
        let caller = Identity { subject: nobody.to_owned(), ..session.identity() };
        assert_eq!(scene.accounts.of_caller(&caller).await.unwrap(), None, "{nobody}");
    }
}

#[tokio::test]
async fn an_email_is_taken_once_and_a_providers_email_takes_none() {
    let scene = Scene::new().await;
    // The provider reports the same e-mail for her.
    let at_provider = scene.at("one", "jane").await;
    let new = scene.sign_up("jane@example.com").await;
    assert_ne!(new.profile.account.id, at_provider);
    assert_eq!(scene.at("one", "jane").await, at_provider);
    assert_eq!(scene.at("other", "jane").await, scene.at("other", "jane").await);
    assert_ne!(scene.at("other", "jane").await, new.profile.account.id);
    let wish = SignUp { email: email("JANE@example.com"), password: password("other password"), name: None };
    let outcome = scene.accounts.sign_up(wish, Visitor::default()).await;
    assert!(matches!(outcome, Err(SignUpError::EmailTaken)), "{outcome:?}");
    scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn an_unknown_email_takes_the_same_steps_as_a_wrong_password() {
    let scene = Scene::new().await;
    scene.sign_up("jane@example.com").await;
    for (address, text) in [("jane@example.com", "wrong"), ("john@example.com", PASSWORD)] {
        // Including the delay.
        for expected in [0, 0, 0, 0, 0, 1] {
            let outcome = scene.log_in(address, text, Visitor::default()).await;
            assert!(outcome.is_err());
            assert_eq!(wait(&outcome), expected, "{address}: {outcome:?}");
        }
    }
    assert_eq!(*scene.hasher.verified.lock().unwrap(), [[true; 5], [false; 5]].concat(), "both are verified");
}

#[tokio::test]
async fn failures_for_an_email_delay_it_until_the_right_password() {
    let scene = Scene::new().await;
    scene.sign_up("jane@example.com").await;
    // From as many addresses as there are attempts.
    for n in 0..5 {
        let outcome = scene.log_in("jane@example.com", "wrong", from(&format!("192.0.2.{n}"))).await;
        assert!(matches!(outcome, Err(LogInError::InvalidCredentials)), "{outcome:?}");
    }
    assert_eq!(wait(&scene.log_in("jane@example.com", PASSWORD, from("192.0.2.3")).await), 1);
    // A refused attempt is not verified, and does not increase the account's delay.
    assert_eq!(scene.hasher.verified.lock().unwrap().len(), 5);
    scene.bench.clock.pass(TimeDelta::seconds(1));
    scene.log_in("jane@example.com", PASSWORD, from("192.0.2.3")).await.unwrap();
    for _ in 0..4 {
        scene.log_in("jane@example.com", "wrong", Visitor::default()).await.unwrap_err();
    }
    scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
}

#[tokio::test]
async fn no_account_is_locked_for_longer_than_a_minute() {
    let scene = Scene::new().await;
    scene.sign_up("jane@example.com").await;
    let mut longest = 0;
    for n in 0..300 {
        let outcome = scene.log_in("jane@example.com", "wrong", from(&format!("2001:db8:{n}::1"))).await;
        longest = longest.max(wait(&outcome));
        scene.bench.clock.pass(TimeDelta::seconds(wait(&outcome)));
    }
    assert_eq!(longest, 60, "even of clients that never failed");
    let delayed = wait(&scene.log_in("jane@example.com", PASSWORD, from(HOME)).await);
    scene.bench.clock.pass(TimeDelta::seconds(delayed));
    scene.log_in("jane@example.com", PASSWORD, from(HOME)).await.unwrap();
}

#[tokio::test]
async fn a_guesser_does_not_lock_the_owner_out() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let guess = async || {
        for _ in 0..200 {
            scene.log_in("jane@example.com", "guess", from("203.0.113.66")).await.unwrap_err();
        }
    };
    guess().await;
    assert!(wait(&scene.log_in("jane@example.com", PASSWORD, from("203.0.113.66")).await) > 1);
    // At an address without failures.
    scene.log_in("jane@example.com", PASSWORD, from(HOME)).await.unwrap();
    // In a browser that signed in before, even with a guesser at the same address.
    guess().await;
    let here = Visitor { device: Some(&new.device), ..from("203.0.113.66") };
    let again = scene.log_in("jane@example.com", PASSWORD, here).await.unwrap();
    // Its own failures do delay it, and the cookie is valid for no other account.
    let here = Visitor { device: Some(&again.device), ..from(HOME) };
    let waits = async |address: &str| wait(&scene.log_in(address, "wrong", here).await);
    for _ in 0..5 {
        assert_eq!(waits("jane@example.com").await, 0);
    }
    assert_eq!(waits("jane@example.com").await, 1);
    scene.log_in("jane@example.com", PASSWORD, from(HOME)).await.unwrap();
    for _ in 0..5 {
        assert_eq!(waits("john@example.com").await, 0);
    }
    assert_eq!(waits("john@example.com").await, 1);
    // In a session the password can be changed in spite of the guesser.
    guess().await;
    let session = scene.session(&new.session).await.unwrap();
    let client = from("203.0.113.66").client;
    let control = scene.accounts.take_control_in(&session, Some(password(PASSWORD)), client).await.unwrap();
    let change = PasswordChange { new: password("new password"), email: None };
    scene.accounts.change_password(control, change, client).await.unwrap();
}

#[tokio::test]
async fn failures_of_a_client_delay_it_for_every_email_in_spite_of_a_right_password() {
    let scene = Scene::new().await;
    scene.sign_up("mallory@example.com").await;
    for n in 0..50 {
        assert_eq!(wait(&scene.log_in(&format!("{n}@example.com"), "guess", from(HOME)).await), 0, "{n}");
        if n % 10 == 0 && n < 49 {
            // A sign-in to her own account does not clear her failures.
            scene.log_in("mallory@example.com", PASSWORD, from(HOME)).await.unwrap();
        }
    }
    assert_eq!(
        wait(&scene.log_in("new@example.com", "guess", from(HOME)).await),
        2,
        "an attempt that is refused counts"
    );
    assert_eq!(wait(&scene.log_in("new@example.com", "guess", from("192.0.2.2")).await), 0);
    let wish = SignUp { email: email("bot@example.com"), password: password(PASSWORD), name: None };
    let outcome = scene.accounts.sign_up(wish, from(HOME)).await;
    assert!(matches!(outcome, Err(SignUpError::TooMany(_))), "{outcome:?}");
}

#[tokio::test]
async fn sign_ups_count_for_the_client() {
    let scene = Scene::new().await;
    for n in 0..50 {
        let wish = SignUp { email: email(&format!("{n}@example.com")), password: password(PASSWORD), name: None };
        scene.accounts.sign_up(wish, from(HOME)).await.unwrap();
    }
    let wish = SignUp { email: email("51@example.com"), password: password(PASSWORD), name: None };
    assert!(matches!(scene.accounts.sign_up(wish, from(HOME)).await, Err(SignUpError::TooMany(_))));
}

#[tokio::test]
async fn concurrent_guesses_are_counted_before_they_are_verified() {
    let scene = Arc::new(Scene::new().await);
    scene.sign_up("jane@example.com").await;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let scene = scene.clone();
        guesses.spawn(async move { wait(&scene.log_in("jane@example.com", "wrong", Visitor::default()).await) });
    }
    let delayed = guesses.join_all().await.into_iter().filter(|wait| *wait > 0).count();
    assert_eq!((delayed, scene.hasher.verified.lock().unwrap().len()), (95, 5));
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_when_its_owner_signs_in() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    let login = new.profile.login.clone().unwrap();
    let stored = scene.people.clone();
    let outdated = PasswordLogin { hash: PasswordHash::new(format!("old:{PASSWORD}")), ..login.clone() };
    assert!(stored.replace_hash(&login.hash, &outdated).await.unwrap());
    scene.log_in("jane@example.com", "wrong", Visitor::default()).await.unwrap_err();
    assert_eq!(stored.find_login(&login.email).await.unwrap(), Some(outdated));
    scene.bench.clock.pass(TimeDelta::days(1));
    let again = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await.unwrap();
    // The password's age is unchanged.
    assert_eq!(again.profile.login, Some(login.clone()));
    assert_eq!(stored.find_login(&login.email).await.unwrap(), Some(login));
}

#[tokio::test]
async fn a_log_in_overtaken_by_a_new_password_opens_no_session() {
    let scene = Scene::new().await;
    let new = scene.sign_up("jane@example.com").await;
    scene.bench.clock.pass(TimeDelta::seconds(1));
    let (accounts, account) = (scene.accounts.clone(), new.profile.account.id);
    let control = scene.control(&new.session, Some(PASSWORD)).await.unwrap();
    scene.meanwhile(move || async move {
        let change = PasswordChange { new: password("new password"), email: None };
        accounts.change_password(control, change, None).await.unwrap();
    });
    let outcome = scene.log_in("jane@example.com", PASSWORD, Visitor::default()).await;
    assert!(matches!(outcome, Err(LogInError::InvalidCredentials)), "{outcome:?}");
    let left = scene.open_sessions(account).await;
    assert_eq!(left, 1, "only the one that the password was changed in");
}

#[tokio::test]
async fn a_sign_up_whose_session_fails_takes_no_email() {
    let scene = Scene::new().await;
    scene.session_store.away.store(true, Ordering::SeqCst);
    let wish = || SignUp { email: email("jane@example.com"), password: password(PASSWORD), name: None };
    let outcome = scene.accounts.sign_up(wish(), Visitor::default()).await;
    assert!(matches!(outcome, Err(SignUpError::Failed(Failure::Unavailable(_)))), "{outcome:?}");
    scene.session_store.away.store(false, Ordering::SeqCst);
    scene.accounts.sign_up(wish(), Visitor::default()).await.unwrap();
}
