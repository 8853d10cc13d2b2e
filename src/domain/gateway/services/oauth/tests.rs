mod exchanging;
mod keeping;
mod proactive_refresh;
mod reads;
mod unlinking;

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use chrono::TimeDelta;
use tokio::sync::Notify;

use super::*;
use crate::{
    adapters::sealing::Vault,
    domain::gateway::{
        models::{
            oauth::{GrantStatus, RefreshLease},
            provider::health::{Ongoing, Trouble, TroubleKind},
            values::{
                id::{SessionId, TokenId},
                secret::Secret,
            },
        },
        repositories::memory::{MemoryAccounts, MemoryThrottle},
        services::{
            ports::{AuthorizationRequest, CodeExchange},
            testing::{Bench, bench, policy},
        },
    },
    ports::testing::CountingEntropy,
};

/// A provider that responds as configured.
struct FakeProvider {
    name: ProviderName,
    clock: Arc<dyn Clock>,
    /// Refreshes that were begun, and those that got a response.
    asked: AtomicU32,
    refreshes: AtomicU32,
    revocations: AtomicU32,
    failure: Mutex<Option<ProviderError>>,
    /// The values that bind its codes to a browser.
    binds: Mutex<Vec<Bind>>,
    exchanges: Mutex<Vec<CodeExchange>>,
    /// If set, a refresh waits for it.
    gate: Mutex<Option<Arc<Notify>>>,
    kind: Kind,
    /// Whether it omits its refresh token when a code is exchanged.
    withholds: AtomicBool,
    /// Whether it is only to be called when a caller asks.
    rests: AtomicBool,
    /// Whether a refresh ends the refresh token and gives another.
    rotates: AtomicBool,
    /// The valid refresh token.
    refresh_token: Mutex<String>,
    life: Mutex<TimeDelta>,
    /// The number of refreshes that wait for a response, and the highest so far.
    waiting: AtomicU32,
    most_waiting: AtomicU32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bind {
    Verifier,
    Nonce,
}

/// The means of renewal that a provider issues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RefreshTokens,
    /// A valid access token can be exchanged for the next.
    LivingTokens,
    Nothing,
}

const CALLBACK: &str = "https://www.jinmini.com/login/fake/callback";
const OWN: &str = "https://app.jinmini.com/callback";
const LIFE: TimeDelta = TimeDelta::hours(1);

