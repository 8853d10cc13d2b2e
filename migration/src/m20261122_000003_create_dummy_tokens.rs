//! Dummy tokens, found by their digest. Their family is not a foreign key: they are deleted when they expire, not when
//! their family is deleted.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary_len, text, uuid},
};

use crate::is_digest;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum DummyTokens {
    Table,
    Digest,
    Id,
    FamilyId,
    Subject,
    Scope,
    CreatedAt,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(DummyTokens::Table)
                    .col(binary_len(DummyTokens::Digest, 32).primary_key())
                    .col(uuid(DummyTokens::Id))
                    .col(uuid(DummyTokens::FamilyId))
                    .col(text(DummyTokens::Subject))
                    .col(text(DummyTokens::Scope))
                    .col(big_integer(DummyTokens::CreatedAt))
                    .col(big_integer(DummyTokens::ExpiresAt))
                    .check(is_digest(DummyTokens::Digest))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("dummy_tokens_expires_at")
                    .table(DummyTokens::Table)
                    .col(DummyTokens::ExpiresAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(DummyTokens::Table).take()).await
    }
}
