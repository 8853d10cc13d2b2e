use std::{
    collections::BTreeMap,
    future::pending,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::*;
use crate::{
    adapters::sealing::Vault,
    domain::gateway::{
        models::{
            account::ProviderIdentity,
            notice::{ClaimedNotice, NoticeKind, NoticeProgress},
            oauth::{Grant, GrantFilter, GrantStatus, ProviderTokens},
            session::{SessionSecret, Visitor},
            values::{digest::Sha256Digest, id::AccountId, secret::Secret},
        },
        repositories::{
            account::AccountRepository,
            memory::{MemoryAccounts, MemoryNotices, MemoryThrottle},
            oauth::OAuthRepository,
        },
        services::{
            account::AccountParts,
            oauth::{EnabledProvider, ExchangePurpose, ExchangeRequest, OAuthParts, Provider, ProviderError},
            ports::{AuthorizationRequest, CodeExchange, NoticeEvent},
            provider::ProviderHealths,
            session::{SessionParts, SessionService},
            testing::{Bench, FlakySessions, Log, PlainHasher, SESSION_LIMITS, bench, policy},
        },
    },
    ports::testing::CountingEntropy,
};

/// A provider where every person is who they claim to be, and whose notices say what the test says.
struct FakeProvider {
    name: ProviderName,
    unacknowledged: Unacknowledged,
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
        let subject = exchange.code.expose().to_owned();
        Ok((tokens, ProviderIdentity { provider: self.name.clone(), subject, verified_email: None, name: None }))
    }

    async fn refresh(&self, _: &ProviderTokens) -> Result<ProviderTokens, ProviderError> {
        Err(ProviderError::Unsupported)
    }

    async fn revoke(&self, _: &ProviderTokens) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Accepts every notice with `proof`.
    async fn verify_notice(&self, notice: &UnverifiedNotice) -> Result<VerifiedNotice, NoticeRefusal> {
        if notice.authorization != Some(Secret::new("proof")) {
            return Err(NoticeRefusal::Unverified);
        }
        let (NoticeBody::Parameters(parameters) | NoticeBody::DeletionRequest(parameters)) = &notice.body else {
            return Err(NoticeRefusal::Unsupported);
        };
        let kind = match parameters.get("kind").map(String::as_str) {
            Some("sessions") => NoticeKind::SessionsRevoked,
            Some("everything") => NoticeKind::EverythingRevoked,
            _ => NoticeKind::GrantsRevoked,
        };
        let event = |subject: &String| NoticeEvent { subject: subject.clone(), kind };
        let time = |name: &str| {
            let seconds = parameters.get(name).map(|seconds| seconds.parse().unwrap());
            seconds.map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
        };
        let sent_at = time("timestamp");
        Ok(VerifiedNotice {
            events: parameters.get("user_id").map(event).into_iter().collect(),
            id: parameters.get("id").cloned(),
            sent_at,
            issued_at: time("iat").or(sent_at),
            acknowledgement: Acknowledgement::NoContent,
            unacknowledged: self.unacknowledged,
        })
    }
}

/// Notices in memory: the store fails while it is `away`, and never responds while it `stalls`.
#[derive(Default)]
struct FlakyNotices {
    store: MemoryNotices,
    away: AtomicBool,
    stalls: AtomicBool,
}

