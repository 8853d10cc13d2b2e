//! The deny-list. `place` is drawn from `revocation_cursor`; readers continue after the last position that they saw.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_uniq, pk_uuid},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Revocations {
    Table,
    Id,
    Place,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Revocations::Table)
                    .col(pk_uuid(Revocations::Id))
                    .col(big_integer_uniq(Revocations::Place))
                    .col(big_integer(Revocations::ExpiresAt))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("revocations_expires_at")
                    .table(Revocations::Table)
                    .col(Revocations::ExpiresAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Revocations::Table).take()).await
    }
}
