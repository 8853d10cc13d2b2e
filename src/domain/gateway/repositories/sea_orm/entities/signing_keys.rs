//! Signing keys.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{corrupt, from_json, micros, time};
use crate::domain::gateway::{models::signing_key::SigningKey, repositories::RepositoryError};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kid: String,
    #[sea_orm(column_type = "Text")]
    pub algorithm: String,
    pub generation: i64,
    pub sealed_private_key: Vec<u8>,
    #[sea_orm(column_type = "Text", nullable)]
    pub public_jwk: Option<String>,
    pub created_at: i64,
    pub signs_from: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&SigningKey> for ActiveModel {
    fn from(key: &SigningKey) -> Self {
        Self {
            kid: Set(key.kid.clone()),
            algorithm: Set(key.algorithm.name().to_owned()),
            generation: Set(key.generation.into()),
            sealed_private_key: Set(key.sealed_private_key.clone()),
            public_jwk: Set(key.public_jwk.as_ref().map(ToString::to_string)),
            created_at: Set(micros(key.created_at)),
            signs_from: Set(micros(key.signs_from)),
        }
    }
}

impl TryFrom<Model> for SigningKey {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            kid: row.kid,
            algorithm: row.algorithm.parse().map_err(|_| corrupt("a key's algorithm"))?,
            generation: row.generation.try_into().map_err(|_| corrupt("a key's generation"))?,
            sealed_private_key: row.sealed_private_key,
            public_jwk: row.public_jwk.map(|jwk| from_json(&jwk, "a key's JWK")).transpose()?,
            created_at: time(row.created_at)?,
            signs_from: time(row.signs_from)?,
        })
    }
}
