//! Contract of a store of machine clients, and of the token store for them.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{
    self, ACCESS_TTL, MICROSECOND, PATIENCE, Store, at, digest, family, family_id, refresh, rotation,
};
use crate::domain::gateway::{
    models::{
        client::{Client, ClientAlgorithm, ClientCredential, ClientKey},
        token::{LEEWAY, RevocationCursor, RotationOutcome, TokenFamily},
        values::id::ClientId,
    },
    repositories::{Constraint, RepositoryError, client::ClientRepository, contract::harness::assert_conflict},
};

over_every_store!(
    a_client_is_read_back_whole,
    a_taken_client_id_or_name_is_a_conflict,
    clients_are_listed_oldest_first,
    a_replaced_credential_is_gone,
    a_client_is_removed_once,
    an_assertion_is_redeemed_once,
    of_concurrent_redemptions_of_an_assertion_one_wins,
    a_void_assertion_is_forgotten,
    a_family_without_a_refresh_token_lives_as_long_as_its_access_token,
    the_families_of_a_client_are_revoked_and_no_others,
    a_client_with_many_families_loses_them_all,
);

/// For databases only.
mod in_a_database {
    use std::fmt::Debug;

    use sea_orm::ConnectionTrait;

    use super::{
        super::{
            database::{assert_unavailable, migrated},
            harness::Database,
        },
        *,
    };
    use crate::domain::gateway::repositories::sea_orm::{SeaOrmClients, connect};

    over_every_database!(clients_without_tables_are_unavailable, a_client_row_that_is_no_client_is_corrupt,);

    async fn clients_without_tables_are_unavailable(database: &Database) {
        let clients = SeaOrmClients::new(connect(&database.url, &database.schema).await.unwrap());
        assert_unavailable(clients.add(&client(1)).await);
        assert_unavailable(clients.find(id(1)).await);
        assert_unavailable(clients.list().await);
        assert_unavailable(clients.replace_credential(id(1), &keys()).await);
        assert_unavailable(clients.remove(id(1)).await);
        assert_unavailable(clients.redeem(&digest(1), at(60)).await);
        assert_unavailable(clients.purge_expired(at(60)).await);
    }

    fn assert_corrupt<T: Debug>(outcome: &Result<T, RepositoryError>, why: &str) {
        assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{why}: {outcome:?}");
    }

    async fn a_client_row_that_is_no_client_is_corrupt(database: &Database) {
        let db = migrated(database).await;
        let clients = SeaOrmClients::new(db.clone());
        for change in [
            "scope = 'a  b'",
            "name = ''",
            "keys = '{}'",
            "keys = '[{\"alg\": \"none\"}]'",
            "created_at = 9223372036854775807",
        ] {
            clients.add(&Client { credential: keys(), ..client(1) }).await.unwrap();
            db.execute_unprepared(&format!("UPDATE clients SET {change}")).await.unwrap();
            assert_corrupt(&clients.find(id(1)).await, change);
            assert_corrupt(&clients.list().await, change);
            db.execute_unprepared("DELETE FROM clients").await.unwrap();
        }
        // Both proofs, none, or half a digest cannot even be written.
        clients.add(&client(1)).await.unwrap();
        for change in ["keys = '[]'", "secret_digest = NULL", "secret_digest = substr(secret_digest, 2)"] {
            assert!(db.execute_unprepared(&format!("UPDATE clients SET {change}")).await.is_err(), "{change}");
        }
    }
}

fn id(n: u8) -> ClientId {
    ClientId::from_random([n; 16])
}

fn keys() -> ClientCredential {
    let key = |kid: Option<&str>, algorithm| ClientKey {
        kid: kid.map(str::to_owned),
        algorithm,
        jwk: json!({"kty": "EC", "x": "\u{0}😀'\"\\", "n": u64::MAX}),
    };
    ClientCredential::Keys(vec![
        key(Some("하나"), ClientAlgorithm::Es256),
        key(None, ClientAlgorithm::Rs256),
        key(Some(""), ClientAlgorithm::EdDsa),
    ])
}

