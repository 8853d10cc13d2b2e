//! Chooses the store: in memory, or the database of `DATABASE_URL`; for sessions also the Redis of `REDIS_URL`.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::time::sleep;
use tracing::warn;
use url::Url;

use self::observer::StoreObserver;
use crate::{
    config::{Database, SessionStore},
    domain::gateway::repositories::{
        RepositoryError,
        account::AccountRepository,
        availability::{Observer, Outage},
        client::ClientRepository,
        login::LoginRepository,
        memory::{
            MemoryAccounts, MemoryClients, MemoryLogins, MemoryNotices, MemoryRegistrations, MemorySessions,
            MemorySigningKeys, MemoryThrottle, MemoryTokens,
        },
        notice::NoticeRepository,
        oauth::OAuthRepository,
        rate_limit::RateLimitRepository,
        redis::{self, RedisConnection, RedisLogins, RedisRateLimits, RedisSessions},
        registration::RegistrationRepository,
        sea_orm::{
            self, ConnectError, Connection, SeaOrmAccounts, SeaOrmClients, SeaOrmLogins, SeaOrmNotices, SeaOrmOAuth,
            SeaOrmRegistrations, SeaOrmSessions, SeaOrmSigningKeys, SeaOrmThrottle, SeaOrmTokens,
        },
        session::SessionRepository,
        signing_key::SigningKeyRepository,
        throttle::ThrottleRepository,
        token::TokenRepository,
    },
};

pub(super) mod observer;

/// How long to wait between attempts to reach a store that is not available yet, and how often to log it.
const PAUSE: Duration = Duration::from_millis(500);
const SAID_EVERY: Duration = Duration::from_secs(5);

/// The chosen store.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) tokens: Arc<dyn TokenRepository>,
    pub(super) accounts: Arc<dyn AccountRepository>,
    pub(super) attempts: Arc<dyn ThrottleRepository>,
    pub(super) oauth: Arc<dyn OAuthRepository>,
    pub(super) sessions: Arc<dyn SessionRepository>,
    pub(super) logins: Arc<dyn LoginRepository>,
    pub(super) clients: Arc<dyn ClientRepository>,
    pub(super) notices: Arc<dyn NoticeRepository>,
    pub(super) signing_keys: Arc<dyn SigningKeyRepository>,
    pub(super) registrations: Arc<dyn RegistrationRepository>,
    database: Option<Connection>,
    redis: Option<RedisConnection>,
}

/// The state of the Redis.
pub(super) struct RedisState {
    /// Its present outage.
    pub(super) outage: Option<Outage>,
}

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The connection to the database failed.
    #[error("the store of DATABASE_URL cannot be used: {0}")]
    Connect(#[from] ConnectError),
    /// The database failed.
    #[error("the store of DATABASE_URL cannot be used: {0}")]
    Database(#[from] RepositoryError),
    /// The Redis failed.
    #[error("the Redis of REDIS_URL cannot be used: {address}: {error}")]
    Redis {
        /// Its host and port, without user and password.
        address: String,
        /// The cause.
        error: RepositoryError,
    },
}

impl StoreError {
    /// Whether the failure may be temporary.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(error) => matches!(error, ConnectError::NotYet(_)),
            Self::Database(error) | Self::Redis { error, .. } => matches!(error, RepositoryError::Unavailable(_)),
        }
    }
}

