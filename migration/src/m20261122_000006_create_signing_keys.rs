//! Signing keys. If several replicas rotate at once, the second unique index lets one of them win.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, text, text_null},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum SigningKeys {
    Table,
    Kid,
    Algorithm,
    Generation,
    SealedPrivateKey,
    PublicJwk,
    CreatedAt,
    SignsFrom,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(SigningKeys::Table)
                    .col(text(SigningKeys::Kid).primary_key())
                    .col(text(SigningKeys::Algorithm))
                    .col(big_integer(SigningKeys::Generation))
                    .col(blob(SigningKeys::SealedPrivateKey))
                    .col(text_null(SigningKeys::PublicJwk))
                    .col(big_integer(SigningKeys::CreatedAt))
                    .col(big_integer(SigningKeys::SignsFrom))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("signing_keys_algorithm_generation")
                    .table(SigningKeys::Table)
                    .col(SigningKeys::Algorithm)
                    .col(SigningKeys::Generation)
                    .unique()
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(SigningKeys::Table).take()).await
    }
}
