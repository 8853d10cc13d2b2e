//! What happens to a family: rotation and revocation. Both lock the family's row first (SQLite: the whole file, in
//! `begin`), so that they happen one after the other and a revocation never misses a successor.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::deny_list;
use crate::domain::gateway::{
    models::{
        id::{ClientId, FamilyId, SessionId},
        token::{LEEWAY, Revocation, Rotation, RotationOutcome, TokenDigest, TokenFamily},
    },
    repositories::{
        RepositoryError, kept,
        sea_orm::entities::{corrupt, digest, micros, refresh_tokens, time, token_families},
    },
};

pub(super) async fn rotate(
    transaction: &DatabaseTransaction,
    rotation: &Rotation,
) -> Result<RotationOutcome, RepositoryError> {
    let now = kept(rotation.now);
    let Some(row) = lock_family_of(transaction, &rotation.presented).await? else {
        return Ok(RotationOutcome::Unknown);
    };
    let forget_at = time(row.forget_at)?;
    let family = TokenFamily::try_from(row)?;
    if family.revoked_at.is_some() {
        return Ok(RotationOutcome::Revoked);
    }
    if consume(transaction, rotation).await? {
        let successor = refresh_tokens::ActiveModel::new(family.id, &rotation.successor);
        refresh_tokens::Entity::insert(successor).exec_without_returning(transaction).await?;
        let family = family.with_access_token_issued(now);
        note_expiry(transaction, &family, forget_at.max(rotation.successor.expires_at)).await?;
        return Ok(RotationOutcome::Rotated(family));
    }
    match find_use(transaction, &rotation.presented).await? {
        None => Ok(RotationOutcome::Expired),
        Some(used) if now - used.at < rotation.grace => {
            let family = family.with_access_token_issued(now);
            note_expiry(transaction, &family, forget_at).await?;
            Ok(RotationOutcome::Replayed { family, successor: used.successor })
        }
        Some(_) => Ok(RotationOutcome::Reused { family: end(transaction, family, now).await? }),
    }
}

pub(super) async fn revoke(
    transaction: &DatabaseTransaction,
    id: FamilyId,
    now: DateTime<Utc>,
) -> Result<Option<TokenFamily>, RepositoryError> {
    let row = token_families::Entity::find_by_id(id.as_uuid()).lock_exclusive().one(transaction).await?;
    match row.map(TokenFamily::try_from).transpose()? {
        Some(family) if family.revoked_at.is_none() => end(transaction, family, kept(now)).await.map(Some),
        family => Ok(family),
    }
}

/// Ends every family of a subject, in the order of their ids, so that two that do so at once do not wait for each other.
pub(super) async fn end_all_of(
    transaction: &DatabaseTransaction,
    subject: &str,
) -> Result<Vec<Revocation>, RepositoryError> {
    use token_families::Column;
    let rows = token_families::Entity::find()
        .filter(Column::Subject.eq(subject))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let mut revocations = Vec::with_capacity(rows.len());
    for row in rows {
        // Only what a revocation wants of it: a family that is no model must not outlive its account.
        let (id, access_expires_at) = (FamilyId::from(row.id), time(row.access_expires_at)?);
        let revocation = Revocation { id: id.into(), expires_at: access_expires_at + LEEWAY };
        deny_list::add(transaction, &revocation).await?;
        // Takes its refresh tokens along.
        token_families::Entity::delete_by_id(row.id).exec(transaction).await?;
        revocations.push(revocation);
    }
    Ok(revocations)
}

/// Families that are revoked in one transaction.
const BATCH: u64 = 100;

/// Revokes some of a client's families that were not revoked before; none if there is none left.
pub(super) async fn revoke_some_of(
    transaction: &DatabaseTransaction,
    client: ClientId,
    now: DateTime<Utc>,
) -> Result<Vec<TokenFamily>, RepositoryError> {
    use token_families::Column;
    let rows = token_families::Entity::find()
        .filter(Column::ClientId.eq(client.to_string()))
        .filter(Column::RevokedAt.is_null())
        .order_by_asc(Column::Id)
        .limit(BATCH)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let mut revoked = Vec::with_capacity(rows.len());
    for row in rows {
        revoked.push(end(transaction, TokenFamily::try_from(row)?, kept(now)).await?);
    }
    Ok(revoked)
}

