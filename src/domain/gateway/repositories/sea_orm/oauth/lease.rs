//! The lease to refresh a grant. Every step is one conditional write: its result is whether it changed the row.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, UpdateMany, sea_query::Expr};

use crate::domain::gateway::{
    models::oauth::{Grant, LeaseOutcome, RefreshLease},
    repositories::{
        RepositoryError,
        sea_orm::{
            connection::Connection,
            entities::{
                grants::{self, ActiveModel, Column},
                micros, time,
            },
        },
    },
};

pub(super) async fn acquire(
    db: &Connection,
    lease: &RefreshLease,
    now: DateTime<Utc>,
) -> Result<LeaseOutcome, RepositoryError> {
    loop {
        let rows = grants::Entity::update_many()
            .col_expr(Column::LeaseHolder, Expr::value(lease.holder.as_uuid()))
            .col_expr(Column::LeaseUntil, Expr::value(micros(lease.until)))
            .filter(Column::Id.eq(lease.grant.as_uuid()))
            .filter(Condition::any().add(Column::LeaseUntil.is_null()).add(Column::LeaseUntil.lte(micros(now))))
            .exec_with_returning(db)
            .await?;
        if let Some(row) = rows.into_iter().next() {
            return Grant::try_from(row).map(LeaseOutcome::Acquired);
        }
        let Some(row) = grants::Entity::find_by_id(lease.grant.as_uuid()).one(db).await? else {
            return Ok(LeaseOutcome::Gone);
        };
        if let Some(until) = row.lease_until.filter(|until| micros(now) < *until) {
            return Ok(LeaseOutcome::Held { until: time(until)? });
        }
        // It was released between the two queries.
    }
}

pub(super) async fn renew(db: &Connection, lease: &RefreshLease, now: DateTime<Utc>) -> Result<bool, RepositoryError> {
    let renewed = held(lease)
        .col_expr(Column::LeaseUntil, Expr::value(micros(lease.until)))
        .filter(Column::LeaseUntil.gt(micros(now)))
        .exec(db)
        .await?;
    Ok(renewed.rows_affected == 1)
}

pub(super) async fn finish(db: &Connection, lease: &RefreshLease, refreshed: &Grant) -> Result<bool, RepositoryError> {
    let finished = held(lease).set(ActiveModel::refreshed(refreshed)).exec(db).await?;
    Ok(finished.rows_affected == 1)
}

pub(super) async fn release(db: &Connection, lease: &RefreshLease) -> Result<(), RepositoryError> {
    held(lease).set(ActiveModel::without_lease()).exec(db).await?;
    Ok(())
}

/// An update of the grant on condition that this holder has its lease, ended or not.
fn held(lease: &RefreshLease) -> UpdateMany<grants::Entity> {
    grants::Entity::update_many()
        .filter(Column::Id.eq(lease.grant.as_uuid()))
        .filter(Column::LeaseHolder.eq(lease.holder.as_uuid()))
}
