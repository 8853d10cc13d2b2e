//! Deleting an account: table by table, on every replica.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::json;

use crate::{
    PASSWORD, VAULT_KEY,
    common::{
        Gateway,
        browser::{Away, Browser},
        database::{Sqlite, TestDatabase},
        eventually,
        redis::Redis,
        stand_in::StandIn,
    },
};

#[test]
fn with_an_account_everything_of_it_ends() {
    let gateway = Gateway::start();
    let stand_in = StandIn::of(&gateway);
    everything_ends(&[&gateway, &gateway], &stand_in, None, None);
    gateway.is_unharmed();
}

#[test]
fn no_row_of_it_is_left_in_sqlite() {
    no_row_is_left::<Sqlite>(None);
}

#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn no_row_and_no_session_of_it_is_left_in_sqlite_and_redis() {
    no_row_is_left::<Sqlite>(Some(&Redis::start()));
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn no_row_of_it_is_left_in_postgres() {
    no_row_is_left::<crate::common::database::Postgres>(None);
}

fn no_row_is_left<D: TestDatabase>(redis: Option<&Redis>) {
    let host = Gateway::start();
    let stand_in = StandIn::of(&host);
    let database = D::open();
    let settings = stand_in.settings();
    let mut variables = vec![("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY)];
    let redis_url = redis.map(Redis::url);
    variables.extend(redis_url.as_deref().map(|url| ("REDIS_URL", url)));
    variables.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let [one, two] = [Gateway::with(&variables), Gateway::with(&variables)];
    everything_ends(&[&one, &two], &stand_in, Some(database.url()), redis);
    for gateway in [one, two] {
        gateway.is_unharmed();
    }
}

/// A person signs up at one replica, uses the other, and is deleted from both.
fn everything_ends([one, two]: &[&Gateway; 2], stand_in: &StandIn, database: Option<&str>, redis: Option<&Redis>) {
    // Another person, who is not affected.
    let mut bystander = Browser::default();
    let bob = bystander.sign_up(one, "bob@example.org");
    bystander.log_in(one, "bob@example.org", "wrong password").expect_problem(401, "invalid_credentials");
    bystander.log_in(one, "bob@example.org", PASSWORD).expect(200);
    let (before, sessions_before) = (database.map(tables), redis.map(Redis::keys));

    let (mut browser, mut second) = (Browser::default(), Browser::default());
    let account = browser.sign_up(one, "jane.doe@example.com");
    let id = account["id"].as_str().unwrap().to_owned();
    second.log_in(two, "jane.doe@example.com", PASSWORD).expect(200);
    let link = browser.send_form(one, "/login/stand-in/link", &[("password", PASSWORD)]);
    browser.get(one, &Away::following(&link.expect(303)).decide("person=alice")).expect(303);
    let grant = browser.get(one, "/oauth").expect(200).json()["grants"][0]["id"].as_str().unwrap().to_owned();
    let (access, refresh) = one.tokens(&json!({"subject": id}));
    let signed_in = stand_in.exchange(two, "alice");
    assert_eq!(signed_in["tokens"]["token_type"], "Bearer");
    let second_access = signed_in["tokens"]["access_token"].as_str().unwrap().to_owned();
    let of_session =
        second.call(two, "POST", "/session/token", &[("Sec-Fetch-Site", "same-origin")]).expect(200).json();
    let [session_access, session_refresh] =
        ["access_token", "refresh_token"].map(|name| of_session[name].as_str().unwrap().to_owned());
    for gateway in [one, two] {
        for token in [&access, &second_access, &session_access] {
            assert_eq!(gateway.get_with_token("/api/users/me", token).expect(200).json()["subject"], json!(id));
        }
        // Services also learn the account of a session.
        for browser in [&mut browser, &mut second] {
            assert_eq!(browser.get(gateway, "/api/users/me").expect(200).json()["subject"], json!(id));
        }
    }
    second.log_in(two, "jane.doe@example.com", "wrong password").expect_problem(401, "invalid_credentials");
    let names = [id.clone(), "jane.doe@example.com".into(), "alice@example.com".into(), grant.clone()];
    if let Some(database) = database {
        assert!(names_in(&tables(database), &names, &id) > 3, "the tables show somebody who is there");
    }

    let revocations = stand_in.statistic("revocations");
    let wrong = json!({"password": "wrong password"});
    browser.send(one, "DELETE", "/accounts/me", &wrong).expect_problem(403, "wrong_password");
    browser.send(one, "DELETE", "/accounts/me", &json!({})).expect_problem(422, "validation_failed");
    let right = json!({"password": PASSWORD});
    let foreign = [("Sec-Fetch-Site", "cross-site")];
    browser.send_from(one, "DELETE", "/accounts/me", &right, &foreign).expect_problem(403, "cross_site_request");
    let old = browser.session().unwrap().clone();
    let deleted = browser.send(one, "DELETE", "/accounts/me", &right).expect(200).json();
    let taken_back = json!([{"provider": "stand-in", "revoked_at_provider": true}]);
    assert_eq!(deleted, json!({"deleted": true, "grants": taken_back}));
    assert_eq!(stand_in.statistic("revocations"), revocations + 1);
    assert_eq!(browser.session(), None, "the browser forgets it");

    // Here at once, elsewhere within a second.
    one.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    eventually("the other replica knows", || two.get_with_token("/api/users/me", &access).status == 401);
    for gateway in [one, two] {
        for token in [&access, &second_access, &session_access] {
            eventually("the token is refused", || gateway.get_with_token("/api/users/me", token).status == 401);
            let verified = gateway.post("/tokens/verify", &json!({"token": token})).expect(200).json();
            assert_eq!(verified, json!({"active": false, "reason": "revoked"}));
            gateway.get_with_token("/accounts/me", token).expect_problem(401, "invalid_token");
        }
        for token in [&refresh, &session_refresh] {
            gateway.post("/tokens/refresh", &json!({"refresh_token": token})).expect_problem(401, "invalid_grant");
        }
        let mut thief = Browser::default();
        thief.cookies.insert("__Host-gateway_session".into(), old.clone());
        thief.me(gateway).expect_problem(401, "token_missing");
        second.me(gateway).expect_problem(401, "token_missing");
        for session in [&old, second.session().unwrap()] {
            let cookie = format!("__Host-gateway_session={session}");
            let opens = || gateway.call("GET", "/api/users/me", &[("Cookie", &cookie)], b"").status;
            eventually("services hear of it no more", || opens() == 401);
        }
        Browser::default().log_in(gateway, "jane.doe@example.com", PASSWORD).expect_problem(401, "invalid_credentials");
        assert_eq!(bystander.me(gateway).expect(200).json(), bob);
    }

    if let (Some(database), Some(before)) = (database, before) {
        let after = tables(database);
        assert_eq!(names_in(&after, &names, &id), 0, "{after:#?}");
        // The remaining data: revoked tokens, a used state, and failed attempts (by digest, for an hour).
        for (table, rows) in &after {
            if !["revocations", "revocation_cursor", "redeemed_logins", "login_attempts"].contains(&table.as_str()) {
                assert_eq!(rows.len(), before[table].len(), "{table}: {rows:#?}");
            }
        }
    }
    assert_eq!(redis.map(Redis::keys), sessions_before, "sessions of others, and no more");
    // A returning person gets a new account.
    let again = Browser::default().sign_up(two, "jane.doe@example.com");
    assert_ne!(again["id"], json!(id));
}

/// The number of rows with one of these names, or the id in any of its forms.
fn names_in(tables: &BTreeMap<String, Vec<String>>, names: &[String], id: &str) -> usize {
    let uuid = short_uuid::ShortUuid::parse_str(id).unwrap().to_uuid();
    let forms = [uuid.to_string(), uuid.simple().to_string()];
    let wanted: Vec<_> = names.iter().chain(&forms).map(|name| name.to_lowercase()).collect();
    let rows = tables.values().flatten().map(|row| row.to_lowercase());
    rows.filter(|row| wanted.iter().any(|name| row.contains(name))).count()
}

/// Every row of every table, as text.
fn tables(url: &str) -> BTreeMap<String, Vec<String>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let db = Database::connect(url).await.unwrap();
        let backend = db.get_database_backend();
        let ask = async |sql: String| -> Vec<String> {
            let rows = db.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
            rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
        };
        let names = if backend == DbBackend::Postgres {
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'gateway'"
        } else {
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        };
        let mut tables = BTreeMap::new();
        for table in ask(names.to_owned()).await {
            let rows = if backend == DbBackend::Postgres {
                format!("SELECT CAST(row_to_json(one) AS TEXT) FROM gateway.\"{table}\" AS one")
            } else {
                let columns = ask(format!("SELECT name FROM pragma_table_info('{table}')")).await;
                let quoted: Vec<_> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
                format!("SELECT {} FROM \"{table}\"", quoted.join(" || ',' || "))
            };
            let rows = ask(rows).await;
            tables.insert(table, rows);
        }
        db.close().await.unwrap();
        assert!(tables.len() > 10, "{tables:?}");
        tables
    })
}
