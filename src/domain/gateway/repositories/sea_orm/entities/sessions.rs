//! Sessions.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{digest, micros, time};
use crate::domain::gateway::{
    models::session::{Session, Visitor},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub digest: Vec<u8>,
    pub account_id: Uuid,
    pub created_at: i64,
    pub used_at: i64,
    pub idle_until: i64,
    pub expires_at: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub browser: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub network: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Session> for ActiveModel {
    fn from(session: &Session) -> Self {
        Self {
            id: Set(session.id.as_uuid()),
            digest: Set(session.digest.as_bytes().to_vec()),
            account_id: Set(session.account.as_uuid()),
            created_at: Set(micros(session.created_at)),
            used_at: Set(micros(session.used_at)),
            idle_until: Set(micros(session.idle_until)),
            expires_at: Set(micros(session.expires_at)),
            browser: Set(session.visitor.browser.clone()),
            network: Set(session.visitor.network.clone()),
        }
    }
}

impl TryFrom<Model> for Session {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id.into(),
            digest: digest(row.digest)?,
            account: row.account_id.into(),
            created_at: time(row.created_at)?,
            used_at: time(row.used_at)?,
            idle_until: time(row.idle_until)?,
            expires_at: time(row.expires_at)?,
            visitor: Visitor { browser: row.browser, network: row.network },
        })
    }
}
