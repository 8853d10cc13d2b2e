//! Accounts.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{micros, time};
use crate::domain::gateway::{models::account::Account, repositories::RepositoryError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Account> for ActiveModel {
    fn from(account: &Account) -> Self {
        Self { id: Set(account.id.as_uuid()), created_at: Set(micros(account.created_at)) }
    }
}

impl TryFrom<Model> for Account {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self { id: row.id.into(), created_at: time(row.created_at)? })
    }
}
