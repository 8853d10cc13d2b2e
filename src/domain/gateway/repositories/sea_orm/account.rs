//! Accounts in a database: their identities, password logins and endings.

mod erasing;
mod identity;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::{
    connection::{Connection, Transaction, begin, with_timeout, without_account},
    entities::{
        account_endings, account_identities, accounts, grants, micros,
        password_logins::{self, Column},
    },
};
use crate::domain::gateway::{
    models::{
        account::{
            Account, AccountEnding, Email, ErasureOutcome, IdentityErasure, PasswordHash, PasswordLogin, Profile,
            ProviderIdentity, UnlinkOutcome,
        },
        oauth::{Grant, ProviderName},
        values::id::{AccountId, EndingId},
    },
    repositories::{Constraint, RepositoryError, account::AccountRepository},
};

/// Accounts in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmAccounts {
    db: Connection,
}

impl SeaOrmAccounts {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl AccountRepository for SeaOrmAccounts {
    async fn account_of(&self, identity: &ProviderIdentity, new_account: &Account) -> Result<Account, RepositoryError> {
        with_timeout(identity::of(&self.db, identity, new_account)).await
    }

    async fn find_account(&self, provider: &ProviderName, subject: &str) -> Result<Option<AccountId>, RepositoryError> {
        with_timeout(identity::find(&self.db, provider, subject)).await
    }

    async fn link(&self, identity: &ProviderIdentity, account: &Account) -> Result<(), RepositoryError> {
        with_timeout(identity::link(&self.db, identity, account)).await
    }

    async fn identities_of(&self, account: AccountId) -> Result<Vec<ProviderIdentity>, RepositoryError> {
        with_timeout(identity::identities(&self.db, account)).await
    }

    async fn sign_up(&self, account: &Account, login: &PasswordLogin) -> Result<(), RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            accounts::Entity::insert(accounts::ActiveModel::from(account)).exec_without_returning(&transaction).await?;
            let login = PasswordLogin { account: account.id, ..login.clone() };
            password_logins::Entity::insert(password_logins::ActiveModel::from(&login))
                .exec_without_returning(&transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn add_login(&self, login: &PasswordLogin) -> Result<(), RepositoryError> {
        with_timeout(async {
            let row = password_logins::ActiveModel::from(login);
            let added = password_logins::Entity::insert(row).exec_without_returning(&self.db).await;
            match added.map_err(without_account) {
                // Of two violated constraints a database names one, and not each the same.
                Err(RepositoryError::Conflict(Constraint::Email)) if has_login(&self.db, login.account).await? => {
                    Err(RepositoryError::Conflict(Constraint::Login))
                }
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        })
        .await
    }

    async fn find_login(&self, email: &Email) -> Result<Option<PasswordLogin>, RepositoryError> {
        with_timeout(async {
            let row = password_logins::Entity::find().filter(Column::EmailKey.eq(email.key())).one(&self.db).await?;
            row.map(PasswordLogin::try_from).transpose()
        })
        .await
    }

    async fn replace_hash(&self, read: &PasswordHash, login: &PasswordLogin) -> Result<bool, RepositoryError> {
        with_timeout(async {
            let updated = password_logins::Entity::update_many()
                .col_expr(Column::Hash, Expr::value(login.hash.expose()))
                .col_expr(Column::ChangedAt, Expr::value(micros(login.changed_at)))
                .filter(Column::AccountId.eq(login.account.as_uuid()))
                .filter(Column::Hash.eq(read.expose()))
                .exec(&self.db)
                .await?;
            Ok(updated.rows_affected == 1)
        })
        .await
    }

    async fn profile(&self, account: AccountId) -> Result<Option<Profile>, RepositoryError> {
        with_timeout(async {
            let Some(row) = accounts::Entity::find_by_id(account.as_uuid()).one(&self.db).await? else {
                return Ok(None);
            };
            let login = password_logins::Entity::find_by_id(account.as_uuid()).one(&self.db).await?;
            Ok(Some(Profile {
                account: row.try_into()?,
                login: login.map(PasswordLogin::try_from).transpose()?,
                identities: identity::identities(&self.db, account).await?,
            }))
        })
        .await
    }

    async fn unlink(&self, account: AccountId, provider: &ProviderName) -> Result<UnlinkOutcome, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let outcome = unlink(&transaction, account, provider).await?;
            transaction.commit().await?;
            Ok(outcome)
        })
        .await
    }

