//! The states of finished sign-ins in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{EntityTrait, sea_query::OnConflict};

use super::{
    connection::{Connection, with_timeout},
    entities::redeemed_logins::{self, Column},
    forgetting::forget,
};
use crate::domain::gateway::{
    models::values::digest::Sha256Digest,
    repositories::{RepositoryError, login::LoginRepository},
};

/// The states of finished sign-ins in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmLogins {
    db: Connection,
}

impl SeaOrmLogins {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl LoginRepository for SeaOrmLogins {
    async fn redeem(&self, state: &Sha256Digest, expires_at: DateTime<Utc>) -> Result<bool, RepositoryError> {
        with_timeout(async {
            let mut unless_there = OnConflict::column(Column::State);
            unless_there.do_nothing();
            let row = redeemed_logins::ActiveModel::new(state, expires_at);
            let inserted =
                redeemed_logins::Entity::insert(row).on_conflict(unless_there).exec_without_returning(&self.db).await?;
            Ok(inserted == 1)
        })
        .await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        forget::<redeemed_logins::Entity>(&self.db, Column::State, Column::ExpiresAt, now).await
    }
}