impl Store {
    /// Opens the store, and waits until it is available: in compose and on Railway all services start at once.
    pub(super) async fn wait_for(
        database: &Database,
        sessions: &SessionStore,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let began = Instant::now();
        let mut said: Option<Instant> = None;
        loop {
            let opened = match Self::open(database).await {
                Ok(store) => store.with_sessions_in(sessions).await,
                Err(error) => Err(error),
            };
            match opened {
                Err(error) if error.is_temporary() && began.elapsed() < patience => {
                    if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
                        let left = patience.saturating_sub(began.elapsed());
                        warn!("waiting for the store, {} s more at most: {error}", left.as_secs());
                        said = Some(Instant::now());
                    }
                    sleep(PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    /// Opens the store, and migrates its tables.
    pub(super) async fn open(database: &Database) -> Result<Self, StoreError> {
        let (url, schema) = match database {
            Database::Memory => return Ok(Self::in_memory()),
            Database::Url { url, schema } => (url, schema),
        };
        let connection = sea_orm::connect(url, schema).await?;
        sea_orm::migrate(&connection).await?;
        Ok(Self {
            tokens: Arc::new(SeaOrmTokens::new(connection.clone())),
            accounts: Arc::new(SeaOrmAccounts::new(connection.clone())),
            attempts: Arc::new(SeaOrmThrottle::new(connection.clone())),
            oauth: Arc::new(SeaOrmOAuth::new(connection.clone())),
            sessions: Arc::new(SeaOrmSessions::new(connection.clone())),
            logins: Arc::new(SeaOrmLogins::new(connection.clone())),
            clients: Arc::new(SeaOrmClients::new(connection.clone())),
            notices: Arc::new(SeaOrmNotices::new(connection.clone())),
            signing_keys: Arc::new(SeaOrmSigningKeys::new(connection.clone())),
            registrations: Arc::new(SeaOrmRegistrations::new(connection.clone())),
            database: Some(connection),
            redis: None,
        })
    }

    /// The clients in an existing store: creates no file and no table. `None` if there is no store yet.
    pub(super) async fn look_at_clients(database: &Database) -> Result<Option<Arc<dyn ClientRepository>>, StoreError> {
        let (url, schema) = match database {
            Database::Memory => return Ok(None),
            Database::Url { url, schema } => (url, schema),
        };
        let file = url.strip_prefix("sqlite://").map(|rest| rest.split('?').next().unwrap_or(rest));
        if file.is_some_and(|file| !Path::new(file).exists()) {
            return Ok(None);
        }
        let connection = sea_orm::connect(url, schema).await?;
        let is_migrated = sea_orm::is_migrated(&connection).await?;
        Ok(is_migrated.then(|| Arc::new(SeaOrmClients::new(connection)) as Arc<dyn ClientRepository>))
    }

    /// Replaces the repositories of sessions and sign-ins as the settings say.
    pub(super) async fn with_sessions_in(self, sessions: &SessionStore) -> Result<Self, StoreError> {
        let url = match sessions {
            SessionStore::Database => return Ok(self),
            SessionStore::Redis(url) => url,
        };
        let connection =
            redis::connect(url).await.map_err(|error| StoreError::Redis { address: redis_address(url), error })?;
        let sessions = Arc::new(RedisSessions::new(connection.clone(), redis::PREFIX));
        let logins = Arc::new(RedisLogins::new(connection.clone(), redis::PREFIX));
        Ok(Self { sessions, logins, redis: Some(connection), ..self })
    }

    pub(super) fn in_memory() -> Self {
        let accounts = Arc::new(MemoryAccounts::default());
        Self {
            tokens: Arc::new(MemoryTokens::default()),
            accounts: accounts.clone(),
            attempts: Arc::new(MemoryThrottle::default()),
            oauth: accounts,
            sessions: Arc::new(MemorySessions::default()),
            logins: Arc::new(MemoryLogins::default()),
            clients: Arc::new(MemoryClients::default()),
            notices: Arc::new(MemoryNotices::default()),
            signing_keys: Arc::new(MemorySigningKeys::default()),
            registrations: Arc::new(MemoryRegistrations::default()),
            database: None,
            redis: None,
        }
    }

    /// The buckets of rate limits that all replicas share; `None` without a Redis.
    pub(super) fn rate_limits(&self) -> Option<Arc<dyn RateLimitRepository>> {
        Some(Arc::new(RedisRateLimits::new(self.redis.clone()?, redis::PREFIX)))
    }

    /// The present outage of the store, if there is one.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.database.as_ref().and_then(|database| sea_orm::availability(database).outage())
    }

    /// Whether Redis is used, and its present outage.
    pub(super) fn redis(&self) -> Option<RedisState> {
        self.redis.as_ref().map(|redis| RedisState { outage: redis.availability().outage() })
    }

    /// Whether a part of it is away.
    pub(super) fn is_away(&self) -> bool {
        self.outage().is_some() || self.redis().is_some_and(|redis| redis.outage.is_some())
    }

    /// Watches the stores until the future is dropped.
    pub(super) async fn watch(&self, observer: &StoreObserver) {
        let database = async {
            match &self.database {
                Some(database) => sea_orm::watch(database, observer).await,
                // There are no other replicas.
                None => observer.hears(true),
            }
        };
        let redis = async {
            if let Some(redis) = &self.redis {
                redis.watch(redis::PREFIX, observer).await;
            }
        };
        tokio::join!(database, redis);
    }
}

/// The address in a URL, without its secrets.
fn redis_address(url: &str) -> String {
    const USUAL_PORT: u16 = 6379;
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let port = url.as_ref().and_then(Url::port).unwrap_or(USUAL_PORT);
    format!("Redis at {host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_redis_has_no_secrets() {
        for (url, address) in [
            ("redis://user:hidden@redis.test:6380/2", "Redis at redis.test:6380"),
            ("rediss://:hidden@redis.test", "Redis at redis.test:6379"),
            ("redis://[::1]", "Redis at [::1]:6379"),
        ] {
            assert_eq!(redis_address(url), address);
        }
    }
}
