//! Notices of providers in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, LockBehavior, LockType, OnConflict},
};
use tracing::error;

use super::{
    connection::{Connection, with_timeout},
    entities::{
        micros,
        notices::{self, ActiveModel, Column, Entity},
    },
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        notice::{ClaimedNotice, Notice, NoticeProgress},
        values::digest::Sha256Digest,
    },
    repositories::{RepositoryError, notice::NoticeRepository},
};

/// Notices of providers in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmNotices {
    db: Connection,
}

impl SeaOrmNotices {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl NoticeRepository for SeaOrmNotices {
    async fn store(&self, notices: &[Notice]) -> Result<u64, RepositoryError> {
        if notices.is_empty() {
            return Ok(0);
        }
        with_timeout(async {
            let mut unless_there = OnConflict::column(Column::Digest);
            unless_there.do_nothing();
            let stored = Entity::insert_many(notices.iter().map(ActiveModel::from))
                .on_conflict(unless_there)
                .exec_without_returning(&self.db)
                .await?;
            Ok(stored)
        })
        .await
    }

    /// Rows that another replica claims at this moment are skipped (PostgreSQL's SKIP LOCKED).
    async fn claim(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<ClaimedNotice>, RepositoryError> {
        with_timeout(async {
            let due = || Column::DueAt.lte(micros(now));
            // Checked first: in SQLite a write locks the file, and usually nothing is due.
            if Entity::find().filter(due()).limit(1).one(&self.db).await?.is_none() {
                return Ok(Vec::new());
            }
            let oldest = Entity::find()
                .select_only()
                .column(Column::Digest)
                .filter(due())
                .order_by_asc(Column::DueAt)
                .order_by_asc(Column::Digest)
                .limit(limit)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .into_query();
            let mut rows = Entity::update_many()
                .col_expr(Column::DueAt, Expr::value(micros(until)))
                .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
                .filter(Column::Digest.in_subquery(oldest))
                .filter(due())
                .exec_with_returning(&self.db)
                .await?;
            rows.sort_by(|a, b| (a.received_at, &a.digest).cmp(&(b.received_at, &b.digest)));
            Ok(rows.into_iter().filter_map(readable).collect())
        })
        .await
    }

    async fn postpone(&self, digest: &Sha256Digest, at: DateTime<Utc>) -> Result<(), RepositoryError> {
        with_timeout(async {
            Entity::update_many()
                .col_expr(Column::DueAt, Expr::value(micros(at)))
                .filter(Column::Digest.eq(digest.as_bytes().as_slice()))
                .filter(Column::DueAt.is_not_null())
                .exec(&self.db)
                .await?;
            Ok(())
        })
        .await
    }

    async fn finish(
        &self,
        digest: &Sha256Digest,
        now: DateTime<Utc>,
        known_until: DateTime<Utc>,
    ) -> Result<(), RepositoryError> {
        with_timeout(async {
            Entity::update_many()
                .col_expr(Column::Subject, Expr::value(None::<String>))
                .col_expr(Column::DueAt, Expr::value(None::<i64>))
                .col_expr(Column::AppliedAt, Expr::value(micros(now)))
                .col_expr(Column::ForgetAt, Expr::value(micros(known_until)))
                .filter(Column::Digest.eq(digest.as_bytes().as_slice()))
                .filter(Column::DueAt.is_not_null())
                .exec(&self.db)
                .await?;
            Ok(())
        })
        .await
    }

    async fn progress(&self, digest: &Sha256Digest) -> Result<Option<NoticeProgress>, RepositoryError> {
        with_timeout(async {
            let row = Entity::find_by_id(digest.as_bytes().to_vec()).one(&self.db).await?;
            row.map(NoticeProgress::try_from).transpose()
        })
        .await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        forget::<Entity>(&self.db, Column::Digest, Column::ForgetAt, now).await
    }
}

/// An unreadable row, of a newer version for instance, stays for a gateway that can read it, and does not stop the
/// others.
fn readable(row: notices::Model) -> Option<ClaimedNotice> {
    row.try_into().inspect_err(|error| error!(%error, "a stored notice cannot be read; it stays")).ok()
}
