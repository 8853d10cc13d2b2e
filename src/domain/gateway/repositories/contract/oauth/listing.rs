//! Grants in pages, and grants that are due for a refresh.

use super::{FINER, account_id, grant, grant_id, granted, met, provider, put, refreshed};
use crate::domain::gateway::{
    models::{
        oauth::{ExpiryCursor, Grant, GrantCursor, GrantFilter, GrantStatus},
        values::id::GrantId,
    },
    repositories::contract::harness::{self, MICROSECOND, Store, at},
};

over_every_store!(
    an_empty_store_lists_nothing,
    grants_are_listed_newest_first_and_the_greater_id_before_the_lesser,
    every_page_begins_behind_the_last,
    filters_combine,
    a_refresh_does_not_move_a_grant,
    grants_that_expire_come_soonest_first,
    every_page_of_grants_that_expire_begins_behind_the_last,
    grants_that_expire_are_of_one_provider,
    only_grants_that_can_be_refreshed_expire,
);

async fn an_empty_store_lists_nothing(store: &Store) {
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), []);
    assert_eq!(store.oauth.grants_expiring(&provider("google"), at(9999), None, 9).await.unwrap(), []);
}

/// Ids in an order that is neither that of the times nor, among those of the same time, up or down; some are so great
/// that a signed comparison would put them first.
const MADE: [(u8, i64); 8] = [(7, 5), (200, 5), (3, 9), (100, 5), (255, 1), (9, 5), (1, 1), (4, 9)];
const NEWEST_FIRST: [u8; 8] = [4, 3, 200, 100, 9, 7, 255, 1];

/// An id that sorts as `n` does: no bit of `n` is one that a version 4 UUID sets.
fn ordered(n: u8) -> GrantId {
    let mut bytes = [0; 16];
    bytes[0] = n;
    GrantId::from_random(bytes)
}

async fn made(store: &Store) {
    met(store, 1).await;
    for (n, seconds) in MADE {
        let made = Grant { id: ordered(n), created_at: at(seconds), ..grant(n, 1) };
        put(&*store.accounts, &*store.oauth, &made).await.unwrap();
    }
}

async fn page(store: &Store, filter: &GrantFilter, after: Option<GrantCursor>, limit: u64) -> Vec<GrantId> {
    store.peer_oauth.list_grants(filter, after, limit).await.unwrap().into_iter().map(|grant| grant.id).collect()
}

async fn grants_are_listed_newest_first_and_the_greater_id_before_the_lesser(store: &Store) {
    made(store).await;
    let filter = GrantFilter::default();
    assert_eq!(page(store, &filter, None, 99).await, NEWEST_FIRST.map(ordered));
    assert_eq!(page(store, &filter, None, 3).await, [4, 3, 200].map(ordered));
    assert_eq!(page(store, &filter, None, 0).await, []);
}

async fn every_page_begins_behind_the_last(store: &Store) {
    made(store).await;
    let google = GrantFilter { account: None, provider: Some(provider("google")) };
    let mine = GrantFilter { account: Some(account_id(1)), provider: None };
    for filter in [GrantFilter::default(), google, mine] {
        for limit in 1..=9 {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let grants = store.oauth.list_grants(&filter, after, limit).await.unwrap();
                let Some(last) = grants.last() else { break };
                assert!(grants.len() <= usize::try_from(limit).unwrap());
                after = Some(GrantCursor { created_at: last.created_at, id: last.id });
                listed.extend(grants.iter().map(|grant| grant.id));
            }
            assert_eq!(listed, NEWEST_FIRST.map(ordered), "{filter:?}, pages of {limit}");
        }
    }
    // The grant of a cursor need not exist (any more).
    let cursor = |time, n| Some(GrantCursor { created_at: time, id: ordered(n) });
    let filter = GrantFilter::default();
    assert_eq!(page(store, &filter, cursor(at(5), 50), 2).await, [9, 7].map(ordered));
    assert_eq!(page(store, &filter, cursor(at(5) - MICROSECOND, 255), 2).await, [255, 1].map(ordered));
    assert_eq!(page(store, &filter, cursor(at(5) + MICROSECOND, 0), 2).await, [200, 100].map(ordered));
    assert_eq!(page(store, &filter, cursor(at(5) + FINER, 100), 2).await, [9, 7].map(ordered));
    assert_eq!(page(store, &filter, cursor(at(1), 1), 2).await, []);
    assert_eq!(page(store, &filter, cursor(at(999), 1), 1).await, [ordered(4)]);
}

async fn filters_combine(store: &Store) {
    met(store, 1).await;
    met(store, 2).await;
    for (n, account, name) in [(1, 1, "google"), (2, 1, "github"), (3, 2, "google"), (4, 2, "google")] {
        let made = Grant { provider: provider(name), created_at: at(n.into()), ..grant(n, account) };
        put(&*store.accounts, &*store.oauth, &made).await.unwrap();
    }
    for (account, name, expected) in [
        (None, None, vec![4, 3, 2, 1]),
        (Some(1), None, vec![2, 1]),
        (Some(2), None, vec![4, 3]),
        (Some(3), None, vec![]),
        (None, Some("google"), vec![4, 3, 1]),
        (None, Some("github"), vec![2]),
        (None, Some("gitlab"), vec![]),
        (Some(1), Some("google"), vec![1]),
        (Some(1), Some("github"), vec![2]),
        (Some(2), Some("google"), vec![4, 3]),
        (Some(2), Some("github"), vec![]),
    ] {
        let filter = GrantFilter { account: account.map(account_id), provider: name.map(provider) };
        let expected: Vec<_> = expected.into_iter().map(grant_id).collect();
        assert_eq!(page(store, &filter, None, 9).await, expected, "{filter:?}");
        let behind_the_newest = GrantCursor { created_at: at(4), id: grant_id(4) };
        let behind: Vec<_> = expected.into_iter().filter(|id| *id != grant_id(4)).collect();
        assert_eq!(page(store, &filter, Some(behind_the_newest), 9).await, behind, "{filter:?}");
    }
}

