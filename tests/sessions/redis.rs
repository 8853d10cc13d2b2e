//! Two gateways on one Redis and one database.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    OURS,
    common::{
        Gateway,
        browser::Browser,
        database::{Postgres, Sqlite, TestDatabase},
        eventually,
        redis::Redis,
        stand_in::StandIn,
    },
    refresh, sessions, text, token_pair,
};

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

/// Two gateways that share everything, and a third that only provides the provider.
struct Scene {
    one: Gateway,
    two: Gateway,
    redis: Redis,
    _host: Gateway,
}

impl Scene {
    fn over(database: &impl TestDatabase) -> Self {
        let (host, redis) = (Gateway::start(), Redis::start());
        let (provider, redis_url) = (StandIn::of(&host).settings(), redis.url());
        let mut variables =
            vec![("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY), ("REDIS_URL", redis_url.as_str())];
        let of_provider = provider.iter().filter(|(name, _)| name.starts_with("OIDC"));
        variables.extend(of_provider.map(|(name, value)| (*name, value.as_str())));
        let (one, two) = (Gateway::with(&variables), Gateway::with(&variables));
        Self { one, two, redis, _host: host }
    }

    /// Started at one gateway, finished at the other.
    fn signed_in(&self, person: &str) -> Browser {
        let mut browser = Browser::default();
        let callback = browser.leave(&self.one, "/login/stand-in").decide(&format!("person={person}"));
        browser.get(&self.two, &callback).expect(303);
        let mut replay = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
        let told = replay.get(&self.one, &callback).expect(303);
        assert_eq!((told.header("location"), told.header("set-cookie")), (Some("../../login?return_to=%2F"), None));
        browser
    }
}

fn a_session_is_one_at_both_and_ends_at_both_at_once(database: &impl TestDatabase) {
    let scene = Scene::over(database);
    let Scene { one, two, redis, .. } = &scene;
    let [mut here, mut there] = [scene.signed_in("alice"), scene.signed_in("alice")];
    for gateway in [one, two] {
        assert_eq!(here.get(gateway, "/session").expect(200).json()["name"], "Alice");
        assert_eq!(sessions(&mut here, gateway).len(), 2);
        let checks = gateway.get("/readyz").expect(200).json()["checks"].clone();
        assert!(
            checks.as_array().unwrap().contains(&json!({"name": "sessions", "ok": true, "shared": true})),
            "{checks}"
        );
    }
    let (access, token) = token_pair(&mut there, one);
    two.get_with_token("/api/users/me", &access).expect(200);
    for gateway in [one, two] {
        there.get(gateway, "/api/users/me").expect(200);
    }
    let next = refresh(two, &token).expect(200).json();

    let listed = sessions(&mut here, two);
    let other = listed.iter().find(|session| session["current"] == json!(false)).unwrap();
    here.call(two, "DELETE", &format!("/sessions/{}", text(&other["id"])), &OURS).expect(200);
    // The session ends at once, and here its tokens as well; those on other replicas follow the deny-list.
    there.get(one, "/session").expect_problem(401, "not_signed_in");
    there.call(one, "POST", "/session/token", &OURS).expect_problem(401, "not_signed_in");
    two.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
    refresh(one, text(&next["refresh_token"])).expect_problem(401, "invalid_grant");
    let ended_at = Instant::now();
    eventually("refused by the other gateway", || one.get_with_token("/api/users/me", &access).status == 401);
    let cookie = format!("__Host-gateway_session={}", there.session().unwrap());
    let opens = |gateway: &Gateway| gateway.call("GET", "/api/users/me", &[("Cookie", &cookie)], b"").status;
    assert_eq!(opens(two), 401);
    eventually("refused by the other gateway", || opens(one) == 401);
    assert!(ended_at.elapsed() < Duration::from_secs(1), "{:?}", ended_at.elapsed());

    // Digests, and no secret.
    let (_, token) = token_pair(&mut here, one);
    let held = String::from_utf8_lossy(&redis.dump()).into_owned();
    assert!(held.contains("gateway:session:"));
    for secret in [here.session().unwrap(), &token] {
        assert!(!held.contains(secret));
    }
    here.call(one, "POST", "/logout", &OURS).expect(200);
    for gateway in [one, two] {
        here.get(gateway, "/session").expect_problem(401, "not_signed_in");
        gateway.is_unharmed();
    }
}

#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn on_sqlite() {
    a_session_is_one_at_both_and_ends_at_both_at_once(&Sqlite::open());
}

#[test]
#[cfg_attr(not(all(feature = "redis-tests", feature = "postgres-tests")), ignore = "scripts/test runs it")]
fn on_postgres() {
    a_session_is_one_at_both_and_ends_at_both_at_once(&Postgres::open());
}

#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn a_redis_that_dies_ends_no_session() {
    let database = Sqlite::open();
    let scene = Scene::over(&database);
    let Scene { one, redis, .. } = &scene;
    let mut browser = scene.signed_in("alice");
    let (access, token) = token_pair(&mut browser, one);

