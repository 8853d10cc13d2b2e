//! Rotation and revocation of families. Both lock the family's row first (SQLite: the whole file, in `begin`), so that
//! they happen one after the other and a revocation never misses a successor.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, LockBehavior, LockType},
};
use uuid::Uuid;

use super::deny_list;
use crate::domain::gateway::{
    models::{
        token::{KEPT_GENERATIONS, LEEWAY, MAX_GENERATION, Revocation, Rotation, RotationOutcome, TokenFamily},
        values::{
            digest::Sha256Digest,
            id::{ClientId, FamilyId, SessionId},
        },
    },
    repositories::{
        RepositoryError,
        sea_orm::{
            connection::{Connection, Transaction},
            entities::{
                micros, time,
                tokens::{refresh_tokens, revocations, token_families},
            },
        },
        truncate_to_micros,
    },
};

pub(super) async fn rotate(transaction: &Transaction, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
    let now = truncate_to_micros(rotation.now);
    let Some(row) = lock_family_of(transaction, &rotation.presented).await? else {
        return Ok(RotationOutcome::Unknown);
    };
    let forget_at = time(row.forget_at)?;
    let family = TokenFamily::try_from(row)?;
    if family.revoked_at.is_some() {
        return Ok(RotationOutcome::Revoked);
    }
    // Another rotation may have deleted it before the family was locked.
    let Some(presented) = find(transaction, &rotation.presented).await? else {
        return Ok(RotationOutcome::Unknown);
    };
    let used = presented.used()?;
    match used {
        None if presented.generation >= MAX_GENERATION => Ok(RotationOutcome::Expired),
        None if consume(transaction, rotation).await? => {
            let generation = presented.generation + 1;
            let successor = refresh_tokens::ActiveModel::new(family.id, generation, &rotation.successor);
            refresh_tokens::Entity::insert(successor).exec_without_returning(transaction).await?;
            let family = family.with_access_token_issued(now);
            note_expiry(transaction, &family, Ord::max(forget_at, rotation.successor.expires_at)).await?;
            forget_used(transaction, family.id, now, rotation.grace).await?;
            Ok(RotationOutcome::Rotated(family))
        }
        None => Ok(RotationOutcome::Expired),
        Some((at, successor)) if now - at < rotation.grace => {
            let unused = find(transaction, &successor).await?.is_some_and(|row| row.consumed_at.is_none());
            if !unused {
                return Ok(RotationOutcome::Superseded);
            }
            let family = family.with_access_token_issued(now);
            note_expiry(transaction, &family, forget_at).await?;
            Ok(RotationOutcome::Replayed { family, successor })
        }
        Some(_) => {
            let family = TokenFamily { revoked_at: Some(now), ..family };
            end(transaction, std::slice::from_ref(&family), now).await?;
            Ok(RotationOutcome::Reused { family })
        }
    }
}

pub(super) async fn revoke(
    transaction: &Transaction,
    id: FamilyId,
    now: DateTime<Utc>,
) -> Result<Option<TokenFamily>, RepositoryError> {
    let row = token_families::Entity::find_by_id(id.as_uuid()).lock_exclusive().one(transaction).await?;
    match row.map(TokenFamily::try_from).transpose()? {
        Some(family) if family.revoked_at.is_none() => {
            let family = TokenFamily { revoked_at: Some(truncate_to_micros(now)), ..family };
            end(transaction, std::slice::from_ref(&family), truncate_to_micros(now)).await?;
            Ok(Some(family))
        }
        family => Ok(family),
    }
}

/// Families that end in one transaction. Others wait for the counter of the deny-list meanwhile: some ten milliseconds,
/// though each family may have hundreds of used refresh tokens that are deleted with it.
const BATCH: u64 = 200;

/// Ends some families of a subject; returns nothing if none is left. They are locked in the order of their ids, so that
/// two concurrent calls do not wait for each other, and before the counter of positions: a transaction that waits for
/// the counter waits for no family.
pub(super) async fn end_some_of(transaction: &Transaction, subject: &str) -> Result<Vec<Revocation>, RepositoryError> {
    use token_families::Column;
    let meant =
        token_families::Entity::find().filter(Column::Subject.eq(subject)).order_by_asc(Column::Id).limit(BATCH);
    forget_families(transaction, meant.lock_exclusive()).await
}

/// Ends the oldest families beyond the newest `kept` of those that were opened for the same session, or without one for
/// the same subject by the same client. A family that another transaction has locked is left for the next time.
pub(super) async fn end_oldest_beside(
    transaction: &Transaction,
    family: &TokenFamily,
    kept: u64,
) -> Result<Vec<Revocation>, RepositoryError> {
    use token_families::Column;
    let alike = token_families::Entity::find()
        .filter(Column::Subject.eq(&family.subject))
        .filter(Column::ClientId.eq(&family.client_id))
        .filter(match family.session {
            Some(session) => Column::SessionId.eq(session.as_uuid()),
            None => Column::SessionId.is_null(),
        })
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .offset(kept)
        .limit(BATCH);
    forget_families(transaction, alike.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)).await
}

