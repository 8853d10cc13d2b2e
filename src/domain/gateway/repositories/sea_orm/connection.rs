//! Reaching a database: connecting, migrating, transactions, deadlines, and the meaning of its errors. It knows nothing
//! of the stored data.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqliteTransactionMode, SqlxError, Statement, TransactionOptions, TransactionTrait,
};
use thiserror::Error;

use self::conflicts::violated;
pub(super) use self::conflicts::without_account;
use crate::domain::gateway::repositories::RepositoryError;
use migration::{Migrator, MigratorTrait};

mod adoption;
mod conflicts;
mod postgres;
mod quoting;
mod sqlite;

/// How long to wait for a connection. An unavailable store is reported after this time, before clients give up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the store may take over one operation, including the wait for a connection and for locks. Longer than
/// [`ACQUIRE_TIMEOUT`] and than the databases' own lock timeouts, so that their clearer errors come first; it covers a
/// network that drops everything.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Connections to one database. A statement that is run here is a transaction of its own.
#[derive(Debug, Clone)]
pub struct Connection(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Sqlite(DatabaseConnection),
    Postgres(Box<postgres::Pool>),
}

/// A transaction that will write. Dropped without `commit`, it is rolled back.
#[derive(Debug)]
pub(crate) enum Transaction {
    Sqlite(DatabaseTransaction),
    Postgres(postgres::Transaction),
}

/// The reason why a database cannot be connected to. The texts name its address, and never contain the URL, which may
/// have a password in it.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The database may be available a little later.
    #[error("{0}")]
    NotYet(String),
    /// Waiting does not help: the settings are wrong.
    #[error("{0}")]
    Refused(String),
}

/// Opens the database at `url`: `sqlite:…` (created if missing) or `postgres://…`, with the tables in this schema.
///
/// # Errors
/// If the URL is of another kind, or no database responds there within a few seconds.
pub async fn connect(url: &str, schema: &str) -> Result<Connection, ConnectError> {
    if url::Url::parse(url).is_err() {
        return Err(ConnectError::Refused("the database URL is invalid".to_owned()));
    }
    // Boxed: the drivers' futures are large, and every caller's future would be large, too.
    let opening = Box::pin(async {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => {
                let mut options = ConnectOptions::new(url);
                options.acquire_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
                let opened = sqlite::open(options).await;
                opened.map(Kind::Sqlite).map_err(|error| ConnectError::Refused(error.to_string()))
            }
            Some("postgres" | "postgresql") => {
                postgres::Pool::open(url, schema).await.map(|pool| Kind::Postgres(Box::new(pool)))
            }
            _ => Err(ConnectError::Refused("the database URL must begin with sqlite: or postgres:".to_owned())),
        }
    });
    match tokio::time::timeout(ANSWER_TIMEOUT, opening).await {
        Ok(outcome) => outcome.map(Connection),
        Err(_) => {
            Err(ConnectError::NotYet(format!("{}: no response within {ANSWER_TIMEOUT:?}", postgres::address(url))))
        }
    }
}

/// Brings the tables up to date, all or nothing. Any number of replicas may call this at once: one works, the others
/// wait for it.
pub async fn migrate(db: &Connection) -> Result<(), RepositoryError> {
    match &db.0 {
        // It needs no lock of its own: only one transaction writes to a file at a time.
        Kind::Sqlite(db) => {
            let transaction = begin_immediate(db).await?;
            Migrator::up(&transaction, None).await?;
            Ok(transaction.commit().await?)
        }
        Kind::Postgres(pool) => pool.migrate().await,
    }
}

/// Whether the tables exist.
pub async fn is_migrated(db: &Connection) -> Result<bool, RepositoryError> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = CURRENT_SCHEMA() AND tablename = 'clients'"
        }
        _ => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'clients'",
    };
    with_timeout(async {
        Ok(db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.is_some())
    })
    .await
}

/// Checks that the database responds.
pub async fn ping(db: &Connection) -> Result<(), RepositoryError> {
    with_timeout(async {
        match &db.0 {
            Kind::Sqlite(db) => Ok(db.ping().await?),
            Kind::Postgres(pool) => Ok(pool.ping().await?),
        }
    })
    .await
}

