//! Token families.

use chrono::TimeDelta;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use serde_json::Value;

use crate::domain::gateway::{
    models::{
        token::{LEEWAY, NewRefreshToken, TokenFamily},
        values::id::SessionId,
    },
    repositories::{
        RepositoryError,
        sea_orm::entities::{corrupt, from_json, micros, time},
    },
};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "token_families")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    #[sea_orm(column_type = "Text")]
    pub audience: String,
    #[sea_orm(column_type = "Text")]
    pub claims: String,
    pub access_ttl: i64,
    pub created_at: i64,
    pub access_expires_at: i64,
    pub forget_at: i64,
    pub revoked_at: Option<i64>,
    pub session_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of a new family, and of its refresh token if it has one.
    pub fn new(family: &TokenFamily, first: Option<&NewRefreshToken>) -> Self {
        let refused_at = family.access_expires_at + LEEWAY;
        let forget_at = first.map_or(refused_at, |first| refused_at.max(first.expires_at));
        Self {
            id: Set(family.id.as_uuid()),
            client_id: Set(family.client_id.clone()),
            subject: Set(family.subject.clone()),
            scope: Set(family.scope.to_string()),
            audience: Set(Value::from(family.audience.clone()).to_string()),
            claims: Set(Value::Object(family.claims.clone()).to_string()),
            access_ttl: Set(family.access_ttl.num_microseconds().unwrap_or(i64::MAX)),
            created_at: Set(micros(family.created_at)),
            access_expires_at: Set(micros(family.access_expires_at)),
            forget_at: Set(micros(forget_at)),
            revoked_at: Set(family.revoked_at.map(micros)),
            session_id: Set(family.session.map(SessionId::as_uuid)),
        }
    }
}

impl TryFrom<Model> for TokenFamily {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id.into(),
            client_id: row.client_id,
            subject: row.subject,
            scope: row.scope.parse().map_err(|_| corrupt("a family's scope"))?,
            audience: from_json(&row.audience, "a family's audience")?,
            claims: from_json(&row.claims, "a family's claims")?,
            access_ttl: TimeDelta::microseconds(row.access_ttl),
            created_at: time(row.created_at)?,
            access_expires_at: time(row.access_expires_at)?,
            revoked_at: row.revoked_at.map(time).transpose()?,
            session: row.session_id.map(SessionId::from),
        })
    }
}
