//! Failed password attempts, by digest of the e-mail or of the client's network. There is no foreign key: attempts with
//! an unknown e-mail are counted, too.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary_len},
};

use crate::is_digest;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum LoginAttempts {
    Table,
    Key,
    Failures,
    LastAt,
    ForgetAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(LoginAttempts::Table)
                    .col(binary_len(LoginAttempts::Key, 32).primary_key())
                    .col(big_integer(LoginAttempts::Failures))
                    .col(big_integer(LoginAttempts::LastAt))
                    .col(big_integer(LoginAttempts::ForgetAt))
                    .check(is_digest(LoginAttempts::Key))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("login_attempts_forget_at")
                    .table(LoginAttempts::Table)
                    .col(LoginAttempts::ForgetAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(LoginAttempts::Table).take()).await
    }
}
