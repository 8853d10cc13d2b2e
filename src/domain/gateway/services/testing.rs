//! Doubles for the services' ports, shared by their tests.

use std::{
    fmt::{Debug, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, set_default},
};

use super::{
    ports::{DummyConsole, GrantStatePublisher, HashingError, KeyRing, PasswordHasher, TokenStatePublisher, Verified},
    signing_key::{SigningKeyParts, SigningKeys},
    token::{LiveSessions, TokenParts, TokenPolicy, TokenService},
};
use crate::{
    adapters::{jwt::AwsLcKeyGenerator, sealing::Vault},
    domain::gateway::{
        models::{
            access::Access,
            account::{Password, PasswordHash},
            session::{Session, SessionLimits},
            signing_key::{KeySchedule, SigningAlgorithm},
            token::{DummyText, Revocation},
            values::{
                digest::Sha256Digest,
                id::{AccountId, Revocable, SessionId},
            },
        },
        repositories::{
            RepositoryError,
            memory::{MemorySessions, MemorySigningKeys, MemoryTokens},
            session::SessionRepository,
        },
    },
    ports::testing::{CountingEntropy, TestClock},
};

/// Records what is published.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) revocations: Mutex<Vec<Revocation>>,
    pub(crate) key_changes: AtomicU64,
    pub(crate) shown: Mutex<Vec<String>>,
    pub(crate) grant_changes: Mutex<Vec<(AccountId, DateTime<Utc>)>>,
}

impl TokenStatePublisher for Recorder {
    fn publish_keys(&self, _: Arc<dyn KeyRing>) {
        self.key_changes.fetch_add(1, Ordering::SeqCst);
    }

    fn publish_revocations(&self, revocations: &[Revocation]) {
        self.revocations.lock().unwrap().extend(revocations);
    }

    fn hear(&self, _: std::time::Instant) {}

    fn is_revoked(&self, id: Revocable) -> bool {
        self.revocations.lock().unwrap().iter().any(|revocation| revocation.id == id)
    }

    fn revocations(&self) -> Vec<Revocation> {
        self.revocations.lock().unwrap().clone()
    }
}

impl GrantStatePublisher for Recorder {
    fn publish_grant_change(&self, account: AccountId, now: DateTime<Utc>) {
        self.grant_changes.lock().unwrap().push((account, now));
    }
}

impl DummyConsole for Recorder {
    fn show(&self, typed: &DummyText) {
        self.shown.lock().unwrap().push(typed.as_str().to_owned());
    }
}

/// A token service in memory, with all its dependencies under the test's control.
pub(crate) struct Bench {
    pub(crate) service: Arc<TokenService>,
    pub(crate) keys: Arc<SigningKeys>,
    pub(crate) store: Arc<MemoryTokens>,
    pub(crate) sessions: Arc<MemorySessions>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) recorder: Arc<Recorder>,
}

pub(crate) const SCHEDULE: KeySchedule = KeySchedule {
    algorithm: SigningAlgorithm::Es256,
    signs_for: TimeDelta::days(30),
    published_before: TimeDelta::days(1),
    longest_token: TimeDelta::hours(24),
};

pub(crate) const SESSION_LIMITS: SessionLimits =
    SessionLimits { idle: TimeDelta::hours(1), total: TimeDelta::hours(2) };

pub(crate) fn policy() -> TokenPolicy {
    TokenPolicy {
        issuer: "https://www.jinmini.com".into(),
        audience: "https://www.jinmini.com".into(),
        access_ttl: TimeDelta::minutes(15),
        access_ttl_max: TimeDelta::hours(24),
        refresh_ttl: TimeDelta::days(30),
        family_ttl: TimeDelta::days(90),
        refresh_grace: TimeDelta::seconds(10),
        creation: Access::Open,
        dummies: true,
    }
}

