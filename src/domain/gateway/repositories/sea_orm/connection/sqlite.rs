//! What is particular to SQLite.

use std::time::Duration;

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, SqlxError,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};

/// How long to wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// How often to look again where SQLite itself does not wait.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// One connection, used in turn: SQLite has one writer anyway, and the pool's queue is fair where SQLite's waiting is not.
/// It is kept for good, because a database in memory lives as long as its connection. `synchronous = FULL` syncs the
/// write-ahead log at every commit: what was acknowledged survives a power loss.
pub(super) async fn open(mut options: ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    options.max_connections(1).idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_opts(|sqlite| {
        if let Some(folder) = sqlite.get_filename().parent() {
            // If it cannot be made, opening the file says so.
            let _ = std::fs::create_dir_all(folder);
        }
        sqlite
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
    });
    // Whoever opens a new file first turns it to WAL, and SQLite does not let others wait for that.
    let give_up_at = Instant::now() + BUSY_TIMEOUT;
    loop {
        match Database::connect(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < give_up_at => sleep(BUSY_PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Whether the error is `SQLITE_BUSY`, in any of its kinds (the lower byte of an extended code).
fn is_busy(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(cause)) = error else { return false };
    let SqlxError::Database(cause) = &**cause else { return false };
    cause.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use super::super::connect;

    #[tokio::test]
    async fn what_is_acknowledged_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let db = connect(&format!("sqlite:{}", folder.path().join("data/gateway.db").display())).await.unwrap();
        for (pragma, expected) in [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1")] {
            let sql = format!("SELECT CAST({pragma} AS TEXT) AS value FROM pragma_{pragma}");
            let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap().unwrap();
            assert_eq!(row.try_get::<String>("", "value").unwrap(), expected, "{pragma}");
        }
    }
}
