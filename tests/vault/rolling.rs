//! Keys that are replaced while several gateways run: `VAULT_KEY` gateway by gateway, and the signing keys at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    ONLY_WHEN_ASKED, VAULT_KEY,
    common::stand_in::{StandIn, text},
    common::{
        self, Gateway,
        browser::Browser,
        database::{Postgres, Sqlite, TestDatabase},
        eventually,
    },
};

const NEW_KEY: &str = "bmV3IGtleSBvZiAzMiBieXRlcywgZm9yIGEgdGVzdC4=";

/// Gateways on one database, and one beside them that only provides the provider.
struct Scene<'d> {
    database: &'d str,
    stand_in: StandIn,
    _host: Gateway,
}

impl<'d> Scene<'d> {
    fn over(database: &'d impl TestDatabase) -> Self {
        let host = Gateway::start();
        let stand_in = StandIn::of(&host);
        stand_in.switch(&json!({"access_token_ttl_seconds": 3600}));
        Self { database: database.url(), stand_in, _host: host }
    }

    fn with_keys<T>(&self, keys: &str, what: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let settings = self.stand_in.settings();
        let mut variables = vec![("DATABASE_URL", self.database), ("VAULT_KEY", keys), ONLY_WHEN_ASKED];
        variables.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        what(&variables)
    }

    fn gateway(&self, keys: &str) -> Gateway {
        self.with_keys(keys, Gateway::with)
    }

    /// What `gateway keys …` prints.
    fn keys(&self, keys: &str, command: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let run = |variables: &[(&str, &str)]| {
            common::command(folder.path(), variables).args(["keys", command]).output().unwrap()
        };
        let output = self.with_keys(keys, run);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get_with_token("/api/users/me", token).status
}

fn jwks(gateway: &Gateway) -> Value {
    gateway.get("/.well-known/jwks.json").expect(200).json()["keys"].clone()
}

/// Somebody who was there before the keys changed.
struct Person {
    browser: Browser,
    grant: Value,
    access: String,
    refresh: String,
}

impl Person {
    fn on(scene: &Scene<'_>, gateways: &[Gateway]) -> Self {
        let mut browser = Browser::default();
        let callback = browser.leave(&gateways[0], "/login/stand-in").decide("person=alice");
        browser.get(&gateways[1], &callback).expect(303);
        let (access, refresh) = gateways[0].tokens(&json!({"subject": "alice"}));
        Self { browser, grant: scene.stand_in.exchange(&gateways[2], "bob"), access, refresh }
    }

