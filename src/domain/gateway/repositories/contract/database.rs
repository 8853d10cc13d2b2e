//! Additional contract of a database: it keeps what it was given, migrates once, and reports what is wrong with it.

use std::{fmt::Debug, sync::Arc, time::Instant};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio::{net::TcpListener, sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{
    self, Database, PATIENCE, at, digest, dummy, family, family_id, refresh, revocation, rotation, token_id,
};
use crate::domain::gateway::{
    models::{
        signing_key::{SigningAlgorithm, SigningKey},
        token::{RevocationCursor, RotationOutcome},
        values::id::ClientId,
    },
    repositories::{
        RepositoryError,
        sea_orm::{ConnectError, Connection, SeaOrmSigningKeys, SeaOrmTokens, connect, migrate},
        signing_key::SigningKeyRepository,
        token::TokenRepository,
    },
};

over_every_database!(
    replicas_that_start_at_once_migrate_once,
    migrations_can_be_undone_and_done_again,
    a_gateway_works_beside_what_a_newer_one_has_added,
    a_gateway_does_not_start_where_a_newer_one_has_removed_something,
    acknowledged_data_survives_reopening,
    a_closed_database_is_unavailable,
    a_database_that_is_not_migrated_is_unavailable,
    a_lock_that_is_not_released_is_unavailable_soon,
    an_unreachable_database_is_unavailable_soon_and_no_secret_is_revealed,
    rows_that_are_no_models_are_corrupt,
);

pub(super) async fn migrated(database: &Database) -> Connection {
    let db = connect(&database.url, &database.schema).await.unwrap();
    migrate(&db).await.unwrap();
    db
}

fn key() -> SigningKey {
    SigningKey {
        kid: "k".to_owned(),
        algorithm: SigningAlgorithm::Es256,
        generation: 1,
        sealed_private_key: vec![7],
        public_jwk: None,
        created_at: at(0),
        signs_from: at(0),
    }
}

async fn replicas_that_start_at_once_migrate_once(database: &Database) {
    let start = Arc::new(Barrier::new(6));
    let mut replicas = JoinSet::new();
    for _ in 0..6 {
        let (url, schema, start) = (database.url.clone(), database.schema.clone(), start.clone());
        replicas.spawn(async move {
            start.wait().await;
            let db = connect(&url, &schema).await?;
            migrate(&db).await?;
            SeaOrmTokens::new(db).revoke(&[revocation(1, at(60))]).await
        });
    }
    for outcome in timeout(PATIENCE, replicas.join_all()).await.unwrap() {
        outcome.unwrap();
    }
    let db = connect(&database.url, &database.schema).await.unwrap();
    let applied = Migrator::get_applied_migrations(&database.directly().await).await.unwrap();
    assert_eq!(applied.len(), Migrator::migrations().len());
    assert_eq!(SeaOrmTokens::new(db).revocations_after(RevocationCursor::default(), 9).await.unwrap().entries.len(), 1);
}

async fn migrations_can_be_undone_and_done_again(database: &Database) {
    let db = migrated(database).await;
    Migrator::down(&database.directly().await, None).await.unwrap();
    migrate(&db).await.unwrap();
    migrate(&db).await.unwrap();
    SeaOrmTokens::new(db).open_family(&family(1), &refresh(11)).await.unwrap();
}

/// What a newer gateway did.
async fn recorded(database: &Database, migration: &str, sql: &str) {
    let newer = database.directly().await;
    for sql in [sql, &format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{migration}', 1)")] {
        newer.execute_unprepared(sql).await.unwrap();
    }
    newer.close().await.unwrap();
}

async fn a_gateway_works_beside_what_a_newer_one_has_added(database: &Database) {
    migrated(database).await.close().await.unwrap();
    // As if the last migration were not done yet.
    let last = Migrator::migrations().last().unwrap().name().to_owned();
    Migrator::down(&database.directly().await, Some(1)).await.unwrap();
    let added = "ALTER TABLE token_families ADD COLUMN colour TEXT";
    recorded(database, "m20990101_999990_add_colour_to_token_families", added).await;
    recorded(database, "m20990101_999991_contract_000001_drop_sizes", "SELECT 1").await;
    for _ in 0..2 {
        let db = migrated(database).await;
        let tokens = SeaOrmTokens::new(db.clone());
        tokens.open_family(&family(1), &refresh(11)).await.unwrap();
        assert!(tokens.find_refresh(&digest(11)).await.unwrap().is_some());
        tokens.revoke(&[revocation(1, at(60))]).await.unwrap();
        db.execute_unprepared("DELETE FROM token_families").await.unwrap();
        db.close().await.unwrap();
    }
    let applied = Migrator::get_applied_migrations(&database.directly().await).await.unwrap();
    assert_eq!(applied.last().unwrap().name(), last, "its own migrations are done");
}

async fn a_gateway_does_not_start_where_a_newer_one_has_removed_something(database: &Database) {
    let db = migrated(database).await;
    let refused = async |name: &str, reason: &str| {
        recorded(database, name, "SELECT 1").await;
        let Err(RepositoryError::Misfit(said)) = migrate(&db).await else { panic!("it starts beside {name}") };
        assert!(said.contains(name) && said.contains(reason), "{said}");
        let gone = format!("DELETE FROM seaql_migrations WHERE version = '{name}'");
        database.directly().await.execute_unprepared(&gone).await.unwrap();
    };
    refused("m20990101_999990_contract_999989_drop_scope", "a newer gateway has removed").await;
    refused("m20240101_000001_create_posts", "DATABASE_SCHEMA").await;
    migrate(&db).await.unwrap();
}

async fn acknowledged_data_survives_reopening(database: &Database) {
    let db = migrated(database).await;
    let tokens = SeaOrmTokens::new(db.clone());
    tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    let RotationOutcome::Rotated(rotated) = tokens.rotate(&rotation(11, 12, at(60))).await.unwrap() else { panic!() };
    tokens.revoke(&[revocation(1, at(60))]).await.unwrap();
    tokens.put_dummy(&dummy(1, at(60))).await.unwrap();
    SeaOrmSigningKeys::new(db.clone()).add(&key()).await.unwrap();
    let listed = tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries;
    db.close().await.unwrap();

    let db = migrated(database).await;
    let tokens = SeaOrmTokens::new(db.clone());
    assert_eq!(tokens.find_refresh(&digest(12)).await.unwrap().unwrap().family, rotated);
    assert_eq!(tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries, listed);
    assert_eq!(tokens.find_dummy(&digest(1)).await.unwrap(), Some(dummy(1, at(60))));
    assert_eq!(SeaOrmSigningKeys::new(db).list().await.unwrap(), [key()]);
    // The positions continue where they were: a reader's cursor survives a restart.
    tokens.revoke(&[revocation(2, at(60))]).await.unwrap();
    assert_eq!(tokens.revocations_after(listed[0].cursor, 9).await.unwrap().entries.len(), 1);
}

pub(super) fn assert_unavailable<T: Debug>(outcome: Result<T, RepositoryError>) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable(_)), "{error:?}");
}

