//! Accounts and identities: their links, and what never merges two people.

use super::{FINER, SUBJECTS, account, identity, met};
use crate::domain::gateway::{
    models::account::{Account, ProviderIdentity},
    repositories::{
        Constraint,
        contract::harness::{self, Store, assert_conflict},
    },
};

over_every_store!(
    an_identity_gets_one_account,
    an_account_is_found_by_provider_and_subject_and_nothing_else,
    an_account_is_read_back_to_the_microsecond,
    other_subjects_and_other_providers_are_other_people,
    an_email_never_links_two_accounts,
    an_account_has_the_identities_that_the_providers_last_reported,
    a_name_stays_until_the_provider_tells_another,
    a_taken_account_id_is_a_conflict_and_nothing_is_stored,
    a_linked_identity_finds_its_account,
    linking_again_changes_nothing,
    an_identity_of_another_account_is_not_linked,
    nothing_is_linked_to_an_account_that_does_not_exist,
);

async fn an_identity_gets_one_account(store: &Store) {
    let jane = identity("google", SUBJECTS[0]);
    assert_eq!(store.accounts.account_of(&jane, &account(1)).await.unwrap(), account(1));
    // Whatever the provider reports about her now.
    for (n, jane) in [
        (2, jane.clone()),
        (3, ProviderIdentity { verified_email: None, name: None, ..jane.clone() }),
        (1, ProviderIdentity { verified_email: Some("other@example.com".to_owned()), ..jane.clone() }),
    ] {
        assert_eq!(store.peer_accounts.account_of(&jane, &account(n)).await.unwrap(), account(1));
    }
    // An unneeded new_account was not stored.
    for n in [2, 3] {
        assert_conflict(&store.accounts.link(&identity("github", "x"), &account(n)).await, Constraint::Account);
    }
}

async fn an_account_is_found_by_provider_and_subject_and_nothing_else(store: &Store) {
    let jane = identity("google", SUBJECTS[0]);
    assert_eq!(store.accounts.find_account(&jane.provider, &jane.subject).await.unwrap(), None);
    store.accounts.account_of(&jane, &account(1)).await.unwrap();
    for replica in [&store.accounts, &store.peer_accounts] {
        assert_eq!(replica.find_account(&jane.provider, &jane.subject).await.unwrap(), Some(account(1).id));
        for (provider, subject) in [("github", SUBJECTS[0]), ("google", SUBJECTS[1])] {
            assert_eq!(
                replica.find_account(&provider.parse().unwrap(), subject).await.unwrap(),
                None,
                "{provider} {subject}"
            );
        }
    }
}

async fn an_account_is_read_back_to_the_microsecond(store: &Store) {
    let new_account = Account { created_at: account(1).created_at + FINER, ..account(1) };
    let jane = ProviderIdentity { verified_email: None, name: None, ..identity("google", "jane") };
    assert_eq!(store.accounts.account_of(&jane, &new_account).await.unwrap(), account(1));
    assert_eq!(store.peer_accounts.account_of(&jane, &new_account).await.unwrap(), account(1));
}

async fn other_subjects_and_other_providers_are_other_people(store: &Store) {
    let people: Vec<_> =
        ["google", "github"].into_iter().flat_map(|name| SUBJECTS.map(|subject| identity(name, subject))).collect();
    for replica in [&store.accounts, &store.peer_accounts] {
        for (n, person) in (1..).zip(&people) {
            assert_eq!(replica.account_of(person, &account(n)).await.unwrap(), account(n), "{person:?}");
        }
    }
}

async fn an_email_never_links_two_accounts(store: &Store) {
    let [jane, other] = [identity("google", "jane"), identity("github", "jane")];
    assert_eq!(jane.verified_email, other.verified_email);
    assert_eq!(store.accounts.account_of(&jane, &account(1)).await.unwrap(), account(1));
    assert_eq!(store.accounts.account_of(&other, &account(2)).await.unwrap(), account(2));
    // Nor does a later one.
    let third = ProviderIdentity { verified_email: Some("third@example.com".to_owned()), ..identity("github", "x") };
    assert_eq!(store.accounts.account_of(&third, &account(3)).await.unwrap(), account(3));
    let third = ProviderIdentity { verified_email: jane.verified_email, ..third };
    assert_eq!(store.accounts.account_of(&third, &account(4)).await.unwrap(), account(3));
}