    async fn erase_identity(&self, erasure: &IdentityErasure) -> Result<ErasureOutcome, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let outcome = erasing::erase(&transaction, erasure).await?;
            transaction.commit().await?;
            Ok(outcome)
        })
        .await
    }

    async fn remove(&self, account: AccountId) -> Result<Option<Vec<Grant>>, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            // Locked first, so that no grant is added between reading the grants and deleting them with their account.
            if !lock(&transaction, account).await? {
                return Ok(None);
            }
            let of_account = grants::Entity::delete_many().filter(grants::Column::AccountId.eq(account.as_uuid()));
            let taken = readable(of_account.exec_with_returning(&transaction).await?);
            // Deletes everything else with it.
            accounts::Entity::delete_by_id(account.as_uuid()).exec(&transaction).await?;
            transaction.commit().await?;
            Ok(Some(taken))
        })
        .await
    }

    async fn begin_ending(&self, ending: &AccountEnding) -> Result<(), RepositoryError> {
        with_timeout(async {
            let row = account_endings::ActiveModel::from(ending);
            account_endings::Entity::insert(row).exec_without_returning(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn endings_begun_by(&self, at: DateTime<Utc>, limit: u64) -> Result<Vec<AccountEnding>, RepositoryError> {
        use account_endings::Column;
        with_timeout(async {
            let rows = account_endings::Entity::find()
                .filter(Column::BegunAt.lte(micros(at)))
                .order_by_asc(Column::BegunAt)
                .order_by_asc(Column::Id)
                .limit(limit)
                .all(&self.db)
                .await?;
            rows.into_iter().map(AccountEnding::try_from).collect()
        })
        .await
    }

    async fn finish_ending(&self, id: EndingId) -> Result<(), RepositoryError> {
        with_timeout(async {
            account_endings::Entity::delete_by_id(id.as_uuid()).exec(&self.db).await?;
            Ok(())
        })
        .await
    }
}

async fn has_login(db: &Connection, account: AccountId) -> Result<bool, RepositoryError> {
    Ok(password_logins::Entity::find_by_id(account.as_uuid()).count(db).await? > 0)
}

/// Whether the account exists; nothing that belongs to it changes until the transaction ends.
async fn lock(transaction: &Transaction, account: AccountId) -> Result<bool, RepositoryError> {
    Ok(accounts::Entity::find_by_id(account.as_uuid()).lock_exclusive().one(transaction).await?.is_some())
}

async fn unlink(
    transaction: &Transaction,
    account: AccountId,
    provider: &ProviderName,
) -> Result<UnlinkOutcome, RepositoryError> {
    use account_identities::Column as Identity;
    if !lock(transaction, account).await? {
        return Ok(UnlinkOutcome::NotLinked);
    }
    let identities = account_identities::Entity::find().filter(Identity::AccountId.eq(account.as_uuid()));
    let (there, elsewhere): (Vec<_>, Vec<_>) =
        identities.all(transaction).await?.into_iter().partition(|row| row.provider == provider.as_str());
    if there.is_empty() {
        return Ok(UnlinkOutcome::NotLinked);
    }
    let logins = password_logins::Entity::find_by_id(account.as_uuid()).count(transaction).await?;
    if elsewhere.is_empty() && logins == 0 {
        return Ok(UnlinkOutcome::LastWayIn);
    }
    account_identities::Entity::delete_many()
        .filter(Identity::AccountId.eq(account.as_uuid()))
        .filter(Identity::Provider.eq(provider.as_str()))
        .exec(transaction)
        .await?;
    let taken = grants::Entity::delete_many()
        .filter(grants::Column::AccountId.eq(account.as_uuid()))
        .filter(grants::Column::Provider.eq(provider.as_str()))
        .exec_with_returning(transaction)
        .await?;
    Ok(UnlinkOutcome::Unlinked(readable(taken)))
}

/// The readable grants among deleted rows, by id. An unreadable one cannot be revoked at its provider, and is no reason
/// to keep the others.
fn readable(rows: Vec<grants::Model>) -> Vec<Grant> {
    let mut grants: Vec<_> = rows.into_iter().filter_map(|row| Grant::try_from(row).ok()).collect();
    grants.sort_by_key(|grant| grant.id);
    grants
}
