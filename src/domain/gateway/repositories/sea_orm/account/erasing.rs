//! Removing one identity from its account, or the account with it.

use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, Select};

use super::{lock, readable};
use crate::domain::gateway::{
    models::{
        account::{AccountEnding, ErasureOutcome, IdentityErasure},
        oauth::GrantStatus,
    },
    repositories::{
        RepositoryError,
        sea_orm::{
            connection::Transaction,
            entities::{
                account_endings, account_identities, accounts,
                grants::{self, Column as Grant, allowed_at, status_text},
                micros, password_logins,
            },
        },
    },
};

pub(super) async fn erase(
    transaction: &Transaction,
    erasure: &IdentityErasure,
) -> Result<ErasureOutcome, RepositoryError> {
    let IdentityErasure { provider, subject, until, ending, now } = erasure;
    let key = || (provider.to_string(), subject.clone());
    let Some(known) = account_identities::Entity::find_by_id(key()).one(transaction).await? else {
        return Ok(ErasureOutcome::Unknown);
    };
    let account = known.account_id.into();
    // Locked before the rest is read. The identity may be gone in the meantime, but never belongs to another account:
    // one that comes back is new.
    if !lock(transaction, account).await? {
        return Ok(ErasureOutcome::Unknown);
    }
    let identities = identities_of(known.account_id).all(transaction).await?;
    let is_theirs = |row: &account_identities::Model| row.provider == provider.as_str() && row.subject == *subject;
    if !identities.iter().any(is_theirs) {
        return Ok(ErasureOutcome::Unknown);
    }
    let newer = grants::Entity::find()
        .filter(Grant::AccountId.eq(known.account_id))
        .filter(Grant::Provider.eq(provider.as_str()))
        .filter(Grant::ProviderSubject.eq(subject))
        .filter(Grant::Status.eq(status_text(GrantStatus::Active)))
        .filter(allowed_at().gt(micros(*until)));
    if newer.count(transaction).await? > 0 {
        return Ok(ErasureOutcome::AllowedAnew);
    }
    let taken = grants::Entity::delete_many()
        .filter(Grant::AccountId.eq(known.account_id))
        .filter(Grant::Provider.eq(provider.as_str()))
        .filter(Grant::ProviderSubject.eq(subject))
        .exec_with_returning(transaction)
        .await?;
    let logins = password_logins::Entity::find_by_id(known.account_id).count(transaction).await?;
    if identities.len() > 1 || logins > 0 {
        account_identities::Entity::delete_by_id(key()).exec(transaction).await?;
        return Ok(ErasureOutcome::Erased(account, readable(taken)));
    }
    // Deletes the identity with it.
    accounts::Entity::delete_by_id(known.account_id).exec(transaction).await?;
    let ending = AccountEnding { id: *ending, account, keep: None, removes: true, begun_at: *now };
    let row = account_endings::ActiveModel::from(&ending);
    account_endings::Entity::insert(row).exec_without_returning(transaction).await?;
    Ok(ErasureOutcome::AccountRemoved(ending, readable(taken)))
}

fn identities_of(account: sea_orm::prelude::Uuid) -> Select<account_identities::Entity> {
    account_identities::Entity::find().filter(account_identities::Column::AccountId.eq(account))
}
