//! The gateway's tables, one file per table, the same on SQLite and PostgreSQL.
//!
//! Times are `BIGINT` microseconds since 1970 on both: SQLite has no time type, and its texts compare wrongly as soon
//! as one has a fraction and another has none. Integers keep the microsecond and compare alike everywhere, in indexes
//! too. Token digests are binary and checked to have 32 bytes. JSON is stored as text: no query reads into it, and
//! PostgreSQL's `jsonb` refuses `\u0000` and rewrites numbers, while a claim has to come back unchanged.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, EntityTrait},
    seaql_migrations::{Entity, Model},
};

pub mod releases;

mod m20261122_000001_create_token_families;
mod m20261122_000002_create_refresh_tokens;
mod m20261122_000003_create_dummy_tokens;
mod m20261122_000004_create_revocations;
mod m20261122_000005_create_revocation_cursor;
mod m20261122_000006_create_signing_keys;
mod m20261122_000007_create_accounts;
mod m20261122_000008_create_account_identities;
mod m20261122_000009_create_grants;
mod m20261122_000010_create_sessions;
mod m20261122_000011_create_redeemed_logins;
mod m20261122_000012_index_expiring_grants;
mod m20261124_000013_create_password_logins;
mod m20261124_000014_create_login_attempts;
mod m20261124_000015_index_token_families_subject;
mod m20261124_000016_add_session_to_token_families;
mod m20261124_000017_add_visitor_to_sessions;
mod m20261124_000019_create_clients;
mod m20261124_000020_create_redeemed_assertions;
mod m20261124_000021_index_families_of_clients;
mod m20261127_000022_add_generation_to_refresh_tokens;
mod m20261127_000023_create_account_endings;
mod m20261128_000024_create_notices;
mod m20261128_000025_add_allowed_at_to_grants;
mod m20261128_000026_create_registrations;
mod m20261128_000027_create_registration_generation;
mod m20261128_000028_add_marks_to_revocations;

/// Brings a database up to date. It does not prevent concurrent migrations: take the store's migration lock first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_create_token_families::Migration),
            Box::new(m20261122_000002_create_refresh_tokens::Migration),
            Box::new(m20261122_000003_create_dummy_tokens::Migration),
            Box::new(m20261122_000004_create_revocations::Migration),
            Box::new(m20261122_000005_create_revocation_cursor::Migration),
            Box::new(m20261122_000006_create_signing_keys::Migration),
            Box::new(m20261122_000007_create_accounts::Migration),
            Box::new(m20261122_000008_create_account_identities::Migration),
            Box::new(m20261122_000009_create_grants::Migration),
            Box::new(m20261122_000010_create_sessions::Migration),
            Box::new(m20261122_000011_create_redeemed_logins::Migration),
            Box::new(m20261122_000012_index_expiring_grants::Migration),
            Box::new(m20261124_000013_create_password_logins::Migration),
            Box::new(m20261124_000014_create_login_attempts::Migration),
            Box::new(m20261124_000015_index_token_families_subject::Migration),
            Box::new(m20261124_000016_add_session_to_token_families::Migration),
            Box::new(m20261124_000017_add_visitor_to_sessions::Migration),
            Box::new(m20261124_000019_create_clients::Migration),
            Box::new(m20261124_000020_create_redeemed_assertions::Migration),
            Box::new(m20261124_000021_index_families_of_clients::Migration),
            Box::new(m20261127_000022_add_generation_to_refresh_tokens::Migration),
            Box::new(m20261127_000023_create_account_endings::Migration),
            Box::new(m20261128_000024_create_notices::Migration),
            Box::new(m20261128_000025_add_allowed_at_to_grants::Migration),
            Box::new(m20261128_000026_create_registrations::Migration),
            Box::new(m20261128_000027_create_registration_generation::Migration),
            Box::new(m20261128_000028_add_marks_to_revocations::Migration),
        ]
    }

    /// The recorded migrations that this release knows. Those of later releases, which it may start beside, are left
    /// alone: [`releases`] judges them first.
    async fn get_migration_models<C: ConnectionTrait>(db: &C) -> Result<Vec<Model>, DbErr> {
        Self::install(db).await?;
        let known = releases::known();
        Ok(Entity::find().all(db).await?.into_iter().filter(|recorded| known.contains(&recorded.version)).collect())
    }
}

/// The condition of a digest column: SHA-256. `length` counts bytes in both databases.
fn is_digest(column: impl IntoIden) -> SimpleExpr {
    Func::cust("length").arg(Expr::col(column.into_iden())).eq(32)
}
