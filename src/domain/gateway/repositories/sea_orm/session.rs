//! Sessions in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::{
    connection::{Connection, with_timeout, without_account},
    entities::{micros, sessions},
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        session::Session,
        values::{
            digest::Sha256Digest,
            id::{AccountId, SessionId},
        },
    },
    repositories::{RepositoryError, session::SessionRepository},
};

/// Sessions in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmSessions {
    db: Connection,
}

impl SeaOrmSessions {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl SessionRepository for SeaOrmSessions {
    async fn open(&self, session: &Session) -> Result<(), RepositoryError> {
        with_timeout(async {
            let row = sessions::ActiveModel::from(session);
            sessions::Entity::insert(row).exec_without_returning(&self.db).await.map_err(without_account)?;
            Ok(())
        })
        .await
    }

    async fn find(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError> {
        with_timeout(async {
            let row = sessions::Entity::find()
                .filter(sessions::Column::Digest.eq(digest.as_bytes().as_slice()))
                .one(&self.db)
                .await?;
            row.map(Session::try_from).transpose()
        })
        .await
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<Session>, RepositoryError> {
        with_timeout(async {
            let row = sessions::Entity::find_by_id(id.as_uuid()).one(&self.db).await?;
            row.map(Session::try_from).transpose()
        })
        .await
    }

    async fn list_of(&self, account: AccountId, limit: u64) -> Result<Vec<Session>, RepositoryError> {
        use sessions::Column;
        with_timeout(async {
            let rows = sessions::Entity::find()
                .filter(Column::AccountId.eq(account.as_uuid()))
                .order_by_desc(Column::UsedAt)
                .order_by_asc(Column::Id)
                .limit(limit)
                .all(&self.db)
                .await?;
            rows.into_iter().map(Session::try_from).collect()
        })
        .await
    }

    async fn prolong(&self, used: &Session) -> Result<bool, RepositoryError> {
        use sessions::Column;
        let (used_at, idle_until) = (micros(used.used_at), micros(used.idle_until));
        with_timeout(async {
            let outcome = sessions::Entity::update_many()
                .col_expr(Column::UsedAt, Expr::value(used_at))
                .col_expr(Column::IdleUntil, Expr::value(idle_until))
                .filter(Column::Digest.eq(used.digest.as_bytes().as_slice()))
                .filter(Column::IdleUntil.gt(used_at))
                .filter(Column::IdleUntil.lt(idle_until))
                .exec(&self.db)
                .await?;
            Ok(outcome.rows_affected == 1)
        })
        .await
    }

    async fn end(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError> {
        with_timeout(async {
            let rows = sessions::Entity::delete_many()
                .filter(sessions::Column::Digest.eq(digest.as_bytes().as_slice()))
                .exec_with_returning(&self.db)
                .await?;
            rows.into_iter().next().map(Session::try_from).transpose()
        })
        .await
    }

    async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<Vec<Session>, RepositoryError> {
        use sessions::Column;
        with_timeout(async {
            let mut all = sessions::Entity::delete_many().filter(Column::AccountId.eq(account.as_uuid()));
            if let Some(but) = but {
                all = all.filter(Column::Id.ne(but.as_uuid()));
            }
            let rows = all.exec_with_returning(&self.db).await?;
            rows.into_iter().map(Session::try_from).collect()
        })
        .await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        forget::<sessions::Entity>(&self.db, sessions::Column::Id, sessions::Column::IdleUntil, now).await
    }
}
