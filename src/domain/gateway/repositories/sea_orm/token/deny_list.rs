//! The deny-list. Places become visible in their order, because whoever takes one locks the counter until it commits.

use sea_orm::{
    ColumnTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    TryInsertResult, sea_query::Expr,
};

use crate::domain::gateway::{
    models::token::{RecordedRevocation, Revocable, Revocation, RevocationCursor},
    repositories::{
        RepositoryError,
        sea_orm::entities::{corrupt, revocation_cursor, revocations},
    },
};

/// Adds an entry, unless its id is on the list. The place that is then not needed stays empty, which no reader minds.
pub(super) async fn add(transaction: &DatabaseTransaction, revocation: &Revocation) -> Result<(), RepositoryError> {
    let place = next_place(transaction).await?;
    let row = revocations::ActiveModel::new(revocation, place);
    let inserted = revocations::Entity::insert(row)
        .on_conflict_do_nothing_on([revocations::Column::Id])
        .exec_without_returning(transaction)
        .await?;
    match inserted {
        TryInsertResult::Inserted(_) | TryInsertResult::Conflicted | TryInsertResult::Empty => Ok(()),
    }
}

async fn next_place(transaction: &DatabaseTransaction) -> Result<i64, RepositoryError> {
    use revocation_cursor::Column;
    let counters = revocation_cursor::Entity::update_many()
        .col_expr(Column::Value, Expr::col(Column::Value).add(1))
        .exec_with_returning(transaction)
        .await?;
    match counters.as_slice() {
        [counter] => Ok(counter.value),
        _ => Err(corrupt("the counter of revocations")),
    }
}

pub(super) async fn contains_any(db: &DatabaseConnection, ids: &[Revocable]) -> Result<bool, RepositoryError> {
    let ids = ids.iter().map(|id| id.as_uuid());
    let found = revocations::Entity::find().filter(revocations::Column::Id.is_in(ids)).limit(1).one(db).await?;
    Ok(found.is_some())
}

pub(super) async fn after(
    db: &DatabaseConnection,
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
