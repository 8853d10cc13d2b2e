//! Deleting expired rows: in small batches found by an index, so that no lock is held for long. Rows that another
//! transaction has locked are left for the next time (PostgreSQL's SKIP LOCKED), so that two replicas that delete at
//! once do not wait for each other.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{
    connection::{Connection, with_timeout},
    entities::micros,
};
use crate::domain::gateway::repositories::RepositoryError;

/// Rows per statement: some milliseconds' work, including a family's refresh tokens.
const BATCH: u64 = 500;

/// Deletes the rows of a table that have expired by `now`; returns how many.
pub(super) async fn forget<E: EntityTrait>(
    db: &Connection,
    key: E::Column,
    expiry: E::Column,
    now: DateTime<Utc>,
) -> Result<u64, RepositoryError> {
    forget_until::<E>(db, key, expiry, &Expr::value(micros(now))).await
}

/// Deletes the rows of a table that have expired by a time that is an expression of SQL; returns how many.
pub(super) async fn forget_until<E: EntityTrait>(
    db: &Connection,
    key: E::Column,
    expiry: E::Column,
    now: &Expr,
) -> Result<u64, RepositoryError> {
    let has_expired = || Expr::col(expiry.as_column_ref()).lte(now.clone());
    let mut forgotten = 0;
    loop {
        let batch = E::find()
            .select_only()
            .column(key)
            .filter(has_expired())
            .order_by_asc(expiry)
            .limit(BATCH)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_query();
        // The expiry is checked twice: a row may have got a new one between being found and being deleted.
        let delete = E::delete_many().filter(key.in_subquery(batch)).filter(has_expired());
        let deleted = with_timeout(async { Ok(delete.exec(db).await?.rows_affected) }).await?;
        forgotten += deleted;
        if deleted < BATCH {
            return Ok(forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entities::tokens::revocations;
    use super::*;
    use crate::domain::gateway::{
        models::{
            token::{BatchMarks, Revocation, RevocationCursor},
            values::id::TokenId,
        },
        repositories::{
            sea_orm::{SeaOrmTokens, connect, migrate},
            token::TokenRepository,
        },
    };

    #[tokio::test]
    async fn more_than_a_batch_is_deleted_to_the_last_row() {
        let db = connect("sqlite::memory:", "").await.unwrap();
        migrate(&db).await.unwrap();
        let row = |n: u64, seconds| {
            let id = TokenId::from_random(u128::from(n).to_be_bytes()).into();
            let expires_at = DateTime::from_timestamp(seconds, 0).unwrap();
            let marks = BatchMarks { own: None, follows: None };
            revocations::ActiveModel::new(&Revocation { id, expires_at }, n.try_into().unwrap(), marks)
        };
        let expired = (1..=2 * BATCH + 1).map(|n| row(n, 10));
        revocations::Entity::insert_many(expired.chain([row(9999, 11)])).exec(&db).await.unwrap();

        let tokens = SeaOrmTokens::new(db);
        assert_eq!(tokens.purge_expired(DateTime::from_timestamp(10, 0).unwrap()).await.unwrap(), 2 * BATCH + 1);
        let left = tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries;
        assert_eq!(left.iter().map(|entry| entry.cursor).collect::<Vec<_>>(), [RevocationCursor::at(9999)]);
    }
}
