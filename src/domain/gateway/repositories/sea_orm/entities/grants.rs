//! Grants, and the leases to refresh them.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Func;

use super::{corrupt, micros, time};
use crate::domain::gateway::{
    models::oauth::{Grant, GrantStatus},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "grants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub provider: String,
    #[sea_orm(column_type = "Text")]
    pub provider_subject: String,
    #[sea_orm(column_type = "Text")]
    pub status: String,
    pub sealed_tokens: Vec<u8>,
    pub expires_at: Option<i64>,
    pub refreshable: bool,
    pub created_at: i64,
    /// `None` if a gateway of the previous version stored it, while both versions ran.
    pub allowed_at: Option<i64>,
    pub updated_at: i64,
    pub lease_holder: Option<Uuid>,
    pub lease_until: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The changes of a refresh; they release the lease.
    pub fn refreshed(grant: &Grant) -> Self {
        Self {
            status: Set(status_text(grant.status).to_owned()),
            sealed_tokens: Set(grant.sealed_tokens.clone()),
            expires_at: Set(grant.expires_at.map(micros)),
            refreshable: Set(grant.refreshable),
            allowed_at: Set(Some(micros(grant.allowed_at))),
            updated_at: Set(micros(grant.updated_at)),
            ..Self::without_lease()
        }
    }

    /// A change that removes the lease.
    pub fn without_lease() -> Self {
        Self { lease_holder: Set(None), lease_until: Set(None), ..<Self as Default>::default() }
    }
}

impl From<&Grant> for ActiveModel {
    /// The row of a grant without a lease.
    fn from(grant: &Grant) -> Self {
        Self {
            id: Set(grant.id.as_uuid()),
            account_id: Set(grant.account.as_uuid()),
            provider: Set(grant.provider.to_string()),
            provider_subject: Set(grant.provider_subject.clone()),
            created_at: Set(micros(grant.created_at)),
            ..Self::refreshed(grant)
        }
    }
}

impl TryFrom<Model> for Grant {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id.into(),
            account: row.account_id.into(),
            provider: row.provider.parse().map_err(|_| corrupt("a grant's provider"))?,
            provider_subject: row.provider_subject,
            status: status(&row.status)?,
            sealed_tokens: row.sealed_tokens,
            expires_at: row.expires_at.map(time).transpose()?,
            refreshable: row.refreshable,
            created_at: time(row.created_at)?,
            allowed_at: time(row.allowed_at.unwrap_or(row.updated_at))?,
            updated_at: time(row.updated_at)?,
        })
    }
}

/// When the person last allowed a grant, for conditions.
pub fn allowed_at() -> Expr {
    Func::coalesce([Expr::col(Column::AllowedAt), Expr::col(Column::UpdatedAt)]).into()
}

/// A status in the form of its column.
pub fn status_text(status: GrantStatus) -> &'static str {
    match status {
        GrantStatus::Active => "active",
        GrantStatus::NeedsReauthorization => "needs_reauthorization",
        GrantStatus::Revoked => "revoked",
    }
}

fn status(text: &str) -> Result<GrantStatus, RepositoryError> {
    [GrantStatus::Active, GrantStatus::NeedsReauthorization, GrantStatus::Revoked]
        .into_iter()
        .find(|status| status_text(*status) == text)
        .ok_or_else(|| corrupt("a grant's status"))
}
