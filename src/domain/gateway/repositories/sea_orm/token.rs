//! Tokens in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Iterable, QueryFilter,
    sea_query::{Expr, OnConflict},
};

use super::{
    connection::{Connection, Transaction, begin, with_timeout},
    entities::{
        micros,
        tokens::{dummy_tokens, refresh_tokens, revocations, token_families},
    },
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        token::{
            DummyToken, NewRefreshToken, RefreshRecord, Revocable, Revocation, RevocationCursor, RevocationPage,
            Rotation, RotationOutcome, TokenFamily,
        },
        values::{
            digest::Sha256Digest,
            id::{ClientId, FamilyId, SessionId},
        },
    },
    repositories::{RepositoryError, token::TokenRepository},
};

mod deny_list;
mod family;

/// Tokens in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmTokens {
    db: Connection,
}

impl SeaOrmTokens {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

impl SeaOrmTokens {
    /// Revokes the matching families, a batch at a time: each batch holds the counter of the deny-list, which others
    /// wait for.
    async fn revoke_all(&self, meant: Condition, now: DateTime<Utc>) -> Result<Vec<TokenFamily>, RepositoryError> {
        let mut revoked = Vec::new();
        loop {
            let batch = with_timeout(async {
                let transaction = begin(&self.db).await?;
                let batch = family::revoke_some(&transaction, meant.clone(), now).await?;
                transaction.commit().await?;
                Ok(batch)
            })
            .await?;
            if batch.is_empty() {
                return Ok(revoked);
            }
            revoked.extend(batch);
        }
    }
}

async fn open(transaction: &Transaction, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError> {
    let row = token_families::ActiveModel::new(family, Some(first));
    token_families::Entity::insert(row).exec_without_returning(transaction).await?;
    let row = refresh_tokens::ActiveModel::new(family.id, 0, first);
    refresh_tokens::Entity::insert(row).exec_without_returning(transaction).await?;
    Ok(())
}

#[async_trait]
impl TokenRepository for SeaOrmTokens {
    async fn open_family(&self, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            open(&transaction, family, first).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn open_family_among(
        &self,
        family: &TokenFamily,
        first: &NewRefreshToken,
        most: u64,
    ) -> Result<Vec<Revocation>, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            open(&transaction, family, first).await?;
            let ended = family::end_oldest_beside(&transaction, family, most).await?;
            transaction.commit().await?;
            Ok(ended)
        })
        .await
    }

    async fn open_access_only(&self, family: &TokenFamily) -> Result<(), RepositoryError> {
        with_timeout(async {
            let row = token_families::ActiveModel::new(family, None);
            token_families::Entity::insert(row).exec_without_returning(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn revoke_families_of_client(
        &self,
        client: ClientId,
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError> {
        self.revoke_all(family::of_client(client), now).await
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let outcome = family::rotate(&transaction, rotation).await?;
            transaction.commit().await?;
            Ok(outcome)
        })
        .await
    }

    async fn find_refresh(&self, digest: &Sha256Digest) -> Result<Option<RefreshRecord>, RepositoryError> {
        with_timeout(async {
            refresh_tokens::Entity::find_by_id(*digest.as_bytes())
                .find_also_related(token_families::Entity)
                .one(&self.db)
                .await?
                .map(RefreshRecord::try_from)
                .transpose()
        })
        .await
    }

    async fn revoke_family(&self, id: FamilyId, now: DateTime<Utc>) -> Result<Option<TokenFamily>, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let family = family::revoke(&transaction, id, now).await?;
            transaction.commit().await?;
            Ok(family)
        })
        .await
    }

    async fn end_families_of(&self, subject: &str) -> Result<Vec<Revocation>, RepositoryError> {
        let mut ended = Vec::new();
        loop {
            let batch = with_timeout(async {
                let transaction = begin(&self.db).await?;
                let batch = family::end_some_of(&transaction, subject).await?;
                transaction.commit().await?;
                Ok(batch)
            })
            .await?;
            if batch.is_empty() {
                return Ok(ended);
            }
            ended.extend(batch);
        }
    }

    async fn revoke_families_of_sessions(
        &self,
        sessions: &[SessionId],
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError> {
        self.revoke_all(family::of_sessions(sessions), now).await
    }

    async fn revoke_families_of_ended_sessions(&self, now: DateTime<Utc>) -> Result<Vec<TokenFamily>, RepositoryError> {
        self.revoke_all(family::of_ended_sessions(), now).await
    }

    async fn find_family_of(&self, tokens: &[Sha256Digest]) -> Result<Option<TokenFamily>, RepositoryError> {
        with_timeout(family::of_any(&self.db, tokens)).await
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            deny_list::add(&transaction, revocations).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn restore(&self, revocations: &[Revocation], now: DateTime<Utc>) -> Result<(), RepositoryError> {
        use token_families::Column;
        if revocations.is_empty() {
            return Ok(());
        }
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            let ids = revocations.iter().map(|revocation| revocation.id.as_uuid());
            token_families::Entity::update_many()
                .col_expr(Column::RevokedAt, Expr::value(micros(now)))
                .filter(Column::Id.is_in(ids))
                .filter(Column::RevokedAt.is_null())
                .exec(&transaction)
                .await?;
            deny_list::add(&transaction, revocations).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn revoked_among(&self, ids: &[Revocable]) -> Result<Vec<Revocable>, RepositoryError> {
        with_timeout(deny_list::among(&self.db, ids)).await
    }

    async fn is_any_revoked(&self, ids: &[Revocable]) -> Result<bool, RepositoryError> {
        with_timeout(deny_list::contains_any(&self.db, ids)).await
    }

    async fn revocations_after(&self, cursor: RevocationCursor, limit: u64) -> Result<RevocationPage, RepositoryError> {
        with_timeout(deny_list::after(&self.db, cursor, limit)).await
    }

    async fn put_dummy(&self, dummy: &DummyToken) -> Result<(), RepositoryError> {
        use dummy_tokens::Column;
        with_timeout(async {
            let mut replace = OnConflict::column(Column::Digest);
            replace.update_columns(Column::iter().filter(|column| !matches!(column, Column::Digest)));
            let row = dummy_tokens::ActiveModel::from(dummy);
            dummy_tokens::Entity::insert(row).on_conflict(replace).exec_without_returning(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn find_dummy(&self, digest: &Sha256Digest) -> Result<Option<DummyToken>, RepositoryError> {
        with_timeout(async {
            let row = dummy_tokens::Entity::find_by_id(*digest.as_bytes()).one(&self.db).await?;
            row.map(DummyToken::try_from).transpose()
        })
        .await
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let db = &self.db;
        let entries = forget::<revocations::Entity>(db, revocations::Column::Id, revocations::Column::ExpiresAt, now);
        let dummies =
            forget::<dummy_tokens::Entity>(db, dummy_tokens::Column::Digest, dummy_tokens::Column::ExpiresAt, now);
        // Deleting families deletes their refresh tokens.
        let families =
            forget::<token_families::Entity>(db, token_families::Column::Id, token_families::Column::ForgetAt, now);
        Ok(entries.await? + dummies.await? + families.await?)
    }
}
