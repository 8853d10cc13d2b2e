//! Reaching Redis: connecting, deadlines, and the meaning of its errors. It knows nothing of the stored data.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::domain::gateway::repositories::{
    RepositoryError,
    availability::{Availability, Observer},
};

/// How long connecting may take. As for a database, an unavailable store must be reported before clients give up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long Redis may take over one operation.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to connect. There are two at a time; the first caller after both have failed makes it
/// try again.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// How often Redis is asked whether it responds and accepts writes.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// The same while it is away.
const RETRIED_EVERY: Duration = Duration::from_millis(200);

/// The key that is written to ask that, behind the prefix of all keys.
const PROBE: &str = "probe";

/// A connection that all callers share, and that reconnects by itself. While the watcher finds Redis away, operations
/// fail at once.
#[derive(Clone)]
pub struct RedisConnection(Arc<Shared>);

struct Shared {
    client: Client,
    /// Replaced when Redis accepts no writes: its name may lead to another one now.
    manager: RwLock<ConnectionManager>,
    availability: Availability,
    /// Its address, without its secrets.
    name: String,
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisConnection")
    }
}

/// Connects to the Redis at `url`: `redis://…`, or `rediss://…` for TLS.
///
/// # Errors
/// `Unavailable` if the URL is invalid, or no Redis responds there within a few seconds. The text never contains the
/// URL, which may have a password in it.
pub async fn connect(url: &str) -> Result<RedisConnection, RepositoryError> {
    // The library's error text could quote the URL.
    let client = Client::open(url).map_err(|_| RepositoryError::Unavailable("the URL is invalid".to_owned()))?;
    let name = format!("Redis at {}", client.get_connection_info().addr());
    let manager = RwLock::new(ConnectionManager::new_with_config(client.clone(), config()).await?);
    let connection = RedisConnection(Arc::new(Shared { client, manager, availability: Availability::default(), name }));
    connection.read::<()>(&redis::cmd("PING")).await?;
    Ok(connection)
}

fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
        .set_min_delay(RETRY_DELAY)
        .set_number_of_retries(1)
}

impl RedisConnection {
    /// Whether Redis can be reached, as its watcher sees it.
    pub fn availability(&self) -> &Availability {
        &self.0.availability
    }

    /// Watches Redis until the future is dropped. `prefix` is that of all keys.
    pub async fn watch(&self, prefix: &str, observer: &dyn Observer) {
        let Shared { availability, name, .. } = &*self.0;
        let mut probe = redis::cmd("SET");
        probe.arg(format!("{prefix}{PROBE}")).arg("").arg("PX").arg(60_000);
        loop {
            let mut outcome = probe.query_async::<()>(&mut self.manager()).await;
            if outcome.as_ref().is_err_and(|error| error.is_connection_dropped() && !error.is_timeout()) {
                // A connection may end while the server is well. If it is not, the next one fails.
                outcome = probe.query_async(&mut self.manager()).await;
            }
            let pause = match outcome {
                Ok(()) => {
                    availability.responds(name, observer);
                    ASKED_EVERY
                }
                Err(error) => {
                    availability.is_away(Instant::now(), &format!("{name}: {error}"), observer);
                    if error.code().is_some() {
                        self.connect_anew();
                    }
                    RETRIED_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = availability.doubted() => {}
            }
        }
    }

    /// The next use connects, to whatever the name leads to then.
    fn connect_anew(&self) {
        if let Ok(manager) = ConnectionManager::new_lazy_with_config(self.0.client.clone(), config()) {
            *self.0.manager.write().unwrap_or_else(PoisonError::into_inner) = manager;
        }
    }

    /// Runs a reading command. A connection that broke unnoticed, as when Redis was restarted, shows that only on its
    /// next use: then the command is repeated once, on a new connection. Writing commands are not repeated like this:
    /// the first may have happened.
    pub(super) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RepositoryError> {
        self.unless_away(async {
            match command.query_async(&mut self.manager()).await {
                Err(error) if error.is_connection_dropped() && !error.is_timeout() => {
                    command.query_async(&mut self.manager()).await
                }
                outcome => outcome,
            }
        })
        .await
    }

    /// Runs a script that writes.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[&str],
    ) -> Result<T, RepositoryError> {
        let mut invocation = script.prepare_invoke();
        for argument in arguments {
            invocation.arg(*argument);
        }
        self.unless_away(async { invocation.invoke_async(&mut self.manager()).await }).await
    }

    async fn unless_away<T>(
        &self,
        operation: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RepositoryError> {
        match self.0.availability.unless_away(operation).await {
            Ok(outcome) => Ok(outcome.inspect_err(|_| self.0.availability.doubt())?),
            Err(outage) => Err(RepositoryError::Unavailable(outage.to_string())),
        }
    }

    pub(super) fn manager(&self) -> ConnectionManager {
        self.0.manager.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<RedisError> for RepositoryError {
    /// A response of the wrong type is corruption. Everything else is a store that cannot work now: unreachable,
    /// loading, out of memory, read-only.
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
