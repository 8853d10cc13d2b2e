use chrono::{DateTime, TimeDelta};

use super::{
    replacing::{KeyReplacement, Replaced},
    *,
};
use crate::{
    adapters::{jwt::AwsLcKeyGenerator, sealing::Vault},
    domain::gateway::{
        models::values::{
            id::{FamilyId, TokenId},
            scope::Scope,
        },
        repositories::memory::MemorySigningKeys,
        services::testing::{Recorder, SCHEDULE},
    },
    ports::testing::TestClock,
};

struct World {
    store: Arc<MemorySigningKeys>,
    clock: Arc<TestClock>,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::new(MemorySigningKeys::default()), clock: TestClock::at(1_800_000_000) }
    }

    async fn replica(&self, vault: &[[u8; 32]]) -> Result<SigningKeys, SigningKeyError> {
        self.replica_with(vault, SCHEDULE).await
    }

    async fn replica_with(&self, vault: &[[u8; 32]], schedule: KeySchedule) -> Result<SigningKeys, SigningKeyError> {
        SigningKeys::open(SigningKeyParts {
            store: self.store.clone(),
            key_generator: Arc::new(AwsLcKeyGenerator),
            sealer: Arc::new(Vault::new(vault).unwrap()),
            publisher: Arc::new(Recorder::default()),
            clock: self.clock.clone(),
            schedule,
        })
        .await
    }

    fn claims(&self) -> AccessClaims {
        AccessClaims {
            issuer: "i".into(),
            subject: "s".into(),
            audience: vec!["a".into()],
            client_id: "c".into(),
            scope: Scope::default(),
            token_id: TokenId::from_random([1; 16]),
            family: FamilyId::from_random([2; 16]),
            issued_at: self.clock.now(),
            not_before: None,
            expires_at: DateTime::from_timestamp(1_900_000_000, 0).unwrap(),
            extra: serde_json::Map::new(),
        }
    }
}

const KEY: [[u8; 32]; 1] = [[1; 32]];

impl World {
    fn replacement(&self, vault: &[[u8; 32]]) -> KeyReplacement {
        KeyReplacement {
            store: self.store.clone(),
            key_generator: Arc::new(AwsLcKeyGenerator),
            sealer: Arc::new(Vault::new(vault).unwrap()),
            clock: self.clock.clone(),
            schedule: SCHEDULE,
        }
    }
}

#[tokio::test]
async fn replaced_keys_are_refused_as_soon_as_the_keys_are_updated() {
    let world = World::new();
    let (one, two) = (world.replica(&KEY).await.unwrap(), world.replica(&KEY).await.unwrap());
    let old = one.sign(&world.claims()).unwrap();
    world.clock.pass(TimeDelta::days(29));
    one.refresh().await.unwrap();
    let Replaced { kid, deleted } = world.replacement(&KEY).run().await.unwrap();
    assert_eq!(deleted, 2, "the key that would sign next, too");
    for replica in [&one, &two] {
        replica.refresh().await.unwrap();
        assert_eq!(replica.verify(&old), Err(Rejection::UnknownKey));
        assert_eq!(replica.public_jwks().iter().map(|key| &key["kid"]).collect::<Vec<_>>(), [&*kid]);
    }
    // The clock of one may be behind.
    let claims = AccessClaims { issued_at: world.clock.now() - TimeDelta::minutes(1), ..world.claims() };
    let new = one.sign(&claims).unwrap();
    assert_eq!(two.verify(&new), Ok(claims));
    assert_eq!(world.replacement(&KEY).run().await.unwrap().deleted, 1);
}

