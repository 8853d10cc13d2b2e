//! What is particular to PostgreSQL.

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseTransaction, DbErr, sqlx::Executor};

/// Enough for the control plane, and few enough that ten replicas fit into PostgreSQL's 100.
const MAX_CONNECTIONS: u32 = 8;

/// Set on every connection (by `SET`, which poolers in front of PostgreSQL understand, unlike start-up options). The
/// adapters lock a row and then read what the lock protects: that needs READ COMMITTED. A statement that waits for a lock
/// gives up, and a replica that vanished in the middle of a transaction does not keep its locks.
const SESSION: &str = "SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '4s';
    SET idle_in_transaction_session_timeout = '5s'";

/// Any number: the name of the lock that migrating replicas queue for.
const MIGRATION_LOCK: &str = "SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(6129022511)";

pub(super) fn configure(options: &mut ConnectOptions) {
    options.max_connections(MAX_CONNECTIONS).map_sqlx_postgres_pool_opts(|pool| {
        pool.after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(drop) }))
    });
}

/// Waits until no other replica migrates, however long that takes it; the lock ends with the transaction.
pub(super) async fn lock_migrations(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    transaction.execute_unprepared(MIGRATION_LOCK).await.map(drop)
}
