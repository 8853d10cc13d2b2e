//! Notices of providers. A notice is due until it was applied; from then on it is remembered for a while, without the
//! person. There is no foreign key: most are about accounts that are here, and some about unknown people.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, binary_len, text, text_null},
};

use crate::is_digest;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Notices {
    Table,
    Digest,
    Provider,
    Subject,
    Kind,
    SentAt,
    ReceivedAt,
    Attempts,
    DueAt,
    AppliedAt,
    ForgetAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Notices::Table)
                    .col(binary_len(Notices::Digest, 32).primary_key())
                    .col(text(Notices::Provider))
                    .col(text_null(Notices::Subject))
                    .col(text(Notices::Kind))
                    .col(big_integer_null(Notices::SentAt))
                    .col(big_integer(Notices::ReceivedAt))
                    .col(big_integer(Notices::Attempts))
                    .col(big_integer_null(Notices::DueAt))
                    .col(big_integer_null(Notices::AppliedAt))
                    .col(big_integer_null(Notices::ForgetAt))
                    .check(is_digest(Notices::Digest))
                    .take(),
            )
            .await?;
        for (name, column) in [("notices_due_at", Notices::DueAt), ("notices_forget_at", Notices::ForgetAt)] {
            manager.create_index(Index::create().name(name).table(Notices::Table).col(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Notices::Table).take()).await
    }
}