impl FakeProvider {
    fn tokens(&self, n: u32, refresh_token: bool) -> ProviderTokens {
        let life = *self.life.lock().unwrap();
        ProviderTokens {
            access_token: Secret::new(format!("provider-access-{n}")),
            token_type: "Bearer".into(),
            expires_at: Some(self.clock.now() + life),
            refresh_token: refresh_token.then(|| Secret::new(self.refresh_token.lock().unwrap().as_str())),
            scope: Some("email".into()),
            id_token: None,
        }
    }
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
        self.binds.lock().unwrap().contains(&Bind::Verifier)
    }

    fn uses_nonce(&self) -> bool {
        self.binds.lock().unwrap().contains(&Bind::Nonce)
    }

    fn is_refreshed_ahead(&self) -> bool {
        !self.rests.load(Ordering::SeqCst)
    }

    async fn authorize_url(&self, _: &AuthorizationRequest) -> Result<String, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn exchange(&self, exchange: &CodeExchange) -> Result<(ProviderTokens, ProviderIdentity), ProviderError> {
        self.exchanges.lock().unwrap().push(exchange.clone());
        let failure = self.failure.lock().unwrap().clone();
        if let Some(
            not_now @ (ProviderError::Unavailable(_)
            | ProviderError::Throttled(_)
            | ProviderError::Misconfigured { .. }),
        ) = failure
        {
            return Err(not_now);
        }
        let subject = exchange.code.expose().strip_prefix("code-of-").map(str::to_owned);
        let subject = subject.ok_or_else(|| ProviderError::InvalidGrant { code: "invalid_grant".into() })?;
        let identity = ProviderIdentity {
            provider: self.name.clone(),
            subject,
            verified_email: Some("same@example.com".into()),
            name: None,
        };
        let gives_refresh_token = self.kind == Kind::RefreshTokens && !self.withholds.load(Ordering::SeqCst);
        Ok((self.tokens(0, gives_refresh_token), identity))
    }

    fn renews_living_tokens(&self) -> bool {
        self.kind == Kind::LivingTokens
    }

    async fn refresh(&self, tokens: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.kind {
            Kind::RefreshTokens => {
                let good = self.refresh_token.lock().unwrap().clone();
                assert_eq!(tokens.refresh_token.as_ref().map(Secret::expose), Some(good.as_str()));
            }
            Kind::LivingTokens => assert!(self.clock.now() < tokens.expires_at.unwrap(), "it is too late"),
            Kind::Nothing => panic!("there is nothing to refresh with"),
        }
        self.most_waiting.fetch_max(self.waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let n = self.refreshes.fetch_add(1, Ordering::SeqCst) + 1;
        match self.failure.lock().unwrap().clone() {
            Some(failure) => Err(failure),
            None if self.rotates.load(Ordering::SeqCst) => {
                *self.refresh_token.lock().unwrap() = format!("provider-refresh-{n}");
                Ok(self.tokens(n, true))
            }
            None => Ok(self.tokens(n, false)),
        }
    }

    async fn revoke(&self, _: &ProviderTokens) -> Result<(), ProviderError> {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        self.failure.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

struct Scene {
    vault: Arc<OAuthService>,
    store: Arc<MemoryAccounts>,
    provider: Arc<FakeProvider>,
    bench: Bench,
}

impl Scene {
    async fn new() -> Self {
        Self::at(Kind::RefreshTokens).await
    }

    async fn at(kind: Kind) -> Self {
        let bench = bench(policy()).await;
        let provider = Arc::new(FakeProvider {
            name: "fake".parse().unwrap(),
            clock: bench.clock.clone(),
            asked: AtomicU32::default(),
            refreshes: AtomicU32::default(),
            revocations: AtomicU32::default(),
            failure: Mutex::default(),
            binds: Mutex::new(vec![Bind::Verifier]),
            exchanges: Mutex::default(),
            gate: Mutex::default(),
            kind,
            withholds: AtomicBool::default(),
            rests: AtomicBool::default(),
            rotates: AtomicBool::default(),
            refresh_token: Mutex::new("provider-refresh".to_owned()),
            life: Mutex::new(LIFE),
            waiting: AtomicU32::default(),
            most_waiting: AtomicU32::default(),
        });
        let store = Arc::new(MemoryAccounts::default());
        let vault = Self::replica(store.clone(), store.clone(), &provider, &bench);
        Self { vault, store, provider, bench }
    }

    /// Another gateway on the same store.
    fn replica(
        accounts: Arc<MemoryAccounts>,
        store: Arc<dyn OAuthRepository>,
        provider: &Arc<FakeProvider>,
        bench: &Bench,
    ) -> Arc<OAuthService> {
        Arc::new(OAuthService::new(OAuthParts { store, ..Self::parts(accounts, provider, bench) }))
    }

    fn parts(accounts: Arc<MemoryAccounts>, provider: &Arc<FakeProvider>, bench: &Bench) -> OAuthParts {
        OAuthParts {
            store: accounts.clone(),
            accounts,
            attempts: Arc::new(MemoryThrottle::default()),
            providers: vec![EnabledProvider {
                provider: provider.clone(),
                callback: CALLBACK.into(),
                redirect_uris: vec![CALLBACK.into(), OWN.into()],
                more_scopes: vec!["calendar".into()],
                takes_unbound_codes: false,
            }],
            healths: Arc::new(ProviderHealths::new([provider.name.clone()], bench.clock.clone())),
            sealer: Arc::new(Vault::new(&[[1; 32]]).unwrap()),
            publisher: bench.recorder.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
        }
    }

    /// The person signs in by an exchange; returns the grant, and the caller of the tokens that came with it.
    async fn sign_in(&self, person: &str) -> (OpenGrant, Identity) {
        let exchanged = self.vault.exchange(code_of(person), ExchangePurpose::SignIn).await.unwrap();
        let tokens = exchanged.signed_in.unwrap();
        let caller = self.bench.service.authenticate(tokens.access_token.expose()).await.unwrap().unwrap();
        (exchanged.open, caller)
    }

    /// The provider's current trouble.
    fn trouble(&self) -> Option<Ongoing> {
        let [state] = self.vault.healths.states().try_into().unwrap();
        state.trouble
    }

    /// Links the identity to the account of a person who has proven to be there.
    async fn link(&self, person: &str, account: AccountId) -> Result<Exchanged, ExchangeError> {
        let permit = LinkPermit::unproven(account, SessionId::from_random([5; 16]));
        self.vault.exchange(code_of(person), ExchangePurpose::Link(permit)).await
    }
}

fn code_of(person: &str) -> ExchangeRequest {
    ExchangeRequest {
        provider: "fake".into(),
        code: Secret::new(format!("code-of-{person}")),
        redirect_uri: None,
        code_verifier: Some(Secret::new("verifier")),
        nonce: None,
        state: None,
        client: None,
    }
}

fn stranger(scope: &str) -> Identity {
    Identity {
        subject: AccountId::from_random([99; 16]).to_string(),
        scope: scope.parse().unwrap(),
        token_id: TokenId::from_random([98; 16]),
        family: crate::domain::gateway::models::values::id::FamilyId::from_random([97; 16]),
        expires_at: DateTime::UNIX_EPOCH,
        claims: serde_json::Map::new(),
    }
}

fn access(open: &OpenGrant) -> &str {
    open.tokens.access_token.expose()
}

#[tokio::test]
async fn an_exchange_without_a_caller_is_a_sign_in_and_finds_the_same_account_again() {
    let scene = Scene::new().await;
    let (first, alice) = scene.sign_in("alice").await;
    let (again, same) = scene.sign_in("alice").await;
    let (other, bob) = scene.sign_in("bob").await;
    assert_eq!(alice.subject, same.subject);
    assert_eq!(first.grant.id, again.grant.id, "the same person at the same provider has one grant");
    assert_ne!(alice.subject, bob.subject, "the same e-mail does not make the same person");
    assert_ne!(first.grant.account, other.grant.account);
    let providers = scene.vault.providers_of(first.grant.account).await.unwrap();
    assert_eq!(providers, [first.grant.provider]);
    assert!(scene.vault.providers_of(AccountId::from_random([99; 16])).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_with_control_of_the_account_is_an_identity_linked() {
    let scene = Scene::new().await;
    let (first, _) = scene.sign_in("alice").await;
    let (bobs, _) = scene.sign_in("bob").await;
    let (alice, bob) = (first.grant.account, bobs.grant.account);
    let keep =
        async |person: &str, account| scene.vault.exchange(code_of(person), ExchangePurpose::KeepGrant(account)).await;
    // A token is not enough to change the ways to sign in.
    for (person, account) in [("alice-at-work", alice), ("bob", alice), ("alice", AccountId::from_random([99; 16]))] {
        assert!(matches!(keep(person, account).await, Err(ExchangeError::NotLinked)), "{person}");
    }
    assert_eq!(scene.store.identities_of(alice).await.unwrap().len(), 1);
    let own = keep("alice", alice).await.unwrap();
    assert!(own.signed_in.is_none() && own.open.grant.id == first.grant.id);

    let second = scene.link("alice-at-work", alice).await.unwrap();
    assert!(second.signed_in.is_none());
    assert_eq!(second.open.grant.account, alice);
    assert!(matches!(scene.link("alice", bob).await, Err(ExchangeError::LinkedElsewhere)));
    assert_eq!(keep("alice-at-work", alice).await.unwrap().open.grant.id, second.open.grant.id);
}

#[tokio::test]
async fn others_see_nothing() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let (_, bob) = scene.sign_in("bob").await;
    let id = open.grant.id;
    for other in [&bob, &stranger(""), &stranger("oauth:write")] {
        assert!(matches!(scene.vault.open(other, id).await, Err(GrantError::NotFound)));
    }
    assert!(matches!(scene.vault.refresh(&bob, id).await, Err(GrantError::NotFound)));
    assert!(matches!(scene.vault.delete(&bob, id).await, Err(GrantError::NotFound)));
    // The right to read any grant is not the right to change one, and the response does not reveal whether the grant
    // exists.
    for id in [id, GrantId::from_random([77; 16])] {
        let reader = stranger("oauth:read");
        for refused in [scene.vault.refresh(&reader, id).await.err(), scene.vault.delete(&reader, id).await.err()] {
            let lacks = matches!(&refused, Some(GrantError::ScopeMissing(scope)) if scope.to_string() == "oauth:write");
            assert!(lacks, "{refused:?}");
        }
    }
    let owner = Identity { scope: "oauth:read".parse().unwrap(), ..alice.clone() };
    assert!(scene.vault.refresh(&owner, id).await.is_ok(), "it is hers");
    assert!(scene.vault.open(&stranger("oauth:read"), id).await.is_ok());
    assert!(scene.vault.refresh(&stranger("oauth:write"), id).await.is_ok());
    assert_eq!(scene.vault.list(&bob, GrantQuery::default()).await.unwrap().grants.len(), 1);
    assert_eq!(scene.vault.list(&alice, GrantQuery::default()).await.unwrap().grants[0].id, id);
    let at_other = GrantQuery { provider: Some("other".parse().unwrap()), ..GrantQuery::default() };
    assert!(scene.vault.list(&alice, at_other).await.unwrap().grants.is_empty());
    assert!(scene.vault.list(&stranger("oauth:read"), GrantQuery::default()).await.unwrap().grants.is_empty());
}

#[tokio::test]
async fn a_fresh_token_is_returned_unchanged_and_an_expired_one_is_refreshed_first() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    assert_eq!(access(&scene.vault.open(&alice, open.grant.id).await.unwrap()), "provider-access-0");
    scene.bench.clock.pass(LIFE - TimeDelta::seconds(60));
    let refreshed = scene.vault.open(&alice, open.grant.id).await.unwrap();
    assert_eq!(access(&refreshed), "provider-access-1");
    assert_eq!(refreshed.tokens.refresh_token.as_ref().map(Secret::expose), Some("provider-refresh"), "kept");
    assert_eq!(access(&scene.vault.open(&alice, open.grant.id).await.unwrap()), "provider-access-1");
    assert_eq!(access(&scene.vault.refresh(&alice, open.grant.id).await.unwrap()), "provider-access-2", "asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_provider_is_called_once_for_many_callers_over_two_replicas() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    let other = Scene::replica(scene.store.clone(), scene.store.clone(), &scene.provider, &scene.bench);
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..200 {
        let vault = if n % 2 == 0 { scene.vault.clone() } else { other.clone() };
        let (alice, id) = (alice.clone(), open.grant.id);
        asking.spawn(async move { access(&vault.open(&alice, id).await.unwrap()).to_owned() });
    }
    while let Some(got) = asking.join_next().await {
        assert_eq!(got.unwrap(), "provider-access-1");
    }
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_lease_whose_holder_vanished_ends_by_itself() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    let vanished = RefreshLease {
        grant: open.grant.id,
        holder: crate::domain::gateway::models::values::id::LeaseId::from_random([5; 16]),
        until: scene.bench.clock.now() + TimeDelta::seconds(6),
    };
    scene.store.acquire_lease(&vanished, scene.bench.clock.now()).await.unwrap();
    let (vault, id) = (scene.vault.clone(), open.grant.id);
    let waiting = tokio::spawn(async move { access(&vault.open(&alice, id).await.unwrap()).to_owned() });
    tokio::task::yield_now().await;
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 0, "the lease is honoured");
    scene.bench.clock.pass(TimeDelta::seconds(6));
    assert_eq!(waiting.await.unwrap(), "provider-access-1");
}

#[tokio::test]
async fn a_response_after_the_end_of_the_lease_is_kept_if_no_other_took_over() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let gate = Arc::new(Notify::new());
    *scene.provider.gate.lock().unwrap() = Some(gate.clone());
    let (vault, id) = (scene.vault.clone(), open.grant.id);
    let asking = tokio::spawn(async move { access(&vault.refresh(&alice, id).await.unwrap()).to_owned() });
    tokio::task::yield_now().await;
    scene.bench.clock.pass(TimeDelta::minutes(1));
    gate.notify_one();
    assert_eq!(asking.await.unwrap(), "provider-access-1");
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 1, "the provider is not asked for another");
}

