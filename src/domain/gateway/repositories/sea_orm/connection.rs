//! Reaching a database: connecting, migrating, transactions, deadlines, and what its errors mean to us. Knows nothing of
//! what is stored.

use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqlErr, SqliteTransactionMode, SqlxError, TransactionOptions, TransactionTrait,
};

use crate::domain::gateway::repositories::RepositoryError;
use migration::{Migrator, MigratorTrait};

mod postgres;
mod sqlite;

/// How long to wait for a connection. A store that is down is reported after this long, not after a client gave up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the store may take over one operation, waiting for a connection and for locks included. Longer than
/// [`ACQUIRE_TIMEOUT`] and than what the databases wait for locks, so that their own, clearer errors come first; it is for
/// the case that the network swallows everything.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Opens the database at `url`: `sqlite:…` (made if missing) or `postgres://…`.
///
/// # Errors
/// `Unavailable` if the URL is of another kind, or nobody answers there within a few seconds. The text never holds the URL,
/// which may have a password in it.
pub async fn connect(url: &str) -> Result<DatabaseConnection, RepositoryError> {
    let mut options = ConnectOptions::new(url);
    options.acquire_timeout(ACQUIRE_TIMEOUT).sqlx_logging(false);
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite::configure(&mut options),
        Some("postgres" | "postgresql") => postgres::configure(&mut options),
        _ => return Err(RepositoryError::Unavailable("the URL begins with neither sqlite: nor postgres:".to_owned())),
    }
    if url::Url::parse(url).is_err() {
        return Err(RepositoryError::Unavailable("the URL cannot be read".to_owned()));
    }
    answered(async { Ok(Database::connect(options).await?) }).await
}

/// Brings the tables up to date, all or nothing. Any number of replicas may do so at once: one works, the others wait for it.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), RepositoryError> {
    let transaction = begin(db).await?;
    // SQLite needs no lock of its own: only one transaction writes to a file at a time.
    if transaction.get_database_backend() == DbBackend::Postgres {
        postgres::lock_migrations(&transaction).await?;
    }
    Migrator::up(&transaction, None).await?;
    Ok(transaction.commit().await?)
}

/// Whether the database answers.
pub async fn ping(db: &DatabaseConnection) -> Result<(), RepositoryError> {
    answered(async { Ok(db.ping().await?) }).await
}

/// Begins a transaction that will write: SQLite takes the file's write lock at once, because a transaction that reads
/// first and finds the lock taken later cannot be saved by waiting. Dropped without `commit`, it is rolled back.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let immediate = Some(SqliteTransactionMode::Immediate);
    db.begin_with_options(TransactionOptions { sqlite_transaction_mode: immediate, ..TransactionOptions::default() })
        .await
}

/// Waits for an operation, but not for ever.
pub(super) async fn answered<T>(
    operation: impl Future<Output = Result<T, RepositoryError>> + Send,
) -> Result<T, RepositoryError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, operation).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RepositoryError::Unavailable(format!("no answer within {ANSWER_TIMEOUT:?}"))),
    }
}

impl From<DbErr> for RepositoryError {
    /// A broken promise of uniqueness is a conflict, a value that does not fit its type is corruption. Everything else is a
    /// store that cannot work now: out of reach, out of space, busy, not migrated.
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
            return Self::Conflict;
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
