//! Pending endings of accounts.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{micros, time};
use crate::domain::gateway::{
    models::{account::AccountEnding, values::id::SessionId},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_endings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub kept_session: Option<Uuid>,
    pub removes: bool,
    pub begun_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&AccountEnding> for ActiveModel {
    fn from(ending: &AccountEnding) -> Self {
        Self {
            id: Set(ending.id.as_uuid()),
            account_id: Set(ending.account.as_uuid()),
            kept_session: Set(ending.keep.map(SessionId::as_uuid)),
            removes: Set(ending.removes),
            begun_at: Set(micros(ending.begun_at)),
        }
    }
}

impl TryFrom<Model> for AccountEnding {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id.into(),
            account: row.account_id.into(),
            keep: row.kept_session.map(SessionId::from),
            removes: row.removes,
            begun_at: time(row.begun_at)?,
        })
    }
}
