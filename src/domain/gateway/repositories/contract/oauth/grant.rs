//! Grants: reading back, taking over, revoking, deleting.

use chrono::{DateTime, Utc};

use super::{
    FINER, SUBJECTS, account_id, grant, grant_id, granted, identity, lease, leased, met, provider, put, refreshed,
};
use crate::domain::gateway::{
    models::{
        account::Account,
        oauth::{Grant, GrantFilter, GrantStatus, LeaseOutcome, PutOutcome},
    },
    repositories::{
        Constraint,
        contract::harness::{self, MICROSECOND, Store, assert_conflict, at},
    },
};

over_every_store!(
    a_grant_is_read_back_whole,
    grant_times_are_kept_to_the_microsecond,
    an_unknown_grant_is_none,
    a_grant_takes_over_the_one_before,
    a_takeover_ends_the_lease,
    a_grant_that_can_be_renewed_stays_where_another_is_not_to_replace_it,
    a_grant_that_cannot_be_renewed_is_replaced,
    another_subject_provider_or_account_is_another_grant,
    a_grant_needs_an_account_its_identity_and_an_id_of_its_own,
    all_grants_of_an_identity_are_revoked_and_no_others,
    newly_allowed_access_is_not_revoked,
    a_refresh_does_not_count_as_allowed_anew,
    allowing_again_after_a_revocation_gives_an_active_grant,
    a_grant_is_resealed_if_its_tokens_are_those_that_were_read,
    a_grant_can_be_removed_twice,
);

async fn a_grant_is_read_back_whole(store: &Store) {
    met(store, 1).await;
    let least = Grant {
        provider: provider("my-idp2"),
        provider_subject: String::new(),
        sealed_tokens: vec![],
        expires_at: None,
        refreshable: false,
        ..grant(2, 1)
    };
    let revoked = Grant { status: GrantStatus::Revoked, ..grant(3, 1) };
    let ended = Grant { status: GrantStatus::NeedsReauthorization, ..grant(4, 1) };
    for grant in [grant(1, 1), least, revoked, ended] {
        assert_eq!(put(&*store.accounts, &*store.oauth, &grant).await.unwrap(), grant);
        assert_eq!(store.peer_oauth.find_grant(grant.id).await.unwrap(), Some(grant));
    }
}

async fn grant_times_are_kept_to_the_microsecond(store: &Store) {
    met(store, 1).await;
    let finer = |grant: &Grant| Grant {
        expires_at: grant.expires_at.map(|time| time + FINER),
        created_at: grant.created_at + FINER,
        allowed_at: grant.allowed_at + FINER,
        updated_at: grant.updated_at + FINER,
        ..grant.clone()
    };
    let found = || async { store.peer_oauth.find_grant(grant_id(1)).await.unwrap().unwrap() };
    assert_eq!(put(&*store.accounts, &*store.oauth, &finer(&grant(1, 1))).await.unwrap(), grant(1, 1));
    assert_eq!(found().await, grant(1, 1));

    store.oauth.acquire_lease(&lease(1, at(130)), at(100)).await.unwrap();
    let renewed = Grant { expires_at: Some(at(7200)), allowed_at: at(105), updated_at: at(110), ..grant(1, 1) };
    assert!(store.oauth.finish_refresh(&lease(1, at(130)), &finer(&renewed)).await.unwrap());
    assert_eq!(found().await, renewed);

    assert_eq!(revoke(store, &renewed, at(105) - MICROSECOND + FINER, at(120)).await, 0);
    assert_eq!(revoke(store, &renewed, at(105) + FINER, at(120) + FINER).await, 1);
    assert_eq!(found().await, Grant { status: GrantStatus::Revoked, updated_at: at(120), ..renewed });
}

async fn an_unknown_grant_is_none(store: &Store) {
    granted(store).await;
    let unknown = grant_id(2);
    assert_eq!(store.oauth.find_grant(unknown).await.unwrap(), None);
    assert_eq!(store.oauth.remove_grant(unknown).await.unwrap(), None);
    assert_eq!(store.oauth.find_grant(grant_id(1)).await.unwrap(), Some(grant(1, 1)), "the other is untouched");
}

