//! Removing one identity from its account, and the account with it if there is no other way to sign in.

use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::{Arc, account, grant, harness, identity, signed_up};
use crate::domain::gateway::{
    models::{
        account::{Account, AccountEnding, ErasureOutcome, IdentityErasure, ProviderIdentity},
        oauth::{Grant, GrantFilter, GrantStatus},
        values::id::{EndingId, GrantId},
    },
    repositories::contract::harness::{MICROSECOND, PATIENCE, Store, at},
};

over_every_store!(
    an_identity_is_taken_with_its_grants_and_nothing_else,
    the_last_way_in_takes_the_account_along,
    a_person_who_is_back_keeps_everything,
    a_refreshed_grant_is_no_sign_that_the_person_is_back,
    of_concurrent_erasures_one_removes_the_account,
);

fn at_facebook(n: u8) -> ProviderIdentity {
    identity("facebook", &format!("subject-of-{n}"))
}

/// The request of the person at Facebook, sent at `until`.
fn erasure(n: u8, until: i64) -> IdentityErasure {
    IdentityErasure {
        provider: "facebook".parse().unwrap(),
        subject: format!("subject-of-{n}"),
        until: at(until),
        ending: EndingId::from_random([n; 16]),
        now: at(900),
    }
}

/// An account that was created by a sign-in at Facebook, with a grant.
async fn met_at_facebook(store: &Store, n: u8) -> (Account, Grant) {
    store.accounts.account_of(&at_facebook(n), &account(n)).await.unwrap();
    let granted = store.oauth.put_grant(&grant(n, &account(n), "facebook")).await.unwrap();
    (account(n), granted)
}

async fn grants_of(store: &Store, of: &Account) -> Vec<Grant> {
    let filter = GrantFilter { account: Some(of.id), provider: None };
    store.peer_oauth.list_grants(&filter, None, 9).await.unwrap()
}

async fn an_identity_is_taken_with_its_grants_and_nothing_else(store: &Store) {
    let (jane, granted) = met_at_facebook(store, 1).await;
    let (john, of_john) = met_at_facebook(store, 2).await;
    // The same person has two more ways to sign in: another identity there, and one elsewhere.
    store.accounts.link(&at_facebook(3), &jane).await.unwrap();
    let second = Grant { id: GrantId::from_random([3; 16]), ..grant(3, &jane, "facebook") };
    store.oauth.put_grant(&second).await.unwrap();
    store.accounts.link(&identity("google", "subject-of-1"), &jane).await.unwrap();

    let outcome = store.accounts.erase_identity(&erasure(1, 0)).await.unwrap();
    assert_eq!(outcome, ErasureOutcome::Erased(jane.id, vec![granted]));
    assert_eq!(store.peer_accounts.erase_identity(&erasure(1, 0)).await.unwrap(), ErasureOutcome::Unknown);
    assert_eq!(grants_of(store, &jane).await, [second]);
    let left = store.accounts.identities_of(jane.id).await.unwrap();
    assert_eq!(left.iter().map(|one| one.provider.as_str()).collect::<Vec<_>>(), ["facebook", "google"]);
    assert_eq!(grants_of(store, &john).await, [of_john]);
    assert_eq!(store.accounts.endings_begun_by(at(999), 9).await.unwrap(), []);
    // A password is a way to sign in, too.
    let zoe = signed_up(store, 4).await;
    store.accounts.link(&at_facebook(4), &zoe).await.unwrap();
    let outcome = store.accounts.erase_identity(&erasure(4, 0)).await.unwrap();
    assert_eq!(outcome, ErasureOutcome::Erased(zoe.id, Vec::new()));
    assert!(store.accounts.profile(zoe.id).await.unwrap().unwrap().identities.is_empty());
}

async fn the_last_way_in_takes_the_account_along(store: &Store) {
    let (jane, granted) = met_at_facebook(store, 1).await;
    let ending = AccountEnding {
        id: EndingId::from_random([1; 16]),
        account: jane.id,
        keep: None,
        removes: true,
        begun_at: at(900),
    };
    let outcome = store.accounts.erase_identity(&erasure(1, 0)).await.unwrap();
    assert_eq!(outcome, ErasureOutcome::AccountRemoved(ending, vec![granted]));
    assert_eq!(store.peer_accounts.profile(jane.id).await.unwrap(), None);
    assert_eq!(store.accounts.find_account(&at_facebook(1).provider, "subject-of-1").await.unwrap(), None);
    assert!(grants_of(store, &jane).await.is_empty());
    // The account's sessions and tokens end even if the caller is gone.
    assert_eq!(store.peer_accounts.endings_begun_by(at(999), 9).await.unwrap(), [ending]);
    // The person gets a new account if they come back.
    assert_eq!(store.accounts.account_of(&at_facebook(1), &account(5)).await.unwrap(), account(5));
}

async fn a_person_who_is_back_keeps_everything(store: &Store) {
    let (jane, granted) = met_at_facebook(store, 1).await;
    let back = Grant { allowed_at: at(60), updated_at: at(60), ..granted.clone() };
    store.oauth.put_grant(&back).await.unwrap();
    let told = IdentityErasure { until: at(60) - MICROSECOND, ..erasure(1, 0) };
    assert_eq!(store.accounts.erase_identity(&told).await.unwrap(), ErasureOutcome::AllowedAnew);
    assert_eq!(grants_of(store, &jane).await, std::slice::from_ref(&back));
    assert_eq!(store.accounts.endings_begun_by(at(999), 9).await.unwrap(), []);
    // A grant that was marked since does not show that the person came back.
    let marked = Grant { status: GrantStatus::NeedsReauthorization, ..back };
    store.oauth.put_grant(&marked).await.unwrap();
    let outcome = store.accounts.erase_identity(&told).await.unwrap();
    assert!(matches!(outcome, ErasureOutcome::AccountRemoved(_, grants) if grants == [marked]));
}

async fn a_refreshed_grant_is_no_sign_that_the_person_is_back(store: &Store) {
    let (_, granted) = met_at_facebook(store, 1).await;
    let refreshed = Grant { updated_at: at(60), ..granted.clone() };
    store.oauth.put_grant(&refreshed).await.unwrap();
    let outcome = store.accounts.erase_identity(&erasure(1, 1)).await.unwrap();
    assert!(matches!(outcome, ErasureOutcome::AccountRemoved(_, grants) if grants == [refreshed]));
}

async fn of_concurrent_erasures_one_removes_the_account(store: &Store) {
    let (jane, _) = met_at_facebook(store, 1).await;
    let start = Arc::new(Barrier::new(4));
    let mut erasures = JoinSet::new();
    for n in 0..4 {
        let accounts = Arc::clone(if n % 2 == 0 { &store.accounts } else { &store.peer_accounts });
        let (start, wish) =
            (start.clone(), IdentityErasure { ending: EndingId::from_random([n; 16]), ..erasure(1, 0) });
        erasures.spawn(async move {
            start.wait().await;
            accounts.erase_identity(&wish).await.unwrap()
        });
    }
    let outcomes = timeout(PATIENCE, erasures.join_all()).await.unwrap();
    let removed = outcomes.iter().filter(|one| matches!(one, ErasureOutcome::AccountRemoved(..))).count();
    let unknown = outcomes.iter().filter(|one| matches!(one, ErasureOutcome::Unknown)).count();
    assert_eq!((removed, unknown), (1, 3), "{outcomes:?}");
    let [ending] = store.accounts.endings_begun_by(at(999), 9).await.unwrap().try_into().unwrap();
    assert_eq!(ending.account, jane.id);
}
