//! Refresh tokens, found by their digest; deleted with their family.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, binary_len, binary_len_null, uuid},
};

use crate::{is_digest, m20261122_000001_create_token_families::TokenFamilies};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum RefreshTokens {
    Table,
    Digest,
    FamilyId,
    IssuedAt,
    ExpiresAt,
    ConsumedAt,
    Successor,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(RefreshTokens::Table)
                    .col(binary_len(RefreshTokens::Digest, 32).primary_key())
                    .col(uuid(RefreshTokens::FamilyId))
                    .col(big_integer(RefreshTokens::IssuedAt))
                    .col(big_integer(RefreshTokens::ExpiresAt))
                    .col(big_integer_null(RefreshTokens::ConsumedAt))
                    .col(binary_len_null(RefreshTokens::Successor, 32))
                    .foreign_key(
                        ForeignKey::create()
                            .name("refresh_tokens_family")
                            .from(RefreshTokens::Table, RefreshTokens::FamilyId)
                            .to(TokenFamilies::Table, TokenFamilies::Id)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .check(is_digest(RefreshTokens::Digest))
                    .check(is_digest(RefreshTokens::Successor))
                    // Exactly the used tokens name a successor.
                    .check(
                        Expr::col(RefreshTokens::ConsumedAt)
                            .is_null()
                            .eq(Expr::col(RefreshTokens::Successor).is_null()),
                    )
                    .take(),
            )
            .await?;
        // Deleting a family looks up its tokens.
        manager
            .create_index(
                Index::create()
                    .name("refresh_tokens_family_id")
                    .table(RefreshTokens::Table)
                    .col(RefreshTokens::FamilyId)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RefreshTokens::Table).take()).await
    }
}