/// Locks all of them before the first entry takes its place: whoever waits for the counter of places then waits for no
/// family of ours, and by their ids, so that two who do this at once wait in one direction.
pub(super) async fn revoke_all_of(
    transaction: &DatabaseTransaction,
    sessions: &[SessionId],
    now: DateTime<Utc>,
) -> Result<Vec<TokenFamily>, RepositoryError> {
    use token_families::Column;
    let now = kept(now);
    let meant = token_families::Entity::find()
        .filter(Column::SessionId.is_in(sessions.iter().map(|session| session.as_uuid())))
        .filter(Column::RevokedAt.is_null())
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let revoked = meant
        .into_iter()
        .map(|row| Ok(TokenFamily { revoked_at: Some(now), ..TokenFamily::try_from(row)? }))
        .collect::<Result<Vec<_>, RepositoryError>>()?;
    for family in &revoked {
        token_families::Entity::update_many()
            .col_expr(Column::RevokedAt, Expr::value(micros(now)))
            .filter(Column::Id.eq(family.id.as_uuid()))
            .exec(transaction)
            .await?;
    }
    for family in revoked.iter().filter(|family| family.may_have_live_access_tokens(now)) {
        deny_list::add(transaction, &family.revocation()).await?;
    }
    Ok(revoked)
}

async fn lock_family_of(
    transaction: &DatabaseTransaction,
    digest: &TokenDigest,
) -> Result<Option<token_families::Model>, RepositoryError> {
    let family_id = refresh_tokens::Entity::find_by_id(*digest.as_bytes())
        .select_only()
        .column(refresh_tokens::Column::FamilyId)
        .into_query();
    Ok(token_families::Entity::find()
        .filter(token_families::Column::Id.in_subquery(family_id))
        .lock_exclusive()
        .one(transaction)
        .await?)
}

/// Uses the presented token up. Whether it still could be is decided by the write itself.
async fn consume(transaction: &DatabaseTransaction, rotation: &Rotation) -> Result<bool, RepositoryError> {
    use refresh_tokens::Column;
    let now = micros(rotation.now);
    let updated = refresh_tokens::Entity::update_many()
        .col_expr(Column::ConsumedAt, Expr::value(now))
        .col_expr(Column::Successor, Expr::value(rotation.successor.digest.as_bytes().to_vec()))
        .filter(Column::Digest.eq(rotation.presented.as_bytes().to_vec()))
        .filter(Column::ConsumedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .exec(transaction)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// When a token was used, and for which successor.
struct Use {
    at: DateTime<Utc>,
    successor: TokenDigest,
}

async fn find_use(transaction: &DatabaseTransaction, token: &TokenDigest) -> Result<Option<Use>, RepositoryError> {
    let row = refresh_tokens::Entity::find_by_id(*token.as_bytes())
        .one(transaction)
        .await?
        .ok_or_else(|| corrupt("a refresh token that vanished from a locked family"))?;
    match (row.consumed_at, row.successor) {
        (Some(at), Some(successor)) => Ok(Some(Use { at: time(at)?, successor: digest(successor)? })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(corrupt("a half-used refresh token")),
    }
}

/// Notes that the family has a new access token, and until when anything of it can matter.
async fn note_expiry(
    transaction: &DatabaseTransaction,
    family: &TokenFamily,
    forget_at: DateTime<Utc>,
) -> Result<(), RepositoryError> {
    use token_families::Column;
    token_families::Entity::update_many()
        .col_expr(Column::AccessExpiresAt, Expr::value(micros(family.access_expires_at)))
        .col_expr(Column::ForgetAt, Expr::value(micros(forget_at.max(family.access_expires_at))))
        .filter(Column::Id.eq(family.id.as_uuid()))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Revokes a family that is locked and was not revoked before.
async fn end(
    transaction: &DatabaseTransaction,
    family: TokenFamily,
    now: DateTime<Utc>,
) -> Result<TokenFamily, RepositoryError> {
    use token_families::Column;
    token_families::Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(micros(now)))
        .filter(Column::Id.eq(family.id.as_uuid()))
        .exec(transaction)
        .await?;
    deny_list::add(transaction, &family.revocation()).await?;
    Ok(TokenFamily { revoked_at: Some(now), ..family })
}
