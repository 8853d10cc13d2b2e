//! The deny-list.

use sea_orm::{ActiveValue::Set, FromQueryResult, entity::prelude::*};

use crate::domain::gateway::{
    models::token::{BatchMarks, RecordedRevocation, Revocation, RevocationCursor},
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
    /// Of its batch.
    pub mark: Option<Uuid>,
    /// Of the batch before.
    pub follows: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of an entry at its position, in a batch with these marks.
    pub fn new(revocation: &Revocation, place: i64, marks: BatchMarks) -> Self {
        Self {
            id: Set(revocation.id.as_uuid()),
            place: Set(place),
            expires_at: Set(micros(revocation.expires_at)),
            mark: Set(marks.own),
            follows: Set(marks.follows),
        }
    }
}

/// The end of the list, and one of its entries, if there is one.
#[derive(Debug, FromQueryResult)]
pub struct Listed {
    pub end: i64,
    pub end_mark: Option<Uuid>,
    pub id: Option<Uuid>,
    pub place: Option<i64>,
    pub expires_at: Option<i64>,
    pub mark: Option<Uuid>,
    pub follows: Option<Uuid>,
}

impl Listed {
    pub fn end(&self) -> RevocationCursor {
        RevocationCursor::new(self.end, self.end_mark)
    }

    /// The marks of the entry's batch.
    pub fn marks(&self) -> Option<BatchMarks> {
        self.id.map(|_| BatchMarks { own: self.mark, follows: self.follows })
    }

    pub fn entry(&self) -> Result<Option<RecordedRevocation>, RepositoryError> {
        let (Some(id), Some(place), Some(expires_at)) = (self.id, self.place, self.expires_at) else {
            return Ok(None);
        };
        let revocation = Revocation { id: id.into(), expires_at: time(expires_at)? };
        Ok(Some(RecordedRevocation { cursor: RevocationCursor::at(place), revocation }))
    }
}