    /// Everything works at every gateway, for this person and for a new one.
    fn is_served_by(&mut self, scene: &Scene<'_>, gateways: &[Gateway]) {
        for (n, gateway) in gateways.iter().enumerate() {
            let next = &gateways[(n + 1) % gateways.len()];
            assert_eq!(self.browser.get(gateway, "/session").expect(200).json()["name"], "Alice");
            assert_eq!(status(gateway, &self.access), 200);
            let owner = text(&self.grant["tokens"]["access_token"]);
            let opened =
                gateway.get_with_token(&format!("/oauth/{}", text(&self.grant["id"])), owner).expect(200).json();
            assert_eq!(opened["access_token"], self.grant["access_token"]);
            // An answer that was lost: the next gateway gives the same successor.
            let request = json!({"refresh_token": self.refresh});
            let [once, again] =
                [gateway, next].map(|gateway| gateway.post("/tokens/refresh", &request).expect(200).json());
            assert_eq!(once["refresh_token"], again["refresh_token"]);
            text(&once["refresh_token"]).clone_into(&mut self.refresh);
            // What one seals and signs, the next opens and verifies.
            let new = scene.stand_in.exchange(gateway, "carol");
            let owner = text(&new["tokens"]["access_token"]);
            assert_eq!(status(next, owner), 200);
            let opened = next.get_with_token(&format!("/oauth/{}", text(&new["id"])), owner).expect(200).json();
            assert_eq!(opened["access_token"], new["access_token"]);
            let mut browser = Browser::default();
            let back = browser.leave(gateway, "/login/stand-in").decide("person=dave");
            browser.get(next, &back).expect(303);
            assert!(browser.session().is_some());
            gateway.is_unharmed();
        }
    }
}

fn a_vault_key_is_replaced_gateway_by_gateway(database: &impl TestDatabase) {
    let scene = Scene::over(database);
    let mut gateways: Vec<_> = (0..3).map(|_| scene.gateway(VAULT_KEY)).collect();
    let mut person = Person::on(&scene, &gateways);
    let keys = jwks(&gateways[0]);
    let (old_first, new_first) = (format!("{VAULT_KEY},{NEW_KEY}"), format!("{NEW_KEY},{VAULT_KEY}"));
    for step in [&old_first, &new_first, NEW_KEY] {
        if step == NEW_KEY {
            let said = scene.keys(&new_first, "rotate");
            assert!(said.ends_with(" 0 cannot be opened\n"), "{said}");
        }
        for n in 0..gateways.len() {
            let replaced = std::mem::replace(&mut gateways[n], scene.gateway(step));
            assert_eq!(replaced.terminate(), Some(0));
            person.is_served_by(&scene, &gateways);
        }
    }
    assert!(gateways.iter().all(|gateway| jwks(gateway) == keys), "no signing key was lost");
}

/// As the command promises.
const WITHIN: Duration = Duration::from_secs(5);

fn replaced_signing_keys_are_refused_by_all_and_nobody_is_signed_out(database: &impl TestDatabase) {
    let scene = Scene::over(database);
    let gateways: Vec<_> = (0..3).map(|_| scene.gateway(VAULT_KEY)).collect();
    let mut person = Person::on(&scene, &gateways);
    person.is_served_by(&scene, &gateways);
    let before = jwks(&gateways[0]);
    let said = scene.keys(VAULT_KEY, "rotate-signing");
    let rotated = Instant::now();
    assert!(said.contains("now deleted: 1.") && said.contains(&format!("Within {WITHIN:?}")), "{said}");
    eventually("every gateway refuses the old key", || {
        gateways.iter().all(|gateway| status(gateway, &person.access) == 401)
    });
    // The rest is for a busy machine.
    assert!(rotated.elapsed() < WITHIN + Duration::from_secs(5), "{:?}", rotated.elapsed());
    for gateway in &gateways {
        let [published] = jwks(gateway).as_array().unwrap().clone().try_into().unwrap();
        assert_ne!(published["kid"], before[0]["kid"]);
        assert!(said.starts_with(text(&published["kid"])), "{said}");
        let verified = gateway.post("/tokens/verify", &json!({"token": person.access})).expect(200).json();
        assert_eq!(verified["active"], json!(false));
    }
    // Refresh tokens and sessions are no signed texts.
    let renewed = gateways[1].post("/tokens/refresh", &json!({"refresh_token": person.refresh})).expect(200).json();
    text(&renewed["access_token"]).clone_into(&mut person.access);
    text(&renewed["refresh_token"]).clone_into(&mut person.refresh);
    person.grant = scene.stand_in.exchange(&gateways[2], "bob");
    person.is_served_by(&scene, &gateways);
}

mod sqlite {
    use super::*;

    #[test]
    fn a_vault_key_is_replaced_gateway_by_gateway() {
        super::a_vault_key_is_replaced_gateway_by_gateway(&Sqlite::open());
    }

    #[test]
    fn replaced_signing_keys_are_refused_by_all_and_nobody_is_signed_out() {
        super::replaced_signing_keys_are_refused_by_all_and_nobody_is_signed_out(&Sqlite::open());
    }
}

mod postgres {
    use super::*;

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn a_vault_key_is_replaced_gateway_by_gateway() {
        super::a_vault_key_is_replaced_gateway_by_gateway(&Postgres::open());
    }

    #[test]
    #[cfg_attr(not(feature = "postgres-tests"), ignore = "scripts/test runs it")]
    fn replaced_signing_keys_are_refused_by_all_and_nobody_is_signed_out() {
        super::replaced_signing_keys_are_refused_by_all_and_nobody_is_signed_out(&Postgres::open());
    }
}