async fn a_grant_takes_over_the_one_before(store: &Store) {
    let first = granted(store).await;
    let again = Grant { id: grant_id(9), created_at: at(500), ..refreshed(&first, at(500)) };
    let kept = refreshed(&first, at(500));
    assert_eq!(put(&*store.peer_accounts, &*store.peer_oauth, &again).await.unwrap(), kept);
    assert_eq!(store.oauth.find_grant(first.id).await.unwrap(), Some(kept));
    assert_eq!(store.oauth.find_grant(again.id).await.unwrap(), None);

    // And one with the same id.
    assert_eq!(put(&*store.peer_accounts, &*store.peer_oauth, &first).await.unwrap(), first);
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), [first]);
}

async fn a_takeover_ends_the_lease(store: &Store) {
    let first = leased(store).await;
    let again = Grant { id: grant_id(9), sealed_tokens: vec![9], ..first.clone() };
    let kept = put(&*store.peer_accounts, &*store.peer_oauth, &again).await.unwrap();
    // An earlier refresh must not overwrite the new tokens.
    assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &refreshed(&first, at(110))).await.unwrap());
    assert!(!store.oauth.renew_lease(&lease(1, at(160)), at(110)).await.unwrap());
    let outcome = store.oauth.acquire_lease(&lease(2, at(140)), at(110)).await.unwrap();
    assert_eq!(outcome, LeaseOutcome::Acquired(kept));
}

async fn a_grant_that_can_be_renewed_stays_where_another_is_not_to_replace_it(store: &Store) {
    let held = leased(store).await;
    let again =
        Grant { id: grant_id(9), refreshable: false, sealed_tokens: vec![9], updated_at: at(110), ..held.clone() };
    let outcome = store.peer_oauth.put_grant_unless_renewable(&again).await.unwrap();
    assert_eq!(outcome, PutOutcome::Renewable(held.clone()));
    assert_eq!(store.oauth.find_grant(held.id).await.unwrap(), Some(held.clone()));
    assert_eq!(store.oauth.find_grant(again.id).await.unwrap(), None);
    let outcome = store.oauth.acquire_lease(&lease(2, at(140)), at(110)).await.unwrap();
    assert_eq!(outcome, LeaseOutcome::Held { until: at(130) }, "the lease goes on");
    // It does not prevent a grant of another identity.
    met(store, 2).await;
    for other in [
        Grant { id: grant_id(5), provider: provider("github"), refreshable: false, ..held.clone() },
        Grant { refreshable: false, ..grant(6, 2) },
    ] {
        let account = Account { id: other.account, created_at: at(0) };
        store.accounts.link(&identity(other.provider.as_str(), &other.provider_subject), &account).await.unwrap();
        let outcome = store.oauth.put_grant_unless_renewable(&other).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored(other));
    }
}

async fn a_grant_that_cannot_be_renewed_is_replaced(store: &Store) {
    let first = granted(store).await;
    let again =
        Grant { id: grant_id(9), refreshable: false, sealed_tokens: vec![9], updated_at: at(110), ..first.clone() };
    let stored = Grant { id: first.id, ..again.clone() };
    for before in [
        Grant { refreshable: false, ..first.clone() },
        Grant { status: GrantStatus::NeedsReauthorization, ..first.clone() },
        Grant { status: GrantStatus::Revoked, ..first.clone() },
    ] {
        put(&*store.accounts, &*store.oauth, &before).await.unwrap();
        store.oauth.acquire_lease(&lease(1, at(130)), at(100)).await.unwrap();
        let outcome = store.peer_oauth.put_grant_unless_renewable(&again).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored(stored.clone()));
        assert_eq!(store.oauth.find_grant(first.id).await.unwrap(), Some(stored.clone()));
        assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &first).await.unwrap(), "the lease has ended");
    }
    store.oauth.remove_grant(first.id).await.unwrap();
    let outcome = store.oauth.put_grant_unless_renewable(&again).await.unwrap();
    assert_eq!(outcome, PutOutcome::Stored(again.clone()), "there is none");
    // Like any other grant, it needs its account and identity.
    store.oauth.remove_grant(again.id).await.unwrap();
    store.accounts.unlink(account_id(1), &provider("google")).await.unwrap();
    let outcome = store.oauth.put_grant_unless_renewable(&again).await;
    assert_conflict(&outcome, Constraint::Identity);
}

