//! Reaching Redis: connecting, deadlines, and what its errors mean to us. Knows nothing of what is stored.

use std::{fmt, time::Duration};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::domain::gateway::repositories::RepositoryError;

/// How long a connection may take. As for a database, a store that is down is to be reported before clients give up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long Redis may take over one operation.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two attempts to connect. There are two at a time; who comes after they have failed makes it try again.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// A connection that all share, and that comes back by itself.
#[derive(Clone)]
pub struct RedisConnection(ConnectionManager);

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisConnection")
    }
}

/// Connects to the Redis at `url`: `redis://…`, or `rediss://…` for TLS.
///
/// # Errors
/// `Unavailable` if the URL is none, or nobody answers there within a few seconds. The text never holds the URL, which may
/// have a password in it.
pub async fn connect(url: &str) -> Result<RedisConnection, RepositoryError> {
    // What the library says of a URL could quote it.
    let client = Client::open(url).map_err(|_| RepositoryError::Unavailable("the URL cannot be used".to_owned()))?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT))
        .set_min_delay(RETRY_DELAY)
        .set_number_of_retries(1);
    let connection = RedisConnection(ConnectionManager::new_with_config(client, config).await?);
    connection.ping().await?;
    Ok(connection)
}

impl RedisConnection {
    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), RepositoryError> {
        Ok(self.read(&redis::cmd("PING")).await?)
    }

    /// Reads something. A connection that broke unseen since the last time, as when Redis was restarted, shows only when it
    /// is used: then a new one is asked, once. Nothing that writes is repeated like this: it may have happened.
    pub(super) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        match command.query_async(&mut self.0.clone()).await {
            Err(error) if error.is_connection_dropped() && !error.is_timeout() => {
                command.query_async(&mut self.0.clone()).await
            }
            outcome => outcome,
        }
    }

    #[cfg(test)]
    pub(super) fn manager(&self) -> ConnectionManager {
        self.0.clone()
    }

    /// Runs a script that writes.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &Script, arguments: &[&str]) -> Result<T, RedisError> {
        let mut invocation = script.prepare_invoke();
        for argument in arguments {
            invocation.arg(*argument);
        }
        invocation.invoke_async(&mut self.0.clone()).await
    }
}

impl From<RedisError> for RepositoryError {
    /// An answer that is not what the command gives is corruption. Everything else is a store that cannot work now: out of
    /// reach, loading, out of memory, read-only.
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
