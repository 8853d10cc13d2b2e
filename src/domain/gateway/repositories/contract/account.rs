//! Contract of a store of password logins. The values of its cases are here.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, PATIENCE, Store, at};
use crate::domain::gateway::{
    models::{
        account::{Account, Email, PasswordHash, PasswordLogin, Profile, ProviderIdentity, UnlinkOutcome},
        oauth::{Grant, GrantFilter, GrantStatus},
        values::id::{AccountId, GrantId},
    },
    repositories::{Constraint, contract::harness::assert_conflict},
};

mod database;
mod erasing;
mod removing;

over_every_store!(
    a_log_in_is_read_back_whole,
    an_email_is_found_however_it_is_written,
    a_taken_email_or_account_is_a_conflict_and_nothing_is_stored,
    of_concurrent_sign_ups_with_one_email_one_wins,
    a_log_in_is_added_once,
    of_concurrently_added_log_ins_one_wins,
    a_hash_is_replaced_if_it_is_the_one_that_was_read,
    an_email_is_no_identity,
    a_provider_is_unlinked_unless_it_is_the_last_way_in,
    of_two_concurrent_unlinks_one_leaves_the_last_way_in,
    no_grant_outlives_its_identity,
);

/// Unlike all other ids.
fn account(n: u8) -> Account {
    Account { id: AccountId::from_random([0xa0 + n; 16]), created_at: at(0) }
}

fn email(n: u8) -> Email {
    Email::parse(&format!("Person{n}@Example.com")).unwrap()
}

/// A login that uses every field, with text that a careless store would change.
fn login(n: u8) -> PasswordLogin {
    PasswordLogin {
        account: account(n).id,
        email: email(n),
        name: Some("제인 \"Doe\"'; -- 😀".to_owned()),
        hash: PasswordHash::new(format!("$argon2id$v=19$m=19456,t=2,p=1$salt+/{n}$hash")),
        changed_at: at(0),
    }
}

fn identity(provider: &str, subject: &str) -> ProviderIdentity {
    ProviderIdentity {
        provider: provider.parse().unwrap(),
        subject: subject.to_owned(),
        verified_email: Some("person1@example.com".to_owned()),
        name: None,
    }
}

fn grant(n: u8, account: &Account, provider: &str) -> Grant {
    Grant {
        id: GrantId::from_random([n; 16]),
        account: account.id,
        provider: provider.parse().unwrap(),
        provider_subject: format!("subject-of-{n}"),
        status: GrantStatus::Active,
        sealed_tokens: vec![n],
        expires_at: None,
        refreshable: false,
        created_at: at(0),
        allowed_at: at(0),
        updated_at: at(0),
    }
}

async fn signed_up(store: &Store, n: u8) -> Account {
    store.accounts.sign_up(&account(n), &login(n)).await.unwrap();
    account(n)
}

/// An account without a password.
async fn met(store: &Store, n: u8) -> Account {
    let identity = identity("google", &format!("met {n}"));
    store.accounts.account_of(&identity, &account(n)).await.unwrap()
}

async fn logins(store: &Store, n: u8) -> Option<PasswordLogin> {
    store.peer_accounts.profile(account(n).id).await.unwrap().and_then(|profile| profile.login)
}

async fn a_log_in_is_read_back_whole(store: &Store) {
    assert_eq!(store.accounts.profile(account(1).id).await.unwrap(), None);
    let finer = TimeDelta::nanoseconds(999);
    let given = PasswordLogin { changed_at: at(0) + finer, ..login(1) };
    store.accounts.sign_up(&Account { created_at: at(0) + finer, ..account(1) }, &given).await.unwrap();
    store.accounts.sign_up(&account(2), &PasswordLogin { name: None, ..login(2) }).await.unwrap();
    for (n, name) in [(1, login(1).name), (2, None)] {
        let stored = PasswordLogin { name, ..login(n) };
        assert_eq!(store.peer_accounts.find_login(&email(n)).await.unwrap(), Some(stored.clone()));
        let profile = Profile { account: account(n), login: Some(stored), identities: Vec::new() };
        assert_eq!(store.peer_accounts.profile(account(n).id).await.unwrap(), Some(profile));
    }
    let found = store.accounts.find_login(&email(1)).await.unwrap().unwrap();
    assert_eq!(found.email.as_str(), "Person1@Example.com", "as it was written");
    // A person who signed in at a provider has none.
    let jane = met(store, 3).await;
    let profile = Profile { account: jane, login: None, identities: vec![identity("google", "met 3")] };
    assert_eq!(store.accounts.profile(account(3).id).await.unwrap(), Some(profile));
}