async fn another_subject_provider_or_account_is_another_grant(store: &Store) {
    met(store, 1).await;
    met(store, 2).await;
    let mut grants: Vec<_> =
        (1..).zip(SUBJECTS).map(|(n, subject)| Grant { provider_subject: subject.to_owned(), ..grant(n, 1) }).collect();
    grants.push(Grant { provider: provider("github"), id: grant_id(5), ..grants[0].clone() });
    grants.push(Grant { account: account_id(2), ..grant(6, 2) });
    for grant in &grants {
        assert_eq!(put(&*store.accounts, &*store.oauth, grant).await.unwrap(), *grant);
    }
    for grant in grants {
        assert_eq!(store.peer_oauth.find_grant(grant.id).await.unwrap(), Some(grant));
    }
}

async fn a_grant_needs_an_account_its_identity_and_an_id_of_its_own(store: &Store) {
    let refused = async || {
        let outcome = store.oauth.put_grant(&grant(1, 1)).await;
        assert_conflict(&outcome, Constraint::Identity);
        assert_eq!(store.oauth.find_grant(grant_id(1)).await.unwrap(), None);
    };
    refused().await;
    // Without the identity, or with an identity of another account.
    met(store, 1).await;
    refused().await;
    met(store, 2).await;
    put(&*store.accounts, &*store.oauth, &Grant { id: grant_id(7), ..grant(1, 2) }).await.unwrap();
    refused().await;
    store.accounts.unlink(account_id(2), &provider("google")).await.unwrap();

    let first = granted(store).await;
    let outcome = put(&*store.peer_accounts, &*store.peer_oauth, &Grant { id: first.id, ..grant(2, 1) }).await;
    assert_conflict(&outcome, Constraint::Id);
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), std::slice::from_ref(&first));

    // The id of a grant that takes over is not used, so it may be taken.
    let second = put(&*store.accounts, &*store.oauth, &grant(2, 1)).await.unwrap();
    let again = Grant { id: first.id, updated_at: at(60), ..second.clone() };
    assert_eq!(put(&*store.accounts, &*store.oauth, &again).await.unwrap(), Grant { updated_at: at(60), ..second });
    assert_eq!(store.oauth.find_grant(first.id).await.unwrap(), Some(first));
}

/// The person of `grant`'s identity revoked, before `until`, what they had allowed.
async fn revoke(store: &Store, grant: &Grant, until: DateTime<Utc>, now: DateTime<Utc>) -> usize {
    store.oauth.revoke_grants_of(&grant.provider, &grant.provider_subject, until, now).await.unwrap().len()
}

async fn all_grants_of_an_identity_are_revoked_and_no_others(store: &Store) {
    met(store, 1).await;
    met(store, 2).await;
    let of = |subject: &str, grant: Grant| Grant { provider_subject: subject.to_owned(), ..grant };
    let ended = Grant { status: GrantStatus::NeedsReauthorization, ..of("ended", grant(2, 2)) };
    let theirs = [of(SUBJECTS[1], grant(1, 1)), ended];
    let elsewhere = Grant { provider: provider("github"), ..of(SUBJECTS[1], grant(3, 1)) };
    let others = [elsewhere, of(SUBJECTS[0], grant(4, 1)), of(SUBJECTS[2], grant(5, 1)), of(SUBJECTS[3], grant(6, 1))];
    for grant in theirs.iter().chain(&others) {
        put(&*store.accounts, &*store.oauth, grant).await.unwrap();
    }
    for one in &theirs {
        assert_eq!(revoke(store, one, at(10), at(10)).await, 1);
        assert_eq!(revoke(store, one, at(20), at(20)).await, 0, "it is revoked already");
    }
    assert_eq!(revoke(store, &of("nobody", theirs[0].clone()), at(20), at(20)).await, 0);
    for grant in theirs {
        let revoked = Grant { status: GrantStatus::Revoked, updated_at: at(10), ..grant };
        assert_eq!(store.peer_oauth.find_grant(revoked.id).await.unwrap(), Some(revoked));
    }
    for grant in others {
        assert_eq!(store.peer_oauth.find_grant(grant.id).await.unwrap(), Some(grant));
    }
}