impl FlakyNotices {
    async fn respond(&self) -> Result<(), RepositoryError> {
        if self.stalls.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        if self.away.load(Ordering::SeqCst) { Err(RepositoryError::Unavailable("away".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl NoticeRepository for FlakyNotices {
    async fn store(&self, notices: &[Notice]) -> Result<u64, RepositoryError> {
        self.respond().await?;
        self.store.store(notices).await
    }

    async fn claim(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ClaimedNotice>, RepositoryError> {
        self.respond().await?;
        self.store.claim(now, until, limit).await
    }

    async fn postpone(&self, digest: &Sha256Digest, at: DateTime<Utc>) -> Result<(), RepositoryError> {
        self.respond().await?;
        self.store.postpone(digest, at).await
    }

    async fn finish(
        &self,
        digest: &Sha256Digest,
        now: DateTime<Utc>,
        known_until: DateTime<Utc>,
    ) -> Result<(), RepositoryError> {
        self.respond().await?;
        self.store.finish(digest, now, known_until).await
    }

    async fn progress(&self, digest: &Sha256Digest) -> Result<Option<NoticeProgress>, RepositoryError> {
        self.respond().await?;
        self.store.progress(digest).await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        self.respond().await?;
        self.store.purge_expired(now).await
    }
}

struct Scene {
    notices: Arc<NoticeService>,
    store: Arc<FlakyNotices>,
    oauth: Arc<OAuthService>,
    accounts: AccountService,
    sessions: Arc<SessionService>,
    session_store: Arc<FlakySessions>,
    people: Arc<MemoryAccounts>,
    bench: Bench,
}

impl Scene {
    async fn new() -> Self {
        let bench = bench(policy()).await;
        let (people, entropy) = (Arc::new(MemoryAccounts::default()), Arc::new(CountingEntropy::default()));
        let provider = |name: &str, unacknowledged| EnabledProvider {
            provider: Arc::new(FakeProvider { name: name.parse().unwrap(), unacknowledged }),
            callback: "https://www.jinmini.com/login/fake/callback".into(),
            redirect_uris: vec!["https://app.jinmini.com/cb".into()],
            more_scopes: Vec::new(),
            takes_unbound_codes: true,
        };
        let oauth = Arc::new(OAuthService::new(OAuthParts {
            store: people.clone(),
            accounts: people.clone(),
            attempts: Arc::new(MemoryThrottle::default()),
            providers: vec![provider("once", Unacknowledged::Lost), provider("told", Unacknowledged::Told)],
            healths: Arc::new(ProviderHealths::new([], bench.clock.clone())),
            sealer: Arc::new(Vault::new(&[[1; 32]]).unwrap()),
            publisher: bench.recorder.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: entropy.clone(),
        }));
        let session_store = Arc::new(FlakySessions { store: bench.sessions.clone(), ..FlakySessions::default() });
        let sessions = Arc::new(SessionService::new(SessionParts {
            store: session_store.clone(),
            accounts: people.clone(),
            tokens: bench.service.clone(),
            clock: bench.clock.clone(),
            entropy: entropy.clone(),
            limits: SESSION_LIMITS,
        }));
        let accounts = AccountService::new(AccountParts {
            accounts: people.clone(),
            attempts: Arc::new(MemoryThrottle::default()),
            hasher: Arc::new(PlainHasher),
            sessions: sessions.clone(),
            tokens: bench.service.clone(),
            oauth: oauth.clone(),
            sealer: Arc::new(Vault::new(&[[1; 32]]).unwrap()),
            clock: bench.clock.clone(),
            entropy,
        });
        let store = Arc::new(FlakyNotices::default());
        let parts = Self::parts(&store, &oauth, &accounts, &bench);
        let notices = Arc::new(NoticeService::new(parts));
        Self { notices, store, oauth, accounts, sessions, session_store, people, bench }
    }

    fn parts(
        store: &Arc<FlakyNotices>,
        oauth: &Arc<OAuthService>,
        accounts: &AccountService,
        bench: &Bench,
    ) -> NoticeParts {
        NoticeParts {
            store: store.clone(),
            oauth: oauth.clone(),
            accounts: accounts.clone(),
            clock: bench.clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
        }
    }

    /// Another gateway on the same store.
    fn replica(&self) -> NoticeService {
        NoticeService::new(Self::parts(&self.store, &self.oauth, &self.accounts, &self.bench))
    }

    async fn session(&self, account: AccountId) -> SessionSecret {
        self.sessions.open(account, Visitor::default()).await.unwrap()
    }

    async fn is_live(&self, session: &SessionSecret) -> bool {
        self.sessions.current(session.expose()).await.unwrap().is_some()
    }

    async fn sign_in(&self, provider: &str, person: &str) -> Grant {
        let request = ExchangeRequest {
            provider: provider.into(),
            code: Secret::new(person),
            redirect_uri: None,
            code_verifier: None,
            nonce: None,
            state: None,
            client: None,
        };
        self.oauth.exchange(request, ExchangePurpose::SignIn).await.unwrap().open.grant
    }

    async fn receive(&self, provider: &str, more: &[(&'static str, &str)]) -> Result<Acknowledgement, NoticeError> {
        self.notices.receive(provider, &proven(more)).await
    }

    async fn status(&self, grant: &Grant) -> GrantStatus {
        let filter = GrantFilter { account: Some(grant.account), provider: None };
        self.people.list_grants(&filter, None, 9).await.unwrap()[0].status
    }

    fn pass(&self, seconds: i64) {
        self.bench.clock.pass(TimeDelta::seconds(seconds));
    }

    fn away(&self, away: bool) {
        self.store.away.store(away, Ordering::SeqCst);
    }

    fn now(&self) -> String {
        self.bench.clock.now().timestamp().to_string()
    }
}

/// A notice with proof and these parameters.
fn proven(parameters: &[(&'static str, &str)]) -> UnverifiedNotice {
    let parameters: BTreeMap<_, _> = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    UnverifiedNotice {
        authorization: Some(Secret::new("proof")),
        headers: BTreeMap::new(),
        body: NoticeBody::Parameters(parameters),
    }
}

#[tokio::test]
async fn a_notice_is_stored_and_acknowledged_and_applied_in_the_background() {
    let scene = Scene::new().await;
    let (alice, bob) = (scene.sign_in("once", "alice").await, scene.sign_in("once", "bob").await);
    for person in ["alice", "alice", "nobody"] {
        assert_eq!(scene.receive("once", &[("user_id", person)]).await.unwrap(), Acknowledgement::NoContent);
    }
    assert_eq!(scene.status(&alice).await, GrantStatus::Active, "not before it is acknowledged");
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Revoked);
    assert_eq!(scene.status(&bob).await, GrantStatus::Active);
}

#[tokio::test]
async fn another_replica_applies_notices_that_one_left_behind() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("once", "alice").await;
    scene.receive("once", &[("user_id", "alice")]).await.unwrap();
    scene.replica().round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Revoked);
}

#[tokio::test]
async fn newly_allowed_access_stays_though_the_notice_comes_again_or_late() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("once", "alice").await;
    let sent_at = scene.now();
    let notice = [("user_id", "alice"), ("timestamp", sent_at.as_str()), ("id", "1")];
    scene.receive("once", &notice).await.unwrap();
    scene.pass(360);
    // It was not applied yet, and the person is back already.
    scene.sign_in("once", "alice").await;
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Active);
    // The same delivery, and one with another id.
    scene.receive("once", &notice).await.unwrap();
    scene.receive("once", &[("user_id", "alice"), ("timestamp", &sent_at), ("id", "2")]).await.unwrap();
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Active);
}

#[tokio::test]
async fn a_repeated_delivery_is_applied_once() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("once", "alice").await;
    let notice = [("user_id", "alice"), ("id", "1")];
    scene.receive("once", &notice).await.unwrap();
    scene.notices.round().await.unwrap();
    scene.sign_in("once", "alice").await;
    scene.receive("once", &notice).await.unwrap();
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Active);
}

#[tokio::test]
async fn an_unproven_or_empty_notice_is_not_stored() {
    let scene = Scene::new().await;
    let forged = UnverifiedNotice { authorization: None, ..proven(&[("user_id", "alice")]) };
    let outcome = scene.notices.receive("once", &forged).await;
    assert!(matches!(outcome, Err(NoticeError::Refused(NoticeRefusal::Unverified))), "{outcome:?}");
    for name in ["nobody", "Once", ""] {
        let outcome = scene.receive(name, &[("user_id", "alice")]).await;
        assert!(matches!(outcome, Err(NoticeError::UnknownProvider)), "{name}: {outcome:?}");
    }
    scene.away(true);
    assert_eq!(scene.receive("told", &[]).await.unwrap(), Acknowledgement::NoContent, "no store is needed");
    scene.away(false);
    let far = scene.bench.clock.now() + TimeDelta::days(1);
    assert!(scene.store.claim(far, far, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_notice_that_ends_sessions_ends_all_sessions_and_tokens_of_the_person() {
    for (kind, revokes) in [("sessions", false), ("everything", true), ("grants", false)] {
        let scene = Scene::new().await;
        let (alice, bob) = (scene.sign_in("told", "alice").await, scene.sign_in("told", "bob").await);
        let (of_alice, of_bob) = (scene.session(alice.account).await, scene.session(bob.account).await);
        let current = scene.sessions.current(of_alice.expose()).await.unwrap().unwrap();
        let tokens = scene.sessions.tokens(&current).await.unwrap().unwrap();
        scene.receive("told", &[("user_id", "alice"), ("kind", kind), ("id", "1")]).await.unwrap();
        scene.receive("told", &[("user_id", "nobody"), ("kind", kind), ("id", "2")]).await.unwrap();
        scene.notices.round().await.unwrap();
        let ends = kind != "grants";
        assert_eq!(scene.is_live(&of_alice).await, !ends, "{kind}");
        let outcome = scene.bench.service.authenticate(tokens.access_token.expose()).await.unwrap();
        assert_eq!(outcome.is_err(), ends, "{kind}");
        assert!(scene.is_live(&of_bob).await, "{kind}");
        let marked = scene.status(&alice).await == GrantStatus::Revoked;
        assert_eq!(marked, revokes || kind == "grants", "{kind}");

        // Sent again, it does not end what the person has opened since.
        let later = scene.session(alice.account).await;
        scene.receive("told", &[("user_id", "alice"), ("kind", kind), ("id", "1")]).await.unwrap();
        scene.notices.round().await.unwrap();
        assert!(scene.is_live(&later).await, "{kind}");
    }
}

#[tokio::test]
async fn sessions_end_once_everything_else_is_done() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("told", "alice").await;
    let session = scene.session(alice.account).await;
    scene.session_store.away.store(true, Ordering::SeqCst);
    scene.receive("told", &[("user_id", "alice"), ("kind", "everything"), ("id", "1")]).await.unwrap();
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Revoked, "what cannot be repeated without harm comes last");
    scene.session_store.away.store(false, Ordering::SeqCst);
    scene.pass(5);
    scene.notices.round().await.unwrap();
    assert!(!scene.is_live(&session).await);
}

/// The person asks us to delete the data that we have from this provider.
async fn ask_to_delete(scene: &Scene, person: &str) -> Result<String, NoticeError> {
    ask_by(scene, &[("user_id", person), ("timestamp", &scene.now())]).await
}

async fn ask_by(scene: &Scene, parameters: &[(&'static str, &str)]) -> Result<String, NoticeError> {
    let NoticeBody::Parameters(parameters) = proven(parameters).body else {
        panic!("it is a form");
    };
    let notice = UnverifiedNotice { body: NoticeBody::DeletionRequest(parameters), ..proven(&[]) };
    scene.notices.request_deletion("told", &notice).await.map(|code| code.to_string())
}

#[tokio::test]
async fn a_persons_data_is_deleted_and_the_person_can_check_the_progress() {
    let scene = Scene::new().await;
    let (alice, bob) = (scene.sign_in("told", "alice").await, scene.sign_in("told", "bob").await);
    let (of_alice, of_bob) = (scene.session(alice.account).await, scene.session(bob.account).await);
    let code = ask_to_delete(&scene, "alice").await.unwrap();
    let received_at = scene.bench.clock.now();
    let progress = async |code: &str| scene.notices.deletion(code).await.unwrap();
    assert_eq!(progress(&code).await, Some(NoticeProgress { received_at, applied_at: None }));
    scene.pass(5);
    scene.notices.round().await.unwrap();
    let applied_at = Some(scene.bench.clock.now());
    assert_eq!(progress(&code).await, Some(NoticeProgress { received_at, applied_at }));
    // Facebook was the only way to sign in.
    assert!(!scene.is_live(&of_alice).await && scene.is_live(&of_bob).await);
    assert_eq!(scene.people.find_account(&alice.provider, "alice").await.unwrap(), None);
    assert!(scene.people.find_grant(alice.id).await.unwrap().is_none());
    assert_eq!(scene.status(&bob).await, GrantStatus::Active);
    for other in ["", "x", &code[1..], "1111111111111111111111"] {
        assert_eq!(progress(other).await, None, "{other}");
    }
    // The response does not reveal whether a person was known here.
    let other = ask_to_delete(&scene, "nobody").await.unwrap();
    scene.notices.round().await.unwrap();
    assert!(other != code && progress(&other).await.unwrap().applied_at.is_some());
}

#[tokio::test]
async fn a_person_who_came_back_after_the_request_stays() {
    let scene = Scene::new().await;
    scene.sign_in("told", "alice").await;
    ask_to_delete(&scene, "alice").await.unwrap();
    scene.pass(360);
    let back = scene.sign_in("told", "alice").await;
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&back).await, GrantStatus::Active);
}

#[tokio::test]
async fn a_repeated_request_has_the_same_code_and_is_carried_out_once() {
    let scene = Scene::new().await;
    scene.sign_in("told", "alice").await;
    let sent_at = scene.now();
    let wish = [("user_id", "alice"), ("timestamp", sent_at.as_str()), ("id", "signed")];
    let code = ask_by(&scene, &wish).await.unwrap();
    scene.notices.round().await.unwrap();
    let back = scene.sign_in("told", "alice").await;
    assert_eq!(ask_by(&scene, &wish).await.unwrap(), code);
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&back).await, GrantStatus::Active, "whoever is back at once stays, too");
    // Yesterday's request may have been carried out before.
    scene.pass(24 * 60 * 60 + 1);
    let old = ask_by(&scene, &[("user_id", "alice"), ("timestamp", sent_at.as_str()), ("id", "another")]).await;
    assert!(matches!(old, Err(NoticeError::Refused(NoticeRefusal::Malformed))), "{old:?}");
}

#[tokio::test]
async fn a_deletion_request_that_cannot_be_stored_gets_no_code_and_is_not_held() {
    let scene = Scene::new().await;
    scene.sign_in("told", "alice").await;
    scene.away(true);
    assert!(matches!(ask_to_delete(&scene, "alice").await, Err(NoticeError::Failed(_))));
    scene.away(false);
    scene.notices.round().await.unwrap();
    assert!(scene.people.find_account(&"told".parse().unwrap(), "alice").await.unwrap().is_some());
}

#[tokio::test]
async fn an_event_that_may_be_a_repeated_old_one_ends_no_session() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("told", "alice").await;
    let sent_at = (scene.bench.clock.now() - TimeDelta::days(31)).timestamp().to_string();
    let session = scene.session(alice.account).await;
    let event = [("user_id", "alice"), ("kind", "sessions"), ("timestamp", sent_at.as_str())];
    scene.receive("told", &event).await.unwrap();
    scene.notices.round().await.unwrap();
    assert!(scene.is_live(&session).await);
    // A notice written now is not a repeated old one, however long ago the event was.
    let now = scene.now();
    let [person, kind, happened] = event;
    scene.receive("told", &[person, kind, happened, ("iat", now.as_str())]).await.unwrap();
    scene.notices.round().await.unwrap();
    assert!(!scene.is_live(&session).await);
}

