//! The deny-list. Positions become visible in order, because a writer that takes one locks the counter until it
//! commits.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter, QuerySelect, Statement,
    sea_query::{Expr, OnConflict},
};

use crate::domain::gateway::{
    models::token::{BatchMarks, Revocable, Revocation, RevocationCursor, RevocationPage},
    repositories::{
        RepositoryError,
        sea_orm::{
            connection::{Connection, Transaction, random_uuid},
            entities::{
                corrupt,
                tokens::{
                    revocation_cursor,
                    revocations::{self, Listed},
                },
            },
        },
    },
};

/// Rows in one statement: with three values each, well below the limits of SQLite (32,766) and PostgreSQL (65,535).
const ROWS: usize = 5_000;

/// Adds entries whose id is not on the list, in their order: one step of the counter for all of them, and few
/// statements, so that other writers do not wait long for the counter. An unneeded position stays empty, which no
/// reader minds. The other replicas are told.
pub(super) async fn add(transaction: &Transaction, entries: &[Revocation]) -> Result<(), RepositoryError> {
    if entries.is_empty() {
        return Ok(());
    }
    let (first, marks) = take_places(transaction, entries.len()).await?;
    let mut rows = (first..).zip(entries).map(|(place, entry)| revocations::ActiveModel::new(entry, place, marks));
    let mut added = 0;
    for _ in 0..entries.len().div_ceil(ROWS) {
        let mut unless_there = OnConflict::column(revocations::Column::Id);
        unless_there.do_nothing();
        added += revocations::Entity::insert_many(rows.by_ref().take(ROWS))
            .on_conflict(unless_there)
            .exec_without_returning(transaction)
            .await?;
    }
    if added == 0 { take_mark_back(transaction).await } else { Ok(transaction.announce().await?) }
}

/// Takes `count` positions, and returns the first of them, with the marks of their batch.
async fn take_places(transaction: &Transaction, count: usize) -> Result<(i64, BatchMarks), RepositoryError> {
    use revocation_cursor::Column;
    let count = i64::try_from(count).map_err(|_| corrupt("a number of revocations"))?;
    let counters = revocation_cursor::Entity::update_many()
        .col_expr(Column::Value, Expr::col(Column::Value).add(count))
        .col_expr(Column::PreviousMark, Expr::col(Column::Mark))
        .col_expr(Column::Mark, Expr::cust(random_uuid(transaction)))
        .exec_with_returning(transaction)
        .await?;
    match counters.as_slice() {
        [counter] => {
            let marks = BatchMarks { own: counter.mark, follows: counter.previous_mark };
            Ok((counter.value - count + 1, marks))
        }
        _ => Err(corrupt("the counter of revocations")),
    }
}

/// A batch without entries has no mark: no reader would find the batch that the next one follows.
async fn take_mark_back(transaction: &Transaction) -> Result<(), RepositoryError> {
    use revocation_cursor::Column;
    revocation_cursor::Entity::update_many()
        .col_expr(Column::Mark, Expr::col(Column::PreviousMark))
        .exec(transaction)
        .await?;
    Ok(())
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

/// One statement: the end belongs to the entries.
const AFTER: &str = "SELECT c.value AS \"end\", c.mark AS end_mark, r.id, r.place, r.expires_at, r.mark, r.follows \
                     FROM revocation_cursor c LEFT JOIN \
                     (SELECT * FROM revocations WHERE place > $1 ORDER BY place LIMIT $2) r ON TRUE ORDER BY r.place";

pub(super) async fn after(
    db: &Connection,
    cursor: RevocationCursor,
    limit: u64,
) -> Result<RevocationPage, RepositoryError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), AFTER, [cursor.place().into(), limit.into()]);
    let rows = Listed::find_by_statement(statement).all(db).await?;
    let first = rows.first().ok_or_else(|| corrupt("the counter of revocations"))?;
    let end = first.end();
    let reach_end = i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit;
    let is_continued = cursor.is_continued_by(rows.iter().filter_map(Listed::marks), end, reach_end);
    let entries: Result<Vec<_>, _> = rows.iter().filter_map(|row| row.entry().transpose()).collect();
    Ok(RevocationPage { entries: entries?, end, is_continued })
}
