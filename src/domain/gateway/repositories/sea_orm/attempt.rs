//! Attempts to sign in, in a database. The rows of an attempt are locked, in the order of their keys, from before their
//! failures are looked at until the new ones are stored (SQLite: the whole file, in `begin`).

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{
    connection::{answered, begin},
    entities::login_attempts::{self, ActiveModel, Column},
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        attempt::{Admission, Counted, Failures},
        token::TokenDigest,
    },
    repositories::{RepositoryError, attempt::AttemptRepository, kept},
};

/// Attempts to sign in, in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmAttempts {
    db: DatabaseConnection,
}

impl SeaOrmAttempts {
    /// Over a database that was migrated.
    pub fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl AttemptRepository for SeaOrmAttempts {
    async fn admit(&self, counted: &[Counted], now: DateTime<Utc>) -> Result<Admission, RepositoryError> {
        let mut counted: Vec<_> = counted.iter().collect();
        counted.sort_by_key(|of| *of.key());
        let now = kept(now);
        answered(async {
            let transaction = begin(&self.db).await?;
            let mut not_before = None;
            for of in counted {
                let known = locked(&transaction, of.key(), now).await?;
                match Failures::one_more(Some(known), of, now) {
                    Ok(failures) => store(&transaction, of.key(), failures).await?,
                    Err(until) => not_before = Ord::max(not_before, Some(until)),
                }
            }
            if let Some(until) = not_before {
                // Whatever was counted is rolled back.
                return Ok(Admission::NotBefore(until));
            }
            transaction.commit().await?;
            Ok(Admission::Admitted)
        })
        .await
    }

    async fn forgive(&self, counted: &Counted) -> Result<(), RepositoryError> {
        answered(async {
            login_attempts::Entity::update_many()
                .col_expr(Column::Failures, Expr::col(Column::Failures).sub(1))
                .filter(Column::Key.eq(counted.key().as_bytes().as_slice()))
                .filter(Column::Failures.gt(0))
                .exec(&self.db)
                .await?;
            Ok(())
        })
        .await
    }

    async fn reset(&self, counted: &Counted) -> Result<(), RepositoryError> {
        answered(async {
            login_attempts::Entity::delete_by_id(counted.key().as_bytes().to_vec()).exec(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        forget::<login_attempts::Entity>(&self.db, Column::Key, Column::ForgetAt, now).await
    }
}

/// The failures of a key, whose row is there and ours from now on.
async fn locked(
    transaction: &DatabaseTransaction,
    key: &TokenDigest,
    now: DateTime<Utc>,
) -> Result<Failures, RepositoryError> {
    let none = Failures { count: 0, last_at: now };
    loop {
        let mut unless_there = OnConflict::column(Column::Key);
        unless_there.do_nothing();
        login_attempts::Entity::insert(ActiveModel::new(key, none))
            .on_conflict(unless_there)
            .exec_without_returning(transaction)
            .await?;
        let row = login_attempts::Entity::find_by_id(key.as_bytes().to_vec()).lock_exclusive().one(transaction).await?;
        // Somebody may have forgotten it in between.
        if let Some(row) = row {
            return row.try_into();
        }
    }
}

async fn store(
    transaction: &DatabaseTransaction,
    key: &TokenDigest,
    failures: Failures,
) -> Result<(), RepositoryError> {
    let ActiveModel { failures, last_at, forget_at, .. } = ActiveModel::new(key, failures);
    let changed = ActiveModel { failures, last_at, forget_at, ..ActiveModel::default() };
    login_attempts::Entity::update_many()
        .set(changed)
        .filter(Column::Key.eq(key.as_bytes().as_slice()))
        .exec(transaction)
        .await?;
    Ok(())
}
