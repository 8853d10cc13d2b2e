//! Machine clients in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};

use super::{
    connection::{Connection, with_timeout},
    entities::{clients, redeemed_assertions},
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        client::{Client, ClientCredential},
        values::{digest::Sha256Digest, id::ClientId},
    },
    repositories::{RepositoryError, client::ClientRepository},
};

/// Machine clients in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmClients {
    db: Connection,
}

impl SeaOrmClients {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl ClientRepository for SeaOrmClients {
    async fn add(&self, client: &Client) -> Result<(), RepositoryError> {
        with_timeout(async {
            let row = clients::ActiveModel::from(client);
            clients::Entity::insert(row).exec_without_returning(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn find(&self, id: ClientId) -> Result<Option<Client>, RepositoryError> {
        with_timeout(async {
            let row = clients::Entity::find_by_id(id.as_uuid()).one(&self.db).await?;
            row.map(Client::try_from).transpose()
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Client>, RepositoryError> {
        with_timeout(async {
            let rows = clients::Entity::find()
                .order_by_asc(clients::Column::CreatedAt)
                .order_by_asc(clients::Column::Id)
                .all(&self.db)
                .await?;
            rows.into_iter().map(Client::try_from).collect()
        })
        .await
    }

    async fn replace_credential(&self, id: ClientId, credential: &ClientCredential) -> Result<bool, RepositoryError> {
        let (secret_digest, keys) = clients::columns(credential);
        with_timeout(async {
            let outcome = clients::Entity::update_many()
                .col_expr(clients::Column::SecretDigest, Expr::value(secret_digest))
                .col_expr(clients::Column::Keys, Expr::value(keys))
                .filter(clients::Column::Id.eq(id.as_uuid()))
                .exec(&self.db)
                .await?;
            Ok(outcome.rows_affected == 1)
        })
        .await
    }

    async fn remove(&self, id: ClientId) -> Result<Option<Client>, RepositoryError> {
        with_timeout(async {
            let rows = clients::Entity::delete_many()
                .filter(clients::Column::Id.eq(id.as_uuid()))
                .exec_with_returning(&self.db)
                .await?;
            rows.into_iter().next().map(Client::try_from).transpose()
        })
        .await
    }

    async fn redeem(&self, assertion: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError> {
        with_timeout(async {
            let mut unless_there = OnConflict::column(redeemed_assertions::Column::Digest);
            unless_there.do_nothing();
            let row = redeemed_assertions::ActiveModel::new(assertion, expires_at);
            let inserted = redeemed_assertions::Entity::insert(row)
                .on_conflict(unless_there)
                .exec_without_returning(&self.db)
                .await?;
            Ok(inserted == 1)
        })
        .await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        use redeemed_assertions::Column;
        forget::<redeemed_assertions::Entity>(&self.db, Column::Digest, Column::ExpiresAt, now).await
    }
}