#[tokio::test]
async fn keys_are_not_replaced_by_one_that_gateways_could_not_open() {
    let world = World::new();
    let replica = world.replica(&KEY).await.unwrap();
    let outcome = world.replacement(&[[2; 32]]).run().await;
    assert!(matches!(outcome, Err(SigningKeyError::Sealed { .. })), "{outcome:?}");
    replica.refresh().await.unwrap();
    replica.sign(&world.claims()).unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_opened_keeps_no_deleted_one_in_force() {
    let world = World::new();
    let replica = world.replica(&KEY).await.unwrap();
    let old = replica.sign(&world.claims()).unwrap();
    world.replacement(&[[2; 32], KEY[0]]).run().await.unwrap();
    for _ in 0..2 {
        assert!(matches!(replica.refresh().await, Err(SigningKeyError::Sealed { .. })));
        assert_eq!(replica.verify(&old), Err(Rejection::UnknownKey));
    }
    assert!(matches!(replica.sign(&world.claims()), Err(SigningKeyError::NoneInForce)));
}

#[tokio::test]
async fn two_replicas_share_their_keys() {
    let world = World::new();
    let (one, two) = (world.replica(&KEY).await.unwrap(), world.replica(&KEY).await.unwrap());
    let token = one.sign(&world.claims()).unwrap();
    assert_eq!(two.verify(&token), Ok(world.claims()));
    assert_eq!(one.public_jwks(), two.public_jwks());
    assert_eq!(one.public_jwks().len(), 1);
}

#[tokio::test]
async fn keys_rotate_without_a_gap() {
    let world = World::new();
    let keys = world.replica(&KEY).await.unwrap();
    let old = keys.sign(&world.claims()).unwrap();
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();

    world.clock.pass(TimeDelta::days(29));
    keys.refresh().await.unwrap();
    assert_eq!(keys.public_jwks().len(), 2, "the next key is published a day before it signs");
    assert_eq!(kid(&keys.sign(&world.claims()).unwrap()), kid(&old));

    world.clock.pass(TimeDelta::days(1));
    let new = keys.sign(&world.claims()).unwrap();
    assert_ne!(kid(&new), kid(&old));
    keys.refresh().await.unwrap();
    assert!(keys.verify(&old).is_ok() && keys.verify(&new).is_ok());

    world.clock.pass(TimeDelta::hours(24) + TimeDelta::seconds(5));
    keys.refresh().await.unwrap();
    assert_eq!(keys.verify(&old), Err(Rejection::UnknownKey), "its last token is dead");
    assert!(keys.verify(&new).is_ok());
    assert_eq!(keys.public_jwks().len(), 1);
}

#[tokio::test]
async fn the_store_holds_no_private_key_in_clear() {
    let world = World::new();
    world.replica(&KEY).await.unwrap();
    let stored = world.store.list().await.unwrap().remove(0);
    let opened = Vault::new(&KEY).unwrap().open(&sealing_context(&stored.kid), &stored.sealed_private_key).unwrap();
    assert!(!stored.sealed_private_key.windows(16).any(|window| opened.windows(16).any(|clear| clear == window)));
}

#[tokio::test]
async fn a_replaced_vault_key_is_named_as_the_reason() {
    let world = World::new();
    world.replica(&KEY).await.unwrap();
    assert!(world.replica(&[[2; 32], [1; 32]]).await.is_ok(), "the old key after the new one");
    let Err(error) = world.replica(&[[2; 32]]).await else { panic!("opened without the key") };
    assert!(error.to_string().contains("VAULT_KEY"), "{error}");
}

#[tokio::test]
async fn a_change_of_algorithm_keeps_old_tokens_valid() {
    let world = World::new();
    let old = world.replica(&KEY).await.unwrap().sign(&world.claims()).unwrap();
    for algorithm in [
        crate::domain::gateway::models::signing_key::SigningAlgorithm::EdDsa,
        crate::domain::gateway::models::signing_key::SigningAlgorithm::Hs256,
    ] {
        let keys = world.replica_with(&KEY, KeySchedule { algorithm, ..SCHEDULE }).await.unwrap();
        let new = keys.sign(&world.claims()).unwrap();
        assert!(keys.verify(&old).is_ok() && keys.verify(&new).is_ok());
    }
}

/// A store that counts how often it is asked, and lets others run meanwhile.
#[derive(Default)]
struct Counting(MemorySigningKeys, AtomicU64);

#[async_trait::async_trait]
impl SigningKeyRepository for Counting {
    async fn list(&self) -> Result<Vec<SigningKey>, RepositoryError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.list().await
    }

    async fn add(&self, key: &SigningKey) -> Result<(), RepositoryError> {
        self.0.add(key).await
    }

    async fn replace_all(&self, key: &SigningKey) -> Result<u64, RepositoryError> {
        self.0.replace_all(key).await
    }

    async fn reseal(&self, kid: &str, read: &[u8], resealed: &[u8]) -> Result<bool, RepositoryError> {
        self.0.reseal(kid, read, resealed).await
    }

    async fn remove(&self, kid: &str) -> Result<(), RepositoryError> {
        self.0.remove(kid).await
    }
}

#[tokio::test]
async fn of_many_who_ask_for_an_update_at_once_few_ask_the_store() {
    let store = Arc::new(Counting::default());
    let mut parts = World::new().replica(&KEY).await.unwrap().parts;
    parts.store = store.clone();
    let keys = Arc::new(SigningKeys::open(parts).await.unwrap());
    let before = store.1.load(Ordering::SeqCst);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let keys = keys.clone();
        asking.spawn(async move { keys.refresh().await.unwrap() });
    }
    asking.join_all().await;
    assert_eq!(store.1.load(Ordering::SeqCst) - before, 2, "the one under way, and one that began after all had asked");
    keys.refresh().await.unwrap();
    assert_eq!(store.1.load(Ordering::SeqCst) - before, 3);
}

#[tokio::test]
async fn keys_are_announced_only_when_they_change() {
    let world = World::new();
    let recorder = Arc::new(Recorder::default());
    let mut parts = world.replica(&KEY).await.unwrap().parts;
    parts.publisher = recorder.clone();
    let keys = SigningKeys::open(parts).await.unwrap();
    keys.refresh().await.unwrap();
    assert_eq!(recorder.key_changes.load(std::sync::atomic::Ordering::SeqCst), 1);
}
