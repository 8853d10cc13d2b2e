//! Dummy tokens.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use crate::domain::gateway::{
    models::token::DummyToken,
    repositories::{
        RepositoryError,
        sea_orm::entities::{corrupt, digest, micros, time},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dummy_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub id: Uuid,
    pub family_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    pub created_at: i64,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&DummyToken> for ActiveModel {
    fn from(dummy: &DummyToken) -> Self {
        Self {
            digest: Set(dummy.digest.as_bytes().to_vec()),
            id: Set(dummy.id.as_uuid()),
            family_id: Set(dummy.family.as_uuid()),
            subject: Set(dummy.subject.clone()),
            scope: Set(dummy.scope.to_string()),
            created_at: Set(micros(dummy.created_at)),
            expires_at: Set(micros(dummy.expires_at)),
        }
    }
}

impl TryFrom<Model> for DummyToken {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id.into(),
            digest: digest(row.digest)?,
            family: row.family_id.into(),
            subject: row.subject,
            scope: row.scope.parse().map_err(|_| corrupt("a dummy token's scope"))?,
            created_at: time(row.created_at)?,
            expires_at: time(row.expires_at)?,
        })
    }
}
