//! Accounts and identities. The identity's primary key decides its account; a writer that finds it taken leaves nothing
//! behind.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};

use crate::domain::gateway::{
    models::{
        account::{Account, ProviderIdentity},
        oauth::ProviderName,
        values::id::AccountId,
    },
    repositories::{
        Constraint, RepositoryError,
        sea_orm::{
            connection::{Connection, begin, without_account},
            entities::{account_identities, accounts, corrupt},
        },
        truncate_to_micros,
    },
};

pub(super) async fn of(
    db: &Connection,
    identity: &ProviderIdentity,
    new_account: &Account,
) -> Result<Account, RepositoryError> {
    if let Some(account) = known(db, identity).await? {
        return Ok(account);
    }
    match admit(db, identity, new_account).await {
        // Another was faster; otherwise the new_account's id is taken.
        Err(conflict @ RepositoryError::Conflict(_)) => known(db, identity).await?.ok_or(conflict),
        outcome => outcome,
    }
}

/// The account of a known identity. Its e-mail becomes that of `identity`, and so does its name if `identity` has one.
async fn known(db: &Connection, identity: &ProviderIdentity) -> Result<Option<Account>, RepositoryError> {
    use account_identities::Column;
    let transaction = begin(db).await?;
    let mut update = account_identities::Entity::update_many()
        .col_expr(Column::VerifiedEmail, Expr::value(identity.verified_email.clone()));
    if let Some(name) = &identity.name {
        update = update.col_expr(Column::Name, Expr::value(name.clone()));
    }
    let rows = update
        .filter(Column::Provider.eq(identity.provider.as_str()))
        .filter(Column::Subject.eq(&identity.subject))
        .exec_with_returning(&transaction)
        .await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let account = accounts::Entity::find_by_id(row.account_id)
        .one(&transaction)
        .await?
        .ok_or_else(|| corrupt("an identity without its account"))?;
    transaction.commit().await?;
    account.try_into().map(Some)
}

/// Stores the new account and the identity, both or neither.
async fn admit(
    db: &Connection,
    identity: &ProviderIdentity,
    new_account: &Account,
) -> Result<Account, RepositoryError> {
    let transaction = begin(db).await?;
    accounts::Entity::insert(accounts::ActiveModel::from(new_account)).exec_without_returning(&transaction).await?;
    if !insert(&transaction, identity, new_account.id).await? {
        return Err(RepositoryError::Conflict(Constraint::Identity));
    }
    transaction.commit().await?;
    Ok(Account { created_at: truncate_to_micros(new_account.created_at), ..new_account.clone() })
}

pub(super) async fn find(
    db: &Connection,
    provider: &ProviderName,
    subject: &str,
) -> Result<Option<AccountId>, RepositoryError> {
    let key = (provider.to_string(), subject.to_owned());
    let row = account_identities::Entity::find_by_id(key).one(db).await?;
    Ok(row.map(|row| row.account_id.into()))
}

pub(super) async fn link(
    db: &Connection,
    identity: &ProviderIdentity,
    account: &Account,
) -> Result<(), RepositoryError> {
    if insert(db, identity, account.id).await.map_err(without_account)? {
        return Ok(());
    }
    let key = (identity.provider.to_string(), identity.subject.clone());
    match account_identities::Entity::find_by_id(key).one(db).await? {
        Some(row) if row.account_id == account.id.as_uuid() => Ok(()),
        Some(_) | None => Err(RepositoryError::Conflict(Constraint::Identity)),
    }
}

pub(super) async fn identities(db: &Connection, account: AccountId) -> Result<Vec<ProviderIdentity>, RepositoryError> {
    use account_identities::Column;
    let rows = account_identities::Entity::find().filter(Column::AccountId.eq(account.as_uuid())).all(db).await?;
    let identities = rows.into_iter().map(ProviderIdentity::try_from).collect::<Result<Vec<_>, _>>();
    // Not sorted by the database: PostgreSQL sorts by its locale.
    identities.map(|mut identities| {
        identities.sort_by(|one, other| (&one.provider, &one.subject).cmp(&(&other.provider, &other.subject)));
        identities
    })
}

/// Inserts an identity, unless it exists already.
async fn insert(db: &impl ConnectionTrait, identity: &ProviderIdentity, account: AccountId) -> Result<bool, DbErr> {
    use account_identities::Column;
    let mut unless_there = OnConflict::columns([Column::Provider, Column::Subject]);
    unless_there.do_nothing();
    let row = account_identities::ActiveModel::new(identity, account);
    // Not `on_conflict_do_nothing_on`: it returns `Inserted` where nothing was inserted.
    let inserted = account_identities::Entity::insert(row).on_conflict(unless_there).exec_without_returning(db).await?;
    Ok(inserted == 1)
}
