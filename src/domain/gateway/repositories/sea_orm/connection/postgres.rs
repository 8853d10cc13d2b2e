//! Rules for PostgreSQL. It may be shared with other services, and be behind a pooler that gives every transaction
//! another connection (`PgBouncer`'s transaction mode, as most hosted databases have it). So every statement is in a
//! transaction: settings hold for one transaction only (`SET LOCAL`), and statements have no name that would outlive
//! it.

use std::{
    fmt, io,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxPostgresConnector,
    Statement, TransactionTrait,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor, PgPool, Postgres,
        postgres::{PgConnectOptions, PgPoolOptions},
        query::Query,
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

use super::{ACQUIRE_TIMEOUT, ConnectError, adoption, quoting::quoted};
use crate::domain::gateway::repositories::{RepositoryError, availability::Availability};

mod watcher;

/// Enough for the control plane, and with the watcher's few enough for ten replicas within PostgreSQL's 100.
const MAX_CONNECTIONS: u32 = 8;

/// The channel on which replicas announce that something has changed; the payload is the schema. One channel of a fixed
/// name: the name of a schema may be longer than that of a channel.
const CHANNEL: &str = "gateway";

/// The lock that migrating replicas queue for; its number is arbitrary.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(6129022511)";

/// The server's clock. Unlike `now()` it is read when a statement gets to it, which may have waited for a lock.
pub(super) const CLOCK: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// The classes of SQLSTATE that waiting does not change: the credentials are wrong.
const REFUSALS: [&str; 1] = ["28"];

/// Connections to the database, and the beginning of each transaction.
#[derive(Clone)]
pub(super) struct Pool {
    /// Replaced after an outage: connections from before may be silent, or lead to a server that is now a standby.
    connections: Arc<RwLock<PgPool>>,
    options: PgConnectOptions,
    schema: Arc<str>,
    begin: Arc<str>,
    availability: Availability,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({}, schema {})", named(&self.options), self.schema)
    }
}

/// A transaction on one connection.
#[derive(Debug)]
pub(crate) struct Transaction(Mutex<sqlx::Transaction<'static, Postgres>>);

/// The beginning of a transaction, in one message. The adapters lock a row and then read what the lock protects: that
/// needs READ COMMITTED. A statement that waits for a lock gives up after a while, and a replica that vanished in the
/// middle of a transaction does not keep its locks. Only this schema is searched.
fn beginning(schema: &str, statement_timeout: &str) -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = {}; SET LOCAL statement_timeout = '{statement_timeout}'; \
         SET LOCAL idle_in_transaction_session_timeout = '5s'",
        quoted(schema)
    )
}

/// A pool of connections that are opened when they are needed.
fn pool(options: &PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    pool.connect_lazy_with(options.clone())
}

impl Pool {
    pub(super) async fn open(url: &str, schema: &str) -> Result<Self, ConnectError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| ConnectError::Refused("the database URL is invalid".to_owned()))?
            .disable_statement_logging();
        // The pool would retry until its time is over, and then report only that.
        let first = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect());
        match first.await {
            Ok(Ok(connection)) => drop(connection.close().await),
            Ok(Err(error)) => return Err(connect_error(&options, &error)),
            Err(_) => {
                let said = format!("{}: no response within {ACQUIRE_TIMEOUT:?}", named(&options));
                return Err(ConnectError::NotYet(said));
            }
        }
        Ok(Self {
            connections: Arc::new(RwLock::new(pool(&options))),
            options,
            schema: schema.into(),
            begin: beginning(schema, "4s").into(),
            availability: Availability::default(),
        })
    }

    fn connections(&self) -> PgPool {
        self.connections.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, only new connections are used.
    fn connect_anew(&self) {
        *self.connections.write().unwrap_or_else(PoisonError::into_inner) = pool(&self.options);
    }

    pub(super) fn availability(&self) -> &Availability {
        &self.availability
    }

    /// Fails at once while the watcher finds the server away.
    pub(super) async fn begin(&self) -> Result<Transaction, DbErr> {
        let connections = self.connections();
        // Boxed: every caller's future would be as large.
        let beginning = Box::pin(connections.begin_with(AssertSqlSafe(&*self.begin)));
        let begun = match self.availability.unless_away(beginning).await {
            Ok(begun) => begun.inspect_err(|_| self.availability.doubt()),
            Err(outage) => return Err(DbErr::Conn(RuntimeErr::Internal(outage.to_string()))),
        };
        begun.map(|transaction| Transaction(Mutex::new(transaction))).map_err(|error| match error {
            sqlx::Error::PoolTimedOut => DbErr::Conn(RuntimeErr::Internal(format!(
                "{}: no connection became free within {ACQUIRE_TIMEOUT:?}",
                named(&self.options)
            ))),
            other => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(other))),
        })
    }

    /// Brings the tables up to date, over a separate connection: the migrations' statements have names, which must not
    /// stay on a pooled one.
    pub(super) async fn migrate(&self) -> Result<(), RepositoryError> {
        if self.connections().is_closed() {
            return Err(RepositoryError::Unavailable("the connections are closed".to_owned()));
        }
        let one = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        let one = one.connect_lazy_with(self.options.clone());
        let db = SqlxPostgresConnector::from_sqlx_postgres_pool(one);
        let outcome = self.migrate_over(&db).await;
        db.close().await?;
        outcome
    }

    async fn migrate_over(&self, db: &DatabaseConnection) -> Result<(), RepositoryError> {
        let transaction = db.begin().await?;
        // However long the migrating replica takes.
        let setting = beginning(&self.schema, "0").replacen("BEGIN", "SET TRANSACTION", 1);
        transaction.execute_unprepared(&setting).await?;
        transaction.execute_unprepared(MIGRATION_LOCK).await?;
        transaction.execute_unprepared(FORGET_NAMES).await?;
        self.make_schema(&transaction).await?;
        adoption::adopt(&transaction, &self.schema).await?;
        super::bring_up(&transaction).await?;
        transaction.execute_unprepared(FORGET_NAMES).await?;
        Ok(transaction.commit().await?)
    }

    async fn make_schema(&self, transaction: &impl ConnectionTrait) -> Result<(), RepositoryError> {
        let exists = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
        let exists = Statement::from_sql_and_values(DbBackend::Postgres, exists, [(&*self.schema).into()]);
        if transaction.query_one_raw(exists).await?.is_some() {
            return Ok(());
        }
        let schema = quoted(&self.schema);
        transaction.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.map(drop).map_err(|error| {
            RepositoryError::Unavailable(format!(
                "the schema {schema} of DATABASE_SCHEMA does not exist and cannot be created: {error}. The owner of the \
                 database must run: CREATE SCHEMA {schema} AUTHORIZATION {}",
                quoted(self.options.get_username())
            ))
        })
    }

    #[cfg(test)]
    pub(super) async fn close(&self) {
        self.connections().close().await;
    }

    #[cfg(test)]
    pub(super) async fn plainly(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&self.connections()).await.unwrap()
    }
}

