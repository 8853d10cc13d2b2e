//! Token families: the common contents of all tokens that descend from one creation.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, pk_uuid, text},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
pub(crate) enum TokenFamilies {
    Table,
    Id,
    ClientId,
    Subject,
    Scope,
    Audience,
    Claims,
    AccessTtl,
    CreatedAt,
    AccessExpiresAt,
    ForgetAt,
    RevokedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(TokenFamilies::Table)
                    .col(pk_uuid(TokenFamilies::Id))
                    .col(text(TokenFamilies::ClientId))
                    .col(text(TokenFamilies::Subject))
                    .col(text(TokenFamilies::Scope))
                    .col(text(TokenFamilies::Audience))
                    .col(text(TokenFamilies::Claims))
                    .col(big_integer(TokenFamilies::AccessTtl))
                    .col(big_integer(TokenFamilies::CreatedAt))
                    .col(big_integer(TokenFamilies::AccessExpiresAt))
                    // The latest expiry of any of its tokens: from then on the family is not needed.
                    .col(big_integer(TokenFamilies::ForgetAt))
                    .col(big_integer_null(TokenFamilies::RevokedAt))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("token_families_forget_at")
                    .table(TokenFamilies::Table)
                    .col(TokenFamilies::ForgetAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TokenFamilies::Table).take()).await
    }
}