    redis.kill();
    let cookie = browser.session().cloned();
    for (method, path) in [
        ("GET", "/session"),
        ("GET", "/sessions"),
        ("POST", "/session/token"),
        ("POST", "/logout"),
        ("DELETE", "/sessions"),
        ("GET", "/oauth"),
    ] {
        let begun = Instant::now();
        let down = browser.call(one, method, path, &OURS).expect_problem(503, "unavailable");
        assert!(down.header("retry-after").is_some() && down.header("set-cookie").is_none(), "{method} {path}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{method} {path}: {:?}", begun.elapsed());
    }
    assert_eq!(browser.session().cloned(), cookie);
    // Another gateway would do no better.
    let ready = one.get("/readyz").expect(200).json();
    let check = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "sessions").unwrap();
    assert!(check["ok"] == json!(false) && check["since"].is_string() && ready["status"] == "degraded", "{ready}");
    one.get("/readyz?strict=1").expect(503);
    one.get("/livez").expect(200);
    // A caller with a token needs no session; a refresh is not possible now, and loses nothing.
    one.get_with_token("/api/users/me", &access).expect(200);
    refresh(one, &token).expect_problem(503, "unavailable");
    one.tokens(&json!({"subject": "somebody"}));

    redis.restart();
    eventually("it is well again", || one.get("/readyz?strict=1").status == 200);
    assert_eq!(browser.get(one, "/session").expect(200).json()["name"], "Alice");
    let next = refresh(one, &token).expect(200).json();
    one.get_with_token("/api/users/me", text(&next["access_token"])).expect(200);

    // Restarted between requests: the next one does not notice.
    redis.kill();
    redis.restart();
    eventually("it is well again", || one.get("/readyz?strict=1").status == 200);
    assert_eq!(browser.get(one, "/session").expect(200).json()["name"], "Alice");
    browser.call(one, "POST", "/logout", &OURS).expect(200);
    assert!(!one.console().contains("panicked"));
}

/// Sessions that a Redis without persistence lost are signed out, not signed in for ever.
#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn a_redis_that_lost_everything_ends_every_session() {
    let database = Sqlite::open();
    let scene = Scene::over(&database);
    let mut browser = scene.signed_in("alice");
    let (access, token) = token_pair(&mut browser, &scene.one);
    scene.redis.lose_everything();
    browser.get(&scene.one, "/session").expect_problem(401, "not_signed_in");
    refresh(&scene.one, &token).expect_problem(401, "invalid_grant");
    scene.one.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
}

/// Ended sessions stay ended: the deny-list is not in the Redis.
#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn a_session_that_a_restored_redis_brings_back_is_refused() {
    let database = Sqlite::open();
    let scene = Scene::over(&database);
    let [mut browser, mut other] = [scene.signed_in("alice"), scene.signed_in("alice")];
    let old = browser.cookies.clone();
    let (access, token) = token_pair(&mut browser, &scene.one);
    let backup = scene.redis.backup();
    browser.call(&scene.one, "POST", "/logout", &OURS).expect(200);
    scene.redis.restore(&backup);
    for gateway in [&scene.one, &scene.two] {
        eventually("it is well again", || gateway.get("/readyz?strict=1").status == 200);
        let mut browser = Browser { cookies: old.clone(), ..Browser::default() };
        browser.get(gateway, "/session").expect_problem(401, "not_signed_in");
        browser.get(gateway, "/sessions").expect_problem(401, "not_signed_in");
        browser.call(gateway, "POST", "/session/token", &OURS).expect_problem(401, "not_signed_in");
        assert_eq!(browser.get(gateway, "/api/users/me").status, 401);
        refresh(gateway, &token).expect_problem(401, "invalid_grant");
        assert_eq!(sessions(&mut other, gateway).len(), 1, "it is not listed either");
    }
    scene.one.get_with_token("/api/users/me", &access).expect_problem(401, "invalid_token");
}

#[test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
fn a_gateway_does_not_start_without_its_redis_and_tells_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        crate::common::command(folder.path(), &[("REDIS_URL", "redis://:hidden@127.0.0.1:1")]).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(!output.status.success() && said.contains("REDIS_URL cannot be used: Redis at 127.0.0.1:1: "), "{said}");
    assert!(!said.contains("hidden"), "{said}");
}
