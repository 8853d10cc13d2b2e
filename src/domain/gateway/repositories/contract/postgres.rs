//! Contract of a shared PostgreSQL: our tables stay in their schema, errors are explained, and nothing of ours is left
//! on a connection.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{
    database::migrated,
    harness::{self, Database, at, digest, family, refresh},
};
use crate::domain::gateway::repositories::{
    RepositoryError,
    sea_orm::{ConnectError, SeaOrmTokens, connect, migrate},
    token::TokenRepository,
};

/// Runs each case over a database of its own.
macro_rules! over_postgres {
    ($($case:ident,)+) => {
        mod cases {
            $(
                #[tokio::test]
                #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
                async fn $case() {
                    let database = super::harness::empty_postgres().await;
                    super::$case(&database).await;
                    database.close().await;
                }
            )+
        }
    };
}

over_postgres!(
    others_find_nothing_of_ours_on_a_connection,
    tables_of_before_move_into_the_schema,
    an_error_of_the_server_is_explained,
    a_schema_that_may_not_be_made_is_said,
);

async fn texts(db: &impl ConnectionTrait, sql: &str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Another database on the same server.
async fn database(of: &Database, name: &str) -> String {
    let direct = of.directly().await;
    direct.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let mut url = url::Url::parse(&of.url).unwrap();
    url.set_path(name);
    url.to_string()
}

async fn drop_database(of: &Database, name: &str) {
    of.directly().await.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
}

async fn others_find_nothing_of_ours_on_a_connection(database: &Database) {
    let db = migrated(database).await;
    let tokens = SeaOrmTokens::new(db.clone());
    tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    tokens.find_refresh(&digest(11)).await.unwrap().unwrap();
    // Behind a pooler another client gets the same connection next.
    let ours = "SELECT name FROM pg_settings WHERE setting <> reset_val AND source = 'session'";
    assert!(db.plainly(ours).await.is_empty(), "{:?}", db.plainly(ours).await);
    let own = "SELECT statement FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared_statements%' AND statement NOT LIKE '%pg_settings%'";
    assert!(db.plainly(own).await.is_empty(), "{:?}", db.plainly(own).await);
}

async fn tables_of_before_move_into_the_schema(beside: &Database) {
    let name = format!("{}_before", beside.schema);
    let url = database(beside, &name).await;
    // A gateway of that time, with a token, and another service that uses SeaORM.
    let before = connect(&url, "public").await.unwrap();
    migrate(&before).await.unwrap();
    SeaOrmTokens::new(before.clone()).open_family(&family(1), &refresh(11)).await.unwrap();
    before
        .execute_unprepared(
            "INSERT INTO seaql_migrations VALUES ('m20240101_000001_create_posts', 1);
             CREATE TABLE posts (id INT); CREATE TABLE users (id INT)",
        )
        .await
        .unwrap();
    before.close().await.unwrap();

    for _ in 0..2 {
        let db = connect(&url, "gateway").await.unwrap();
        migrate(&db).await.unwrap();
        assert!(SeaOrmTokens::new(db.clone()).find_refresh(&digest(11)).await.unwrap().is_some());
        let left = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
        assert_eq!(texts(&db, left).await, ["posts", "seaql_migrations", "users"]);
        assert_eq!(texts(&db, "SELECT version FROM public.seaql_migrations").await, ["m20240101_000001_create_posts"]);
        db.close().await.unwrap();
    }
    drop_database(beside, &name).await;
}

async fn an_error_of_the_server_is_explained(database: &Database) {
    let mut url = url::Url::parse(&database.url).unwrap();
    let (host, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    url.set_path("nowhere");
    let error = connect(url.as_str(), "gateway").await.unwrap_err();
    assert_eq!(error.to_string(), format!("PostgreSQL at {host}:{port}: database \"nowhere\" does not exist"));
    assert!(matches!(error, ConnectError::NotYet(_)));

    url.set_username("nobody").unwrap();
    let error = connect(url.as_str(), "gateway").await.unwrap_err();
    assert_eq!(error.to_string(), format!("PostgreSQL at {host}:{port}: role \"nobody\" does not exist"));
    assert!(matches!(error, ConnectError::Refused(_)));

    let error = connect("postgres://someone:hidden@127.0.0.1:1/nowhere", "gateway").await.unwrap_err();
    assert_eq!(error.to_string(), "PostgreSQL at 127.0.0.1:1: connection refused");
    assert!(matches!(error, ConnectError::NotYet(_)));
}

async fn a_schema_that_may_not_be_made_is_said(beside: &Database) {
    let name = format!("{}_guest", beside.schema);
    let mut url = url::Url::parse(&database(beside, &name).await).unwrap();
    let direct = beside.directly().await;
    direct.execute_unprepared(&format!("CREATE ROLE {name} LOGIN")).await.unwrap();
    url.set_username(&name).unwrap();
    let guest = connect(url.as_str(), "gateway").await.unwrap();
    let Err(RepositoryError::Unavailable(said)) = migrate(&guest).await else { panic!() };
    assert!(said.contains("permission denied for database"), "{said}");
    assert!(said.contains(&format!("CREATE SCHEMA \"gateway\" AUTHORIZATION \"{name}\"")), "{said}");
    guest.close().await.unwrap();
    // With the URL as configured.
    let mut owners = url::Url::parse(&beside.url).unwrap();
    owners.set_path(&name);
    let owner = sea_orm::Database::connect(owners.as_str()).await.unwrap();
    owner.execute_unprepared(&format!("CREATE SCHEMA gateway AUTHORIZATION {name}")).await.unwrap();
    owner.close().await.unwrap();
    let guest = connect(url.as_str(), "gateway").await.unwrap();
    migrate(&guest).await.unwrap();
    SeaOrmTokens::new(guest.clone()).revoke(&[harness::revocation(1, at(60))]).await.unwrap();
    guest.close().await.unwrap();
    drop_database(beside, &name).await;
    direct.execute_unprepared(&format!("DROP ROLE {name}")).await.unwrap();
}
