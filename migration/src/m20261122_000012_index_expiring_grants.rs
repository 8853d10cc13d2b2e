//! Expiring grants are looked up by provider: how long before its expiry a token is refreshed depends on the provider.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Grants {
    Table,
    Id,
    Provider,
    Status,
    ExpiresAt,
    Refreshable,
}

/// The name that `m20261122_000009_create_grants` gave to its index.
const OF_ALL: &str = "grants_expiring";
const BY_PROVIDER: &str = "grants_provider_expiring";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(OF_ALL).table(Grants::Table).to_owned()).await?;
        let mut by_provider = Index::create().name(BY_PROVIDER).table(Grants::Table).col(Grants::Provider).take();
        manager.create_index(of_expiry(&mut by_provider)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(BY_PROVIDER).table(Grants::Table).to_owned()).await?;
        manager.create_index(of_expiry(Index::create().name(OF_ALL).table(Grants::Table))).await
    }
}

fn of_expiry(index: &mut IndexCreateStatement) -> IndexCreateStatement {
    index.col(Grants::Status).col(Grants::Refreshable).col(Grants::ExpiresAt).col(Grants::Id).take()
}
