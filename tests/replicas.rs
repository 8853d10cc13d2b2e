//! Several gateways on one store: what one does holds at all, whatever happens to the store, and one that ends loses no
//! request.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{
    Gateway,
    database::{Postgres, TestDatabase},
    eventually,
    redis::Redis,
    relay::Relay,
};
use serde_json::json;

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

fn gateway(variables: &[(&str, &str)]) -> Gateway {
    Gateway::with(&[&[("VAULT_KEY", VAULT_KEY)], variables].concat())
}

/// Two gateways on one database.
fn two(database: &str) -> [Gateway; 2] {
    [gateway(&[("DATABASE_URL", database)]), gateway(&[("DATABASE_URL", database)])]
}

/// The status that a token gets.
fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get_with_token("/api/users/me", token).status
}

/// A standby that has not got the newest revocations takes over, and gives out their places again.
#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn a_database_that_has_lost_its_newest_revocations_is_noticed() {
    let database = Postgres::open();
    let gateways = two(database.url());
    let [one, two] = &gateways;
    let [(old, _), (lost, lost_refresh), (new, _)] = [(); 3].map(|()| one.tokens(&json!({"subject": "alice"})));
    let everywhere = |token: &str| gateways.iter().all(|gateway| status(gateway, token) == 401);
    one.post("/tokens/revoke", &json!({"token": old})).expect(200);
    eventually("the first revocation holds", || everywhere(&old));
    let tables = "revocations, revocation_cursor, token_families";
    for table in tables.split(", ") {
        database.run(&format!("CREATE TABLE public.{table} AS SELECT * FROM gateway.{table}"));
    }
    one.post("/tokens/revoke", &json!({"token": lost_refresh})).expect(200);
    eventually("the second revocation holds", || everywhere(&lost));
    assert_eq!(status(two, &new), 200);

    // Back to the copies; then, at a gateway that knows nothing of this, a revocation takes the place of the lost one.
    database.run(
        "BEGIN; LOCK gateway.revocation_cursor; \
         DELETE FROM gateway.revocations; INSERT INTO gateway.revocations SELECT * FROM public.revocations; \
         UPDATE gateway.token_families f SET revoked_at = c.revoked_at FROM public.token_families c WHERE c.id = f.id; \
         UPDATE gateway.revocation_cursor g SET value = c.value + 1, previous_mark = c.mark, mark = gen_random_uuid() \
         FROM public.revocation_cursor c; \
         INSERT INTO gateway.revocations (id, place, expires_at, mark, follows) \
         SELECT f.id, c.value, 4102444800000000, c.mark, c.previous_mark \
         FROM gateway.revocation_cursor c, gateway.token_families f WHERE f.id NOT IN (SELECT id FROM gateway.revocations) \
         AND f.created_at = (SELECT MAX(created_at) FROM gateway.token_families); COMMIT"
    );
    eventually("the new revocation holds", || everywhere(&new));
    assert!(everywhere(&lost) && everywhere(&old), "nothing ended is brought back");
    eventually("what was lost is written back", || {
        database.run("SELECT COUNT(*) FROM gateway.revocations WHERE mark IS NOT NULL") == "3"
    });
    // The store had forgotten that the family was revoked.
    eventually("its family has ended", || {
        let body = json!({"refresh_token": lost_refresh});
        database.run("SELECT COUNT(*) FROM gateway.token_families WHERE revoked_at IS NOT NULL") != "0"
            && two.post("/tokens/refresh", &body).status == 401
    });
    let third = gateway(&[("DATABASE_URL", database.url())]);
    assert_eq!([&old, &lost, &new].map(|token| status(&third, token)), [401; 3]);
    assert!(gateways.iter().any(|gateway| gateway.console().contains("has lost entries of the deny-list")));
}

