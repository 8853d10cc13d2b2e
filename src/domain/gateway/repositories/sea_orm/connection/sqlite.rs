//! What is particular to SQLite.

use std::time::Duration;

use sea_orm::{
    ConnectOptions,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

/// How long to wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// One connection, used in turn: SQLite has one writer anyway, and the pool's queue is fair where SQLite's waiting is not.
/// It is kept for good, because a database in memory lives as long as its connection. `synchronous = FULL` syncs the
/// write-ahead log at every commit: what was acknowledged survives a power loss.
pub(super) fn configure(options: &mut ConnectOptions) {
    options.max_connections(1).idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
    });
}