#[tokio::test]
async fn a_refusal_is_final_and_a_failure_is_not() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let (id, fail) = (open.grant.id, |failure| *scene.provider.failure.lock().unwrap() = failure);

    scene.bench.clock.pass(LIFE - TimeDelta::seconds(30));
    fail(Some(ProviderError::Unavailable("down".into())));
    assert_eq!(access(&scene.vault.open(&alice, id).await.unwrap()), "provider-access-0", "still good for 30 s");
    let refreshed = scene.vault.refresh(&alice, id).await;
    assert!(
        matches!(refreshed, Err(GrantError::Provider(ProviderError::Unavailable(_)))),
        "no new token: {refreshed:?}"
    );
    scene.bench.clock.pass(TimeDelta::seconds(30));
    assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::Provider(ProviderError::Unavailable(_)))));
    fail(None);
    assert!(scene.vault.open(&alice, id).await.is_ok(), "nothing was lost");

    scene.bench.clock.pass(LIFE);
    fail(Some(ProviderError::InvalidGrant { code: "invalid_grant".into() }));
    assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::ReauthorizationRequired)));
    fail(None);
    let asked = scene.provider.refreshes.load(Ordering::SeqCst);
    assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::ReauthorizationRequired)));
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), asked, "the provider is not asked again");
    let (again, _) = scene.sign_in("alice").await;
    assert_eq!((again.grant.id, again.grant.status), (id, GrantStatus::Active), "signing in again heals it");
}