pub(crate) async fn bench(policy: TokenPolicy) -> Bench {
    let (clock, recorder) = (TestClock::at(1_800_000_000), Arc::new(Recorder::default()));
    let vault = Arc::new(Vault::new(&[[1; 32]]).unwrap());
    let (store, sessions) = (Arc::new(MemoryTokens::default()), Arc::new(MemorySessions::default()));
    let keys = Arc::new(
        SigningKeys::open(SigningKeyParts {
            store: Arc::new(MemorySigningKeys::default()),
            key_generator: Arc::new(AwsLcKeyGenerator),
            sealer: vault.clone(),
            publisher: recorder.clone(),
            clock: clock.clone(),
            schedule: SCHEDULE,
        })
        .await
        .unwrap(),
    );
    let service = Arc::new(TokenService::new(TokenParts {
        store: store.clone(),
        sessions: LiveSessions {
            store: sessions.clone(),
            deny_list: store.clone(),
            known: recorder.clone(),
            limits: SESSION_LIMITS,
        },
        keys: keys.clone(),
        successors: vault,
        publisher: recorder.clone(),
        console: recorder.clone(),
        clock: clock.clone(),
        entropy: Arc::new(CountingEntropy::starting_at(1 << 32)),
        policy,
    }));
    Bench { service, keys, store, sessions, clock, recorder }
}

/// Sessions in memory; while the store is `away`, none can be opened, nor all be ended at once.
#[derive(Default)]
pub(crate) struct FlakySessions {
    pub(crate) store: Arc<MemorySessions>,
    pub(crate) away: AtomicBool,
}

type Stored<T> = Result<T, RepositoryError>;

#[async_trait]
impl SessionRepository for FlakySessions {
    async fn open(&self, session: &Session) -> Stored<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(RepositoryError::Unavailable("away".into()));
        }
        self.store.open(session).await
    }

    async fn find(&self, digest: &Sha256Digest) -> Stored<Option<Session>> {
        self.store.find(digest).await
    }

    async fn find_by_id(&self, id: SessionId) -> Stored<Option<Session>> {
        self.store.find_by_id(id).await
    }

    async fn list_of(&self, account: AccountId, limit: u64) -> Stored<Vec<Session>> {
        self.store.list_of(account, limit).await
    }

    async fn prolong(&self, used: &Session) -> Stored<bool> {
        self.store.prolong(used).await
    }

    async fn end(&self, digest: &Sha256Digest) -> Stored<Option<Session>> {
        self.store.end(digest).await
    }

    async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Stored<Vec<Session>> {
        if self.away.load(Ordering::SeqCst) {
            return Err(RepositoryError::Unavailable("away".into()));
        }
        self.store.end_all_of(account, but).await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Stored<u64> {
        self.store.purge_expired(now).await
    }
}

/// Hashes a password to itself, at once. An `outdated` hash has another prefix.
pub(crate) struct PlainHasher;

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        Ok(PasswordHash::new(format!("plain:{}", password.expose())))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<Verified, HashingError> {
        let Some((way, text)) = hash.as_ref().and_then(|hash| hash.expose().split_once(':')) else {
            return Ok(Verified::Wrong);
        };
        let right = text == password.expose();
        Ok(if right { Verified::Right { outdated: way != "plain" } } else { Verified::Wrong })
    }
}

/// The log lines for operators on this thread, as long as this value lives.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub(crate) fn begin() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        Self { lines: lines.clone(), _guard: set_default(LogLines(lines)) }
    }

    /// Each line as `LEVEL message name=value …`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

struct LogLines(Arc<Mutex<Vec<String>>>);

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = LogLine::default();
        event.record(&mut line);
        let LogLine { message, fields } = line;
        self.0.lock().unwrap().push(format!("{} {message}{fields}", event.metadata().level()));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct LogLine {
    message: String,
    fields: String,
}

impl Visit for LogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => write!(self.fields, " {name}={value:?}").unwrap(),
        }
    }
}
