//! Instances that registered themselves. Times are those of the store's clock.

use chrono::TimeDelta;
use sea_orm::{ActiveValue::Set, FromQueryResult, entity::prelude::*};

use super::corrupt;
use crate::domain::gateway::{
    models::registration::{Lease, Registration},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registrations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub service: String,
    pub url: String,
    pub weight: i32,
    /// In microseconds.
    pub ttl: i64,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of a registration whose lease begins at `now` by the store's clock.
    pub(in super::super) fn new(registration: &Registration, now: i64) -> Result<Self, RepositoryError> {
        let ttl = registration.ttl.num_microseconds().ok_or_else(|| corrupt("the duration of a lease"))?;
        Ok(Self {
            id: Set(registration.id.as_uuid()),
            service: Set(registration.service.to_string()),
            url: Set(registration.url.to_string()),
            weight: Set(registration.weight.into()),
            ttl: Set(ttl),
            expires_at: Set(now.saturating_add(ttl)),
        })
    }
}

impl TryFrom<Model> for Registration {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id.into(),
            service: row.service.parse().map_err(|_| corrupt("a service's name"))?,
            url: row.url.parse().map_err(|_| corrupt("the URL of an instance"))?,
            weight: row.weight.try_into().map_err(|_| corrupt("the weight of an instance"))?,
            ttl: TimeDelta::microseconds(row.ttl),
        })
    }
}

/// A row with the rest of its lease, in microseconds.
#[derive(Debug, FromQueryResult)]
pub struct Live {
    #[sea_orm(nested)]
    row: Model,
    remaining: i64,
}

impl TryFrom<Live> for Lease {
    type Error = RepositoryError;

    fn try_from(live: Live) -> Result<Self, RepositoryError> {
        Ok(Self { registration: live.row.try_into()?, remaining: TimeDelta::microseconds(live.remaining) })
    }
}
