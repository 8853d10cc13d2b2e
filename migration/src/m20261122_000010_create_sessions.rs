//! Sessions, found by the digest of their cookie; deleted with their account.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary_len, pk_uuid, uuid},
};

use crate::{is_digest, m20261122_000007_create_accounts::Accounts};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Sessions {
    Table,
    Id,
    Digest,
    AccountId,
    CreatedAt,
    UsedAt,
    IdleUntil,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Sessions::Table)
                    .col(pk_uuid(Sessions::Id))
                    .col(binary_len(Sessions::Digest, 32).unique_key())
                    .col(uuid(Sessions::AccountId))
                    .col(big_integer(Sessions::CreatedAt))
                    .col(big_integer(Sessions::UsedAt))
                    .col(big_integer(Sessions::IdleUntil))
                    .col(big_integer(Sessions::ExpiresAt))
                    .foreign_key(
                        ForeignKey::create()
                            .name("sessions_account")
                            .from(Sessions::Table, Sessions::AccountId)
                            .to(Accounts::Table, Accounts::Id)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .check(is_digest(Sessions::Digest))
                    .take(),
            )
            .await?;
        // For deleting the sessions of an account, and those that are over.
        for (name, column) in
            [("sessions_account_id", Sessions::AccountId), ("sessions_idle_until", Sessions::IdleUntil)]
        {
            manager.create_index(Index::create().name(name).table(Sessions::Table).col(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Sessions::Table).take()).await
    }
}
