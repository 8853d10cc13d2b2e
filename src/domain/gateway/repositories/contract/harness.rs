//! Opens stores for the cases, and has the values that they store.

use std::{
    fmt::{Debug, Write},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::domain::gateway::{
    models::{
        token::{DummyToken, NewRefreshToken, Revocation, Rotation, TokenFamily},
        values::{
            digest::Sha256Digest,
            id::{FamilyId, SessionId, TokenId},
        },
    },
    repositories::{
        Constraint, RepositoryError,
        account::AccountRepository,
        client::ClientRepository,
        login::LoginRepository,
        memory::{
            MemoryAccounts, MemoryClients, MemoryLogins, MemoryNotices, MemoryRegistrations, MemorySessions,
            MemorySigningKeys, MemoryThrottle, MemoryTokens,
        },
        notice::NoticeRepository,
        oauth::OAuthRepository,
        redis::{self, RedisLogins, RedisSessions},
        registration::RegistrationRepository,
        sea_orm::{
            Connection, SeaOrmAccounts, SeaOrmClients, SeaOrmLogins, SeaOrmNotices, SeaOrmOAuth, SeaOrmRegistrations,
            SeaOrmSessions, SeaOrmSigningKeys, SeaOrmThrottle, SeaOrmTokens, connect, migrate,
        },
        session::SessionRepository,
        signing_key::SigningKeyRepository,
        throttle::ThrottleRepository,
        token::TokenRepository,
    },
};

/// An empty store, as two replicas see it: a race is run between the two.
pub(super) struct Store {
    pub(super) tokens: Arc<dyn TokenRepository>,
    pub(super) keys: Arc<dyn SigningKeyRepository>,
    pub(super) oauth: Arc<dyn OAuthRepository>,
    pub(super) sessions: Arc<dyn SessionRepository>,
    pub(super) logins: Arc<dyn LoginRepository>,
    pub(super) accounts: Arc<dyn AccountRepository>,
    pub(super) attempts: Arc<dyn ThrottleRepository>,
    pub(super) clients: Arc<dyn ClientRepository>,
    pub(super) notices: Arc<dyn NoticeRepository>,
    pub(super) registrations: Arc<dyn RegistrationRepository>,
    pub(super) peer_tokens: Arc<dyn TokenRepository>,
    pub(super) peer_keys: Arc<dyn SigningKeyRepository>,
    pub(super) peer_oauth: Arc<dyn OAuthRepository>,
    pub(super) peer_sessions: Arc<dyn SessionRepository>,
    pub(super) peer_logins: Arc<dyn LoginRepository>,
    pub(super) peer_accounts: Arc<dyn AccountRepository>,
    pub(super) peer_attempts: Arc<dyn ThrottleRepository>,
    /// The contents of the store in memory, in printed form.
    memory: Vec<Arc<dyn Debug + Send + Sync>>,
    pub(super) peer_clients: Arc<dyn ClientRepository>,
    pub(super) peer_notices: Arc<dyn NoticeRepository>,
    pub(super) peer_registrations: Arc<dyn RegistrationRepository>,
    databases: Option<(Database, [Connection; 2])>,
}

/// The accounts and grants of a store, as one replica sees them.
pub(super) struct People {
    pub(super) accounts: Arc<dyn AccountRepository>,
    pub(super) oauth: Arc<dyn OAuthRepository>,
}

impl Store {
    /// The two replicas in alternation, for the tasks of a race.
    pub(super) fn replica(&self, n: usize) -> Arc<dyn TokenRepository> {
        Arc::clone(if n.is_multiple_of(2) { &self.tokens } else { &self.peer_tokens })
    }

    /// The two replicas in alternation, for accounts and grants.
    pub(super) fn people_replica(&self, n: usize) -> People {
        let (accounts, oauth) =
            if n.is_multiple_of(2) { (&self.accounts, &self.oauth) } else { (&self.peer_accounts, &self.peer_oauth) };
        People { accounts: accounts.clone(), oauth: oauth.clone() }
    }

    /// Everything that the store holds, as text: for a database, every row of every table.
    pub(super) async fn dump(&self) -> String {
        match &self.databases {
            None => format!("{:#?}", self.memory),
            Some((_, [connection, _])) => dump(connection).await,
        }
    }

    /// Whether it has tables.
    pub(super) fn is_database(&self) -> bool {
        self.databases.is_some()
    }

    pub(super) async fn close(self) {
        if let Some((database, connections)) = self.databases {
            for connection in connections {
                connection.close().await.unwrap();
            }
            database.close().await;
        }
    }
}

/// A database without tables.
pub(super) struct Database {
    pub(super) url: String,
    /// The schema of its tables.
    pub(super) schema: String,
    /// A URL of the same kind without a database.
    pub(super) dead_url: String,
    belongings: Belongings,
}

enum Belongings {
    Folder(TempDir),
    Schema(Connection),
}

impl Database {
    /// A connection to it, without our rules for connections.
    pub(super) async fn directly(&self) -> sea_orm::DatabaseConnection {
        let mut url = url::Url::parse(&self.url).unwrap();
        if !self.schema.is_empty() {
            url.query_pairs_mut().append_pair("options[search_path]", &self.schema);
        }
        sea_orm::Database::connect(url.as_str()).await.unwrap()
    }

    pub(super) async fn close(self) {
        match self.belongings {
            Belongings::Folder(folder) => folder.close().unwrap(),
            Belongings::Schema(admin) => {
                admin.execute_unprepared(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema)).await.unwrap();
                admin.close().await.unwrap();
            }
        }
    }
}

