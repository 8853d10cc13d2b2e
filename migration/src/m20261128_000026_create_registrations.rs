//! Instances of services that registered themselves, each until its lease ends. One URL is one instance of a service.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer, text, uuid},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Registrations {
    Table,
    Id,
    Service,
    Url,
    Weight,
    Ttl,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Registrations::Table)
                    .col(uuid(Registrations::Id).primary_key())
                    .col(text(Registrations::Service))
                    .col(text(Registrations::Url))
                    .col(integer(Registrations::Weight))
                    .col(big_integer(Registrations::Ttl))
                    .col(big_integer(Registrations::ExpiresAt))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("registrations_service_url")
                    .table(Registrations::Table)
                    .col(Registrations::Service)
                    .col(Registrations::Url)
                    .unique()
                    .take(),
            )
            .await?;
        let by_expiry = Index::create()
            .name("registrations_expires_at")
            .table(Registrations::Table)
            .col(Registrations::ExpiresAt)
            .take();
        manager.create_index(by_expiry).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Registrations::Table).take()).await
    }
}
