//! The deny-list. Positions become visible in order, because a writer that takes one locks the counter until it
//! commits.

use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use crate::domain::gateway::{
    models::token::{RecordedRevocation, Revocable, Revocation, RevocationCursor},
    repositories::{
        RepositoryError,
        sea_orm::{
            connection::{Connection, Transaction},
            entities::{
                corrupt,
                tokens::{revocation_cursor, revocations},
            },
        },
    },
};

/// Rows in one statement: with three values each, well below the limits of SQLite (32,766) and PostgreSQL (65,535).
const ROWS: usize = 5_000;

/// Adds entries whose id is not on the list, in their order: one step of the counter for all of them, and few
/// statements, so that other writers do not wait long for the counter. An unneeded position stays empty, which no
/// reader minds.
pub(super) async fn add(transaction: &Transaction, entries: &[Revocation]) -> Result<(), RepositoryError> {
    if entries.is_empty() {
        return Ok(());
    }
    let first = take_places(transaction, entries.len()).await?;
    let mut rows = (first..).zip(entries).map(|(place, entry)| revocations::ActiveModel::new(entry, place));
    for _ in 0..entries.len().div_ceil(ROWS) {
        let mut unless_there = OnConflict::column(revocations::Column::Id);
        unless_there.do_nothing();
        revocations::Entity::insert_many(rows.by_ref().take(ROWS))
            .on_conflict(unless_there)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

/// Takes `count` positions, and returns the first of them.
async fn take_places(transaction: &Transaction, count: usize) -> Result<i64, RepositoryError> {
    use revocation_cursor::Column;
    let count = i64::try_from(count).map_err(|_| corrupt("a number of revocations"))?;
    let counters = revocation_cursor::Entity::update_many()
        .col_expr(Column::Value, Expr::col(Column::Value).add(count))
        .exec_with_returning(transaction)
        .await?;
    match counters.as_slice() {
        [counter] => Ok(counter.value - count + 1),
        _ => Err(corrupt("the counter of revocations")),
    }
}

pub(super) async fn contains_any(db: &Connection, ids: &[Revocable]) -> Result<bool, RepositoryError> {
    let ids = ids.iter().map(|id| id.as_uuid());
    let found = revocations::Entity::find().filter(revocations::Column::Id.is_in(ids)).limit(1).one(db).await?;
    Ok(found.is_some())
}

pub(super) async fn among(db: &Connection, ids: &[Revocable]) -> Result<Vec<Revocable>, RepositoryError> {
    let ids = ids.iter().map(|id| id.as_uuid());
    let found = revocations::Entity::find().filter(revocations::Column::Id.is_in(ids)).all(db).await?;
    Ok(found.into_iter().map(|row| row.id.into()).collect())
}

pub(super) async fn after(
    db: &Connection,
    cursor: RevocationCursor,
    limit: u64,
) -> Result<Vec<RecordedRevocation>, RepositoryError> {
    let rows = revocations::Entity::find()
        .filter(revocations::Column::Place.gt(cursor.0))
        .order_by_asc(revocations::Column::Place)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(RecordedRevocation::try_from).collect()
}
