//! Notices of providers: due until they were applied, then remembered for a while without the person.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

use super::{corrupt, digest, micros, time};
use crate::domain::gateway::{
    models::notice::{ClaimedNotice, Notice, NoticeKind, NoticeProgress},
    repositories::RepositoryError,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub provider: String,
    pub subject: Option<String>,
    pub kind: String,
    pub sent_at: Option<i64>,
    pub received_at: i64,
    pub attempts: i64,
    pub due_at: Option<i64>,
    pub applied_at: Option<i64>,
    pub forget_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Notice> for ActiveModel {
    fn from(notice: &Notice) -> Self {
        Self {
            digest: Set(notice.digest.as_bytes().to_vec()),
            provider: Set(notice.provider.to_string()),
            subject: Set(Some(notice.subject.clone())),
            kind: Set(notice.kind.as_str().to_owned()),
            sent_at: Set(notice.sent_at.map(micros)),
            received_at: Set(micros(notice.received_at)),
            attempts: Set(0),
            due_at: Set(Some(micros(notice.received_at))),
            applied_at: Set(None),
            forget_at: Set(None),
        }
    }
}

impl TryFrom<Model> for ClaimedNotice {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        let notice = Notice {
            digest: digest(row.digest)?,
            provider: row.provider.parse().map_err(|_| corrupt("a provider's name"))?,
            subject: row.subject.ok_or_else(|| corrupt("the person of a notice"))?,
            kind: kind(&row.kind)?,
            sent_at: row.sent_at.map(time).transpose()?,
            received_at: time(row.received_at)?,
        };
        Ok(Self { notice, attempts: row.attempts.try_into().map_err(|_| corrupt("a number of attempts"))? })
    }
}

impl TryFrom<Model> for NoticeProgress {
    type Error = RepositoryError;

    fn try_from(row: Model) -> Result<Self, RepositoryError> {
        Ok(Self { received_at: time(row.received_at)?, applied_at: row.applied_at.map(time).transpose()? })
    }
}

fn kind(text: &str) -> Result<NoticeKind, RepositoryError> {
    NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| corrupt("the kind of a notice"))
}
