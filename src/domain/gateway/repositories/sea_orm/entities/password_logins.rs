//! Password logins.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{corrupt, micros, time};
use crate::domain::gateway::{
    models::account::{Email, PasswordHash, PasswordLogin},
    repositories::RepositoryError,
};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "password_logins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub email: String,
    #[sea_orm(column_type = "Text", unique)]
    pub email_key: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub hash: String,
    pub changed_at: i64,
}

/// SeaORM requires it; a hash does not print.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("password_logins::Model(…)")
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&PasswordLogin> for ActiveModel {
    fn from(login: &PasswordLogin) -> Self {
        Self {
            account_id: Set(login.account.as_uuid()),
            email: Set(login.email.as_str().to_owned()),
            email_key: Set(login.email.key().to_owned()),
            name: Set(login.name.clone()),
            hash: Set(login.hash.expose().to_owned()),
            changed_at: Set(micros(login.changed_at)),
        }
    }
}

impl TryFrom<Model> for PasswordLogin {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            account: row.account_id.into(),
            email: Email::parse(&row.email).map_err(|_| corrupt("a log-in's e-mail"))?,
            name: row.name,
            hash: PasswordHash::new(row.hash),
            changed_at: time(row.changed_at)?,
        })
    }
}