#[tokio::test]
async fn while_the_store_is_away_notices_are_held_and_written_when_it_is_back() {
    let scene = Scene::new().await;
    let (alice, bob) = (scene.sign_in("once", "alice").await, scene.sign_in("told", "bob").await);
    let log = Log::begin();
    scene.away(true);
    // A notice that is never repeated is acknowledged; the other provider gets an error.
    assert!(scene.receive("once", &[("user_id", "alice")]).await.is_ok());
    assert!(matches!(scene.receive("told", &[("user_id", "bob")]).await, Err(NoticeError::Failed(_))));
    assert!(scene.notices.round().await.is_err());
    let lines = log.lines().join("\n");
    assert_eq!(lines.matches("held in memory until the store is back").count(), 2, "{lines}");
    assert!(lines.contains("held=2") && !lines.contains("alice"), "{lines}");

    scene.away(false);
    scene.notices.round().await.unwrap();
    for grant in [&alice, &bob] {
        assert_eq!(scene.status(grant).await, GrantStatus::Revoked);
    }
    assert!(log.lines().join("\n").contains("written=2"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_respond_in_time_counts_as_away() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("once", "alice").await;
    scene.store.stalls.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    assert!(scene.receive("once", &[("user_id", "alice")]).await.is_ok());
    assert!(began.elapsed() < Duration::from_secs(3), "Kakao waits no longer");
    scene.store.stalls.store(false, Ordering::SeqCst);
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_kept_even_if_its_provider_does_not_wait_for_the_response() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("once", "alice").await;
    scene.store.stalls.store(true, Ordering::SeqCst);
    let notice = proven(&[("user_id", "alice")]);
    let gave_up = timeout(Duration::from_millis(100), scene.notices.receive("once", &notice)).await;
    assert!(gave_up.is_err());
    tokio::time::sleep(STORE_PATIENCE).await;
    scene.store.stalls.store(false, Ordering::SeqCst);
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Revoked);
}

#[tokio::test]
async fn an_unfinished_notice_is_retried_when_its_lease_has_ended() {
    let scene = Scene::new().await;
    let alice = scene.sign_in("once", "alice").await;
    scene.receive("once", &[("user_id", "alice")]).await.unwrap();
    // A worker claimed it and was killed.
    let now = scene.bench.clock.now();
    assert_eq!(scene.store.claim(now, now + TimeDelta::minutes(1), 9).await.unwrap().len(), 1);
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Active);
    scene.pass(60);
    scene.notices.round().await.unwrap();
    assert_eq!(scene.status(&alice).await, GrantStatus::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_writes_the_held_notices() {
    let scene = Scene::new().await;
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn({
        let notices = scene.notices.clone();
        async move { notices.run(stopped).await }
    });
    scene.away(true);
    scene.receive("once", &[("user_id", "alice")]).await.unwrap();
    stop.send(true).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!working.is_finished(), "it waits for the store");
    scene.away(false);
    working.await.unwrap();
    let now = scene.bench.clock.now();
    assert_eq!(scene.store.claim(now, now, 9).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_cannot_be_written_at_the_end_is_logged() {
    let scene = Scene::new().await;
    let (stop, stopped) = watch::channel(false);
    let log = Log::begin();
    scene.away(true);
    scene.receive("once", &[("user_id", "alice")]).await.unwrap();
    stop.send(true).unwrap();
    scene.notices.run(stopped).await;
    let lines = log.lines().join("\n");
    assert!(lines.contains("a notice of a provider is lost") && lines.contains("alice"), "{lines}");
}