/// Puts these families on the deny-list and deletes them, with their refresh tokens.
async fn forget_families(
    transaction: &Transaction,
    meant: Select<token_families::Entity>,
) -> Result<Vec<Revocation>, RepositoryError> {
    use token_families::Column;
    // Reads only the columns that a revocation needs: an invalid family must not outlive its account.
    let rows: Vec<(Uuid, i64)> =
        meant.select_only().columns([Column::Id, Column::AccessExpiresAt]).into_tuple().all(transaction).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    token_families::Entity::delete_many()
        .filter(Column::Id.is_in(rows.iter().map(|(id, _)| *id)))
        .exec(transaction)
        .await?;
    let revocation = |(id, access_expires_at): (Uuid, i64)| {
        Ok(Revocation { id: FamilyId::from(id).into(), expires_at: time(access_expires_at)? + LEEWAY })
    };
    let revocations = rows.into_iter().map(revocation).collect::<Result<Vec<_>, RepositoryError>>()?;
    deny_list::add(transaction, &revocations).await?;
    Ok(revocations)
}

/// Revokes some of the matching families that were not revoked before; returns nothing if none is left. Locked as in
/// [`end_some_of`].
pub(super) async fn revoke_some(
    transaction: &Transaction,
    meant: Condition,
    now: DateTime<Utc>,
) -> Result<Vec<TokenFamily>, RepositoryError> {
    use token_families::Column;
    let now = truncate_to_micros(now);
    let rows = token_families::Entity::find()
        .filter(meant)
        .filter(Column::RevokedAt.is_null())
        .order_by_asc(Column::Id)
        .limit(BATCH)
        .lock_exclusive()
        .all(transaction)
        .await?;
    let revoked = rows
        .into_iter()
        .map(|row| Ok(TokenFamily { revoked_at: Some(now), ..TokenFamily::try_from(row)? }))
        .collect::<Result<Vec<_>, RepositoryError>>()?;
    end(transaction, &revoked, now).await?;
    Ok(revoked)
}

/// The families of a client.
pub(super) fn of_client(client: ClientId) -> Condition {
    Condition::all().add(token_families::Column::ClientId.eq(client.to_string()))
}

/// The families of these sessions.
pub(super) fn of_sessions(sessions: &[SessionId]) -> Condition {
    Condition::all().add(token_families::Column::SessionId.is_in(sessions.iter().map(|session| session.as_uuid())))
}

/// The families of sessions that are on the deny-list.
pub(super) fn of_ended_sessions() -> Condition {
    let ended = revocations::Entity::find().select_only().column(revocations::Column::Id).into_query();
    Condition::all().add(token_families::Column::SessionId.in_subquery(ended))
}

/// The family of any of these refresh tokens.
pub(super) async fn of_any(db: &Connection, tokens: &[Sha256Digest]) -> Result<Option<TokenFamily>, RepositoryError> {
    let digests = tokens.iter().map(|token| token.as_bytes().to_vec());
    let found = refresh_tokens::Entity::find()
        .filter(refresh_tokens::Column::Digest.is_in(digests))
        .find_also_related(token_families::Entity)
        .one(db)
        .await?;
    found.and_then(|(_, family)| family).map(TokenFamily::try_from).transpose()
}

async fn lock_family_of(
    transaction: &Transaction,
    digest: &Sha256Digest,
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

/// Uses the presented token up. The write itself decides whether it still could be used.
async fn consume(transaction: &Transaction, rotation: &Rotation) -> Result<bool, RepositoryError> {
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

async fn find(
    transaction: &Transaction,
    token: &Sha256Digest,
) -> Result<Option<refresh_tokens::Model>, RepositoryError> {
    Ok(refresh_tokens::Entity::find_by_id(*token.as_bytes()).one(transaction).await?)
}

/// Deletes used tokens of a family that are not needed: those that have expired, and those that can be recognised by a
/// stored one.
async fn forget_used(
    transaction: &Transaction,
    family: FamilyId,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> Result<(), RepositoryError> {
    use refresh_tokens::Column;
    let can_be_told = Condition::all()
        .add(Column::ConsumedAt.lte(micros(now - grace)))
        .add(Expr::col(Column::Generation).modulo(KEPT_GENERATIONS).ne(0));
    refresh_tokens::Entity::delete_many()
        .filter(Column::FamilyId.eq(family.as_uuid()))
        .filter(Column::ConsumedAt.is_not_null())
        .filter(Condition::any().add(Column::ExpiresAt.lte(micros(now))).add(can_be_told))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Records that the family has a new access token, and until when anything of it can matter.
async fn note_expiry(
    transaction: &Transaction,
    family: &TokenFamily,
    forget_at: DateTime<Utc>,
) -> Result<(), RepositoryError> {
    use token_families::Column;
    token_families::Entity::update_many()
        .col_expr(Column::AccessExpiresAt, Expr::value(micros(family.access_expires_at)))
        .col_expr(Column::ForgetAt, Expr::value(micros(Ord::max(forget_at, family.access_expires_at + LEEWAY))))
        .filter(Column::Id.eq(family.id.as_uuid()))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Stores the revocation of these families, which are locked and were not revoked before, and puts those that may have
/// a live access token on the deny-list.
async fn end(transaction: &Transaction, revoked: &[TokenFamily], now: DateTime<Utc>) -> Result<(), RepositoryError> {
    use token_families::Column;
    if revoked.is_empty() {
        return Ok(());
    }
    token_families::Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(micros(now)))
        .filter(Column::Id.is_in(revoked.iter().map(|family| family.id.as_uuid())))
        .exec(transaction)
        .await?;
    let live = revoked.iter().filter(|family| family.may_have_live_access_tokens(now));
    deny_list::add(transaction, &live.map(TokenFamily::revocation).collect::<Vec<_>>()).await
}
