//! Invariants when several tasks, half of them on another replica, do the same concurrently.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::{account, grant, grant_id, granted, identity, lease, leased, met, put, refreshed};
use crate::domain::gateway::{
    models::{
        account::Account,
        oauth::{Grant, GrantFilter, GrantStatus, LeaseOutcome},
    },
    repositories::{
        Constraint,
        contract::harness::{self, PATIENCE, People, Store, assert_conflict, at},
    },
};

over_every_store!(
    of_concurrent_sign_ins_one_account_comes_and_the_others_leave_nothing,
    a_sign_in_that_is_repeated_at_once_is_one,
    of_concurrent_links_one_account_gets_the_identity,
    of_concurrent_wishes_one_gets_the_lease,
    of_concurrent_wishes_for_a_lease_that_ended_one_gets_it,
    a_lease_that_is_passed_on_all_the_time_is_never_held_twice,
    a_finish_that_races_a_takeover_never_wins_over_it,
    a_finish_that_races_a_revocation_never_wins_over_it,
    of_concurrent_grants_one_row_comes,
    of_concurrent_grants_one_that_can_be_renewed_stays,
    of_concurrent_removals_one_gets_the_grant,
);

/// Starts eight tasks of `what` at once, each with its number.
async fn race<T, F>(store: &Store, what: impl Fn(People, u8) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 1_u8..=8 {
        let (start, racing) = (start.clone(), what(store.people_replica(n.into()), n));
        tasks.spawn(async move {
            start.wait().await;
            racing.await
        });
    }
    timeout(PATIENCE, tasks.join_all()).await.unwrap()
}

async fn of_concurrent_sign_ins_one_account_comes_and_the_others_leave_nothing(store: &Store) {
    for round in 0..5 {
        let new_account = move |n| account(10 * round + n);
        let jane = identity("google", &format!("jane {round}"));
        let accounts: Vec<Account> = race(store, |replica, n| {
            let jane = jane.clone();
            async move { replica.accounts.account_of(&jane, &new_account(n)).await.unwrap() }
        })
        .await;
        assert!(accounts.iter().all(|account| *account == accounts[0]), "{accounts:?}");
        assert_eq!(store.accounts.account_of(&jane, &account(250)).await.unwrap(), accounts[0]);
        // Nothing can be linked to an account that does not exist.
        for n in 1..=8 {
            let outcome = store.accounts.link(&identity("github", &format!("{round} {n}")), &new_account(n)).await;
            assert_eq!(outcome.is_ok(), new_account(n) == accounts[0], "{n}: {outcome:?}");
        }
    }
}

async fn a_sign_in_that_is_repeated_at_once_is_one(store: &Store) {
    let accounts =
        race(
            store,
            |replica, _| async move { replica.accounts.account_of(&identity("google", "jane"), &account(1)).await },
        )
        .await;
    for outcome in accounts {
        assert_eq!(outcome.unwrap(), account(1));
    }
}

async fn of_concurrent_links_one_account_gets_the_identity(store: &Store) {
    for n in 1..=8 {
        met(store, n).await;
    }
    let outcomes = race(store, |replica, n| async move {
        (account(n), replica.accounts.link(&identity("google", "jane"), &account(n)).await)
    })
    .await;
    let (linked, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, outcome)| outcome.is_ok());
    let [(owner, _)] = linked.as_slice() else { panic!("{linked:?}") };
    for (_, outcome) in refused {
        assert_conflict(&outcome, Constraint::Identity);
    }
    assert_eq!(store.accounts.account_of(&identity("google", "jane"), &account(9)).await.unwrap(), *owner);
}

/// Eight holders request the lease at once, `now` being `at(seconds)`; one gets it, and the others learn until when it
/// is held.
async fn assert_one_gets_the_lease(store: &Store, grant: &Grant, seconds: i64) {
    let until = move |n: u8| at(seconds + i64::from(n));
    let outcomes = race(store, |replica, n| async move {
        (n, replica.oauth.acquire_lease(&lease(n, until(n)), at(seconds)).await.unwrap())
    })
    .await;
    let acquired = LeaseOutcome::Acquired(grant.clone());
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| *outcome == acquired).map(|(n, _)| *n).collect();
    let [winner] = winners.as_slice() else { panic!("{outcomes:?}") };
    let held = LeaseOutcome::Held { until: until(*winner) };
    assert_eq!(outcomes.iter().filter(|(_, outcome)| *outcome == held).count(), 7, "{outcomes:?}");
    // It is really the winner's.
    for n in 1..=8 {
        let renewed = store.oauth.renew_lease(&lease(n, until(n)), at(seconds)).await.unwrap();
        assert_eq!(renewed, n == *winner, "{n}: {outcomes:?}");
    }
}

async fn of_concurrent_wishes_one_gets_the_lease(store: &Store) {
    let grant = granted(store).await;
    assert_one_gets_the_lease(store, &grant, 100).await;
}

async fn of_concurrent_wishes_for_a_lease_that_ended_one_gets_it(store: &Store) {
    let grant = leased(store).await;
    for seconds in [130, 200, 300] {
        assert_one_gets_the_lease(store, &grant, seconds).await;
    }
}