#[expect(clippy::unused_async, reason = "opened like the other stores")]
pub(super) async fn memory() -> Store {
    let (tokens, keys) = (Arc::new(MemoryTokens::default()), Arc::new(MemorySigningKeys::default()));
    let (accounts, sessions) = (Arc::new(MemoryAccounts::default()), Arc::new(MemorySessions::default()));
    let (logins, attempts) = (Arc::new(MemoryLogins::default()), Arc::new(MemoryThrottle::default()));
    let (clients, notices) = (Arc::new(MemoryClients::default()), Arc::new(MemoryNotices::default()));
    let registrations = Arc::new(MemoryRegistrations::default());
    Store {
        accounts: accounts.clone(),
        attempts: attempts.clone(),
        clients: clients.clone(),
        notices: notices.clone(),
        registrations: registrations.clone(),
        peer_registrations: registrations,
        peer_accounts: accounts.clone(),
        logins: logins.clone(),
        peer_logins: logins.clone(),
        peer_attempts: attempts.clone(),
        peer_clients: clients.clone(),
        peer_notices: notices.clone(),
        memory: vec![tokens.clone(), keys.clone(), accounts.clone(), sessions.clone(), logins, attempts, notices],
        tokens: tokens.clone(),
        keys: keys.clone(),
        oauth: accounts.clone(),
        sessions: sessions.clone(),
        peer_tokens: tokens,
        peer_keys: keys,
        peer_oauth: accounts,
        peer_sessions: sessions,
        databases: None,
    }
}

/// Sessions and sign-ins under their own prefix in the Redis at `TEST_REDIS_URL`. They expire by themselves; everything else is in
/// memory.
pub(super) async fn redis() -> Store {
    let prefix = redis_prefix();
    let [one, other] = [redis::connect(&redis_url()).await.unwrap(), redis::connect(&redis_url()).await.unwrap()];
    Store {
        sessions: Arc::new(RedisSessions::new(one.clone(), &*prefix)),
        peer_sessions: Arc::new(RedisSessions::new(other.clone(), &*prefix)),
        logins: Arc::new(RedisLogins::new(one, &*prefix)),
        peer_logins: Arc::new(RedisLogins::new(other, &*prefix)),
        ..memory().await
    }
}

