//! The marks of batches on the deny-list, by which a reader notices that the store has lost its newest entries. They
//! may be empty: gateways of the previous version write rows without them until they are replaced.

use sea_orm_migration::{prelude::*, schema::uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Revocations {
    Table,
    Mark,
    Follows,
}

#[derive(DeriveIden)]
enum RevocationCursor {
    Table,
    Mark,
    PreviousMark,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in [Revocations::Mark, Revocations::Follows] {
            let mut list = Table::alter().table(Revocations::Table).take();
            manager.alter_table(list.add_column(uuid_null(column)).take()).await?;
        }
        for column in [RevocationCursor::Mark, RevocationCursor::PreviousMark] {
            let mut counter = Table::alter().table(RevocationCursor::Table).take();
            manager.alter_table(counter.add_column(uuid_null(column)).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [Revocations::Mark, Revocations::Follows] {
            let mut list = Table::alter().table(Revocations::Table).take();
            manager.alter_table(list.drop_column(column).take()).await?;
        }
        for column in [RevocationCursor::Mark, RevocationCursor::PreviousMark] {
            let mut counter = Table::alter().table(RevocationCursor::Table).take();
            manager.alter_table(counter.drop_column(column).take()).await?;
        }
        Ok(())
    }
}
