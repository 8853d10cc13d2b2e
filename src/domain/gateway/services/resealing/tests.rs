use std::{
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use chrono::DateTime;

use super::*;
use crate::{
    adapters::sealing::Vault,
    domain::gateway::{
        models::{
            account::{Account, ProviderIdentity},
            oauth::GrantStatus,
            signing_key::{SigningAlgorithm, SigningKey},
            values::id::{AccountId, GrantId},
        },
        repositories::{
            account::AccountRepository,
            memory::{MemoryAccounts, MemorySigningKeys},
        },
    },
};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const LOST: [u8; 32] = [3; 32];

fn vault(keys: &[[u8; 32]]) -> Arc<Vault> {
    Arc::new(Vault::new(keys).unwrap())
}

fn id(n: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    bytes
}

#[derive(Default)]
struct Stores {
    grants: Arc<MemoryAccounts>,
    keys: Arc<MemorySigningKeys>,
}

impl Stores {
    fn resealing(&self, keys: &[[u8; 32]]) -> Resealing {
        Resealing { grants: self.grants.clone(), keys: self.keys.clone(), sealer: vault(keys) }
    }

    async fn grant(&self, n: u16, sealed_with: &Vault) -> Grant {
        let mut grant = Grant {
            id: GrantId::from_random(id(n)),
            account: AccountId::from_random(id(n)),
            provider: "google".parse().unwrap(),
            provider_subject: n.to_string(),
            status: GrantStatus::Active,
            sealed_tokens: vec![],
            expires_at: None,
            refreshable: true,
            created_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            allowed_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            updated_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        grant.sealed_tokens = sealed_with.seal(&oauth::sealing_context(&grant), &n.to_be_bytes());
        let identity = ProviderIdentity {
            provider: grant.provider.clone(),
            subject: grant.provider_subject.clone(),
            verified_email: None,
            name: None,
        };
        let account = Account { id: grant.account, created_at: grant.created_at };
        self.grants.account_of(&identity, &account).await.unwrap();
        self.grants.put_grant(&grant).await.unwrap()
    }

    async fn key(&self, kid: &str, generation: u32, sealed_with: &Vault) {
        let key = SigningKey {
            kid: kid.to_owned(),
            algorithm: SigningAlgorithm::Es256,
            generation,
            sealed_private_key: sealed_with.seal(&signing_key::sealing_context(kid), b"private"),
            public_jwk: None,
            created_at: DateTime::UNIX_EPOCH,
            signs_from: DateTime::UNIX_EPOCH,
        };
        self.keys.add(&key).await.unwrap();
    }
}

#[tokio::test]
async fn after_a_run_the_first_key_opens_everything() {
    let stores = Stores::default();
    for n in 0..450 {
        stores.grant(n, &vault(&[OLD])).await;
    }
    for n in 450..460 {
        stores.grant(n, &vault(&[NEW])).await;
    }
    stores.key("old", 1, &vault(&[OLD])).await;
    stores.key("new", 2, &vault(&[NEW])).await;

    let resealing = stores.resealing(&[NEW, OLD]);
    let done = resealing.run().await.unwrap();
    assert_eq!(done, Resealed { resealed: 451, current: 11, unopened: vec![] });
    for grant in stores.grants.list_grants(&GrantFilter::default(), None, 999).await.unwrap() {
        let opened = vault(&[NEW]).open(&oauth::sealing_context(&grant), &grant.sealed_tokens).unwrap();
        assert_eq!(opened, grant.provider_subject.parse::<u16>().unwrap().to_be_bytes());
    }
    for key in stores.keys.list().await.unwrap() {
        let opened = vault(&[NEW]).open(&signing_key::sealing_context(&key.kid), &key.sealed_private_key);
        assert_eq!(opened.unwrap(), b"private");
    }
    assert_eq!(resealing.run().await.unwrap(), Resealed { resealed: 0, current: 462, unopened: vec![] });
}

#[tokio::test]
async fn a_value_that_cannot_be_opened_is_named_and_stays_unchanged() {
    let stores = Stores::default();
    let lost = stores.grant(1, &vault(&[LOST])).await;
    let mut damaged = stores.grant(2, &vault(&[NEW])).await;
    *damaged.sealed_tokens.last_mut().unwrap() ^= 1;
    stores.grants.put_grant(&damaged).await.unwrap();
    stores.grant(3, &vault(&[OLD])).await;
    stores.key("lost", 1, &vault(&[LOST])).await;
    stores.key("old", 2, &vault(&[OLD])).await;

    let done = stores.resealing(&[NEW, OLD]).run().await.unwrap();
    assert_eq!((done.resealed, done.current), (2, 0));
    let unopened: Vec<_> = done.unopened.iter().map(|one| (one.what.clone(), one.reason)).collect();
    assert_eq!(
        unopened,
        [
            ("signing key lost".to_owned(), OpenError::UnknownKey),
            (format!("grant {}", damaged.id), OpenError::Damaged),
            (format!("grant {}", lost.id), OpenError::UnknownKey),
        ]
    );
    for before in [lost, damaged] {
        assert_eq!(stores.grants.find_grant(before.id).await.unwrap(), Some(before));
    }
}

/// A sealer that changes the store: after it has resealed a value, before that is stored.
struct Disturbed {
    vault: Arc<Vault>,
    change: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Sealer for Disturbed {
    fn seal(&self, context: &str, secret: &[u8]) -> Vec<u8> {
        self.vault.seal(context, secret)
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.vault.open(context, sealed)
    }

    fn reseal(&self, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        let resealed = self.vault.reseal(context, sealed);
        if let Some(change) = self.change.lock().unwrap().take() {
            change();
        }
        resealed
    }
}

/// The store in memory never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

async fn disturbed(stores: &Stores, change: impl FnOnce() + Send + 'static) -> Resealed {
    let sealer = Disturbed { vault: vault(&[NEW, OLD]), change: Mutex::new(Some(Box::new(change))) };
    Resealing { sealer: Arc::new(sealer), ..stores.resealing(&[NEW]) }.run().await.unwrap()
}

#[tokio::test]
async fn a_faster_refresh_is_not_overwritten() {
    for (gateway_key, resealed, current) in [(OLD, 1, 0), (NEW, 0, 1)] {
        let stores = Stores::default();
        let grant = stores.grant(1, &vault(&[OLD])).await;
        let context = oauth::sealing_context(&grant);
        let fresh = Grant { sealed_tokens: vault(&[gateway_key]).seal(&context, b"fresh"), ..grant.clone() };
        let store = stores.grants.clone();
        let done = disturbed(&stores, move || drop(at_once(store.put_grant(&fresh)).unwrap())).await;
        assert_eq!((done.resealed, done.current), (resealed, current));
        let after = stores.grants.find_grant(grant.id).await.unwrap().unwrap();
        assert_eq!(vault(&[NEW]).open(&context, &after.sealed_tokens).unwrap(), b"fresh");
    }
}

#[tokio::test]
async fn values_deleted_in_the_meantime_need_nothing() {
    let stores = Stores::default();
    let grant = stores.grant(1, &vault(&[OLD])).await;
    let store = stores.grants.clone();
    let done = disturbed(&stores, move || drop(at_once(store.remove_grant(grant.id)).unwrap())).await;
    assert_eq!(done, Resealed::default());

    stores.key("old", 1, &vault(&[OLD])).await;
    let keys = stores.keys.clone();
    let done = disturbed(&stores, move || at_once(keys.remove("old")).unwrap()).await;
    assert_eq!(done, Resealed::default());
}