#[tokio::test]
async fn only_an_error_about_the_grant_ends_it() {
    let (ours, theirs) = (TroubleKind::Configuration, TroubleKind::Outage);
    for (failure, kind, error) in [
        (ProviderError::Misconfigured { code: "invalid_client".into() }, ours, "invalid_client"),
        (ProviderError::Refused { code: "invalid_request".into() }, ours, "invalid_request"),
        (ProviderError::Unavailable("http_503".into()), theirs, "http_503"),
        (ProviderError::BadResponse("it is not JSON".into()), theirs, "it is not JSON"),
    ] {
        let scene = Scene::new().await;
        let (open, alice) = scene.sign_in("alice").await;
        let id = open.grant.id;
        scene.bench.clock.pass(LIFE);
        *scene.provider.failure.lock().unwrap() = Some(failure.clone());
        let outcome = scene.vault.open(&alice, id).await;
        assert!(matches!(&outcome, Err(GrantError::Provider(error)) if *error == failure), "{failure:?}: {outcome:?}");
        assert_eq!(scene.store.find_grant(id).await.unwrap().unwrap(), open.grant, "{failure:?}");
        let trouble = Trouble { kind, error: error.into() };
        assert_eq!(scene.trouble(), Some(Ongoing { trouble, since: scene.bench.clock.now() }));

        *scene.provider.failure.lock().unwrap() = None;
        scene.bench.clock.pass(TimeDelta::minutes(1));
        assert_eq!(access(&scene.vault.open(&alice, id).await.unwrap()), "provider-access-2", "{failure:?}");
        assert_eq!(scene.trouble(), None, "{failure:?}");
    }
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE);
    *scene.provider.failure.lock().unwrap() = Some(ProviderError::InvalidGrant { code: "invalid_grant".into() });
    assert!(matches!(scene.vault.open(&alice, open.grant.id).await, Err(GrantError::ReauthorizationRequired)));
    assert_eq!(scene.trouble(), None, "one person's grant says nothing of the provider");
}