async fn assert_nothing_works(db: Connection) {
    let (tokens, keys) = (SeaOrmTokens::new(db.clone()), SeaOrmSigningKeys::new(db));
    assert_unavailable(tokens.open_family(&family(1), &refresh(11)).await);
    assert_unavailable(tokens.open_access_only(&family(2)).await);
    assert_unavailable(tokens.revoke_families_of_client(ClientId::from_random([1; 16]), at(60)).await);
    assert_unavailable(tokens.rotate(&rotation(11, 12, at(60))).await);
    assert_unavailable(tokens.find_refresh(&digest(11)).await);
    assert_unavailable(tokens.revoke_family(family_id(1), at(60)).await);
    assert_unavailable(tokens.revoke(&[revocation(1, at(60))]).await);
    assert_unavailable(tokens.is_any_revoked(&[token_id(1).into()]).await);
    assert_unavailable(tokens.revocations_after(RevocationCursor::default(), 9).await);
    assert_unavailable(tokens.put_dummy(&dummy(1, at(60))).await);
    assert_unavailable(tokens.find_dummy(&digest(1)).await);
    assert_unavailable(tokens.purge_expired(at(60)).await);
    assert_unavailable(keys.list().await);
    assert_unavailable(keys.add(&key()).await);
    assert_unavailable(keys.remove("k").await);
}

async fn a_closed_database_is_unavailable(database: &Database) {
    let db = migrated(database).await;
    db.clone().close().await.unwrap();
    assert_unavailable(migrate(&db).await);
    assert_nothing_works(db).await;
}

