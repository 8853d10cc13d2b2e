//! Two gateways on one database: one refresh at a time, even if a gateway is killed during one.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    ONLY_WHEN_ASKED, VAULT_KEY,
    common::stand_in::{StandIn, text},
    common::{
        self, Gateway,
        database::{Postgres, Sqlite, TestDatabase},
    },
};

/// Two gateways on one database, and a third that only provides the provider, so that it outlives the others.
struct Scene {
    stand_in: StandIn,
    one: Gateway,
    two: Gateway,
    _host: Gateway,
}

impl Scene {
    fn over(database: &impl TestDatabase) -> Self {
        let host = Gateway::start();
        let stand_in = StandIn::of(&host);
        let settings = stand_in.settings();
        let mut variables = vec![("DATABASE_URL", database.url()), ("VAULT_KEY", VAULT_KEY), ONLY_WHEN_ASKED];
        variables.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let (one, two) = (Gateway::with(&variables), Gateway::with(&variables));
        Self { stand_in, one, two, _host: host }
    }

    /// Alice signs in and gets a token that is expired already; the next one will be valid.
    fn expired_grant(&self, refresh: &Value) -> (Value, String) {
        self.stand_in.switch(&json!({"access_token_ttl_seconds": 0}));
        let signed_in = self.stand_in.exchange(&self.one, "alice");
        self.stand_in.switch(&json!({"access_token_ttl_seconds": 3600, "refresh": refresh}));
        let path = format!("/oauth/{}", text(&signed_in["id"]));
        (signed_in, path)
    }
}

/// Requests the grant on one connection per listed gateway, all at once.
fn ask_at_once<'g>(gateways: impl Iterator<Item = &'g Gateway>, path: &str, token: &str) -> Vec<Value> {
    thread::scope(|scope| {
        let asking: Vec<_> = gateways
            .map(|gateway| scope.spawn(move || gateway.get_with_token(path, token).expect(200).json()))
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Returns the fresh grant that all of them got.
#[track_caller]
fn assert_all_got_the_same_fresh_token(opened: &[Value], before: &Value) -> Value {
    let fresh = &opened[0];
    assert_ne!(fresh["access_token"], before["access_token"]);
    assert!((3500..=3600).contains(&fresh["expires_in"].as_i64().unwrap()), "{}", fresh["expires_in"]);
    assert!(opened.iter().all(|one| one["access_token"] == fresh["access_token"]), "all got the same fresh token");
    fresh.clone()
}

/// Returns the grants before and after.
fn two_hundred_who_ask_two_gateways_make_one_refresh(scene: &Scene) -> [Value; 2] {
    let (signed_in, path) = scene.expired_grant(&json!({"delay_ms": 300}));
    let alice = text(&signed_in["tokens"]["access_token"]);
    let before = scene.stand_in.statistic("refreshes");
    let gateways = [&scene.one, &scene.two].into_iter().cycle().take(200);
    let opened = ask_at_once(gateways, &path, alice);
    assert_eq!(scene.stand_in.statistic("refreshes") - before, 1, "the provider was asked once");
    let fresh = assert_all_got_the_same_fresh_token(&opened, &signed_in);
    [signed_in, fresh]
}

fn a_holder_that_is_killed_midway_is_followed_by_another_when_its_lease_ends(database: &impl TestDatabase) {
    /// The duration of a lease without renewal.
    const LEASE: Duration = Duration::from_secs(6);
    let scene = Scene::over(database);
    // The provider does not rotate tokens: a rotation for the dead holder is not tested here.
    let slow = json!({"delay_ms": 60_000, "rotate": false});
    let (signed_in, path) = scene.expired_grant(&slow);
    let alice = text(&signed_in["tokens"]["access_token"]);
    let Scene { stand_in, one, two, .. } = &scene;
    let before = stand_in.statistic("refreshes");
    let asked_at = Instant::now();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {alice}\r\nConnection: close\r\n\r\n",
        one.address
    );
    let (address, answered) = (one.address, AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let response = common::raw(address, request.as_bytes());
            answered.store(!response.is_empty(), Ordering::SeqCst);
        });
        common::eventually("the holder asks the provider", || stand_in.statistic("refreshes") == before + 1);
        one.kill_now();
    });
    assert!(!answered.load(Ordering::SeqCst), "it was killed midway");
    stand_in.switch(&json!({"access_token_ttl_seconds": 3600, "refresh": {"rotate": false}}));
    let opened = ask_at_once(std::iter::repeat_n(two, 50), &path, alice);
    assert!(asked_at.elapsed() >= LEASE, "the lease was honoured");
    assert_eq!(stand_in.statistic("refreshes"), before + 2, "one more");
    assert_all_got_the_same_fresh_token(&opened, &signed_in);
}

mod sqlite {
    use super::*;

    #[test]
    fn two_hundred_who_ask_two_gateways_make_one_refresh_and_the_database_holds_nothing_in_clear() {
        let database = Sqlite::open();
        let scene = Scene::over(&database);
        let grants = super::two_hundred_who_ask_two_gateways_make_one_refresh(&scene);
        let Scene { one, two, .. } = scene;
        assert_eq!(one.terminate(), Some(0));
        assert_eq!(two.terminate(), Some(0));
        let file = database.file();
        let wal = file.with_extension("db-wal");
        let held: Vec<u8> = [&file, &wal].iter().flat_map(|file| std::fs::read(file).unwrap_or_default()).collect();
        let holds = |text: &str| held.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("stand-in"), "the file is the one that holds the grant");
        for grant in grants {
            assert!(!holds(text(&grant["access_token"])) && !holds(text(&grant["refresh_token"])));
        }
    }

    #[test]
    fn a_holder_that_is_killed_midway_is_followed_by_another_when_its_lease_ends() {
        super::a_holder_that_is_killed_midway_is_followed_by_another_when_its_lease_ends(&Sqlite::open());
    }
}

mod postgres {
    use super::*;

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn two_hundred_who_ask_two_gateways_make_one_refresh() {
        super::two_hundred_who_ask_two_gateways_make_one_refresh(&Scene::over(&Postgres::open()));
    }

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn a_holder_that_is_killed_midway_is_followed_by_another_when_its_lease_ends() {
        super::a_holder_that_is_killed_midway_is_followed_by_another_when_its_lease_ends(&Postgres::open());
    }
}