async fn newly_allowed_access_is_not_revoked(store: &Store) {
    let first = granted(store).await;
    let again = Grant { allowed_at: at(50), updated_at: at(50), ..first };
    put(&*store.accounts, &*store.oauth, &again).await.unwrap();
    assert_eq!(revoke(store, &again, at(50) - MICROSECOND, at(60)).await, 0);
    assert_eq!(store.peer_oauth.find_grant(again.id).await.unwrap(), Some(again.clone()));
    assert_eq!(revoke(store, &again, at(50), at(60)).await, 1);
}

async fn a_refresh_does_not_count_as_allowed_anew(store: &Store) {
    let first = leased(store).await;
    let renewed = Grant { updated_at: at(110), ..first.clone() };
    assert!(store.oauth.finish_refresh(&lease(1, at(130)), &renewed).await.unwrap());
    assert_eq!(store.peer_oauth.find_grant(first.id).await.unwrap(), Some(renewed.clone()));
    assert_eq!(revoke(store, &first, first.allowed_at - MICROSECOND, at(120)).await, 0);
    assert_eq!(revoke(store, &first, first.allowed_at, at(120)).await, 1);
    let revoked = Grant { status: GrantStatus::Revoked, updated_at: at(120), ..renewed };
    assert_eq!(store.peer_oauth.find_grant(first.id).await.unwrap(), Some(revoked));
}

async fn allowing_again_after_a_revocation_gives_an_active_grant(store: &Store) {
    let first = granted(store).await;
    assert_eq!(revoke(store, &first, at(10), at(10)).await, 1);
    let again = Grant { allowed_at: at(20), updated_at: at(20), ..first };
    assert_eq!(put(&*store.peer_accounts, &*store.peer_oauth, &again).await.unwrap(), again);
    assert_eq!(store.oauth.find_grant(again.id).await.unwrap(), Some(again));
}

async fn a_grant_is_resealed_if_its_tokens_are_those_that_were_read(store: &Store) {
    let before = leased(store).await;
    let other = Grant { sealed_tokens: before.sealed_tokens.clone(), ..grant(2, 1) };
    put(&*store.accounts, &*store.oauth, &other).await.unwrap();
    let reseal =
        async |id, read: &[u8], resealed: &[u8]| store.peer_oauth.reseal_grant(id, read, resealed).await.unwrap();
    let read = &before.sealed_tokens;
    assert!(reseal(before.id, read, &[0, 9]).await);
    let after = Grant { sealed_tokens: vec![0, 9], ..before.clone() };
    assert_eq!(store.oauth.find_grant(before.id).await.unwrap(), Some(after.clone()), "nothing else has changed");
    for stale in [&read[..], &[], &[0], &[0, 9, 0]] {
        assert!(!reseal(before.id, stale, &[1]).await, "{stale:?}");
    }
    assert!(!reseal(grant_id(3), read, &[1]).await);
    assert_eq!(store.oauth.find_grant(before.id).await.unwrap(), Some(after));
    assert_eq!(store.oauth.find_grant(other.id).await.unwrap(), Some(other), "the same bytes in another grant");

    // A concurrent refresh has newer tokens, and stores them.
    let refreshed = refreshed(&before, at(110));
    assert!(store.oauth.finish_refresh(&lease(1, at(130)), &refreshed).await.unwrap());
    assert!(!reseal(before.id, &[0, 9], &[1]).await);
    assert_eq!(store.oauth.find_grant(before.id).await.unwrap(), Some(refreshed));
}

async fn a_grant_can_be_removed_twice(store: &Store) {
    let first = leased(store).await;
    let other = put(&*store.accounts, &*store.oauth, &grant(2, 1)).await.unwrap();
    assert_eq!(store.peer_oauth.remove_grant(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.oauth.remove_grant(first.id).await.unwrap(), None);
    assert_eq!(store.oauth.find_grant(first.id).await.unwrap(), None);
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), [other]);

    // Allowed anew, it is a new grant; its account and the identity were kept.
    let anew = Grant { id: grant_id(3), created_at: at(900), ..first };
    assert_eq!(put(&*store.accounts, &*store.oauth, &anew).await.unwrap(), anew);
    let account = store.accounts.account_of(&identity("github", "met 1"), &super::account(9)).await.unwrap();
    assert_eq!(account, super::account(1));
}