async fn a_refresh_does_not_move_a_grant(store: &Store) {
    made(store).await;
    for n in [1, 100] {
        let first = store.oauth.find_grant(ordered(n)).await.unwrap().unwrap();
        put(&*store.accounts, &*store.oauth, &Grant { id: ordered(50), created_at: at(99), ..first }).await.unwrap();
    }
    assert_eq!(page(store, &GrantFilter::default(), None, 99).await, NEWEST_FIRST.map(ordered));
}

async fn grants_that_expire_come_soonest_first(store: &Store) {
    met(store, 1).await;
    met(store, 2).await;
    for (n, account, expires_at) in
        [(5, 1, at(60)), (1, 2, at(30)), (4, 1, at(60) + MICROSECOND), (3, 2, at(60)), (2, 1, at(10))]
    {
        put(&*store.accounts, &*store.oauth, &Grant { expires_at: Some(expires_at), ..grant(n, account) })
            .await
            .unwrap();
    }
    for (before, limit, expected) in [
        (at(60), 9, vec![2, 1, 3, 5]),
        (at(60) + FINER, 9, vec![2, 1, 3, 5]),
        (at(60) + MICROSECOND, 9, vec![2, 1, 3, 5, 4]),
        (at(60) - MICROSECOND, 9, vec![2, 1]),
        (at(60), 3, vec![2, 1, 3]),
        (at(60), 0, vec![]),
        (at(9), 9, vec![]),
    ] {
        let expiring = store.peer_oauth.grants_expiring(&provider("google"), before, None, limit).await.unwrap();
        let ids: Vec<_> = expiring.iter().map(|grant| grant.id).collect();
        assert_eq!(ids, expected.into_iter().map(grant_id).collect::<Vec<_>>(), "{before}, {limit}");
    }
}

async fn every_page_of_grants_that_expire_begins_behind_the_last(store: &Store) {
    met(store, 1).await;
    for (n, expires_at) in MADE {
        let expiring = Grant { id: ordered(n), expires_at: Some(at(expires_at)), ..grant(n, 1) };
        put(&*store.accounts, &*store.oauth, &expiring).await.unwrap();
    }
    let soonest_first = [1, 255, 7, 9, 100, 200, 3, 4].map(ordered);
    let google = provider("google");
    for limit in 1..=9 {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let grants = store.peer_oauth.grants_expiring(&google, at(9), after, limit).await.unwrap();
            let Some(last) = grants.last() else { break };
            assert!(grants.len() <= usize::try_from(limit).unwrap());
            after = Some(ExpiryCursor { expires_at: last.expires_at.unwrap(), id: last.id });
            listed.extend(grants.iter().map(|grant| grant.id));
        }
        assert_eq!(listed, soonest_first, "pages of {limit}");
    }
    // The grant of a cursor need not exist (any more).
    let cursor = |expires_at, n| Some(ExpiryCursor { expires_at, id: ordered(n) });
    for (after, expected) in [
        (cursor(at(5), 50), [100, 200]),
        (cursor(at(5) - MICROSECOND, 255), [7, 9]),
        (cursor(at(5) + FINER, 9), [100, 200]),
        (cursor(at(0), 255), [1, 255]),
    ] {
        let grants = store.oauth.grants_expiring(&google, at(9), after, 2).await.unwrap();
        let ids: Vec<_> = grants.iter().map(|grant| grant.id).collect();
        assert_eq!(ids, expected.map(ordered), "{after:?}");
    }
}

async fn grants_that_expire_are_of_one_provider(store: &Store) {
    let first = granted(store).await;
    let other = Grant { provider: provider("facebook"), expires_at: Some(at(1)), ..grant(2, 1) };
    put(&*store.accounts, &*store.oauth, &other).await.unwrap();
    for (name, expected) in [("google", vec![first]), ("facebook", vec![other]), ("naver", vec![])] {
        assert_eq!(store.oauth.grants_expiring(&provider(name), at(9999), None, 9).await.unwrap(), expected, "{name}");
    }
}

async fn only_grants_that_can_be_refreshed_expire(store: &Store) {
    let first = granted(store).await;
    for unfit in [
        Grant { expires_at: None, ..grant(2, 1) },
        Grant { refreshable: false, ..grant(3, 1) },
        Grant { status: GrantStatus::NeedsReauthorization, ..grant(4, 1) },
        Grant { status: GrantStatus::Revoked, ..grant(5, 1) },
    ] {
        put(&*store.accounts, &*store.oauth, &unfit).await.unwrap();
    }
    assert_eq!(
        store.oauth.grants_expiring(&provider("google"), at(3600), None, 9).await.unwrap(),
        std::slice::from_ref(&first)
    );

    store.oauth.revoke_grants_of(&first.provider, &first.provider_subject, at(9), at(9)).await.unwrap();
    assert_eq!(store.oauth.grants_expiring(&provider("google"), at(3600), None, 9).await.unwrap(), []);
    put(&*store.accounts, &*store.oauth, &first).await.unwrap();
    assert_eq!(store.oauth.grants_expiring(&provider("google"), at(3600), None, 9).await.unwrap().len(), 1);
    put(&*store.accounts, &*store.oauth, &refreshed(&first, at(9))).await.unwrap();
    assert_eq!(store.oauth.grants_expiring(&provider("google"), at(3600), None, 9).await.unwrap(), []);
}