async fn a_database_that_is_not_migrated_is_unavailable(database: &Database) {
    assert_nothing_works(connect(&database.url, &database.schema).await.unwrap()).await;
}

async fn a_lock_that_is_not_released_is_unavailable_soon(database: &Database) {
    let tokens = SeaOrmTokens::new(migrated(database).await);
    let holder = database.directly().await.begin().await.unwrap();
    holder.execute_unprepared("UPDATE revocation_cursor SET value = value + 1").await.unwrap();
    let begun = Instant::now();
    assert_unavailable(tokens.revoke(&[revocation(1, at(60))]).await);
    assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
    holder.rollback().await.unwrap();
    tokens.revoke(&[revocation(1, at(60))]).await.unwrap();
}

async fn an_unreachable_database_is_unavailable_soon_and_no_secret_is_revealed(database: &Database) {
    let begun = Instant::now();
    let outcome = connect(&database.dead_url, "gateway").await;
    assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
    assert!(!format!("{outcome:?}").contains("hidden"), "{outcome:?}");
    outcome.unwrap_err();
}

async fn rows_that_are_no_models_are_corrupt(database: &Database) {
    let db = migrated(database).await;
    let (tokens, keys) = (SeaOrmTokens::new(db.clone()), SeaOrmSigningKeys::new(db.clone()));
    keys.add(&key()).await.unwrap();
    db.execute_unprepared("UPDATE signing_keys SET algorithm = 'none'").await.unwrap();
    let outcome = keys.list().await;
    assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{outcome:?}");

    for (n, change) in [
        "scope = 'a  b'",
        "audience = '{}'",
        "audience = '[1]'",
        "claims = '[]'",
        "created_at = 9223372036854775807",
        "revoked_at = 9223372036854775807",
    ]
    .into_iter()
    .enumerate()
    {
        let n = u8::try_from(n).unwrap();
        tokens.open_family(&family(n), &refresh(n)).await.unwrap();
        db.execute_unprepared(&format!("UPDATE token_families SET {change}")).await.unwrap();
        for outcome in [
            tokens.find_refresh(&digest(n)).await.map(drop),
            tokens.rotate(&rotation(n, 99, at(60))).await.map(drop),
            tokens.revoke_family(family_id(n), at(60)).await.map(drop),
        ] {
            assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{change}: {outcome:?}");
        }
        db.execute_unprepared("DELETE FROM token_families").await.unwrap();
    }

    tokens.put_dummy(&dummy(1, at(60))).await.unwrap();
    db.execute_unprepared("UPDATE dummy_tokens SET scope = ' '").await.unwrap();
    let outcome = tokens.find_dummy(&digest(1)).await;
    assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{outcome:?}");

    db.execute_unprepared("DELETE FROM revocation_cursor").await.unwrap();
    let outcome = tokens.revoke(&[revocation(1, at(60))]).await;
    assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{outcome:?}");
}

/// As after a restart of the server.
#[tokio::test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
async fn connections_that_broke_are_replaced() {
    let database = harness::empty_postgres().await;
    let db = migrated(&database).await;
    let tokens = SeaOrmTokens::new(db.clone());
    tokens.revoke(&[revocation(1, at(60))]).await.unwrap();
    let own = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    assert!(db.execute_unprepared(own).await.is_err());
    tokens.revoke(&[revocation(2, at(60))]).await.unwrap();
    db.close().await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn an_address_that_swallows_everything_is_unavailable_soon() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://someone:hidden@{}/nowhere", silent.local_addr().unwrap());
    let begun = Instant::now();
    let outcome = connect(&url, "gateway").await;
    assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
    let said = outcome.unwrap_err().to_string();
    assert_eq!(said, format!("PostgreSQL at {}: no response within 3s", silent.local_addr().unwrap()));
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_without_being_printed() {
    for url in ["", "gateway.db", "mysql://u:hidden@host/db", "postgres://u:hidden@[::/db", "sqlite"] {
        let outcome = connect(url, "gateway").await;
        assert!(!format!("{outcome:?}").contains("hidden"), "{outcome:?}");
        assert!(matches!(outcome, Err(ConnectError::Refused(_))), "{outcome:?}");
    }
}
