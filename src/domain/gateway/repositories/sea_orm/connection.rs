//! Reaching a database: connecting, migrating, transactions, deadlines, and the meaning of its errors. It knows nothing
//! of the stored data.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqliteTransactionMode, SqlxError, Statement, TransactionOptions, TransactionTrait,
};
use thiserror::Error;
use tracing::info;

use self::conflicts::violated;
pub(super) use self::conflicts::without_account;
use crate::domain::gateway::repositories::{
    RepositoryError,
    availability::{Availability, Observer},
};
use migration::{
    Migrator, MigratorTrait,
    releases::{self, Misfit},
};

mod adoption;
mod conflicts;
mod postgres;
mod quoting;
#[cfg(test)]
mod recording;
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
    Sqlite(sqlite::File),
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

/// Opens the database at `url`, with the tables in this schema: `sqlite:…` (a missing file is made only with `mode=rwc`)
/// or `postgres://…`.
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
                let file = |db| Kind::Sqlite(sqlite::File { db, availability: Availability::default() });
                opened.map(file).map_err(ConnectError::Refused)
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
        Kind::Sqlite(file) => {
            let transaction = begin_immediate(&file.db).await?;
            bring_up(&transaction).await?;
            Ok(transaction.commit().await?)
        }
        Kind::Postgres(pool) => pool.migrate().await,
    }
}

/// Applies the migrations that are not recorded yet, unless others are recorded that this version cannot work beside. To
/// be called in a transaction that no other replica can be in.
async fn bring_up(transaction: &DatabaseTransaction) -> Result<(), RepositoryError> {
    let newer = match releases::judge(transaction).await? {
        Ok(newer) => newer,
        Err(misfit) => return Err(RepositoryError::Misfit(explained(misfit))),
    };
    if !newer.is_empty() {
        info!("a newer gateway has extended the tables ({}): this one starts beside it", newer.join(", "));
    }
    Ok(Migrator::up(transaction, None).await?)
}

fn explained(misfit: Misfit) -> String {
    match misfit {
        Misfit::Contracted { migration, newest } => format!(
            "a newer gateway has removed what this version needs, by the migration {migration}; start a version that is \
             at least as new as that (this one knows migrations up to {newest}), or restore a backup from before it"
        ),
        Misfit::Foreign { migration } => format!(
            "it has a migration that belongs to no version of this gateway: {migration}; if other programs keep their \
             tables there, set DATABASE_SCHEMA (PostgreSQL) or another file (SQLite)"
        ),
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

/// Watches the database until the future is dropped.
pub async fn watch(db: &Connection, observer: &dyn Observer) {
    match &db.0 {
        Kind::Sqlite(file) => file.watch(observer).await,
        Kind::Postgres(pool) => pool.watch(observer).await,
    }
}

/// Whether the database can be reached, as its watcher sees it.
pub fn availability(db: &Connection) -> &Availability {
    match &db.0 {
        Kind::Sqlite(file) => &file.availability,
        Kind::Postgres(pool) => pool.availability(),
    }
}

/// The time by the store's own clock, in microseconds since 1970: an expression of SQL. For what must not depend on the
/// clocks of replicas: one whose clock jumps must not end the leases of all.
pub(super) fn clock(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => postgres::CLOCK,
        _ => sqlite::CLOCK,
    }
}

/// A random UUID, made by the store: an expression of SQL.
pub(super) fn random_uuid(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => "gen_random_uuid()",
        _ => "randomblob(16)",
    }
}

/// Begins a transaction that will write.
pub(super) async fn begin(db: &Connection) -> Result<Transaction, DbErr> {
    match &db.0 {
        Kind::Sqlite(file) => begin_immediate(&file.db).await.map(Transaction::Sqlite),
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
            Kind::Sqlite(file) => file.db.close().await,
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
    /// Announces a change to the other replicas, if the transaction is committed and they can be told.
    pub(super) async fn announce(&self) -> Result<(), DbErr> {
        match self {
            // They are on this machine, and read the file often.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.announce().await,
        }
    }

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
        #[cfg(test)]
        recording::note(&statement);
        match &self.0 {
            Kind::Sqlite(file) => file.db.execute_raw(statement).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.execute_raw(statement).await).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Kind::Sqlite(file) => file.db.execute_unprepared(sql).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.execute_unprepared(sql).await).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        #[cfg(test)]
        recording::note(&statement);
        match &self.0 {
            Kind::Sqlite(file) => file.db.query_one_raw(statement).await,
            Kind::Postgres(pool) => pool.begin().await?.alone(async |it| it.query_one_raw(statement).await).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        #[cfg(test)]
        recording::note(&statement);
        match &self.0 {
            Kind::Sqlite(file) => file.db.query_all_raw(statement).await,
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
        #[cfg(test)]
        recording::note(&statement);
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
        #[cfg(test)]
        recording::note(&statement);
        match self {
            Self::Sqlite(transaction) => transaction.query_one_raw(statement).await,
            Self::Postgres(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        #[cfg(test)]
        recording::note(&statement);
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