pub(in super::super) fn redis_url() -> String {
    #[expect(clippy::disallowed_methods, reason = "the URL of the test Redis is a setting of the tests only")]
    std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run scripts/test, which starts a Redis")
}

pub(in super::super) fn redis_prefix() -> String {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    format!("contract:{}:{}:", std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed))
}

pub(super) async fn sqlite() -> Store {
    over(empty_sqlite().await).await
}

pub(super) async fn postgres() -> Store {
    over(empty_postgres().await).await
}

async fn over(database: Database) -> Store {
    let [one, other] = [
        connect(&database.url, &database.schema).await.unwrap(),
        connect(&database.url, &database.schema).await.unwrap(),
    ];
    migrate(&one).await.unwrap();
    Store {
        accounts: Arc::new(SeaOrmAccounts::new(one.clone())),
        attempts: Arc::new(SeaOrmThrottle::new(one.clone())),
        peer_accounts: Arc::new(SeaOrmAccounts::new(other.clone())),
        peer_attempts: Arc::new(SeaOrmThrottle::new(other.clone())),
        memory: Vec::new(),
        clients: Arc::new(SeaOrmClients::new(one.clone())),
        peer_clients: Arc::new(SeaOrmClients::new(other.clone())),
        notices: Arc::new(SeaOrmNotices::new(one.clone())),
        peer_notices: Arc::new(SeaOrmNotices::new(other.clone())),
        registrations: Arc::new(SeaOrmRegistrations::new(one.clone())),
        peer_registrations: Arc::new(SeaOrmRegistrations::new(other.clone())),
        tokens: Arc::new(SeaOrmTokens::new(one.clone())),
        keys: Arc::new(SeaOrmSigningKeys::new(one.clone())),
        oauth: Arc::new(SeaOrmOAuth::new(one.clone())),
        sessions: Arc::new(SeaOrmSessions::new(one.clone())),
        peer_tokens: Arc::new(SeaOrmTokens::new(other.clone())),
        peer_keys: Arc::new(SeaOrmSigningKeys::new(other.clone())),
        peer_oauth: Arc::new(SeaOrmOAuth::new(other.clone())),
        peer_sessions: Arc::new(SeaOrmSessions::new(other.clone())),
        logins: Arc::new(SeaOrmLogins::new(one.clone())),
        peer_logins: Arc::new(SeaOrmLogins::new(other.clone())),
        databases: Some((database, [one, other])),
    }
}

#[expect(clippy::unused_async, reason = "opened like the other stores")]
pub(super) async fn empty_sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = |file: &str| format!("sqlite://{}?mode=rwc", folder.path().join(file).display());
    // A folder cannot be created inside a file.
    std::fs::write(folder.path().join("file"), "").unwrap();
    Database {
        url: url("gateway.db"),
        schema: String::new(),
        dead_url: url("file/gateway.db"),
        belongings: Belongings::Folder(folder),
    }
}

/// A new schema in the database at `TEST_DATABASE_URL`.
pub(super) async fn empty_postgres() -> Database {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "the URL of the test database is a setting of the tests only")]
    let url =
        std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL: run scripts/test, which starts a PostgreSQL");
    let name = format!("contract_{}_{}", std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed));
    let admin = connect(&url, "public").await.unwrap();
    admin.execute_unprepared(&format!("DROP SCHEMA IF EXISTS {name} CASCADE")).await.unwrap();
    Database {
        url,
        schema: name,
        dead_url: "postgres://someone:hidden@127.0.0.1:1/nowhere".to_owned(),
        belongings: Belongings::Schema(admin),
    }
}

