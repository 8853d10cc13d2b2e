//! Moves tables that a gateway created in `public`, among those of other services, before it had its own schema.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use super::quoting::quoted;
use migration::{Migrator, MigratorTrait};

/// The schema that they were in.
const BEFORE: &str = "public";

/// Moves the tables of the migrations that are recorded in `public`, with the record, unless the schema has a record
/// already. The rest of `public` belongs to others: a table there that we have not created yet, and the migrations of
/// other services that use SeaORM.
pub(super) async fn adopt(transaction: &impl ConnectionTrait, schema: &str) -> Result<(), DbErr> {
    let has_record = async |schema: &str| {
        let record = format!("{}.seaql_migrations", quoted(schema));
        texts(transaction, "SELECT CAST(to_regclass($1) AS TEXT) WHERE to_regclass($1) IS NOT NULL", &[record])
            .await
            .map(|found| !found.is_empty())
    };
    if schema == BEFORE || has_record(schema).await? || !has_record(BEFORE).await? {
        return Ok(());
    }
    let recorded = texts(transaction, "SELECT version FROM public.seaql_migrations", &[]).await?;
    let ours: Vec<_> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let moving: Vec<_> = ours.into_iter().filter(|name| recorded.contains(name)).collect();
    if moving.is_empty() {
        return Ok(());
    }
    let schema = quoted(schema);
    for table in moving.iter().filter_map(|name| Some(name.split_once("_create_")?.1)) {
        transaction.execute_unprepared(&format!("ALTER TABLE {BEFORE}.{table} SET SCHEMA {schema}")).await?;
    }
    let names: Vec<_> = moving.iter().map(|name| format!("'{name}'")).collect();
    transaction
        .execute_unprepared(&format!(
            "CREATE TABLE {schema}.seaql_migrations (LIKE {BEFORE}.seaql_migrations INCLUDING ALL);
             WITH moved AS (DELETE FROM {BEFORE}.seaql_migrations WHERE version IN ({}) RETURNING *)
             INSERT INTO {schema}.seaql_migrations SELECT * FROM moved",
            names.join(", ")
        ))
        .await?;
    if moving.len() == recorded.len() {
        transaction.execute_unprepared(&format!("DROP TABLE {BEFORE}.seaql_migrations")).await?;
    }
    Ok(())
}

/// The first column of all rows.
async fn texts(db: &impl ConnectionTrait, sql: &str, values: &[String]) -> Result<Vec<String>, DbErr> {
    let values = values.iter().map(|value| value.as_str().into());
    let rows = db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    rows.iter().map(|row: &QueryResult| row.try_get_by_index(0)).collect()
}