#[tokio::test]
async fn an_expired_token_that_cannot_be_refreshed_is_not_returned() {
    let scene = Scene::at(Kind::Nothing).await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.bench.clock.pass(LIFE - TimeDelta::seconds(1));
    assert!(scene.vault.open(&alice, open.grant.id).await.is_ok(), "it is the last, and still good");
    assert!(matches!(scene.vault.refresh(&alice, open.grant.id).await, Err(GrantError::NothingNewer)));
    scene.bench.clock.pass(TimeDelta::seconds(1));
    assert!(matches!(scene.vault.open(&alice, open.grant.id).await, Err(GrantError::ReauthorizationRequired)));
    assert!(matches!(scene.vault.refresh(&alice, open.grant.id).await, Err(GrantError::ReauthorizationRequired)));
}

#[tokio::test]
async fn a_token_that_is_exchanged_while_valid_is_lost_once_it_has_expired() {
    let scene = Scene::at(Kind::LivingTokens).await;
    let (open, alice) = scene.sign_in("alice").await;
    let (id, fail) = (open.grant.id, |failure| *scene.provider.failure.lock().unwrap() = failure);
    scene.bench.clock.pass(LIFE - TimeDelta::seconds(1));
    fail(Some(ProviderError::Unavailable("down".into())));
    assert_eq!(access(&scene.vault.open(&alice, id).await.unwrap()), "provider-access-0", "good for a second");
    fail(None);
    assert_eq!(access(&scene.vault.open(&alice, id).await.unwrap()), "provider-access-2");
    assert_eq!(access(&scene.vault.refresh(&alice, id).await.unwrap()), "provider-access-3");

    scene.bench.clock.pass(LIFE);
    assert!(matches!(scene.vault.open(&alice, id).await, Err(GrantError::ReauthorizationRequired)));
    assert_eq!(
        scene.vault.list(&alice, GrantQuery::default()).await.unwrap().grants[0].status,
        GrantStatus::NeedsReauthorization
    );
    assert_eq!(scene.provider.refreshes.load(Ordering::SeqCst), 3, "the provider need not be asked");
}

