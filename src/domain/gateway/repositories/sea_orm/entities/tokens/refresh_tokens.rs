//! Refresh tokens.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::token_families;
use crate::domain::gateway::{
    models::{
        token::{NewRefreshToken, RefreshRecord},
        values::{digest::Sha256Digest, id::FamilyId},
    },
    repositories::{
        RepositoryError,
        sea_orm::entities::{corrupt, digest, micros, time},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub family_id: Uuid,
    pub issued_at: i64,
    pub expires_at: i64,
    pub consumed_at: Option<i64>,
    pub successor: Option<Vec<u8>>,
    pub generation: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::token_families::Entity",
        from = "Column::FamilyId",
        to = "super::token_families::Column::Id",
        on_delete = "Cascade"
    )]
    Family,
}

impl Related<token_families::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Family.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of an unused token.
    pub fn new(family: FamilyId, generation: i32, token: &NewRefreshToken) -> Self {
        Self {
            digest: Set(token.digest.as_bytes().to_vec()),
            family_id: Set(family.as_uuid()),
            issued_at: Set(micros(token.issued_at)),
            expires_at: Set(micros(token.expires_at)),
            consumed_at: Set(None),
            successor: Set(None),
            generation: Set(generation),
        }
    }
}

impl Model {
    /// When it was used, and its successor.
    pub fn used(&self) -> Result<Option<(DateTime<Utc>, Sha256Digest)>, RepositoryError> {
        match (self.consumed_at, &self.successor) {
            (Some(at), Some(successor)) => Ok(Some((time(at)?, digest(successor.clone())?))),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(corrupt("a half-used refresh token")),
        }
    }
}

impl TryFrom<(Model, Option<token_families::Model>)> for RefreshRecord {
    type Error = RepositoryError;

    fn try_from((row, family): (Model, Option<token_families::Model>)) -> Result<Self, RepositoryError> {
        Ok(Self {
            family: family.ok_or_else(|| corrupt("a refresh token without its family"))?.try_into()?,
            issued_at: time(row.issued_at)?,
            expires_at: time(row.expires_at)?,
            consumed_at: row.consumed_at.map(time).transpose()?,
        })
    }
}