async fn an_email_is_found_however_it_is_written(store: &Store) {
    signed_up(store, 1).await;
    for text in ["person1@example.com", " PERSON1@EXAMPLE.COM "] {
        let found = store.accounts.find_login(&Email::parse(text).unwrap()).await.unwrap();
        assert_eq!(found, Some(login(1)), "{text}");
    }
    for text in ["person@example.com", "person11@example.com", "person_@example.com", "%@example.com"] {
        assert_eq!(store.accounts.find_login(&Email::parse(text).unwrap()).await.unwrap(), None, "{text}");
    }
}

async fn a_taken_email_or_account_is_a_conflict_and_nothing_is_stored(store: &Store) {
    signed_up(store, 1).await;
    let same = PasswordLogin { email: Email::parse("PERSON1@example.com").unwrap(), ..login(2) };
    assert_conflict(&store.peer_accounts.sign_up(&account(2), &same).await, Constraint::Email);
    assert_eq!(store.accounts.profile(account(2).id).await.unwrap(), None);
    assert_conflict(&store.peer_accounts.sign_up(&account(1), &login(2)).await, Constraint::Id);
    assert_eq!(store.accounts.find_login(&email(2)).await.unwrap(), None);
    assert_eq!(store.accounts.find_login(&email(1)).await.unwrap(), Some(login(1)));
}

async fn of_concurrent_sign_ups_with_one_email_one_wins(store: &Store) {
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 1..=8 {
        let accounts = Arc::clone(if n % 2 == 0 { &store.accounts } else { &store.peer_accounts });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            (n, accounts.sign_up(&account(n), &PasswordLogin { email: email(1), ..login(n) }).await)
        });
    }
    let outcomes = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    assert_eq!(won.len(), 1);
    for (n, outcome) in lost {
        assert_conflict(&outcome, Constraint::Email);
        assert_eq!(store.accounts.profile(account(n).id).await.unwrap(), None, "no account without a log-in");
    }
    let found = store.accounts.find_login(&email(1)).await.unwrap().unwrap();
    assert_eq!(found.account, account(won[0].0).id);
}

async fn a_log_in_is_added_once(store: &Store) {
    assert_conflict(&store.accounts.add_login(&login(1)).await, Constraint::Account);
    let jane = met(store, 1).await;
    signed_up(store, 2).await;
    let taken = PasswordLogin { email: email(2), ..login(1) };
    assert_conflict(&store.peer_accounts.add_login(&taken).await, Constraint::Email);
    store.accounts.add_login(&login(1)).await.unwrap();
    assert_conflict(
        &store.peer_accounts.add_login(&PasswordLogin { email: email(3), ..login(1) }).await,
        Constraint::Login,
    );
    // The same e-mail again, and that of another account: the account's own login counts first.
    for again in [login(1), PasswordLogin { email: email(2), ..login(1) }] {
        assert_conflict(&store.peer_accounts.add_login(&again).await, Constraint::Login);
    }
    let profile = store.peer_accounts.profile(jane.id).await.unwrap().unwrap();
    assert_eq!((profile.login, profile.identities.len()), (Some(login(1)), 1));
}

async fn of_concurrently_added_log_ins_one_wins(store: &Store) {
    met(store, 1).await;
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 1..=8 {
        let accounts = Arc::clone(if n % 2 == 0 { &store.accounts } else { &store.peer_accounts });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            let login = PasswordLogin { account: account(1).id, ..login(n) };
            accounts.add_login(&login).await.is_ok().then_some(login)
        });
    }
    let won: Vec<_> = timeout(PATIENCE, tasks.join_all()).await.unwrap().into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(logins(store, 1).await, Some(won[0].clone()));
}

async fn a_hash_is_replaced_if_it_is_the_one_that_was_read(store: &Store) {
    signed_up(store, 1).await;
    signed_up(store, 2).await;
    let newer = PasswordLogin { hash: PasswordHash::new("new"), changed_at: at(9), ..login(1) };
    assert!(!store.accounts.replace_hash(&login(2).hash, &newer).await.unwrap());
    assert!(
        !store
            .accounts
            .replace_hash(&login(1).hash, &PasswordLogin { account: account(3).id, ..newer.clone() })
            .await
            .unwrap()
    );
    assert_eq!(logins(store, 1).await, Some(login(1)));
    // Nothing else changes.
    let other = PasswordLogin { email: email(9), name: None, ..newer.clone() };
    assert!(store.peer_accounts.replace_hash(&login(1).hash, &other).await.unwrap());
    assert_eq!(logins(store, 1).await, Some(newer.clone()));
    assert!(!store.accounts.replace_hash(&login(1).hash, &newer).await.unwrap());
    assert_eq!(logins(store, 2).await, Some(login(2)));
}