/// Every row of every table, one per line: UUIDs in the usual form (PostgreSQL) or as hexadecimal digits (SQLite),
/// other bytes as hexadecimal digits.
async fn dump(db: &Connection) -> String {
    let backend = db.get_database_backend();
    let ask = async |sql: String| -> Vec<String> {
        let rows = db.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    };
    let tables = if backend == DbBackend::Postgres {
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_schema WHERE type = 'table'"
    };
    let mut text = String::new();
    for table in ask(tables.to_owned()).await {
        let rows = if backend == DbBackend::Postgres {
            format!("SELECT CAST(row_to_json(one) AS TEXT) FROM \"{table}\" AS one")
        } else {
            let columns = ask(format!("SELECT name FROM pragma_table_info('{table}')")).await;
            let quoted: Vec<_> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
            format!("SELECT {} FROM \"{table}\"", quoted.join(" || ',' || "))
        };
        for row in ask(rows).await {
            writeln!(text, "{table}: {row}").unwrap();
        }
    }
    text
}

/// Fails unless a write was refused because of this constraint.
pub(super) fn assert_conflict(outcome: &Result<impl Debug, RepositoryError>, constraint: Constraint) {
    assert!(matches!(outcome, Err(RepositoryError::Conflict(broken)) if *broken == constraint), "{outcome:?}");
}

/// A time, in seconds after a time that is not round.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 123_456_000).unwrap()
}

pub(super) const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);
pub(super) const GRACE: TimeDelta = TimeDelta::seconds(10);
pub(super) const ACCESS_TTL: TimeDelta = TimeDelta::microseconds(900_000_001);

/// Longer than any case takes, so that a deadlock fails instead of hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn family_id(n: u8) -> FamilyId {
    FamilyId::from_random([n; 16])
}

pub(super) fn digest(n: u8) -> Sha256Digest {
    Sha256Digest::from([n; 32])
}

/// A family that uses every field, with text that a careless store would change.
pub(super) fn family(n: u8) -> TokenFamily {
    let Value::Object(claims) = json!({
        "team": "결제", "nested": {"b": [1, null, true], "a": {}}, "quote\"'\\": "\u{0}\n😀",
        "largest": u64::MAX, "least": i64::MIN, "half": 0.5, "tiny": 1e-300, "empty": ""
    }) else {
        unreachable!()
    };
    TokenFamily {
        id: family_id(n),
        client_id: "client '; --".to_owned(),
        subject: "제인 \"doe\"%_\\ 😀".to_owned(),
        scope: "write read".parse().unwrap(),
        audience: vec!["orders".to_owned(), "a,b".to_owned(), String::new()],
        claims,
        access_ttl: ACCESS_TTL,
        created_at: at(0),
        access_expires_at: at(0) + ACCESS_TTL,
        revoked_at: None,
        session: Some(SessionId::from_random([n; 16])),
    }
}

/// A token issued at `at(0)` that lives for an hour.
pub(super) fn refresh(n: u8) -> NewRefreshToken {
    NewRefreshToken { digest: digest(n), issued_at: at(0), expires_at: at(3600) }
}

/// A request to exchange `presented` for `successor`, with [`GRACE`].
pub(super) fn rotation(presented: u8, successor: u8, now: DateTime<Utc>) -> Rotation {
    let successor =
        NewRefreshToken { digest: digest(successor), issued_at: now, expires_at: now + TimeDelta::hours(1) };
    Rotation { presented: digest(presented), successor, grace: GRACE, now }
}

pub(super) fn token_id(n: u32) -> TokenId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    TokenId::from_random(bytes)
}

pub(super) fn revocation(n: u32, expires_at: DateTime<Utc>) -> Revocation {
    Revocation { id: token_id(n).into(), expires_at }
}

pub(super) fn dummy(n: u8, expires_at: DateTime<Utc>) -> DummyToken {
    DummyToken {
        id: token_id(n.into()),
        digest: digest(n),
        family: family_id(n),
        subject: "개발자".to_owned(),
        scope: "read".parse().unwrap(),
        created_at: at(0),
        expires_at,
    }
}