async fn a_taken_account_id_is_a_conflict_and_nothing_is_stored(store: &Store) {
    let [jane, john] = [identity("google", "jane"), identity("google", "john")];
    store.accounts.account_of(&jane, &account(1)).await.unwrap();
    assert_conflict(&store.peer_accounts.account_of(&john, &account(1)).await, Constraint::Id);
    assert_eq!(store.accounts.account_of(&john, &account(2)).await.unwrap(), account(2));
    assert_eq!(store.accounts.account_of(&jane, &account(3)).await.unwrap(), account(1));
}

async fn a_linked_identity_finds_its_account(store: &Store) {
    met(store, 1).await;
    let jane = identity("google", SUBJECTS[0]);
    // The stored data of the account counts, not the caller's.
    let claimed = Account { created_at: account(9).created_at, ..account(1) };
    store.accounts.link(&jane, &claimed).await.unwrap();
    assert_eq!(store.peer_accounts.account_of(&jane, &account(2)).await.unwrap(), account(1));
}

async fn linking_again_changes_nothing(store: &Store) {
    met(store, 1).await;
    let jane = identity("google", "jane");
    for replica in [&store.accounts, &store.peer_accounts, &store.accounts] {
        replica.link(&jane, &account(1)).await.unwrap();
        assert_eq!(replica.account_of(&jane, &account(2)).await.unwrap(), account(1));
    }
}

async fn an_identity_of_another_account_is_not_linked(store: &Store) {
    met(store, 1).await;
    met(store, 2).await;
    let jane = identity("google", "jane");
    store.accounts.link(&jane, &account(1)).await.unwrap();
    assert_conflict(&store.peer_accounts.link(&jane, &account(2)).await, Constraint::Identity);
    assert_eq!(store.accounts.account_of(&jane, &account(3)).await.unwrap(), account(1));
}

async fn nothing_is_linked_to_an_account_that_does_not_exist(store: &Store) {
    let jane = identity("google", "jane");
    assert_conflict(&store.accounts.link(&jane, &account(1)).await, Constraint::Account);
    assert_eq!(store.accounts.account_of(&jane, &account(2)).await.unwrap(), account(2));
    // Nor if the identity is known.
    assert_conflict(&store.accounts.link(&jane, &account(1)).await, Constraint::Identity);
}

async fn a_name_stays_until_the_provider_tells_another(store: &Store) {
    let told =
        |name: Option<&str>| ProviderIdentity { name: name.map(str::to_owned), ..identity("apple", SUBJECTS[0]) };
    let nobody = ProviderIdentity { name: None, ..identity("apple", "Z") };
    store.accounts.account_of(&nobody, &account(2)).await.unwrap();
    for (now, stays) in
        [(None, None), (Some("Mina"), Some("Mina")), (None, Some("Mina")), (Some("Minji"), Some("Minji"))]
    {
        let now = ProviderIdentity { verified_email: None, ..told(now) };
        store.accounts.account_of(&now, &account(1)).await.unwrap();
        let stored = store.peer_accounts.identities_of(account(1).id).await.unwrap();
        assert_eq!(stored, [ProviderIdentity { verified_email: None, ..told(stays) }], "{now:?}");
    }
    assert_eq!(store.accounts.identities_of(account(2).id).await.unwrap(), [nobody]);
}

async fn an_account_has_the_identities_that_the_providers_last_reported(store: &Store) {
    assert_eq!(store.accounts.identities_of(account(1).id).await.unwrap(), []);
    let before = ProviderIdentity { name: None, ..identity("google", SUBJECTS[0]) };
    let now = ProviderIdentity { verified_email: None, ..identity("google", SUBJECTS[0]) };
    let second = identity("google", "Z");
    let third = identity("kakao", "1");
    for met in [&before, &identity("github", "someone else"), &now] {
        let n = if met.provider.as_str() == "google" { 1 } else { 2 };
        store.accounts.account_of(met, &account(n)).await.unwrap();
    }
    for linked in [&third, &second] {
        store.accounts.link(linked, &account(1)).await.unwrap();
    }
    let mut wanted = vec![now, second, third];
    wanted.sort_by(|one, other| (&one.provider, &one.subject).cmp(&(&other.provider, &other.subject)));
    assert_eq!(store.peer_accounts.identities_of(account(1).id).await.unwrap(), wanted);
}
