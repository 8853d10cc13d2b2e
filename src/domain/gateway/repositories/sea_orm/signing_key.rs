//! Signing keys in a database.

use async_trait::async_trait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::{
    connection::{Connection, begin, with_timeout},
    entities::signing_keys::{self, Column},
};
use crate::domain::gateway::{
    models::signing_key::SigningKey,
    repositories::{RepositoryError, signing_key::SigningKeyRepository},
};

/// Signing keys in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmSigningKeys {
    db: Connection,
}

impl SeaOrmSigningKeys {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl SigningKeyRepository for SeaOrmSigningKeys {
    async fn list(&self) -> Result<Vec<SigningKey>, RepositoryError> {
        with_timeout(async {
            let rows = signing_keys::Entity::find().all(&self.db).await?;
            let mut keys = rows.into_iter().map(SigningKey::try_from).collect::<Result<Vec<_>, _>>()?;
            // Not sorted by the database: it would sort the algorithms by its collation.
            keys.sort_by_key(|key| (key.algorithm, key.generation));
            Ok(keys)
        })
        .await
    }

    async fn add(&self, key: &SigningKey) -> Result<(), RepositoryError> {
        with_timeout(async {
            let row = signing_keys::ActiveModel::from(key);
            signing_keys::Entity::insert(row).exec_without_returning(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn replace_all(&self, key: &SigningKey) -> Result<u64, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let deleted = signing_keys::Entity::delete_many().exec(&transaction).await?.rows_affected;
            let row = signing_keys::ActiveModel::from(key);
            signing_keys::Entity::insert(row).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(deleted)
        })
        .await
    }

    async fn reseal(&self, kid: &str, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError> {
        with_timeout(async {
            let updated = signing_keys::Entity::update_many()
                .col_expr(Column::SealedPrivateKey, Expr::value(resealed.to_vec()))
                .filter(Column::Kid.eq(kid))
                .filter(Column::SealedPrivateKey.eq(read.to_vec()))
                .exec(&self.db)
                .await?;
            Ok(updated.rows_affected == 1)
        })
        .await
    }

    async fn remove(&self, kid: &str) -> Result<(), RepositoryError> {
        with_timeout(async {
            signing_keys::Entity::delete_by_id(kid).exec(&self.db).await?;
            Ok(())
        })
        .await
    }
}
