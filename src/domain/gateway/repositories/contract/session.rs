//! Contract of a store of sessions.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, MICROSECOND, PATIENCE, Store, at, digest};
use crate::domain::gateway::{
    models::{
        account::{Account, ProviderIdentity},
        session::{Session, Visitor},
        values::id::{AccountId, SessionId},
    },
    repositories::{Constraint, contract::harness::assert_conflict},
};

over_every_store_of_sessions!(
    a_session_is_read_back_whole,
    a_taken_session_id_or_digest_is_a_conflict,
    a_used_session_lasts_longer,
    a_session_that_is_over_or_lasts_longer_already_is_not_prolonged,
    a_session_is_found_by_its_id,
    the_sessions_of_an_account_are_listed_by_their_last_use,
    a_session_ends_once,
    all_sessions_of_an_account_end_but_one,
    the_sessions_of_another_account_stay,
    of_concurrent_ends_of_all_each_session_is_ended_once,
    sessions_that_are_over_are_forgotten,
);

/// A session of account 1 that begins at `at(0)`, lasts until `at(60)`, and until `at(600)` at most.
fn session(n: u8) -> Session {
    Session {
        id: SessionId::from_random([n; 16]),
        digest: digest(n),
        account: AccountId::from_random([1; 16]),
        created_at: at(0),
        used_at: at(0),
        idle_until: at(60),
        expires_at: at(600),
        visitor: Visitor { browser: Some("Firefox on 'Windows'".to_owned()), network: None },
    }
}

fn used(n: u8, used_at: DateTime<Utc>, idle_until: DateTime<Utc>) -> Session {
    Session { used_at, idle_until, ..session(n) }
}

async fn opened(store: &Store, n: u8) -> Session {
    let account = Account { id: AccountId::from_random([1; 16]), created_at: at(0) };
    let identity = ProviderIdentity {
        provider: "google".parse().unwrap(),
        subject: "jane".to_owned(),
        verified_email: None,
        name: None,
    };
    store.accounts.account_of(&identity, &account).await.unwrap();
    store.sessions.open(&session(n)).await.unwrap();
    session(n)
}

async fn a_session_is_read_back_whole(store: &Store) {
    assert_eq!(store.sessions.find(&digest(1)).await.unwrap(), None);
    opened(store, 2).await;
    let finer = TimeDelta::nanoseconds(999);
    let given = Session {
        created_at: at(0) + finer,
        used_at: at(0) + finer,
        idle_until: at(60) + finer,
        expires_at: at(600) + finer,
        ..session(1)
    };
    store.sessions.open(&given).await.unwrap();
    assert_eq!(store.peer_sessions.find(&digest(1)).await.unwrap(), Some(session(1)));
}

async fn a_taken_session_id_or_digest_is_a_conflict(store: &Store) {
    let first = opened(store, 1).await;
    for taken in
        [first.clone(), Session { id: session(2).id, ..first.clone() }, Session { digest: digest(2), ..first.clone() }]
    {
        let outcome = store.peer_sessions.open(&taken).await;
        assert_conflict(&outcome, Constraint::Id);
    }
    assert_eq!(store.sessions.find(&digest(1)).await.unwrap(), Some(first));
    assert_eq!(store.sessions.find(&digest(2)).await.unwrap(), None);
}

async fn a_used_session_lasts_longer(store: &Store) {
    opened(store, 1).await;
    let used = used(1, at(59), at(119));
    assert!(store.peer_sessions.prolong(&used).await.unwrap());
    assert_eq!(store.sessions.find(&digest(1)).await.unwrap(), Some(used));
}

async fn a_session_that_is_over_or_lasts_longer_already_is_not_prolonged(store: &Store) {
    let session = opened(store, 1).await;
    for late in [used(1, at(60), at(120)), used(1, at(30), at(60)), used(1, at(30), at(59)), used(2, at(1), at(61))] {
        assert!(!store.sessions.prolong(&late).await.unwrap(), "{late:?}");
    }
    assert_eq!(store.sessions.find(&digest(1)).await.unwrap(), Some(session));
    assert!(store.sessions.prolong(&used(1, at(60) - MICROSECOND, at(60) + MICROSECOND)).await.unwrap());
}

async fn a_session_is_found_by_its_id(store: &Store) {
    let opened = opened(store, 1).await;
    let network = Some("2001:db8:1::/48".to_owned());
    let other = Session { visitor: Visitor { browser: None, network }, ..session(2) };
    store.sessions.open(&other).await.unwrap();
    assert_eq!(store.peer_sessions.find_by_id(opened.id).await.unwrap(), Some(opened.clone()));
    assert_eq!(store.peer_sessions.find_by_id(other.id).await.unwrap(), Some(other));
    assert_eq!(store.peer_sessions.find_by_id(session(3).id).await.unwrap(), None);
    store.sessions.end(&opened.digest).await.unwrap();
    assert_eq!(store.peer_sessions.find_by_id(opened.id).await.unwrap(), None);
    // Its id and digest are free again.
    store.sessions.open(&opened).await.unwrap();
}