/// Each waits for the lease and increments a count in the grant: a lost increment is a lease held twice.
async fn a_lease_that_is_passed_on_all_the_time_is_never_held_twice(store: &Store) {
    let first = Grant { sealed_tokens: vec![0], ..granted(store).await };
    put(&*store.accounts, &*store.oauth, &first).await.unwrap();
    let turns = race(store, |replica, n| async move {
        for turn in 0..3 {
            let wish = lease(10 * n + turn, at(130));
            let mut grant = loop {
                match replica.oauth.acquire_lease(&wish, at(100)).await.unwrap() {
                    LeaseOutcome::Acquired(grant) => break grant,
                    LeaseOutcome::Held { until } => assert_eq!(until, at(130)),
                    LeaseOutcome::Gone => panic!("it is gone"),
                }
                tokio::task::yield_now().await;
            };
            grant.sealed_tokens[0] += 1;
            assert!(replica.oauth.finish_refresh(&wish, &Grant { updated_at: at(100), ..grant }).await.unwrap());
        }
    });
    turns.await;
    assert_eq!(store.oauth.find_grant(first.id).await.unwrap().unwrap().sealed_tokens, [24]);
}

async fn a_finish_that_races_a_takeover_never_wins_over_it(store: &Store) {
    let first = leased(store).await;
    for round in 0..10 {
        let wish = lease(1, at(130));
        store.oauth.release_lease(&wish).await.unwrap();
        let outcome = store.oauth.acquire_lease(&wish, at(100)).await.unwrap();
        assert!(matches!(outcome, LeaseOutcome::Acquired(_)), "{outcome:?}");
        let again = Grant { sealed_tokens: vec![round], ..first.clone() };
        let (wanted, refresh) = (again.clone(), refreshed(&first, at(110)));
        race(store, |replica, n| {
            let (wanted, refresh) = (wanted.clone(), refresh.clone());
            async move {
                if n == 1 {
                    replica.oauth.put_grant(&wanted).await.unwrap();
                } else {
                    replica.oauth.finish_refresh(&wish, &refresh).await.unwrap();
                }
            }
        })
        .await;
        assert_eq!(store.oauth.find_grant(first.id).await.unwrap(), Some(again));
    }
}

async fn a_finish_that_races_a_revocation_never_wins_over_it(store: &Store) {
    let first = granted(store).await;
    for _ in 0..10 {
        put(&*store.accounts, &*store.oauth, &first).await.unwrap();
        let wish = lease(1, at(130));
        let outcome = store.oauth.acquire_lease(&wish, at(100)).await.unwrap();
        assert_eq!(outcome, LeaseOutcome::Acquired(first.clone()));
        let (theirs, renewed) = (first.clone(), Grant { updated_at: at(110), ..first.clone() });
        race(store, |replica, n| {
            let (theirs, renewed) = (theirs.clone(), renewed.clone());
            async move {
                if n == 1 {
                    let (provider, subject) = (&theirs.provider, &theirs.provider_subject);
                    assert_eq!(
                        replica.oauth.revoke_grants_of(provider, subject, at(120), at(120)).await.unwrap().len(),
                        1
                    );
                } else {
                    replica.oauth.finish_refresh(&wish, &renewed).await.unwrap();
                }
            }
        })
        .await;
        let after = store.oauth.find_grant(first.id).await.unwrap().unwrap();
        assert_eq!((after.status, after.updated_at), (GrantStatus::Revoked, at(120)));
    }
}

async fn of_concurrent_grants_one_row_comes(store: &Store) {
    let first = granted(store).await;
    store.oauth.remove_grant(first.id).await.unwrap();
    let stored = race(store, |replica, n| async move {
        let mine = Grant { id: grant_id(100 + n), created_at: at(n.into()), ..grant(1, 1) };
        replica.oauth.put_grant(&mine).await.unwrap()
    })
    .await;
    assert!(stored.iter().all(|grant| *grant == stored[0]), "{stored:?}");
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), [stored[0].clone()]);
}

async fn of_concurrent_grants_one_that_can_be_renewed_stays(store: &Store) {
    let first = granted(store).await;
    for round in 0..10 {
        store.oauth.remove_grant(first.id).await.unwrap();
        race(store, |replica, n| async move {
            let mine = Grant { id: grant_id(100 + n), sealed_tokens: vec![n], updated_at: at(round), ..grant(1, 1) };
            if n == 1 {
                replica.oauth.put_grant(&mine).await.unwrap();
            } else {
                replica.oauth.put_grant_unless_renewable(&Grant { refreshable: false, ..mine }).await.unwrap();
            }
        })
        .await;
        let all = store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap();
        assert_eq!(
            all.iter().map(|grant| (&*grant.sealed_tokens, grant.refreshable)).collect::<Vec<_>>(),
            [(&[1][..], true)]
        );
        store.oauth.remove_grant(all[0].id).await.unwrap();
        put(&*store.accounts, &*store.oauth, &first).await.unwrap();
    }
}

async fn of_concurrent_removals_one_gets_the_grant(store: &Store) {
    let grant = granted(store).await;
    let removed = race(store, |replica, _| async move { replica.oauth.remove_grant(grant_id(1)).await.unwrap() }).await;
    assert_eq!(removed.into_iter().flatten().collect::<Vec<_>>(), [grant]);
}
