//! Password attempts in a database. The rows of an attempt are locked, in the order of their keys, from before their
//! failures are read until the new ones are stored (SQLite: the whole file, in `begin`).

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{
    connection::{Connection, Transaction, begin, with_timeout},
    entities::{
        digest,
        login_attempts::{self, ActiveModel, Column},
    },
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        throttle::{Failures, ThrottleDecision, ThrottleKey, Verdict, decide},
        values::digest::Sha256Digest,
    },
    repositories::{
        RepositoryError,
        throttle::{Now, ThrottleRepository},
        truncate_to_micros,
    },
};

/// Password attempts in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmThrottle {
    db: Connection,
}

impl SeaOrmThrottle {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl ThrottleRepository for SeaOrmThrottle {
    async fn admit(&self, counted: &[ThrottleKey], now: Now<'_>) -> Result<ThrottleDecision, RepositoryError> {
        let mut counted = counted.to_vec();
        counted.sort_by_key(|of| *of.key());
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let mut known = locked(&transaction, &counted, truncate_to_micros(now())).await?;
            // The time is read after locking, which may have taken long.
            let now = truncate_to_micros(now());
            let known: Vec<_> = counted.iter().map(|of| (*of, known.remove(of.key()))).collect();
            let Verdict { admission, changed } = decide(&known, now);
            // Without a change, the rows that were inserted for locking are not needed, either.
            if !changed.is_empty() {
                store(&transaction, &changed).await?;
                transaction.commit().await?;
            }
            Ok(admission)
        })
        .await
    }

    async fn forgive(&self, counted: &ThrottleKey) -> Result<(), RepositoryError> {
        with_timeout(async {
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

    async fn reset(&self, counted: &ThrottleKey) -> Result<(), RepositoryError> {
        with_timeout(async {
            login_attempts::Entity::delete_by_id(counted.key().as_bytes().to_vec()).exec(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        forget::<login_attempts::Entity>(&self.db, Column::Key, Column::ForgetAt, now).await
    }
}

/// Locks the rows of all counters, inserting missing ones, and returns their failures. The rows are inserted and locked
/// in the given order, so that no two attempts wait for each other.
async fn locked(
    transaction: &Transaction,
    counted: &[ThrottleKey],
    now: DateTime<Utc>,
) -> Result<HashMap<Sha256Digest, Failures>, RepositoryError> {
    let none = Failures { count: 0, last_at: now };
    let keys = || counted.iter().map(|of| of.key().as_bytes().to_vec());
    if counted.is_empty() {
        return Ok(HashMap::new());
    }
    loop {
        let mut unless_there = OnConflict::column(Column::Key);
        unless_there.do_nothing();
        login_attempts::Entity::insert_many(counted.iter().map(|of| ActiveModel::new(of.key(), none)))
            .on_conflict(unless_there)
            .exec_without_returning(transaction)
            .await?;
        let rows = login_attempts::Entity::find()
            .filter(Column::Key.is_in(keys()))
            .order_by_asc(Column::Key)
            .lock_exclusive()
            .all(transaction)
            .await?;
        // Some rows may have been deleted in between.
        if rows.len() == counted.len() {
            return rows.into_iter().map(|row| Ok((digest(row.key.clone())?, row.try_into()?))).collect();
        }
    }
}

/// Stores failures in existing rows.
async fn store(transaction: &Transaction, changed: &[(Sha256Digest, Failures)]) -> Result<(), RepositoryError> {
    let mut replace = OnConflict::column(Column::Key);
    replace.update_columns([Column::Failures, Column::LastAt, Column::ForgetAt]);
    login_attempts::Entity::insert_many(changed.iter().map(|(key, failures)| ActiveModel::new(key, *failures)))
        .on_conflict(replace)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}