/// The time by the store's own clock, in microseconds since 1970: an expression of SQL. For what must not depend on the
/// clocks of replicas: one whose clock jumps must not end the leases of all.
pub(super) fn clock(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => postgres::CLOCK,
        _ => sqlite::CLOCK,
    }
}

/// Begins a transaction that will write.
pub(super) async fn begin(db: &Connection) -> Result<Transaction, DbErr> {
    match &db.0 {
        Kind::Sqlite(db) => begin_immediate(db).await.map(Transaction::Sqlite),
        Kind::Postgres(pool) => pool.begin().await.map(Transaction::Postgres),
    }
}

/// SQLite takes the file's write lock at once, because a transaction that reads first and finds the lock taken later
/// cannot proceed by waiting.
async fn begin_immediate(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let immediate = Some(SqliteTransactionMode::Immediate);
    db.begin_with_options(TransactionOptions { sqlite_transaction_mode: immediate, ..TransactionOptions::default() })
        .await
}

/// Waits for an operation, up to the deadline.
pub(super) async fn with_timeout<T>(
    operation: impl Future<Output = Result<T, RepositoryError>> + Send,
) -> Result<T, RepositoryError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, operation).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RepositoryError::Unavailable(format!("no response within {ANSWER_TIMEOUT:?}"))),
    }
}

impl Connection {
    /// Closes all connections; later calls fail.
    #[cfg(test)]
    pub(crate) async fn close(self) -> Result<(), DbErr> {
        match self.0 {
            Kind::Sqlite(db) => db.close().await,
            Kind::Postgres(pool) => {
                pool.close().await;
                Ok(())
            }
        }
    }

    /// The result of one statement on a connection as it is, without our rules.
    #[cfg(test)]
    pub(crate) async fn plainly(&self, sql: &str) -> Vec<String> {
        let Kind::Postgres(pool) = &self.0 else { unreachable!("SQLite has no rules") };
        pool.plainly(sql).await
    }
}

impl Transaction {
    /// Commits the transaction.
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}

/// On PostgreSQL each statement is run in a transaction of its own, by the rules of `connection/postgres.rs`.
#[async_trait]
impl ConnectionTrait for Connection {
    fn get_database_backend(&self) -> DbBackend {
        match &self.0 {
            Kind::Sqlite(_) => DbBackend::Sqlite,
            Kind::Postgres(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Kind::Sqlite(db) => db.execute_raw(statement).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.execute_raw(statement).await).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Kind::Sqlite(db) => db.execute_unprepared(sql).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.execute_unprepared(sql).await).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.0 {
            Kind::Sqlite(db) => db.query_one_raw(statement).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.query_one_raw(statement).await).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.0 {
            Kind::Sqlite(db) => db.query_all_raw(statement).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.query_all_raw(statement).await).await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Sqlite(transaction) => transaction.execute_raw(statement).await,
            Self::Postgres(transaction) => transaction.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Sqlite(transaction) => transaction.execute_unprepared(sql).await,
            Self::Postgres(transaction) => transaction.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Sqlite(transaction) => transaction.query_one_raw(statement).await,
            Self::Postgres(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Sqlite(transaction) => transaction.query_all_raw(statement).await,
            Self::Postgres(transaction) => transaction.query_all_raw(statement).await,
        }
    }
}

impl From<ConnectError> for RepositoryError {
    fn from(error: ConnectError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<DbErr> for RepositoryError {
    /// A violated uniqueness constraint is a conflict, a value that does not fit its type is corruption. Everything
    /// else is a store that cannot work now: unreachable, out of space, busy, not migrated.
    fn from(error: DbErr) -> Self {
        if let Some(constraint) = violated(&error) {
            return Self::Conflict(constraint);
        }
        let text = error.to_string();
        match error {
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } | DbErr::Custom(_) | DbErr::Migration(_) => {
                Self::Corrupt(text)
            }
            DbErr::Query(RuntimeErr::SqlxError(cause)) | DbErr::Exec(RuntimeErr::SqlxError(cause))
                if matches!(
                    *cause,
                    SqlxError::ColumnDecode { .. }
                        | SqlxError::ColumnNotFound(_)
                        | SqlxError::Decode(_)
                        | SqlxError::TypeNotFound { .. }
                ) =>
            {
                Self::Corrupt(text)
            }
            _ => Self::Unavailable(text),
        }
    }
}
