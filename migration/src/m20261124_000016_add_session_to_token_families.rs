//! The session that a family belongs to. No foreign key: sessions may be stored elsewhere (`REDIS_URL`), and a family
//! is to be revoked with its session, not deleted.

use sea_orm_migration::{prelude::*, schema::uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum TokenFamilies {
    Table,
    SessionId,
}

const BY_SESSION: &str = "token_families_session_id";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut families = Table::alter().table(TokenFamilies::Table).take();
        manager.alter_table(families.add_column(uuid_null(TokenFamilies::SessionId)).take()).await?;
        let index = Index::create().name(BY_SESSION).table(TokenFamilies::Table).col(TokenFamilies::SessionId).take();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(BY_SESSION).table(TokenFamilies::Table).to_owned()).await?;
        let mut families = Table::alter().table(TokenFamilies::Table).take();
        manager.alter_table(families.drop_column(TokenFamilies::SessionId).take()).await
    }
}