/// Behind a pooler a server's connection may hold named statements of another client that went away, and would keep
/// ours.
const FORGET_NAMES: &str = "DO $$ DECLARE known record; BEGIN
    FOR known IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE name LIKE 'sqlx_s_%' LOOP
        EXECUTE 'DEALLOCATE ' || pg_catalog.quote_ident(known.name);
    END LOOP; END $$";

impl Transaction {
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        self.0.into_inner().commit().await.map_err(exec_error)
    }

    /// Announces a change to the other replicas, if the transaction is committed.
    pub(super) async fn announce(&self) -> Result<(), DbErr> {
        self.execute_unprepared(&format!("SELECT pg_notify('{CHANNEL}', CURRENT_SCHEMA())")).await.map(drop)
    }

    /// Runs one statement, and commits.
    pub(super) async fn alone<T>(self, run: impl AsyncFnOnce(&Self) -> Result<T, DbErr>) -> Result<T, DbErr> {
        let outcome = run(&self).await?;
        self.commit().await?;
        Ok(outcome)
    }

    pub(super) async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut transaction = self.0.lock().await;
        unnamed(&statement).execute(&mut **transaction).await.map(Into::into).map_err(exec_error)
    }

    pub(super) async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut transaction = self.0.lock().await;
        transaction.execute(AssertSqlSafe(sql.to_owned())).await.map(Into::into).map_err(exec_error)
    }

    pub(super) async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut transaction = self.0.lock().await;
        let row = unnamed(&statement).fetch_optional(&mut **transaction).await.map_err(query_error)?;
        Ok(row.map(Into::into))
    }

    pub(super) async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut transaction = self.0.lock().await;
        let rows = unnamed(&statement).fetch_all(&mut **transaction).await.map_err(query_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// The statement without a name: it is gone with the next one.
fn unnamed(statement: &Statement) -> Query<'_, Postgres, SqlxValues> {
    let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values)).persistent(false)
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

/// The address in a URL, without its secrets.
pub(super) fn address(url: &str) -> String {
    PgConnectOptions::from_str(url).map_or_else(|_| "the database".to_owned(), |options| named(&options))
}

fn named(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => format!("PostgreSQL at {}", folder.display()),
        None => format!("PostgreSQL at {}:{}", options.get_host(), options.get_port()),
    }
}

fn connect_error(options: &PgConnectOptions, error: &sqlx::Error) -> ConnectError {
    let named = named(options);
    match error {
        sqlx::Error::Io(error) => ConnectError::NotYet(format!("{named}: {}", cause(error))),
        sqlx::Error::Database(error) => {
            let said = format!("{named}: {}", error.message());
            let code = error.code().unwrap_or_default();
            let is_final = REFUSALS.iter().any(|class| code.starts_with(class));
            if is_final { ConnectError::Refused(said) } else { ConnectError::NotYet(said) }
        }
        sqlx::Error::Tls(error) => ConnectError::Refused(format!("{named}: TLS: {error}")),
        sqlx::Error::Configuration(error) => ConnectError::Refused(format!("{named}: {error}")),
        other => ConnectError::NotYet(format!("{named}: {other}")),
    }
}

/// The operating system's error text, without its number.
fn cause(error: &io::Error) -> String {
    let said = error.to_string();
    said.split(" (os error").next().unwrap_or(&said).to_lowercase()
}