async fn the_sessions_of_an_account_are_listed_by_their_last_use(store: &Store) {
    for n in 1..=3 {
        opened(store, n).await;
    }
    let [one, three] = [used(1, at(20), at(80)), used(3, at(10), at(70))];
    assert!(store.sessions.prolong(&one).await.unwrap() && store.sessions.prolong(&three).await.unwrap());
    let account = one.account;
    let listed = async |limit| store.peer_sessions.list_of(account, limit).await.unwrap();
    assert_eq!(listed(9).await, [one.clone(), three.clone(), session(2)]);
    assert_eq!(listed(2).await, [one.clone(), three.clone()]);
    assert_eq!(listed(0).await, []);
    assert_eq!(store.sessions.list_of(AccountId::from_random([9; 16]), 9).await.unwrap(), []);
    store.sessions.end(&three.digest).await.unwrap();
    store.sessions.purge_expired(at(60)).await.unwrap();
    assert_eq!(listed(9).await, [one]);
}

async fn all_sessions_of_an_account_end_but_one(store: &Store) {
    for n in 1..=4 {
        opened(store, n).await;
    }
    let account = session(1).account;
    let ended = async |but| {
        let mut ended = store.peer_sessions.end_all_of(account, but).await.unwrap();
        ended.sort_by_key(|session| session.digest);
        ended
    };
    assert_eq!(ended(Some(session(2).id)).await, [session(1), session(3), session(4)]);
    assert_eq!(ended(Some(session(2).id)).await, []);
    assert_eq!(store.sessions.find(&digest(2)).await.unwrap(), Some(session(2)));
    for n in [1, 3, 4] {
        assert_eq!(store.sessions.find(&digest(n)).await.unwrap(), None);
    }
    assert_eq!(store.sessions.end_all_of(AccountId::from_random([9; 16]), None).await.unwrap(), []);
    assert_eq!(ended(None).await, [session(2)]);
    assert_eq!(store.sessions.list_of(account, 9).await.unwrap(), []);
}

async fn of_concurrent_ends_of_all_each_session_is_ended_once(store: &Store) {
    for n in 1..=20 {
        opened(store, n).await;
    }
    let start = Arc::new(Barrier::new(4));
    let mut tasks = JoinSet::new();
    for n in 0..4 {
        let sessions = Arc::clone(if n % 2 == 0 { &store.sessions } else { &store.peer_sessions });
        let start = start.clone();
        tasks.spawn(async move {
            start.wait().await;
            sessions.end_all_of(session(1).account, None).await.unwrap()
        });
    }
    let mut ended: Vec<_> = timeout(PATIENCE, tasks.join_all()).await.unwrap().concat();
    ended.sort_by_key(|session| session.digest);
    assert_eq!(ended, (1..=20).map(session).collect::<Vec<_>>());
}

async fn a_session_ends_once(store: &Store) {
    let session = opened(store, 1).await;
    assert_eq!(store.peer_sessions.end(&digest(1)).await.unwrap(), Some(session));
    assert_eq!(store.sessions.end(&digest(1)).await.unwrap(), None);
    assert_eq!(store.sessions.find(&digest(1)).await.unwrap(), None);
    assert!(!store.sessions.prolong(&used(1, at(1), at(61))).await.unwrap());
}

async fn sessions_that_are_over_are_forgotten(store: &Store) {
    opened(store, 1).await;
    opened(store, 2).await;
    assert!(store.sessions.prolong(&used(2, at(1), at(60) + MICROSECOND)).await.unwrap());
    assert_eq!(store.sessions.purge_expired(at(60) - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.peer_sessions.purge_expired(at(60)).await.unwrap(), 1);
    assert_eq!(store.sessions.find(&digest(1)).await.unwrap(), None);
    assert!(store.sessions.find(&digest(2)).await.unwrap().is_some());
}

async fn the_sessions_of_another_account_stay(store: &Store) {
    let mut sessions = Vec::new();
    for n in 1..=4 {
        sessions.push(opened(store, n).await);
    }
    let stranger = Account { id: AccountId::from_random([2; 16]), created_at: at(0) };
    let identity = ProviderIdentity {
        provider: "google".parse().unwrap(),
        subject: "john".to_owned(),
        verified_email: None,
        name: None,
    };
    store.accounts.account_of(&identity, &stranger).await.unwrap();
    let theirs = Session { account: stranger.id, ..session(5) };
    store.sessions.open(&theirs).await.unwrap();

    let account = sessions[0].account;
    let mut ended = store.peer_sessions.end_all_of(account, Some(sessions[1].id)).await.unwrap();
    ended.sort_by_key(|session| session.id);
    assert_eq!(ended, [sessions[0].clone(), sessions[2].clone(), sessions[3].clone()]);
    assert_eq!(store.sessions.find(&digest(2)).await.unwrap(), Some(sessions[1].clone()));
    // Nothing of another account's session is kept.
    assert_eq!(store.sessions.end_all_of(account, Some(theirs.id)).await.unwrap(), [sessions[1].clone()]);
    assert_eq!(store.sessions.end_all_of(account, None).await.unwrap(), []);
    assert_eq!(store.sessions.find(&digest(5)).await.unwrap(), Some(theirs));
}
