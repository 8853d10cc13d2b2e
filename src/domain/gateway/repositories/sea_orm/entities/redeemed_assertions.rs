//! Used assertions of clients.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::micros;
use crate::domain::gateway::models::values::digest::Sha256Digest;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "redeemed_assertions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of a used assertion.
    pub fn new(assertion: &Sha256Digest, expires_at: DateTime<Utc>) -> Self {
        Self { digest: Set(assertion.as_bytes().to_vec()), expires_at: Set(micros(expires_at)) }
    }
}
