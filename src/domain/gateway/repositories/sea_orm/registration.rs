//! Registrations in a database. Leases are measured by the clock of the database, in the statements themselves. Whoever
//! adds or deletes one locks the row of the generation first, so limits are exact, and generations become visible in
//! order.

use async_trait::async_trait;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement, sea_query::Expr,
};
use tracing::error;

use super::{
    connection::{Connection, Transaction, begin, clock, with_timeout},
    entities::{
        corrupt, registration_generation,
        registrations::{ActiveModel, Column, Entity, Live},
    },
    forgetting::forget_until,
};
use crate::domain::gateway::{
    models::{
        registration::{
            Lease, Registration, RegistrationLimit, RegistrationLimits, RegistrationOutcome, RegistrationState,
        },
        service::ServiceName,
        values::id::RegistrationId,
    },
    repositories::{RepositoryError, registration::RegistrationRepository},
};

/// Registrations in a database.
#[derive(Debug, Clone)]
pub struct SeaOrmRegistrations {
    db: Connection,
}

impl SeaOrmRegistrations {
    /// A repository over a migrated database.
    pub fn new(db: Connection) -> Self {
        Self { db }
    }
}

#[async_trait]
impl RegistrationRepository for SeaOrmRegistrations {
    async fn register(
        &self,
        registration: &Registration,
        limits: &RegistrationLimits,
    ) -> Result<RegistrationOutcome, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            next_generation(&transaction).await?;
            let now = now(&transaction).await?;
            // Locked, so that it is not deleted meanwhile.
            let same = Entity::find()
                .filter(Column::Service.eq(registration.service.as_str()))
                .filter(Column::Url.eq(registration.url.to_string()))
                .lock_exclusive()
                .one(&transaction)
                .await?;
            let extended = match same {
                Some(row) if row.expires_at > now => Some(row.id),
                Some(row) => {
                    Entity::delete_by_id(row.id).exec(&transaction).await?;
                    None
                }
                None => None,
            };
            let outcome = if let Some(id) = extended {
                let registration = Registration { id: id.into(), ..registration.clone() };
                let row = ActiveModel::new(&registration, now)?;
                Entity::update(row).exec(&transaction).await?;
                RegistrationOutcome::Extended(anew(registration))
            } else {
                if let Some(limit) = reached(&transaction, &registration.service, limits, now).await? {
                    return Ok(RegistrationOutcome::LimitReached(limit));
                }
                let row = ActiveModel::new(registration, now)?;
                Entity::insert(row).exec_without_returning(&transaction).await?;
                RegistrationOutcome::Added(anew(registration.clone()))
            };
            transaction.commit().await?;
            Ok(outcome)
        })
        .await
    }

    async fn renew(&self, service: &ServiceName, id: RegistrationId) -> Result<Option<Lease>, RepositoryError> {
        with_timeout(async {
            let now = Expr::cust(clock(&self.db));
            let rows = Entity::update_many()
                .col_expr(Column::ExpiresAt, now.clone().add(Expr::col(Column::Ttl)))
                .filter(Column::Id.eq(id.as_uuid()))
                .filter(Column::Service.eq(service.as_str()))
                .filter(Expr::col(Column::ExpiresAt).gt(now))
                .exec_with_returning(&self.db)
                .await?;
            rows.into_iter().next().map(|row| Registration::try_from(row).map(anew)).transpose()
        })
        .await
    }

    async fn remove(&self, service: &ServiceName, id: RegistrationId) -> Result<bool, RepositoryError> {
        with_timeout(async {
            let transaction = begin(&self.db).await?;
            next_generation(&transaction).await?;
            let deleted = Entity::delete_many()
                .filter(Column::Id.eq(id.as_uuid()))
                .filter(Column::Service.eq(service.as_str()))
                .exec(&transaction)
                .await?;
            let is_removed = deleted.rows_affected == 1;
            if is_removed {
                transaction.commit().await?;
            }
            Ok(is_removed)
        })
        .await
    }

    async fn state(&self) -> Result<RegistrationState, RepositoryError> {
        #[derive(FromQueryResult)]
        struct Row {
            value: i64,
            live: i64,
        }
        // One statement, and so one state of the database.
        let sql = format!(
            "SELECT value, (SELECT COUNT(*) FROM registrations WHERE expires_at > {}) AS live FROM registration_generation",
            clock(&self.db)
        );
        with_timeout(async {
            let statement = Statement::from_string(self.db.get_database_backend(), sql);
            let row = Row::find_by_statement(statement).one(&self.db).await?;
            let Row { value, live } = row.ok_or_else(|| corrupt("the generation of registrations"))?;
            Ok(RegistrationState { generation: value, live })
        })
        .await
    }

    async fn live(&self) -> Result<Vec<Lease>, RepositoryError> {
        with_timeout(async {
            let now = Expr::cust(clock(&self.db));
            let rows = Entity::find()
                .expr_as(Expr::col(Column::ExpiresAt).sub(now.clone()), "remaining")
                .filter(Expr::col(Column::ExpiresAt).gt(now))
                .order_by_asc(Column::Service)
                .order_by_asc(Column::Url)
                .into_model::<Live>()
                .all(&self.db)
                .await?;
            Ok(rows.into_iter().filter_map(readable).collect())
        })
        .await
    }

    async fn purge_expired(&self) -> Result<u64, RepositoryError> {
        forget_until::<Entity>(&self.db, Column::Id, Column::ExpiresAt, &Expr::cust(clock(&self.db))).await
    }
}

/// A lease that begins at this moment.
fn anew(registration: Registration) -> Lease {
    Lease { remaining: registration.ttl, registration }
}

/// An unreadable row, of a newer version for instance, does not hide the others.
fn readable(live: Live) -> Option<Lease> {
    live.try_into().inspect_err(|error| error!(%error, "a stored registration cannot be read; it is ignored")).ok()
}

/// Begins a generation. The lock is held until the transaction ends.
async fn next_generation(transaction: &Transaction) -> Result<(), RepositoryError> {
    use registration_generation::Column;
    let outcome = registration_generation::Entity::update_many()
        .col_expr(Column::Value, Expr::col(Column::Value).add(1))
        .exec(transaction)
        .await?;
    if outcome.rows_affected == 1 { Ok(()) } else { Err(corrupt("the generation of registrations")) }
}

/// The time by the store's clock, in microseconds. It is read after the lock was taken, which may have taken long.
async fn now(transaction: &Transaction) -> Result<i64, RepositoryError> {
    let sql = format!("SELECT {} AS now", clock(transaction));
    let row = transaction.query_one_raw(Statement::from_string(transaction.get_database_backend(), sql)).await?;
    Ok(row.ok_or_else(|| corrupt("the clock"))?.try_get("", "now")?)
}

/// The limit that one more instance of the service would exceed.
async fn reached(
    transaction: &Transaction,
    service: &ServiceName,
    limits: &RegistrationLimits,
    now: i64,
) -> Result<Option<RegistrationLimit>, RepositoryError> {
    let live = || Entity::find().filter(Column::ExpiresAt.gt(now));
    let of_service = live().filter(Column::Service.eq(service.as_str())).count(transaction).await?;
    if of_service >= limits.instances_per_service {
        return Ok(Some(RegistrationLimit::InstancesOfService));
    }
    if live().count(transaction).await? >= limits.instances {
        return Ok(Some(RegistrationLimit::Instances));
    }
    if of_service > 0 {
        return Ok(None);
    }
    let services = live().select_only().column(Column::Service).distinct().count(transaction).await?;
    Ok((services >= limits.services).then_some(RegistrationLimit::Services))
}
