//! Used assertions of clients: the digest of client and `jti`, until the assertion expires by itself. The primary key
//! lets an assertion be used once, over all replicas.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary_len},
};

use crate::is_digest;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum RedeemedAssertions {
    Table,
    Digest,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(RedeemedAssertions::Table)
                    .col(binary_len(RedeemedAssertions::Digest, 32).primary_key())
                    .col(big_integer(RedeemedAssertions::ExpiresAt))
                    .check(is_digest(RedeemedAssertions::Digest))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("redeemed_assertions_expires_at")
                    .table(RedeemedAssertions::Table)
                    .col(RedeemedAssertions::ExpiresAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RedeemedAssertions::Table).take()).await
    }
}
