//! Machine clients. Each has either a secret, of which the digest is stored, or public keys.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary_len_null, pk_uuid, text, text_null},
};

use crate::is_digest;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Clients {
    Table,
    Id,
    Name,
    Scope,
    Audience,
    SecretDigest,
    Keys,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Clients::Table)
                    .col(pk_uuid(Clients::Id))
                    .col(text(Clients::Name).unique_key())
                    .col(text(Clients::Scope))
                    .col(text_null(Clients::Audience))
                    .col(binary_len_null(Clients::SecretDigest, 32))
                    .col(text_null(Clients::Keys))
                    .col(big_integer(Clients::CreatedAt))
                    .check(Expr::col(Clients::SecretDigest).is_null().ne(Expr::col(Clients::Keys).is_null()))
                    .check(is_digest(Clients::SecretDigest))
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Clients::Table).take()).await
    }
}
