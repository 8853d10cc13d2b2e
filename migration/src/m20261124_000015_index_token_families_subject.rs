//! Families are looked up by their subject when all families of an account are ended.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum TokenFamilies {
    Table,
    Subject,
}

const BY_SUBJECT: &str = "token_families_subject";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create().name(BY_SUBJECT).table(TokenFamilies::Table).col(TokenFamilies::Subject).take();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(BY_SUBJECT).table(TokenFamilies::Table).to_owned()).await
    }
}
