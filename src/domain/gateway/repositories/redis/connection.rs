//! Reaching Redis: connecting, deadlines, and the meaning of its errors. It knows nothing of the stored data.

use std::{fmt, time::Duration};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::domain::gateway::repositories::RepositoryError;

/// How long connecting may take. As for a database, an unavailable store must be reported before clients give up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long Redis may take over one operation.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to connect. There are two at a time; the first caller after both have failed makes it
/// try again.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// A connection that all callers share, and that reconnects by itself.
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
/// `Unavailable` if the URL is invalid, or no Redis responds there within a few seconds. The text never contains the
/// URL, which may have a password in it.
pub async fn connect(url: &str) -> Result<RedisConnection, RepositoryError> {
    // The library's error text could quote the URL.
    let client = Client::open(url).map_err(|_| RepositoryError::Unavailable("the URL is invalid".to_owned()))?;
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
    /// Checks that Redis responds.
    pub async fn ping(&self) -> Result<(), RepositoryError> {
        Ok(self.read(&redis::cmd("PING")).await?)
    }

    /// Runs a reading command. A connection that broke unnoticed, as when Redis was restarted, shows that only on its
    /// next use: then the command is repeated once, on a new connection. Writing commands are not repeated like this:
    /// the first may have happened.
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
    /// A response of the wrong type is corruption. Everything else is a store that cannot work now: unreachable,
    /// loading, out of memory, read-only.
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
