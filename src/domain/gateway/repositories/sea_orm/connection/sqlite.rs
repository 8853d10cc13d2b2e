//! Rules for SQLite.

use std::{
    fs::{DirBuilder, OpenOptions, Permissions, set_permissions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    str::FromStr,
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, SqlxError,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::domain::gateway::repositories::availability::{Availability, Observer};

/// How long to wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// The interval of retries where SQLite itself does not wait.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// The clock of the machine, to the millisecond. All processes that use the file are on this machine.
pub(super) const CLOCK: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// How often the file is tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// The connection to a file, and whether it can be used.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) db: DatabaseConnection,
    pub(super) availability: Availability,
}

impl File {
    /// Tries, until the future is dropped, whether the file can be written to.
    pub(super) async fn watch(&self, observer: &dyn Observer) {
        observer.hears(false);
        let mut ticks = interval(TRIED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tried = async { super::begin_immediate(&self.db).await?.rollback().await };
            match tried.await {
                Ok(()) => self.availability.responds("the SQLite file", observer),
                Err(error) => {
                    let now = std::time::Instant::now();
                    self.availability.is_away(now, &format!("the SQLite file: {error}"), observer);
                }
            }
        }
    }
}

/// One connection, used in turn: SQLite has one writer anyway, and the pool's queue is fair while SQLite's waiting is
/// not. It is never closed, because a database in memory lives as long as its connection. `synchronous = FULL` syncs
/// the write-ahead log at every commit: acknowledged data survives a power loss. `secure_delete` overwrites deleted
/// data: a deleted account is in no free page of the file.
pub(super) async fn open(mut options: ConnectOptions) -> Result<DatabaseConnection, String> {
    let (has_file, may_create) = (has_file(options.get_url()), has_mode(options.get_url(), "rwc"));
    if has_file && !may_create {
        is_there(options.get_url())?;
    }
    options.max_connections(1).idle_timeout(None).max_lifetime(None).map_sqlx_sqlite_opts(move |sqlite| {
        if has_file {
            make_private(sqlite.get_filename(), may_create);
        }
        sqlite
            .pragma("secure_delete", "ON")
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
    });
    // The first process that opens a new file switches it to WAL, and SQLite does not let others wait for that.
    let give_up_at = Instant::now() + BUSY_TIMEOUT;
    loop {
        match Database::connect(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < give_up_at => sleep(BUSY_PAUSE).await,
            outcome => return outcome.map_err(|error| error.to_string()),
        }
    }
}

/// A mistyped path must not begin a new life without the data of the old one.
fn is_there(url: &str) -> Result<(), String> {
    let options = SqliteConnectOptions::from_str(url).map_err(|error| error.to_string())?;
    let file = options.get_filename();
    if file.exists() {
        return Ok(());
    }
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    Err(format!("there is no file {}; write {path}?mode=rwc to have one made, or correct the path", file.display()))
}

/// Whether a database is stored in a file.
fn has_file(url: &str) -> bool {
    let (path, options) = url.split_once('?').unwrap_or((url, ""));
    let path = path.trim_start_matches("sqlite:").trim_start_matches("//");
    !path.is_empty() && path != ":memory:" && !has_mode(&format!("?{options}"), "memory")
}

/// Whether a URL asks for this mode.
fn has_mode(url: &str, mode: &str) -> bool {
    let (_, options) = url.split_once('?').unwrap_or_default();
    options.split('&').any(|option| option.strip_prefix("mode=") == Some(mode))
}

/// Creates the file before SQLite does, private to its owner: SQLite would make it readable for all users, and gives
/// the files beside it (`-wal`, `-shm`, `-journal`) its mode. An existing file is made private, with its folder if that
/// has to be created. Failures are left to opening the file.
fn make_private(file: &Path, may_create: bool) {
    if may_create {
        if let Some(folder) = file.parent() {
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        let _ = OpenOptions::new().append(true).create(true).mode(0o600).open(file);
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        let is_open = |mode: u32| mode & 0o077 != 0;
        if std::fs::metadata(&name).is_ok_and(|metadata| is_open(metadata.permissions().mode())) {
            let _ = set_permissions(&name, Permissions::from_mode(0o600));
        }
    }
}

/// Whether the error is any kind of `SQLITE_BUSY` (the lower byte of an extended code).
fn is_busy(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(cause)) = error else { return false };
    let SqlxError::Database(cause) = &**cause else { return false };
    cause.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use super::*;
    use crate::domain::gateway::repositories::sea_orm::connect;

    #[tokio::test]
    async fn acknowledged_data_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let db =
            connect(&format!("sqlite:{}?mode=rwc", folder.path().join("data/gateway.db").display()), "").await.unwrap();
        for (pragma, expected) in [("journal_mode", "wal"), ("synchronous", "2"), ("foreign_keys", "1")] {
            let sql = format!("SELECT CAST({pragma} AS TEXT) AS value FROM pragma_{pragma}");
            let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap().unwrap();
            assert_eq!(row.try_get::<String>("", "value").unwrap(), expected, "{pragma}");
        }
    }

    /// The modes of everything in a folder, by name.
    fn modes(folder: &Path) -> Vec<(String, u32)> {
        let mut modes: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777)
            })
            .collect();
        modes.sort();
        modes
    }

    #[tokio::test]
    async fn the_files_are_private_to_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let file = data.join("a b.db");
        let private = ["a b.db", "a b.db-shm", "a b.db-wal"].map(|name| (name.to_owned(), 0o600));
        // For a new database, however its URL is written, and for one that another version created.
        for url in [format!("sqlite://{}/a%20b.db?mode=rwc", data.display()), format!("sqlite:{}", file.display())] {
            let db = connect(&url, "").await.unwrap();
            db.execute_unprepared("CREATE TABLE IF NOT EXISTS things (name TEXT)").await.unwrap();
            assert_eq!(modes(&data), private, "{url}");
            assert_eq!(modes(folder.path()), [("data".to_owned(), 0o700)]);
            db.close().await.unwrap();
            set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        }
    }

    #[tokio::test]
    async fn deleted_data_is_not_in_the_file_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.db");
        let db = connect(&format!("sqlite:{}?mode=rwc", file.display()), "").await.unwrap();
        let holds = async || {
            db.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(TRUNCATE)"))
                .await
                .unwrap();
            let bytes = std::fs::read(&file).unwrap();
            bytes.windows(6).any(|window| window == b"secret")
        };
        for sql in ["CREATE TABLE things (name TEXT)", "INSERT INTO things VALUES ('a secret of jane')"] {
            db.execute_unprepared(sql).await.unwrap();
        }
        assert!(holds().await);
        db.execute_unprepared("DELETE FROM things").await.unwrap();
        assert!(!holds().await);
    }

    #[tokio::test]
    async fn a_missing_file_is_made_only_if_the_url_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/a b.db");
        let url = format!("sqlite://{}/data/a%20b.db", folder.path().display());
        for written in [url.clone(), format!("{url}?mode=rw")] {
            let said = connect(&written, "").await.unwrap_err().to_string();
            let expected = format!("there is no file {}; write {url}?mode=rwc to have one made", path.display());
            assert!(said.starts_with(&expected), "{said}");
            assert!(!folder.path().join("data").exists());
        }
        connect(&format!("{url}?mode=rwc"), "").await.unwrap().close().await.unwrap();
        assert!(path.exists());
        connect(&url, "").await.unwrap().execute_unprepared("CREATE TABLE things (name TEXT)").await.unwrap();
    }

    #[test]
    fn a_database_in_memory_has_no_file() {
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:", "sqlite://x?mode=memory&cache=shared"] {
            assert!(!has_file(url), "{url}");
        }
        for url in ["sqlite://data/g.db?mode=rwc", "sqlite:///a%20b", "sqlite:x"] {
            assert!(has_file(url), "{url}");
        }
    }
}
