//! When the person last allowed a grant. Of grants from before this migration only the last change is known. The column
//! may be empty: gateways of the previous version write rows without it until they are replaced.

use sea_orm_migration::{prelude::*, schema::big_integer_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Grants {
    Table,
    AllowedAt,
    UpdatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut grants = Table::alter().table(Grants::Table).take();
        manager.alter_table(grants.add_column(big_integer_null(Grants::AllowedAt)).take()).await?;
        let known = Query::update().table(Grants::Table).value(Grants::AllowedAt, Expr::col(Grants::UpdatedAt)).take();
        manager.exec_stmt(known).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut grants = Table::alter().table(Grants::Table).take();
        manager.alter_table(grants.drop_column(Grants::AllowedAt).take()).await
    }
}