#[tokio::test]
async fn a_grant_is_deleted_whether_or_not_the_provider_can_be_told() {
    let scene = Scene::new().await;
    for (person, failure) in [("alice", None), ("bob", Some(ProviderError::Unavailable("down".into())))] {
        let (open, caller) = scene.sign_in(person).await;
        (*scene.provider.failure.lock().unwrap()).clone_from(&failure);
        let deletion = scene.vault.delete(&caller, open.grant.id).await.unwrap();
        assert_eq!(deletion.not_revoked, failure);
        assert!(matches!(scene.vault.open(&caller, open.grant.id).await, Err(GrantError::NotFound)));
    }
    assert_eq!(scene.provider.revocations.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_changed_byte_is_an_error_that_names_the_grant_and_nothing_is_in_clear() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let mut grant = scene.store.find_grant(open.grant.id).await.unwrap().unwrap();
    assert!(!grant.sealed_tokens.windows(8).any(|window| b"provider-access-0".windows(8).any(|clear| clear == window)));
    *grant.sealed_tokens.last_mut().unwrap() ^= 1;
    scene.store.put_grant(&grant).await.unwrap();
    let Err(GrantError::Failed(failure)) = scene.vault.open(&alice, grant.id).await else { panic!("opened") };
    assert!(failure.to_string().contains(&grant.id.to_string()), "{failure}");
}

#[tokio::test]
async fn a_proxy_for_a_person_gets_a_fresh_token_of_theirs() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    scene.sign_in("bob").await;
    let (account, fake) = (open.grant.account, open.grant.provider.clone());
    let token = async || scene.vault.token_for(account, &fake).await.map(|open| access(&open).to_owned());
    assert_eq!(token().await.unwrap(), "provider-access-0");
    scene.bench.clock.pass(LIFE - TimeDelta::seconds(60));
    assert_eq!(token().await.unwrap(), "provider-access-1", "a minute before its end it is refreshed");
    assert_eq!(token().await.unwrap(), "provider-access-1");
    let none = |outcome| matches!(outcome, Err(GrantError::NotFound));
    assert!(none(scene.vault.token_for(account, &"other".parse().unwrap()).await));
    assert!(none(scene.vault.token_for(AccountId::from_random([99; 16]), &fake).await));
    scene.vault.delete(&alice, open.grant.id).await.unwrap();
    assert!(matches!(token().await, Err(GrantError::NotFound)));
}

