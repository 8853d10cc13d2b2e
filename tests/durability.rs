//! Acknowledged writes are not lost: restarts, `kill -9`, two gateways on one database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{
    Gateway,
    database::{Postgres, Sqlite, TestDatabase},
    eventually,
};
use sea_orm::ConnectionTrait;
use serde_json::json;

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

fn gateway(database: &str) -> Gateway {
    Gateway::with(&[("DATABASE_URL", database), ("VAULT_KEY", VAULT_KEY)])
}

fn everything_survives_a_restart_and_a_kill<D: TestDatabase>() {
    let database = D::open();
    let first = gateway(database.url());
    let (kept, refresh) = first.tokens(&json!({"subject": "alice"}));
    let (revoked, _) = first.tokens(&json!({"subject": "bob"}));
    first.post("/tokens/revoke", &json!({"token": revoked})).expect(200);
    let jwks = first.get("/.well-known/jwks.json").json();
    first.kill();

    let second = gateway(database.url());
    assert_eq!(second.get("/.well-known/jwks.json").json(), jwks, "the keys");
    second.get_with_token("/api/users/me", &kept).expect(200);
    second.get_with_token("/api/users/me", &revoked).expect_problem(401, "invalid_token");
    let next = second.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    assert_eq!(second.terminate(), Some(0));

    let third = gateway(database.url());
    third.get_with_token("/api/users/me", next["access_token"].as_str().unwrap()).expect(200);
    third.get_with_token("/api/users/me", &revoked).expect_problem(401, "invalid_token");
    // The lost response of a refresh just before the restart is repeated.
    let again = third.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    assert_eq!(again["refresh_token"], next["refresh_token"]);
}

fn two_gateways_accept_each_others_tokens_and_revocations<D: TestDatabase>() {
    let database = D::open();
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| gateway(database.url()));
        let two = scope.spawn(|| gateway(database.url()));
        (one.join().unwrap(), two.join().unwrap())
    });
    let (access, refresh) = one.tokens(&json!({"subject": "alice"}));
    two.get_with_token("/api/users/me", &access).expect(200);
    let next = two.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    one.get_with_token("/api/users/me", next["access_token"].as_str().unwrap()).expect(200);

    one.post("/tokens/revoke", &json!({"token": next["refresh_token"]})).expect(200);
    one.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    eventually("refused by the other gateway", || two.get_with_token("/api/users/me", &access).status == 401);
    assert_eq!(two.post("/tokens/verify", &json!({"token": access})).json()["reason"], json!("revoked"));
    eventually("both are ready", || one.get("/readyz").status == 200 && two.get("/readyz").status == 200);
}

fn the_database_holds_no_token_in_clear<D: TestDatabase>(dump: impl Fn(&D) -> Vec<u8>) {
    let database = D::open();
    let gateway = gateway(database.url());
    let (access, refresh) = gateway.tokens(&json!({"subject": "alice-in-clear"}));
    gateway.post("/tokens/dummy", &json!({"token": "typed-in-clear"})).expect(200);
    let next = gateway.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    assert_eq!(gateway.terminate(), Some(0));
    let held = dump(&database);
    let holds = |text: &str| held.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("alice-in-clear"), "the dump shows what the database holds");
    for secret in [&access, &refresh, next["refresh_token"].as_str().unwrap(), "typed-in-clear"] {
        assert!(!holds(secret) && !holds(&secret[4..]), "{secret}");
    }
}

/// Runs SQL as a gateway of a later version would.
fn change(database: &str, changes: &[&str]) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let db = sea_orm::Database::connect(database).await.unwrap();
        for sql in changes {
            db.execute_unprepared(sql).await.unwrap();
        }
        db.close().await.unwrap();
    });
}

/// `schema` is what the names of tables begin with.
fn the_image_of_before_is_started_again_unless_a_newer_one_has_removed_something<D: TestDatabase>(schema: &str) {
    let database = D::open();
    let first = gateway(database.url());
    let (access, refresh) = first.tokens(&json!({"subject": "alice"}));
    let newer = |name: &str| format!("INSERT INTO {schema}seaql_migrations (version, applied_at) VALUES ('{name}', 1)");
    let added = "m20990101_999990_add_colour_to_token_families";
    let column = format!("ALTER TABLE {schema}token_families ADD COLUMN colour TEXT");
    change(database.url(), &[&column, &newer(added)]);
    // While it runs, and when it is started again.
    let next = first.post("/tokens/refresh", &json!({"refresh_token": refresh})).expect(200).json();
    assert_eq!(first.terminate(), Some(0));
    let second = gateway(database.url());
    let line = second.printed(added);
    assert!(line.contains("a newer gateway has extended the tables") && line.contains("INFO"), "{line}");
    second.get_with_token("/api/users/me", &access).expect(200);
    second.post("/tokens/refresh", &json!({"refresh_token": next["refresh_token"]})).expect(200);
    second.is_unharmed();
    assert_eq!(second.terminate(), Some(0));

    let removed = "m20990101_999991_contract_999990_drop_subject";
    change(database.url(), &[&newer(removed)]);
    let folder = tempfile::tempdir().unwrap();
    let variables = [("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY)];
    let output = common::command(folder.path(), &variables).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains(removed) && said.contains("start a version that is at least as new"), "{said}");
}

#[test]
fn a_mistyped_path_begins_no_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("DATABASE_URL", "sqlite://gatewy.db"), ("VAULT_KEY", VAULT_KEY)];
    let output = common::command(folder.path(), &variables).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("there is no file gatewy.db; write sqlite://gatewy.db?mode=rwc"), "{said}");
    assert!(!folder.path().join("gatewy.db").exists());
}

mod sqlite {
    use super::*;

    #[test]
    fn the_image_of_before_is_started_again_unless_a_newer_one_has_removed_something() {
        super::the_image_of_before_is_started_again_unless_a_newer_one_has_removed_something::<Sqlite>("");
    }

    #[test]
    fn everything_survives_a_restart_and_a_kill() {
        super::everything_survives_a_restart_and_a_kill::<Sqlite>();
    }

    #[test]
    fn two_gateways_accept_each_others_tokens_and_revocations() {
        super::two_gateways_accept_each_others_tokens_and_revocations::<Sqlite>();
    }

    #[test]
    fn the_database_holds_no_token_in_clear() {
        super::the_database_holds_no_token_in_clear::<Sqlite>(|database| {
            let file = database.file();
            let wal = file.with_extension("db-wal");
            [file, wal].iter().flat_map(|file| std::fs::read(file).unwrap_or_default()).collect()
        });
    }
}

mod postgres {
    use super::*;

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn the_image_of_before_is_started_again_unless_a_newer_one_has_removed_something() {
        super::the_image_of_before_is_started_again_unless_a_newer_one_has_removed_something::<Postgres>("gateway.");
    }

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn everything_survives_a_restart_and_a_kill() {
        super::everything_survives_a_restart_and_a_kill::<Postgres>();
    }

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn two_gateways_accept_each_others_tokens_and_revocations() {
        super::two_gateways_accept_each_others_tokens_and_revocations::<Postgres>();
    }
}
