//! Grants: storing, finding, listing.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict},
};

use crate::domain::gateway::{
    models::{
        oauth::{ExpiryCursor, Grant, GrantCursor, GrantFilter, GrantStatus, ProviderName, PutOutcome},
        values::id::GrantId,
    },
    repositories::{
        Constraint, RepositoryError,
        sea_orm::{
            connection::{Connection, begin},
            entities::{
                account_identities, accounts, corrupt,
                grants::{self, ActiveModel, Column, allowed_at, status_text},
                micros,
            },
        },
    },
};

pub(super) async fn put(db: &Connection, grant: &Grant) -> Result<Grant, RepositoryError> {
    // The row is returned before SQLite has committed: without the transaction, an error of the commit would be lost.
    let transaction = begin(db).await?;
    demand_identity(&transaction, grant).await?;
    let row = grants::Entity::insert(ActiveModel::from(grant))
        .on_conflict(take_over())
        .exec_with_returning(&transaction)
        .await?;
    transaction.commit().await?;
    row.try_into()
}

pub(super) async fn put_unless_renewable(db: &Connection, grant: &Grant) -> Result<PutOutcome, RepositoryError> {
    let is_unrenewable =
        Condition::any().add(Column::Status.ne(status_text(GrantStatus::Active))).add(Column::Refreshable.eq(false));
    let transaction = begin(db).await?;
    demand_identity(&transaction, grant).await?;
    let stored = grants::Entity::insert(ActiveModel::from(grant))
        .on_conflict(take_over().action_cond_where(is_unrenewable).to_owned())
        .exec_without_returning(&transaction)
        .await?;
    let row = grants::Entity::find()
        .filter(Column::AccountId.eq(grant.account.as_uuid()))
        .filter(Column::Provider.eq(grant.provider.as_str()))
        .filter(Column::ProviderSubject.eq(&grant.provider_subject))
        .one(&transaction)
        .await?
        .ok_or_else(|| corrupt("a grant that was just stored"))?;
    transaction.commit().await?;
    let grant = row.try_into()?;
    Ok(if stored == 1 { PutOutcome::Stored(grant) } else { PutOutcome::Renewable(grant) })
}

/// The existing grant keeps its id and creation time, and loses its lease.
fn take_over() -> OnConflict {
    let mut take_over = OnConflict::columns([Column::AccountId, Column::Provider, Column::ProviderSubject]);
    take_over.update_columns([
        Column::Status,
        Column::SealedTokens,
        Column::ExpiresAt,
        Column::Refreshable,
        Column::AllowedAt,
        Column::UpdatedAt,
        Column::LeaseHolder,
        Column::LeaseUntil,
    ]);
    take_over
}

/// Checks that the account exists and has the identity. It is locked: a write that deletes the account, or removes the
/// identity from it, happens before this or after the transaction.
async fn demand_identity(transaction: &impl ConnectionTrait, grant: &Grant) -> Result<(), RepositoryError> {
    let account = accounts::Entity::find_by_id(grant.account.as_uuid()).lock_shared().one(transaction).await?;
    let identity = (grant.provider.to_string(), grant.provider_subject.clone());
    let identity = account_identities::Entity::find_by_id(identity).one(transaction).await?;
    if account.is_none() || identity.is_none_or(|identity| identity.account_id != grant.account.as_uuid()) {
        return Err(RepositoryError::Conflict(Constraint::Identity));
    }
    Ok(())
}

pub(super) async fn find(db: &Connection, id: GrantId) -> Result<Option<Grant>, RepositoryError> {
    let row = grants::Entity::find_by_id(id.as_uuid()).one(db).await?;
    row.map(Grant::try_from).transpose()
}

pub(super) async fn list(
    db: &Connection,
    filter: &GrantFilter,
    after: Option<GrantCursor>,
    limit: u64,
) -> Result<Vec<Grant>, RepositoryError> {
    let rows = grants::Entity::find()
        .apply_if(filter.account, |query, account| query.filter(Column::AccountId.eq(account.as_uuid())))
        .apply_if(filter.provider.as_ref(), |query, provider| query.filter(Column::Provider.eq(provider.as_str())))
        .apply_if(after, |query, after| query.filter(behind(after)))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// Compares (time, id) as a pair, which both databases look up in an index.
fn behind(cursor: GrantCursor) -> Expr {
    Expr::tuple([Expr::col(Column::CreatedAt), Expr::col(Column::Id)])
        .lt(Expr::tuple([Expr::value(micros(cursor.created_at)), Expr::value(cursor.id.as_uuid())]))
}

/// Like `behind`, in the opposite direction.
fn expiring_behind(cursor: ExpiryCursor) -> Expr {
    Expr::tuple([Expr::col(Column::ExpiresAt), Expr::col(Column::Id)])
        .gt(Expr::tuple([Expr::value(micros(cursor.expires_at)), Expr::value(cursor.id.as_uuid())]))
}

pub(super) async fn revoke_of(
    db: &Connection,
    provider: &ProviderName,
    subject: &str,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<Grant>, RepositoryError> {
    let revoked = grants::Entity::update_many()
        .set(ActiveModel::without_lease())
        .col_expr(Column::Status, Expr::value(status_text(GrantStatus::Revoked)))
        .col_expr(Column::UpdatedAt, Expr::value(micros(now)))
        .filter(Column::Provider.eq(provider.as_str()))
        .filter(Column::ProviderSubject.eq(subject))
        .filter(Column::Status.ne(status_text(GrantStatus::Revoked)))
        .filter(allowed_at().lte(micros(until)))
        .exec_with_returning(db)
        .await?;
    revoked.into_iter().map(Grant::try_from).collect()
}

pub(super) async fn reseal(
    db: &Connection,
    id: GrantId,
    read: &[u8],
    resealed: &[u8],
) -> Result<bool, RepositoryError> {
    let updated = grants::Entity::update_many()
        .col_expr(Column::SealedTokens, Expr::value(resealed.to_vec()))
        .filter(Column::Id.eq(id.as_uuid()))
        .filter(Column::SealedTokens.eq(read.to_vec()))
        .exec(db)
        .await?;
    Ok(updated.rows_affected == 1)
}

pub(super) async fn remove(db: &Connection, id: GrantId) -> Result<Option<Grant>, RepositoryError> {
    let rows = grants::Entity::delete_many().filter(Column::Id.eq(id.as_uuid())).exec_with_returning(db).await?;
    rows.into_iter().next().map(Grant::try_from).transpose()
}

pub(super) async fn expiring(
    db: &Connection,
    provider: &ProviderName,
    before: DateTime<Utc>,
    after: Option<ExpiryCursor>,
    limit: u64,
) -> Result<Vec<Grant>, RepositoryError> {
    let rows = grants::Entity::find()
        .filter(Column::Provider.eq(provider.as_str()))
        .filter(Column::Status.eq(status_text(GrantStatus::Active)))
        .filter(Column::Refreshable.eq(true))
        .filter(Column::ExpiresAt.lte(micros(before)))
        .apply_if(after, |query, after| query.filter(expiring_behind(after)))
        .order_by_asc(Column::ExpiresAt)
        .order_by_asc(Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(Grant::try_from).collect()
}