async fn an_email_is_no_identity(store: &Store) {
    signed_up(store, 1).await;
    // The provider vouches for it, and it is the same character for character.
    let jane = store.accounts.account_of(&identity("google", "jane"), &account(2)).await.unwrap();
    assert_eq!(jane, account(2));
    assert_eq!(logins(store, 2).await, None);
    assert_eq!(store.accounts.profile(account(1).id).await.unwrap().unwrap().identities, []);
}

async fn a_provider_is_unlinked_unless_it_is_the_last_way_in(store: &Store) {
    let google = "google".parse().unwrap();
    let github = "github".parse().unwrap();
    assert_eq!(store.accounts.unlink(account(1).id, &google).await.unwrap(), UnlinkOutcome::NotLinked);
    let jane = met(store, 1).await;
    // Two identities at one provider are still one way to sign in.
    store.accounts.link(&identity("google", "second"), &jane).await.unwrap();
    assert_eq!(store.accounts.unlink(jane.id, &google).await.unwrap(), UnlinkOutcome::LastWayIn);
    assert_eq!(store.accounts.unlink(jane.id, &github).await.unwrap(), UnlinkOutcome::NotLinked);
    let stranger = met(store, 2).await;
    for grant in [grant(1, &jane, "google"), grant(2, &jane, "github"), grant(3, &stranger, "google")] {
        let owner = if grant.account == jane.id { &jane } else { &stranger };
        store.accounts.link(&identity(grant.provider.as_str(), &grant.provider_subject), owner).await.unwrap();
        store.oauth.put_grant(&grant).await.unwrap();
    }
    store.oauth.put_grant(&Grant { provider_subject: "second".into(), ..grant(4, &jane, "google") }).await.unwrap();

    let UnlinkOutcome::Unlinked(taken) = store.peer_accounts.unlink(jane.id, &google).await.unwrap() else { panic!() };
    let taken: Vec<_> = taken.iter().map(|grant| grant.id).collect();
    assert_eq!(taken, [grant(1, &jane, "google").id, grant(4, &jane, "google").id]);
    assert_eq!(store.accounts.identities_of(jane.id).await.unwrap(), [identity("github", "subject-of-2")]);
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap().len(), 2);
    assert_eq!(store.accounts.identities_of(stranger.id).await.unwrap().len(), 2);
    assert_eq!(store.accounts.unlink(jane.id, &google).await.unwrap(), UnlinkOutcome::NotLinked);
    assert_eq!(store.accounts.unlink(jane.id, &github).await.unwrap(), UnlinkOutcome::LastWayIn);
    // With a password it is not the last one.
    store.accounts.add_login(&login(1)).await.unwrap();
    assert!(matches!(store.accounts.unlink(jane.id, &github).await.unwrap(), UnlinkOutcome::Unlinked(_)));
    assert_eq!(store.accounts.profile(jane.id).await.unwrap().unwrap().identities, []);
}

async fn of_two_concurrent_unlinks_one_leaves_the_last_way_in(store: &Store) {
    for n in 1..=6 {
        let jane = met(store, n).await;
        store.accounts.link(&identity("github", &format!("met {n}")), &jane).await.unwrap();
        let (google, github) = ("google".parse().unwrap(), "github".parse().unwrap());
        let (one, other) = timeout(PATIENCE, async {
            tokio::join!(store.accounts.unlink(jane.id, &google), store.peer_accounts.unlink(jane.id, &github))
        })
        .await
        .unwrap();
        let outcomes = [one.unwrap(), other.unwrap()];
        assert!(outcomes.contains(&UnlinkOutcome::LastWayIn), "{outcomes:?}");
        assert_eq!(store.accounts.identities_of(jane.id).await.unwrap().len(), 1);
    }
}

/// Either the grant is stored before the provider is unlinked and is removed with it, or it is refused.
async fn no_grant_outlives_its_identity(store: &Store) {
    let google = "google".parse().unwrap();
    for n in 1..=6 {
        let jane = met(store, n).await;
        store.accounts.add_login(&login(n)).await.unwrap();
        let wish = Grant { provider_subject: format!("met {n}"), ..grant(n, &jane, "google") };
        let (granted, unlinked) = timeout(PATIENCE, async {
            tokio::join!(store.oauth.put_grant(&wish), store.peer_accounts.unlink(jane.id, &google))
        })
        .await
        .unwrap();
        let UnlinkOutcome::Unlinked(taken) = unlinked.unwrap() else { panic!() };
        match granted {
            Ok(granted) => assert_eq!(taken, [granted]),
            refused => {
                assert_conflict(&refused, Constraint::Identity);
                assert_eq!(taken, []);
            }
        }
        assert_conflict(&store.oauth.put_grant(&wish).await, Constraint::Identity);
    }
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), []);
}
