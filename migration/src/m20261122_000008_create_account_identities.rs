//! The identities of accounts at the providers; deleted with their account. If a person's first sign-ins are
//! concurrent, the primary key lets one of them win. There is no index on the e-mail: no account is looked up by it.

use sea_orm_migration::{
    prelude::*,
    schema::{text, text_null, uuid},
};

use crate::m20261122_000007_create_accounts::Accounts;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum AccountIdentities {
    Table,
    Provider,
    Subject,
    AccountId,
    VerifiedEmail,
    Name,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(AccountIdentities::Table)
                    .col(text(AccountIdentities::Provider))
                    .col(text(AccountIdentities::Subject))
                    .col(uuid(AccountIdentities::AccountId))
                    .col(text_null(AccountIdentities::VerifiedEmail))
                    .col(text_null(AccountIdentities::Name))
                    .primary_key(Index::create().col(AccountIdentities::Provider).col(AccountIdentities::Subject))
                    .foreign_key(
                        ForeignKey::create()
                            .name("account_identities_account")
                            .from(AccountIdentities::Table, AccountIdentities::AccountId)
                            .to(Accounts::Table, Accounts::Id)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .take(),
            )
            .await?;
        // Deleting an account looks up its identities.
        manager
            .create_index(
                Index::create()
                    .name("account_identities_account_id")
                    .table(AccountIdentities::Table)
                    .col(AccountIdentities::AccountId)
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AccountIdentities::Table).take()).await
    }
}
