//! Finished sign-ins: the digest of their state, until it would expire by itself. The primary key lets a state be used
//! once, over all replicas.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary_len},
};

use crate::is_digest;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum RedeemedLogins {
    Table,
    State,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(RedeemedLogins::Table)
                    .col(binary_len(RedeemedLogins::State, 32).primary_key())
                    .col(big_integer(RedeemedLogins::ExpiresAt))
                    .check(is_digest(RedeemedLogins::State))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("redeemed_logins_expires_at")
                    .table(RedeemedLogins::Table)
                    .col(RedeemedLogins::ExpiresAt)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RedeemedLogins::Table).take()).await
    }
}
