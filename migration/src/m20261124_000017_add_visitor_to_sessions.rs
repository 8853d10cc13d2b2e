//! The browser and network by which a person recognises their own session.

use sea_orm_migration::{prelude::*, schema::text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden, Clone, Copy)]
enum Sessions {
    Table,
    Browser,
    Network,
}

const COLUMNS: [Sessions; 2] = [Sessions::Browser, Sessions::Network];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in COLUMNS {
            let mut sessions = Table::alter().table(Sessions::Table).take();
            manager.alter_table(sessions.add_column(text_null(column)).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            let mut sessions = Table::alter().table(Sessions::Table).take();
            manager.alter_table(sessions.drop_column(column).take()).await?;
        }
        Ok(())
    }
}
