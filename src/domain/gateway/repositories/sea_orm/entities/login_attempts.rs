//! Failed password attempts.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{corrupt, micros, time};
use crate::domain::gateway::{
    models::{throttle::Failures, values::digest::Sha256Digest},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "login_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    pub failures: i64,
    pub last_at: i64,
    pub forget_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of these failures.
    pub fn new(key: &Sha256Digest, failures: Failures) -> Self {
        Self {
            key: Set(key.as_bytes().to_vec()),
            failures: Set(failures.count.into()),
            last_at: Set(micros(failures.last_at)),
            forget_at: Set(micros(failures.forget_at())),
        }
    }
}

impl TryFrom<Model> for Failures {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        let count = row.failures.try_into().map_err(|_| corrupt("a number of failures"))?;
        Ok(Self { count, last_at: time(row.last_at)? })
    }
}
