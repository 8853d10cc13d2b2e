//! The families of a client are looked up when it is removed. Most families belong to no client; those are never looked
//! up by this index, so it may contain them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum TokenFamilies {
    Table,
    ClientId,
    RevokedAt,
}

const NAME: &str = "token_families_client_id";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_index(
                Index::create()
                    .name(NAME)
                    .table(TokenFamilies::Table)
                    .col(TokenFamilies::ClientId)
                    .col(TokenFamilies::RevokedAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(NAME).table(TokenFamilies::Table).to_owned()).await
    }
}