fn client(n: u8) -> Client {
    Client {
        id: id(n),
        name: format!("보고서 '; -- {n}").parse().unwrap(),
        scope: "write read".parse().unwrap(),
        audience: Some("orders, \"a\"".to_owned()),
        credential: ClientCredential::Secret(digest(n)),
        created_at: at(0),
    }
}

async fn a_client_is_read_back_whole(store: &Store) {
    assert_eq!(store.clients.find(id(1)).await.unwrap(), None);
    store.clients.add(&Client { created_at: at(0) + TimeDelta::nanoseconds(999), ..client(1) }).await.unwrap();
    let with_keys = Client { credential: keys(), audience: None, scope: "".parse().unwrap(), ..client(2) };
    store.clients.add(&with_keys).await.unwrap();
    assert_eq!(store.peer_clients.find(id(1)).await.unwrap(), Some(client(1)));
    assert_eq!(store.peer_clients.find(id(2)).await.unwrap(), Some(with_keys));
}

async fn a_taken_client_id_or_name_is_a_conflict(store: &Store) {
    store.clients.add(&client(1)).await.unwrap();
    let same_id = Client { id: id(1), ..client(2) };
    let same_name = Client { name: client(1).name, ..client(2) };
    for (taken, constraint) in [(same_id, Constraint::Id), (same_name, Constraint::Name)] {
        assert_conflict(&store.peer_clients.add(&taken).await, constraint);
    }
    assert_eq!(store.clients.list().await.unwrap(), [client(1)]);
}

async fn clients_are_listed_oldest_first(store: &Store) {
    assert_eq!(store.clients.list().await.unwrap(), []);
    let created = |n: u8, seconds| Client { created_at: at(seconds), ..client(n) };
    let (newest, oldest, middle) = (created(1, 2), created(2, 0), created(3, 1));
    for client in [&newest, &oldest, &middle] {
        store.clients.add(client).await.unwrap();
    }
    assert_eq!(store.peer_clients.list().await.unwrap(), [oldest, middle, newest]);
}

async fn a_replaced_credential_is_gone(store: &Store) {
    store.clients.add(&client(1)).await.unwrap();
    store.clients.add(&client(2)).await.unwrap();
    for credential in [keys(), ClientCredential::Secret(digest(9))] {
        assert!(store.peer_clients.replace_credential(id(1), &credential).await.unwrap());
        assert_eq!(store.clients.find(id(1)).await.unwrap(), Some(Client { credential, ..client(1) }));
    }
    assert_eq!(store.clients.find(id(2)).await.unwrap(), Some(client(2)));
    assert!(!store.clients.replace_credential(id(3), &keys()).await.unwrap());
}

async fn a_client_is_removed_once(store: &Store) {
    store.clients.add(&client(1)).await.unwrap();
    store.clients.add(&client(2)).await.unwrap();
    assert_eq!(store.peer_clients.remove(id(1)).await.unwrap(), Some(client(1)));
    assert_eq!(store.clients.remove(id(1)).await.unwrap(), None);
    assert_eq!(store.clients.find(id(1)).await.unwrap(), None);
    assert!(!store.clients.replace_credential(id(1), &keys()).await.unwrap());
    // Its name is free.
    store.clients.add(&Client { name: client(1).name, ..client(3) }).await.unwrap();
    assert!(store.clients.find(id(2)).await.unwrap().is_some());
}

async fn an_assertion_is_redeemed_once(store: &Store) {
    assert!(store.clients.redeem(&digest(1), at(60)).await.unwrap());
    assert!(!store.peer_clients.redeem(&digest(1), at(90)).await.unwrap());
    assert!(store.clients.redeem(&digest(2), at(60)).await.unwrap());
}

