//! Gateways that share a PostgreSQL with others through a pooler: `PgBouncer` in transaction mode, as with hosted
//! databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{process::Command, thread};

use common::{
    Gateway,
    database::{Postgres, TestDatabase},
    eventually,
};
use serde_json::json;

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

/// The same database through the pooler.
fn pooled(database: &Postgres) -> String {
    #[expect(clippy::disallowed_methods, reason = "scripts/test sets the address of its pooler")]
    let port = std::env::var("TEST_POOLER_PORT").unwrap();
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_port(Some(port.parse().unwrap())).unwrap();
    url.to_string()
}

/// The view of another client of the pooler.
fn others_see(url: &str, setting: &str) -> String {
    let output = Command::new("psql").args([url, "-qAtc", &format!("SHOW {setting}")]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[cfg_attr(not(feature = "pooler-tests"), ignore = "scripts/test runs it")]
fn three_gateways_share_a_database_behind_a_pooler_and_leave_nothing_to_others() {
    let database = Postgres::open();
    let url = pooled(&database);
    let before: Vec<_> = ["statement_timeout", "search_path", "idle_in_transaction_session_timeout"]
        .map(|one| (one, others_see(&url, one)))
        .into();
    let variables = [("DATABASE_URL", url.as_str()), ("VAULT_KEY", VAULT_KEY)];
    // At the same time: all of them migrate.
    let gateways: Vec<Gateway> = thread::scope(|scope| {
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(|| Gateway::with(&variables))).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    thread::scope(|scope| {
        for gateway in &gateways {
            for number in 0..4 {
                let name = format!("p{}-{number}@example.com", gateway.address.port());
                scope.spawn(move || {
                    let wish = json!({"email": name, "password": "correct horse"});
                    gateway.post("/accounts/signup", &wish).expect(200);
                    gateway.post("/accounts/login", &wish).expect(200);
                    for _ in 0..5 {
                        let pair = gateway.post("/tokens/create", &json!({"subject": name})).expect(200).json();
                        let refresh = json!({"refresh_token": pair["refresh_token"]});
                        gateway.post("/tokens/refresh", &refresh).expect(200);
                    }
                });
            }
        }
    });
    let pair = gateways[0].post("/tokens/create", &json!({"subject": "alice"})).expect(200).json();
    let token = pair["access_token"].as_str().unwrap();
    gateways[1].post("/tokens/revoke", &json!({"token": token})).expect(200);
    eventually("it is refused at the third", || gateways[2].get_with_token("/api/users/me", token).status == 401);
    for (setting, value) in before {
        for _ in 0..6 {
            assert_eq!(others_see(&url, setting), value, "{setting}");
        }
    }
    for gateway in &gateways {
        gateway.get("/readyz").expect(200);
    }
}
