//! The identities of accounts at the providers.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::corrupt;
use crate::domain::gateway::{
    models::{account::ProviderIdentity, values::id::AccountId},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_identities")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub provider: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub subject: String,
    pub account_id: Uuid,
    #[sea_orm(column_type = "Text", nullable)]
    pub verified_email: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// The row of an account's identity.
    pub fn new(identity: &ProviderIdentity, account: AccountId) -> Self {
        Self {
            provider: Set(identity.provider.to_string()),
            subject: Set(identity.subject.clone()),
            account_id: Set(account.as_uuid()),
            verified_email: Set(identity.verified_email.clone()),
            name: Set(identity.name.clone()),
        }
    }
}

impl TryFrom<Model> for ProviderIdentity {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            provider: row.provider.parse().map_err(|_| corrupt("a provider's name"))?,
            subject: row.subject,
            verified_email: row.verified_email,
            name: row.name,
        })
    }
}
