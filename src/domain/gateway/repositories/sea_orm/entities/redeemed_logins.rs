//! Finished sign-ins.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::micros;
use crate::domain::gateway::models::values::digest::Sha256Digest;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "redeemed_logins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub state: Vec<u8>,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of a used state.
    pub fn new(state: &Sha256Digest, expires_at: DateTime<Utc>) -> Self {
        Self { state: Set(state.as_bytes().to_vec()), expires_at: Set(micros(expires_at)) }
    }
}
