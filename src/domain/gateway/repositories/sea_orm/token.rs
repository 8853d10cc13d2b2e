//! Tokens in a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, EntityTrait, Iterable, sea_query::OnConflict};

use super::{
    connection::{answered, begin},
    entities::{dummy_tokens, refresh_tokens, revocations, token_families},
    forgetting::forget,
};
use crate::domain::gateway::{
    models::{
        id::{ClientId, FamilyId, SessionId},
        token::{
            DummyToken, NewRefreshToken, RecordedRevocation, RefreshRecord, Revocable, Revocation, RevocationCursor,
            Rotation, RotationOutcome, TokenDigest, TokenFamily,
        },
    },
    repositories::{RepositoryError, token::TokenRepository},
};

mod deny_list;
mod family;

/// Tokens in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmTokens {
    db: DatabaseConnection,
}

impl SeaOrmTokens {
    /// Over a database that was migrated.
    pub fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl TokenRepository for SeaOrmTokens {
    async fn open_family(&self, family: &TokenFamily, first: &NewRefreshToken) -> Result<(), RepositoryError> {
        answered(async {
            let transaction = begin(&self.db).await?;
            let row = token_families::ActiveModel::new(family, Some(first));
            token_families::Entity::insert(row).exec_without_returning(&transaction).await?;
            let row = refresh_tokens::ActiveModel::new(family.id, first);
            refresh_tokens::Entity::insert(row).exec_without_returning(&transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn open_access_only(&self, family: &TokenFamily) -> Result<(), RepositoryError> {
        answered(async {
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
        let mut revoked = Vec::new();
        loop {
            // A batch at a time: every family waits for the counter of the deny-list, and so would others.
            let batch = answered(async {
                let transaction = begin(&self.db).await?;
                let batch = family::revoke_some_of(&transaction, client, now).await?;
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

    async fn rotate(&self, rotation: &Rotation) -> Result<RotationOutcome, RepositoryError> {
        answered(async {
            let transaction = begin(&self.db).await?;
            let outcome = family::rotate(&transaction, rotation).await?;
            transaction.commit().await?;
            Ok(outcome)
        })
        .await
    }

    async fn find_refresh(&self, digest: &TokenDigest) -> Result<Option<RefreshRecord>, RepositoryError> {
        answered(async {
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
        answered(async {
            let transaction = begin(&self.db).await?;
            let family = family::revoke(&transaction, id, now).await?;
            transaction.commit().await?;
            Ok(family)
        })
        .await
    }

    async fn end_families_of(&self, subject: &str) -> Result<Vec<Revocation>, RepositoryError> {
        answered(async {
            let transaction = begin(&self.db).await?;
            let revocations = family::end_all_of(&transaction, subject).await?;
            transaction.commit().await?;
            Ok(revocations)
        })
        .await
    }

    async fn revoke_families_of_sessions(
        &self,
        sessions: &[SessionId],
        now: DateTime<Utc>,
    ) -> Result<Vec<TokenFamily>, RepositoryError> {
        answered(async {
            let transaction = begin(&self.db).await?;
            let revoked = family::revoke_all_of(&transaction, sessions, now).await?;
            transaction.commit().await?;
            Ok(revoked)
        })
        .await
    }

    async fn revoke(&self, revocations: &[Revocation]) -> Result<(), RepositoryError> {
        answered(async {
            let transaction = begin(&self.db).await?;
            for revocation in revocations {
                deny_list::add(&transaction, revocation).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn is_any_revoked(&self, ids: &[Revocable]) -> Result<bool, RepositoryError> {
        answered(deny_list::contains_any(&self.db, ids)).await
    }

    async fn revocations_after(
        &self,
        cursor: RevocationCursor,
        limit: u64,
    ) -> Result<Vec<RecordedRevocation>, RepositoryError> {
        answered(deny_list::after(&self.db, cursor, limit)).await
    }

    async fn put_dummy(&self, dummy: &DummyToken) -> Result<(), RepositoryError> {
        use dummy_tokens::Column;
        answered(async {
            let mut replace = OnConflict::column(Column::Digest);
            replace.update_columns(Column::iter().filter(|column| !matches!(column, Column::Digest)));
            let row = dummy_tokens::ActiveModel::from(dummy);
            dummy_tokens::Entity::insert(row).on_conflict(replace).exec_without_returning(&self.db).await?;
            Ok(())
        })
        .await
    }

    async fn find_dummy(&self, digest: &TokenDigest) -> Result<Option<DummyToken>, RepositoryError> {
        answered(async {
            let row = dummy_tokens::Entity::find_by_id(*digest.as_bytes()).one(&self.db).await?;
            row.map(DummyToken::try_from).transpose()
        })
        .await
    }

    async fn forget_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        let db = &self.db;
        let entries = forget::<revocations::Entity>(db, revocations::Column::Id, revocations::Column::ExpiresAt, now);
        let dummies =
            forget::<dummy_tokens::Entity>(db, dummy_tokens::Column::Digest, dummy_tokens::Column::ExpiresAt, now);
        // Families take their refresh tokens along.
        let families =
            forget::<token_families::Entity>(db, token_families::Column::Id, token_families::Column::ForgetAt, now);
        Ok(entries.await? + dummies.await? + families.await?)
    }
}
