//! The last position given out on the deny-list: one row, whose lock makes positions visible in order. A sequence would
//! not: it hands out 7 and 8, 8 commits first, and a reader that has reached 8 never sees 7.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum RevocationCursor {
    Table,
    Id,
    Value,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(RevocationCursor::Table)
                    .col(integer(RevocationCursor::Id).primary_key())
                    .col(big_integer(RevocationCursor::Value))
                    .check(Expr::col(RevocationCursor::Id).eq(1))
                    .take(),
            )
            .await?;
        manager
            .execute(
                Query::insert()
                    .into_table(RevocationCursor::Table)
                    .columns([RevocationCursor::Id, RevocationCursor::Value])
                    .values_panic([1.into(), 0_i64.into()])
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(RevocationCursor::Table).take()).await
    }
}