#[tokio::test]
async fn of_several_grants_at_a_provider_the_newest_usable_one_is_taken() {
    let scene = Scene::new().await;
    let (first, _) = scene.sign_in("alice").await;
    let (account, fake) = (first.grant.account, first.grant.provider.clone());
    scene.bench.clock.pass(TimeDelta::seconds(1));
    let second = scene.link("alice-at-work", account).await.unwrap().open;
    let taken = async || scene.vault.token_for(account, &fake).await.map(|open| open.grant.id);
    assert_eq!(taken().await.unwrap(), second.grant.id);
    let end = async |person: &str| {
        let now = scene.bench.clock.now();
        scene.store.revoke_grants_of(&fake, person, now, now).await.unwrap();
    };
    end("alice-at-work").await;
    assert_eq!(taken().await.unwrap(), first.grant.id);
    end("alice").await;
    assert!(matches!(taken().await, Err(GrantError::ReauthorizationRequired)));
}

#[tokio::test]
async fn a_provider_that_is_down_affects_only_callers_without_a_valid_token() {
    let scene = Scene::new().await;
    let (open, _) = scene.sign_in("alice").await;
    let (account, fake) = (open.grant.account, open.grant.provider.clone());
    *scene.provider.failure.lock().unwrap() = Some(ProviderError::Unavailable("down".into()));
    scene.bench.clock.pass(LIFE - TimeDelta::seconds(1));
    assert_eq!(access(&scene.vault.token_for(account, &fake).await.unwrap()), "provider-access-0");
    scene.bench.clock.pass(TimeDelta::seconds(1));
    assert!(matches!(scene.vault.token_for(account, &fake).await, Err(GrantError::Provider(_))));
    *scene.provider.failure.lock().unwrap() = Some(ProviderError::InvalidGrant { code: "invalid_grant".into() });
    assert!(matches!(scene.vault.token_for(account, &fake).await, Err(GrantError::ReauthorizationRequired)));
}

#[tokio::test]
async fn every_change_of_a_grant_is_published() {
    let scene = Scene::new().await;
    let (open, alice) = scene.sign_in("alice").await;
    let (account, id) = (open.grant.account, open.grant.id);
    let published = || std::mem::take(&mut *scene.bench.recorder.grant_changes.lock().unwrap());
    let now = || scene.bench.clock.now();
    assert_eq!(published(), [(account, now())]);
    scene.bench.clock.pass(TimeDelta::seconds(1));
    scene.vault.open(&alice, id).await.unwrap();
    assert_eq!(published(), [], "nothing has changed");
    scene.vault.refresh(&alice, id).await.unwrap();
    assert_eq!(published(), [(account, now())]);
    scene.link("alice-at-work", account).await.unwrap();
    assert_eq!(published(), [(account, now())]);
    *scene.provider.failure.lock().unwrap() = Some(ProviderError::InvalidGrant { code: "invalid_grant".into() });
    scene.vault.refresh(&alice, id).await.unwrap_err();
    assert_eq!(published(), [(account, now())]);
    scene.vault.delete(&alice, id).await.unwrap();
    assert_eq!(published(), [(account, now())]);
}
