//! The deny-list.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use crate::domain::gateway::{
    models::token::{RecordedRevocation, Revocation, RevocationCursor},
    repositories::{
        RepositoryError,
        sea_orm::entities::{micros, time},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revocations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub place: i64,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of an entry at its position.
    pub fn new(revocation: &Revocation, place: i64) -> Self {
        Self { id: Set(revocation.id.as_uuid()), place: Set(place), expires_at: Set(micros(revocation.expires_at)) }
    }
}

impl TryFrom<Model> for RecordedRevocation {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            cursor: RevocationCursor(row.place),
            revocation: Revocation { id: row.id.into(), expires_at: time(row.expires_at)? },
        })
    }
}
