//! How accounts sign in without a provider; deleted with their account. The e-mail is unique in its normalised form, so
//! one of several concurrent sign-ups wins.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, pk_uuid, text, text_null, text_uniq},
};

use crate::m20261122_000007_create_accounts::Accounts;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum PasswordLogins {
    Table,
    AccountId,
    Email,
    EmailKey,
    Name,
    Hash,
    ChangedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(PasswordLogins::Table)
                    .col(pk_uuid(PasswordLogins::AccountId))
                    .col(text(PasswordLogins::Email))
                    .col(text_uniq(PasswordLogins::EmailKey))
                    .col(text_null(PasswordLogins::Name))
                    .col(text(PasswordLogins::Hash))
                    .col(big_integer(PasswordLogins::ChangedAt))
                    .foreign_key(
                        ForeignKey::create()
                            .name("password_logins_account")
                            .from(PasswordLogins::Table, PasswordLogins::AccountId)
                            .to(Accounts::Table, Accounts::Id)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(PasswordLogins::Table).take()).await
    }
}
