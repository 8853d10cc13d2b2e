//! Additional contract of a Redis, besides that of every store of sessions.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use redis::{FromRedisValue, aio::ConnectionManager};
use tokio::net::TcpListener;

use super::*;
use crate::domain::gateway::{
    models::session::{SessionLimits, SessionSecret},
    repositories::{
        contract::harness::{redis_prefix, redis_url},
        login::LoginRepository,
        redis::{RedisLogins, connect, keys::BATCH},
        truncate_to_micros,
    },
};

struct Scene {
    prefix: String,
    connection: RedisConnection,
    sessions: RedisSessions,
    logins: RedisLogins,
    raw: ConnectionManager,
}

impl Scene {
    async fn new() -> Self {
        let client = redis::Client::open(redis_url()).unwrap();
        let (prefix, connection) = (redis_prefix(), connect(&redis_url()).await.unwrap());
        let sessions = RedisSessions::new(connection.clone(), &*prefix);
        let logins = RedisLogins::new(connection.clone(), &*prefix);
        Self { prefix, connection, sessions, logins, raw: ConnectionManager::new(client).await.unwrap() }
    }

    async fn ask<T: FromRedisValue>(&self, command: &str, key: &str, more: &[&str]) -> T {
        let key = if key.starts_with("contract:") { key.to_owned() } else { format!("{}{key}", self.prefix) };
        redis::cmd(command).arg(key).arg(more).query_async(&mut self.raw.clone()).await.unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask("KEYS", "*", &[]).await;
        keys.sort();
        keys
    }

    /// The remaining lifetime of a key.
    async fn left(&self, key: &str) -> Duration {
        let left: i64 = self.ask("PTTL", key, &[]).await;
        Duration::from_millis(u64::try_from(left).unwrap_or_else(|_| panic!("{key} does not end by itself: {left}")))
    }
}

fn now() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "Redis uses the wall clock")]
    truncate_to_micros(Utc::now())
}

const LIMITS: SessionLimits = SessionLimits { idle: TimeDelta::minutes(10), total: TimeDelta::minutes(30) };
const MARGIN: Duration = Duration::from_hours(1);

fn session(n: u8, secret: &SessionSecret) -> Session {
    let (id, account) = (SessionId::from_random([n; 16]), AccountId::from_random([1; 16]));
    Session::begin(id, secret.digest(), account, Visitor::default(), LIMITS, now())
}

#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn it_forgets_by_itself_and_never_too_early() {
    let scene = Scene::new().await;
    let session = session(1, &SessionSecret::from_random([1; 32]));
    scene.sessions.open(&session).await.unwrap();
    scene.logins.redeem(&Sha256Digest::from([2; 32]), now() + TimeDelta::minutes(10)).await.unwrap();
    let keys = scene.keys().await;
    let of_ours: Vec<_> = keys.iter().filter(|key| !key.ends_with("ends")).collect();
    assert_eq!(of_ours.len(), 4, "{keys:?}");
    let minutes = |n| Duration::from_mins(n);
    for key in &of_ours {
        let left = scene.left(key).await;
        assert!(left > MARGIN + minutes(9) && left <= MARGIN + minutes(10), "{key}: {left:?}");
    }
    let later = session.created_at + TimeDelta::minutes(5);
    assert!(scene.sessions.prolong(&session.used(LIMITS, later).unwrap()).await.unwrap());
    for key in of_ours.iter().filter(|key| !key.contains("login")) {
        let left = scene.left(key).await;
        assert!(left > MARGIN + minutes(14) && left <= MARGIN + minutes(15), "{key}: {left:?}");
    }
    // An account's key expires with the last of its sessions.
    let short =
        Session { idle_until: now() + TimeDelta::minutes(1), ..self::session(2, &SessionSecret::from_random([2; 32])) };
    scene.sessions.open(&short).await.unwrap();
    let account = format!("account:{}", session.account);
    assert!(scene.left(&account).await > MARGIN + minutes(14));
    scene.sessions.purge_expired(later + TimeDelta::hours(1)).await.unwrap();
    scene.logins.purge_expired(later + TimeDelta::hours(1)).await.unwrap();
    assert_eq!(scene.keys().await, [""; 0]);
}

