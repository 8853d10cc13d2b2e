//! A number that grows with every registration and deregistration: one row. Its lock puts registrations in order, and
//! replicas that follow them read the list only if the number has changed.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum RegistrationGeneration {
    Table,
    Id,
    Value,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(RegistrationGeneration::Table)
                    .col(integer(RegistrationGeneration::Id).primary_key())
                    .col(big_integer(RegistrationGeneration::Value))
                    .check(Expr::col(RegistrationGeneration::Id).eq(1))
                    .take(),
            )
            .await?;
        manager
            .execute(
                Query::insert()
                    .into_table(RegistrationGeneration::Table)
                    .columns([RegistrationGeneration::Id, RegistrationGeneration::Value])
                    .values_panic([1.into(), 0_i64.into()])
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RegistrationGeneration::Table).take()).await
    }
}