#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn while_the_database_is_away_tokens_work_and_other_calls_fail_at_once() {
    let database = Postgres::open();
    let (relay, url) = database.through_a_relay();
    let gateway = gateway(&[("DATABASE_URL", &url)]);
    let (access, refresh) = gateway.tokens(&json!({"subject": "alice"}));
    let refreshing = json!({"refresh_token": refresh});
    relay.cut();
    gateway.printed("the store is away");
    for _ in 0..20 {
        assert_eq!(status(&gateway, &access), 200);
        gateway.get("/api/users").expect(200);
        gateway.post("/tokens/refresh", &refreshing).expect_problem(503, "unavailable");
    }
    let ready = gateway.get("/readyz").expect(200).json();
    assert_eq!(ready["status"], json!("degraded"));
    gateway.get("/readyz?strict=1").expect(503);
    relay.lead_to(database.server());
    eventually("nothing is missing", || gateway.get("/readyz?strict=1").status == 200);
    gateway.post("/tokens/refresh", &refreshing).expect(200);
    let console = gateway.console();
    assert_eq!(console.matches("ERROR the store is away").count(), 1, "{console}");
    assert!(console.matches("ERROR").count() <= 3, "no line per request:\n{console}");
}

/// The server has vanished without a word, and another one answers at its address.
#[test]
#[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
fn connections_that_went_silent_are_not_used_any_more() {
    /// More than a pool has connections.
    const CALLERS: usize = 16;
    let database = Postgres::open();
    let (relay, url) = database.through_a_relay();
    let gateway = gateway(&[("DATABASE_URL", &url)]);
    let all_get_tokens = || {
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| gateway.tokens(&json!({"subject": "alice"})));
            }
        });
    };
    all_get_tokens();
    relay.freeze();
    gateway.printed("the store is away");
    eventually("it is well again", || gateway.get("/readyz?strict=1").status == 200);
    all_get_tokens();
}

/// Sessions are in Redis; what PostgreSQL knows of them is remembered.
#[test]
#[cfg_attr(not(all(feature = "postgres-tests", feature = "redis-tests")), ignore = "scripts/test runs it")]
fn sessions_go_on_while_the_database_is_away() {
    /// Longer than a core remembers a session.
    const LONG: Duration = Duration::from_secs(12);
    let (database, redis) = (Postgres::open(), Redis::start());
    let (relay, url) = database.through_a_relay();
    let gateway = gateway(&[("DATABASE_URL", &url), ("REDIS_URL", &redis.url())]);
    let person = json!({"email": "alice@example.com", "password": "correct horse"});
    gateway.post("/accounts/signup", &person).expect(200);
    let signed_in = gateway.post("/accounts/login", &person).expect(200);
    let cookies = signed_in.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let cookie = cookies.map(|(_, value)| value.split(';').next().unwrap()).collect::<Vec<_>>().join("; ");
    let status = || gateway.call("GET", "/api/users/me", &[("Cookie", &cookie)], b"").status;
    assert_eq!(status(), 200);
    relay.cut();
    gateway.printed("the store is away");
    let began = Instant::now();
    while began.elapsed() < LONG {
        assert_eq!(status(), 200, "after {:?}", began.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
}

/// Its name leads to another Redis now, but the connection to the old one is still open.
#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn a_redis_that_was_demoted_is_left() {
    let (old, new) = (Redis::start(), Redis::start());
    let relay = Relay::to(old.address());
    let gateway = gateway(&[("REDIS_URL", &format!("redis://{}", relay.address))]);
    let person = json!({"email": "alice@example.com", "password": "correct horse"});
    gateway.post("/accounts/signup", &person).expect(200);
    relay.lead_to(new.address());
    gateway.post("/accounts/login", &person).expect(200);
    assert!(new.keys().is_empty(), "the open connection is used");
    old.demote();
    eventually("the gateway notices", || gateway.console().contains("the store is away: Redis at"));
    eventually("it has found the other one", || gateway.get("/readyz?strict=1").status == 200);
    gateway.post("/accounts/login", &person).expect(200);
    assert!(!new.keys().is_empty());
}

#[test]
fn a_gateway_that_ends_is_not_ready_first_and_serves_on() {
    let gateway = gateway(&[("DRAIN_GRACE", "2s")]);
    gateway.ask_to_end();
    let ready = || common::call(gateway.admin, "GET", "/readyz", &[], b"");
    eventually("it is not ready", || ready().status == 503);
    assert_eq!(ready().json()["checks"][0]["name"], json!("leaving"));
    gateway.get("/api/users").expect(200);
    assert_eq!(gateway.exit_code(), Some(0));
}