#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn expired_keys_leave_nothing_that_disturbs() {
    let scene = Scene::new().await;
    let [one, two] = [1, 2].map(|n| session(n, &SessionSecret::from_random([n; 32])));
    for session in [&one, &two] {
        scene.sessions.open(session).await.unwrap();
    }
    let _: i64 = scene.ask("DEL", &format!("session:{}", hex(&one.digest)), &[]).await;
    assert_eq!(scene.sessions.find_by_id(one.id).await.unwrap(), None);
    assert_eq!(scene.sessions.list_of(one.account, 9).await.unwrap(), std::slice::from_ref(&two));
    assert_eq!(scene.sessions.end(&one.digest).await.unwrap(), None);
    assert_eq!(scene.sessions.end_all_of(one.account, None).await.unwrap(), [two]);
    scene.sessions.purge_expired(now() + TimeDelta::hours(1)).await.unwrap();
    let left = scene.keys().await;
    assert!(left.iter().all(|key| key.contains("session-id:")), "what is left ends by itself: {left:?}");
}

#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn more_than_a_batch_is_deleted_to_the_last() {
    let scene = Scene::new().await;
    let soon = now() + TimeDelta::minutes(1);
    for n in 0..=BATCH {
        scene.logins.redeem(&Sha256Digest::of(&n.to_be_bytes()), soon).await.unwrap();
    }
    assert_eq!(scene.logins.purge_expired(soon).await.unwrap(), BATCH + 1);
    assert_eq!(scene.keys().await, [""; 0]);
}

#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn it_holds_digests_and_no_secret() {
    let scene = Scene::new().await;
    let secret = SessionSecret::from_random([5; 32]);
    scene.sessions.open(&session(1, &secret)).await.unwrap();
    let key = format!("session:{}", hex(&secret.digest()));
    let held: Vec<String> = scene.ask("HGETALL", &key, &[]).await;
    assert!(held.len() == 16, "{held:?}");
    let everything = format!("{held:?}{:?}", scene.keys().await);
    assert!(everything.contains(&hex(&secret.digest())) && !everything.contains(secret.expose()));
}

#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn an_invalid_session_is_corrupt() {
    let scene = Scene::new().await;
    let session = session(1, &SessionSecret::from_random([1; 32]));
    let key = format!("session:{}", hex(&session.digest));
    for (field, value) in [("account", "x"), ("id", ""), ("idle_until", "soon"), ("used_at", "9223372036854775807")] {
        scene.sessions.open(&session).await.unwrap();
        let _: i64 = scene.ask("HSET", &key, &[field, value]).await;
        let outcome = scene.sessions.find(&session.digest).await;
        assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{field}: {outcome:?}");
        let _: i64 = scene.ask("DEL", &key, &[]).await;
        let _: i64 = scene.ask("DEL", &format!("session-id:{}", session.id), &[]).await;
    }
}

/// Earlier versions listed the states of sign-ins among the sessions.
#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn a_state_that_an_earlier_version_listed_is_forgotten() {
    let scene = Scene::new().await;
    let _: i64 = scene.ask("ZADD", "ends", &["1", "l00"]).await;
    assert_eq!(scene.sessions.purge_expired(now()).await.unwrap(), 1);
    assert_eq!(scene.keys().await, [""; 0]);
}

/// As after a restart of the server.
#[tokio::test]
#[cfg_attr(not(feature = "redis-tests"), ignore = "scripts/test runs it")]
async fn a_connection_that_broke_unnoticed_is_replaced() {
    let scene = Scene::new().await;
    let session = session(1, &SessionSecret::from_random([1; 32]));
    scene.sessions.open(&session).await.unwrap();
    let id: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut scene.connection.manager()).await.unwrap();
    let _: i64 =
        redis::cmd("CLIENT").arg(&["KILL", "ID", &id.to_string()]).query_async(&mut scene.raw.clone()).await.unwrap();
    assert_eq!(scene.sessions.find(&session.digest).await.unwrap(), Some(session));
}

async fn assert_unavailable_soon(url: &str) {
    let begun = Instant::now();
    let outcome = connect(url).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let Err(RepositoryError::Unavailable(text)) = outcome else { panic!("{outcome:?}") };
    assert!(!text.contains("hidden"), "{text}");
}

#[tokio::test]
async fn an_unreachable_redis_is_unavailable_soon_and_no_secret_is_revealed() {
    assert_unavailable_soon("redis://someone:hidden@127.0.0.1:1/").await;
    // An address that accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_unavailable_soon(&format!("redis://:hidden@{}/", silent.local_addr().unwrap())).await;
    for bad in ["", "hidden", "http://hidden/", "redis://u:hidden@[::/"] {
        assert_unavailable_soon(bad).await;
    }
}

#[test]
fn a_digest_comes_back_from_its_hexadecimal_digits() {
    let digest = Sha256Digest::of(b"x");
    assert_eq!(unhex(&hex(&digest)).unwrap(), digest);
    for bad in ["", "0", "zz", "+1", &"00".repeat(33), &"é".repeat(32)] {
        assert!(unhex(bad).is_err(), "{bad}");
    }
}