async fn of_concurrent_redemptions_of_an_assertion_one_wins(store: &Store) {
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 0..8 {
        let clients: Arc<dyn ClientRepository> =
            Arc::clone(if n % 2 == 0 { &store.clients } else { &store.peer_clients });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            clients.redeem(&digest(1), at(60)).await.unwrap()
        });
    }
    let won = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
}

async fn a_void_assertion_is_forgotten(store: &Store) {
    store.clients.redeem(&digest(1), at(60)).await.unwrap();
    assert_eq!(store.clients.purge_expired(at(60) - MICROSECOND).await.unwrap(), 0);
    assert!(!store.clients.redeem(&digest(1), at(60)).await.unwrap());
    assert_eq!(store.peer_clients.purge_expired(at(60)).await.unwrap(), 1);
    assert!(store.clients.redeem(&digest(1), at(120)).await.unwrap());
}

async fn a_family_without_a_refresh_token_lives_as_long_as_its_access_token(store: &Store) {
    store.tokens.open_access_only(&family(1)).await.unwrap();
    for taken in [store.peer_tokens.open_access_only(&family(1)).await, {
        store.peer_tokens.open_family(&family(1), &refresh(11)).await
    }] {
        assert_conflict(&taken, Constraint::Id);
    }
    let end = at(0) + ACCESS_TTL;
    // The token is accepted for as long as the leeway allows, and its entry on the deny-list is kept as long.
    assert_eq!(store.tokens.purge_expired(end + LEEWAY - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.tokens.revoke_family(family_id(1), at(1)).await.unwrap().unwrap().revoked_at, Some(at(1)));
    assert_eq!(store.tokens.purge_expired(end + LEEWAY).await.unwrap(), 2);
    assert_eq!(store.tokens.revoke_family(family_id(1), at(1)).await.unwrap(), None);
}

fn of(client: ClientId, n: u8) -> TokenFamily {
    TokenFamily { client_id: client.to_string(), ..family(n) }
}

async fn the_families_of_a_client_are_revoked_and_no_others(store: &Store) {
    store.tokens.open_access_only(&of(id(1), 1)).await.unwrap();
    store.tokens.open_family(&of(id(1), 2), &refresh(12)).await.unwrap();
    store.tokens.open_family(&of(id(2), 3), &refresh(13)).await.unwrap();
    store.tokens.open_family(&family(4), &refresh(14)).await.unwrap();
    store.tokens.open_access_only(&of(id(1), 5)).await.unwrap();
    store.tokens.revoke_family(family_id(5), at(1)).await.unwrap();

    let mut revoked = store.peer_tokens.revoke_families_of_client(id(1), at(2)).await.unwrap();
    revoked.sort_by_key(|family| family.id);
    let gone = |n| TokenFamily { revoked_at: Some(at(2)), ..of(id(1), n) };
    assert_eq!(revoked, [gone(1), gone(2)]);
    assert_eq!(store.tokens.revoke_families_of_client(id(1), at(3)).await.unwrap(), []);
    assert_eq!(store.tokens.rotate(&rotation(12, 22, at(3))).await.unwrap(), RotationOutcome::Revoked);
    for (first, successor) in [(13, 23), (14, 24)] {
        let outcome = store.tokens.rotate(&rotation(first, successor, at(3))).await.unwrap();
        assert!(matches!(outcome, RotationOutcome::Rotated(_)), "{outcome:?}");
    }
    let listed = store.tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|entry| entry.revocation.expires_at == at(0) + ACCESS_TTL + LEEWAY));
}

async fn a_client_with_many_families_loses_them_all(store: &Store) {
    for n in 0..=205 {
        store.tokens.open_access_only(&of(id(1), n)).await.unwrap();
    }
    assert_eq!(store.tokens.revoke_families_of_client(id(1), at(2)).await.unwrap().len(), 206);
    let all: Vec<_> = (0..=205).map(|n| family_id(n).into()).collect();
    for one in all {
        assert!(store.peer_tokens.is_any_revoked(&[one]).await.unwrap());
    }
}
