//! Pending endings of accounts: a row exists from before the first step until after the last one. The account is not a
//! foreign key: it may be deleted before its ending is finished.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, boolean, pk_uuid, uuid, uuid_null},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum AccountEndings {
    Table,
    Id,
    AccountId,
    KeptSession,
    Removes,
    BegunAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(AccountEndings::Table)
                    .col(pk_uuid(AccountEndings::Id))
                    .col(uuid(AccountEndings::AccountId))
                    .col(uuid_null(AccountEndings::KeptSession))
                    .col(boolean(AccountEndings::Removes))
                    .col(big_integer(AccountEndings::BegunAt))
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AccountEndings::Table).take()).await
    }
}
