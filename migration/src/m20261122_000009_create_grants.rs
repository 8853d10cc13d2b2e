//! Grants; deleted with their account. The unique index gives a person who signs in again their existing grant. The
//! lease to refresh a grant is part of its row, so that one write acquires it, and another stores the result and
//! releases it.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, blob, boolean, pk_uuid, text, uuid, uuid_null},
};

use crate::m20261122_000007_create_accounts::Accounts;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Grants {
    Table,
    Id,
    AccountId,
    Provider,
    ProviderSubject,
    Status,
    SealedTokens,
    ExpiresAt,
    Refreshable,
    CreatedAt,
    UpdatedAt,
    LeaseHolder,
    LeaseUntil,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Grants::Table)
                    .col(pk_uuid(Grants::Id))
                    .col(uuid(Grants::AccountId))
                    .col(text(Grants::Provider))
                    .col(text(Grants::ProviderSubject))
                    .col(text(Grants::Status))
                    .col(blob(Grants::SealedTokens))
                    .col(big_integer_null(Grants::ExpiresAt))
                    .col(boolean(Grants::Refreshable))
                    .col(big_integer(Grants::CreatedAt))
                    .col(big_integer(Grants::UpdatedAt))
                    .col(uuid_null(Grants::LeaseHolder))
                    .col(big_integer_null(Grants::LeaseUntil))
                    .foreign_key(
                        ForeignKey::create()
                            .name("grants_account")
                            .from(Grants::Table, Grants::AccountId)
                            .to(Accounts::Table, Accounts::Id)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    // A lease has a holder and an end, or there is none.
                    .check(Expr::col(Grants::LeaseHolder).is_null().eq(Expr::col(Grants::LeaseUntil).is_null()))
                    .take(),
            )
            .await?;
        manager
            .create_index(
                // In this order it also finds the grants of an identity, for any account.
                index("grants_provider_subject_account")
                    .col(Grants::Provider)
                    .col(Grants::ProviderSubject)
                    .col(Grants::AccountId)
                    .unique()
                    .take(),
            )
            .await?;
        // The orders of lists, newest first: for an account, at a provider, and for all.
        for (name, of) in [
            ("grants_account_newest", Some(Grants::AccountId)),
            ("grants_provider_newest", Some(Grants::Provider)),
            ("grants_newest", None),
        ] {
            let mut newest = index(name);
            if let Some(of) = of {
                newest.col(of);
            }
            newest.col((Grants::CreatedAt, IndexOrder::Desc)).col((Grants::Id, IndexOrder::Desc));
            manager.create_index(newest).await?;
        }
        // Grants that cannot be refreshed any more expired long ago, and would come first.
        manager
            .create_index(
                index("grants_expiring")
                    .col(Grants::Status)
                    .col(Grants::Refreshable)
                    .col(Grants::ExpiresAt)
                    .col(Grants::Id)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Grants::Table).take()).await
    }
}

fn index(name: &str) -> IndexCreateStatement {
    Index::create().name(name).table(Grants::Table).take()
}
