//! The sealing of tokens: `gateway keys rotate`, and values that were tampered with.

use std::process::Output;

use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::{
    ONLY_WHEN_ASKED, VAULT_KEY,
    common::stand_in::{StandIn, text},
    common::{
        self, Gateway,
        database::{Sqlite, TestDatabase},
    },
};

const NEW_KEY: &str = "bmV3IGtleSBvZiAzMiBieXRlcywgZm9yIGEgdGVzdC4=";

/// A gateway that is restarted on one database, and a provider that outlives it.
struct Scene {
    database: Sqlite,
    stand_in: StandIn,
    _host: Gateway,
}

impl Scene {
    fn new() -> Self {
        let host = Gateway::start();
        let stand_in = StandIn::of(&host);
        stand_in.switch(&json!({"access_token_ttl_seconds": 3600}));
        Self { database: Sqlite::open(), stand_in, _host: host }
    }

    /// Calls `what` with the variables of a gateway that has these keys.
    fn with_keys<T>(&self, keys: &[&str], what: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let (keys, settings) = (keys.join(","), self.stand_in.settings());
        let mut variables = vec![("DATABASE_URL", self.database.url()), ("VAULT_KEY", &keys), ONLY_WHEN_ASKED];
        variables.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        what(&variables)
    }

    fn gateway(&self, keys: &[&str]) -> Gateway {
        self.with_keys(keys, Gateway::with)
    }

    fn run(&self, keys: &[&str], arguments: &[&str]) -> Output {
        let folder = tempfile::tempdir().unwrap();
        self.with_keys(keys, |variables| common::command(folder.path(), variables).args(arguments).output().unwrap())
    }

    /// The exit code of `gateway keys rotate`, its standard output and its standard error.
    fn rotate(&self, keys: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.run(keys, &["keys", "rotate"]);
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

#[track_caller]
fn opens(gateway: &Gateway, signed_in: &Value) {
    let token = text(&signed_in["tokens"]["access_token"]);
    let opened = gateway.get_with_token(&format!("/oauth/{}", text(&signed_in["id"])), token).expect(200).json();
    assert_eq!(opened["access_token"], signed_in["access_token"]);
    assert_eq!(gateway.post("/tokens/verify", &json!({"token": token})).expect(200).json()["active"], json!(true));
}

#[test]
fn after_a_rotation_the_old_key_is_not_needed() {
    let scene = Scene::new();
    let first = scene.gateway(&[VAULT_KEY]);
    let alice = scene.stand_in.exchange(&first, "alice");
    opens(&first, &alice);
    assert_eq!(first.terminate(), Some(0));
    assert_eq!(scene.run(&[NEW_KEY], &[]).status.code(), Some(69), "before, it is");

    let second = scene.gateway(&[NEW_KEY, VAULT_KEY]);
    opens(&second, &alice);
    let bob = scene.stand_in.exchange(&second, "bob");
    let (code, said, complaint) = scene.rotate(&[NEW_KEY, VAULT_KEY]);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert_eq!(said, "2 sealed anew, 1 were current, 0 cannot be opened\n", "a signing key and a grant; a grant");
    let (code, said, _) = scene.rotate(&[NEW_KEY, VAULT_KEY]);
    assert_eq!((code, said.as_str()), (Some(0), "0 sealed anew, 3 were current, 0 cannot be opened\n"));
    opens(&second, &alice);
    second.is_unharmed();
    assert_eq!(second.terminate(), Some(0));

    let third = scene.gateway(&[NEW_KEY]);
    opens(&third, &alice);
    opens(&third, &bob);
}

#[test]
fn an_unreadable_value_is_named_and_stays() {
    let scene = Scene::new();
    let gateway = scene.gateway(&[VAULT_KEY]);
    let alice = scene.stand_in.exchange(&gateway, "alice");
    let jwks = gateway.get("/.well-known/jwks.json").json();
    let (code, said, complaint) = scene.rotate(&[NEW_KEY]);
    assert_eq!((code, said.as_str()), (Some(1), "0 sealed anew, 0 were current, 2 cannot be opened\n"));
    for name in [format!("grant {}", text(&alice["id"])), format!("signing key {}", text(&jwks["keys"][0]["kid"]))] {
        assert!(complaint.contains(&name), "{complaint}");
    }
    assert!(complaint.contains("VAULT_KEY"), "{complaint}");
    opens(&gateway, &alice);
}

/// Changes a byte of a grant's sealed value.
fn damage(database: &Sqlite, id: &str) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let db = sea_orm::Database::connect(database.url()).await.unwrap();
        let backend = db.get_database_backend();
        let id = short_uuid::ShortUuid::parse_str(id).unwrap().to_uuid();
        let read =
            Statement::from_sql_and_values(backend, "SELECT sealed_tokens FROM grants WHERE id = ?", [id.into()]);
        let mut sealed: Vec<u8> = db.query_one_raw(read).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        let middle = sealed.len() / 2;
        sealed[middle] ^= 1;
        let update = "UPDATE grants SET sealed_tokens = ? WHERE id = ?";
        let write = Statement::from_sql_and_values(backend, update, [sealed.into(), id.into()]);
        assert_eq!(db.execute_raw(write).await.unwrap().rows_affected(), 1);
        db.close().await.unwrap();
    });
}

#[test]
fn a_changed_byte_is_a_problem_of_one_grant_that_the_log_explains() {
    let scene = Scene::new();
    let gateway = scene.gateway(&[VAULT_KEY]);
    let (alice, bob) = (scene.stand_in.exchange(&gateway, "alice"), scene.stand_in.exchange(&gateway, "bob"));
    let id = text(&alice["id"]);
    damage(&scene.database, id);
    let token = text(&alice["tokens"]["access_token"]);
    let path = format!("/oauth/{id}");
    for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/refresh"))] {
        let bearer = format!("Bearer {token}");
        gateway.call(method, &path, &[("Authorization", &bearer)], b"").expect_problem(500, "internal_error");
    }
    let line = gateway.printed(&format!("grant {id}"));
    assert!(line.contains("ERROR") && line.contains("damaged"), "{line}");
    assert!(!line.contains(text(&alice["access_token"])), "{line}");
    opens(&gateway, &bob);
    assert_eq!(gateway.get_with_token("/oauth", token).expect(200).json()["grants"][0]["id"], alice["id"]);

    let (code, said, complaint) = scene.rotate(&[VAULT_KEY]);
    assert_eq!((code, said.as_str()), (Some(1), "0 sealed anew, 2 were current, 1 cannot be opened\n"));
    assert!(complaint.contains(&format!("grant {id}")), "{complaint}");
}
