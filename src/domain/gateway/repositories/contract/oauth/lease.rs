//! The lease to refresh a grant: one holder at a time, to the microsecond.

use super::{FINER, grant, grant_id, granted, lease, leased, put, refreshed};
use crate::domain::gateway::{
    models::oauth::{Grant, GrantStatus, LeaseOutcome, RefreshLease},
    repositories::contract::harness::{self, MICROSECOND, Store, at},
};

over_every_store!(
    a_lease_keeps_the_others_out_until_it_ends,
    a_lease_is_of_one_grant,
    lease_times_are_kept_to_the_microsecond,
    a_renewed_lease_lasts_longer,
    only_its_holder_renews_a_lease_and_only_in_time,
    a_finished_refresh_is_stored_and_gives_the_lease_back,
    a_holder_whose_lease_ended_finishes_unless_another_took_it,
    a_holder_that_lost_the_lease_can_do_nothing,
    a_released_lease_is_free_at_once,
    a_revocation_ends_the_lease,
    a_removed_grant_has_no_lease,
);

async fn acquire(store: &Store, lease: RefreshLease, seconds: i64) -> LeaseOutcome {
    store.peer_oauth.acquire_lease(&lease, at(seconds)).await.unwrap()
}

async fn a_lease_keeps_the_others_out_until_it_ends(store: &Store) {
    let grant = leased(store).await;
    let held = LeaseOutcome::Held { until: at(130) };
    assert_eq!(acquire(store, lease(2, at(999)), 100).await, held);
    assert_eq!(acquire(store, lease(1, at(999)), 100).await, held, "its holder is no exception");
    let last = at(130) - MICROSECOND;
    assert_eq!(store.peer_oauth.acquire_lease(&lease(2, at(160)), last).await.unwrap(), held);
    assert_eq!(acquire(store, lease(2, at(160)), 130).await, LeaseOutcome::Acquired(grant));
    assert_eq!(acquire(store, lease(3, at(190)), 130).await, LeaseOutcome::Held { until: at(160) });
}

async fn a_lease_is_of_one_grant(store: &Store) {
    let first = leased(store).await;
    let other = put(&*store.accounts, &*store.oauth, &grant(2, 1)).await.unwrap();
    // Even for the same holder.
    let wish = RefreshLease { grant: other.id, ..lease(1, at(140)) };
    assert_eq!(acquire(store, wish, 100).await, LeaseOutcome::Acquired(other.clone()));
    assert!(store.oauth.finish_refresh(&wish, &refreshed(&other, at(110))).await.unwrap());
    assert_eq!(store.oauth.find_grant(first.id).await.unwrap(), Some(first));
    assert_eq!(acquire(store, lease(2, at(999)), 110).await, LeaseOutcome::Held { until: at(130) });
}

async fn lease_times_are_kept_to_the_microsecond(store: &Store) {
    let grant = granted(store).await;
    let acquired = LeaseOutcome::Acquired(grant);
    assert_eq!(acquire(store, lease(1, at(130) + FINER), 100).await, acquired);
    assert_eq!(acquire(store, lease(2, at(999)), 100).await, LeaseOutcome::Held { until: at(130) });
    assert!(store.oauth.renew_lease(&lease(1, at(160) + FINER), at(130) - MICROSECOND + FINER).await.unwrap());
    assert!(!store.oauth.renew_lease(&lease(1, at(190)), at(160) + FINER).await.unwrap());
    assert_eq!(acquire(store, lease(2, at(999)), 130).await, LeaseOutcome::Held { until: at(160) });
    assert_eq!(acquire(store, lease(2, at(999)), 160).await, acquired);
}

async fn a_renewed_lease_lasts_longer(store: &Store) {
    let grant = leased(store).await;
    assert!(store.peer_oauth.renew_lease(&lease(1, at(160)), at(129)).await.unwrap());
    assert_eq!(acquire(store, lease(2, at(999)), 159).await, LeaseOutcome::Held { until: at(160) });
    // From then on, and for a holder that still has the lease as it was acquired.
    let after = refreshed(&grant, at(159));
    assert!(store.oauth.finish_refresh(&lease(1, at(130)), &after).await.unwrap());
    assert_eq!(acquire(store, lease(2, at(190)), 159).await, LeaseOutcome::Acquired(after));
}

async fn only_its_holder_renews_a_lease_and_only_in_time(store: &Store) {
    let grant = leased(store).await;
    assert!(!store.oauth.renew_lease(&lease(2, at(999)), at(110)).await.unwrap());
    assert!(!store.oauth.renew_lease(&lease(1, at(999)), at(130)).await.unwrap(), "it has ended");
    assert_eq!(acquire(store, lease(2, at(999)), 129).await, LeaseOutcome::Held { until: at(130) });
    assert!(store.oauth.renew_lease(&lease(1, at(140)), at(130) - MICROSECOND).await.unwrap());
    assert_eq!(acquire(store, lease(2, at(170)), 140).await, LeaseOutcome::Acquired(grant));
    assert!(!store.oauth.renew_lease(&lease(1, at(999)), at(141)).await.unwrap(), "it is another's");
    assert_eq!(acquire(store, lease(3, at(999)), 141).await, LeaseOutcome::Held { until: at(170) });
}

async fn a_finished_refresh_is_stored_and_gives_the_lease_back(store: &Store) {
    let before = leased(store).await;
    let other = put(&*store.accounts, &*store.oauth, &grant(2, 1)).await.unwrap();
    let after = refreshed(&before, at(110));
    // A refresh changes only the fields of a refresh.
    let claimed = Grant { created_at: at(999), provider_subject: "another".to_owned(), ..after.clone() };
    assert!(store.oauth.finish_refresh(&lease(1, at(130)), &claimed).await.unwrap());
    assert_eq!(store.peer_oauth.find_grant(before.id).await.unwrap(), Some(after.clone()));
    assert_eq!(store.peer_oauth.find_grant(other.id).await.unwrap(), Some(other));
    assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &before).await.unwrap(), "the lease is gone");
    assert_eq!(acquire(store, lease(2, at(140)), 110).await, LeaseOutcome::Acquired(after));
}

async fn a_holder_whose_lease_ended_finishes_unless_another_took_it(store: &Store) {
    let before = leased(store).await;
    let after = refreshed(&before, at(999));
    assert!(!store.oauth.finish_refresh(&lease(2, at(130)), &after).await.unwrap(), "it was never this one's");
    assert!(store.oauth.finish_refresh(&lease(1, at(130)), &after).await.unwrap(), "the late answer is all there is");
    assert_eq!(store.peer_oauth.find_grant(before.id).await.unwrap(), Some(after.clone()));

    assert_eq!(acquire(store, lease(1, at(1030)), 1000).await, LeaseOutcome::Acquired(after.clone()));
    assert_eq!(acquire(store, lease(2, at(1060)), 1030).await, LeaseOutcome::Acquired(after.clone()));
    for over in [1060, 9999] {
        let late = refreshed(&before, at(over));
        assert!(!store.oauth.finish_refresh(&lease(1, at(1030)), &late).await.unwrap(), "another took it");
    }
    // And it stays the other holder's when that one's time is over, too.
    assert_eq!(store.oauth.find_grant(before.id).await.unwrap(), Some(after.clone()));
    assert!(store.oauth.finish_refresh(&lease(2, at(1060)), &refreshed(&before, at(9999))).await.unwrap());
}

async fn a_holder_that_lost_the_lease_can_do_nothing(store: &Store) {
    let before = leased(store).await;
    assert_eq!(acquire(store, lease(2, at(160)), 130).await, LeaseOutcome::Acquired(before.clone()));
    // Not even if its clock is behind.
    assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &refreshed(&before, at(110))).await.unwrap());
    assert!(!store.oauth.renew_lease(&lease(1, at(999)), at(110)).await.unwrap());
    store.oauth.release_lease(&lease(1, at(130))).await.unwrap();
    assert_eq!(store.oauth.find_grant(before.id).await.unwrap(), Some(before.clone()));
    assert_eq!(acquire(store, lease(3, at(999)), 131).await, LeaseOutcome::Held { until: at(160) });
    assert!(store.oauth.finish_refresh(&lease(2, at(160)), &refreshed(&before, at(131))).await.unwrap());
}

async fn a_released_lease_is_free_at_once(store: &Store) {
    let grant = leased(store).await;
    for _ in 0..2 {
        store.oauth.release_lease(&lease(1, at(130))).await.unwrap();
    }
    assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &refreshed(&grant, at(110))).await.unwrap());
    assert!(!store.oauth.renew_lease(&lease(1, at(999)), at(110)).await.unwrap());
    assert_eq!(acquire(store, lease(2, at(140)), 110).await, LeaseOutcome::Acquired(grant));
}

async fn a_revocation_ends_the_lease(store: &Store) {
    let grant = leased(store).await;
    let other = put(&*store.accounts, &*store.oauth, &super::grant(2, 1)).await.unwrap();
    let elsewhere = RefreshLease { grant: other.id, ..lease(1, at(130)) };
    store.oauth.acquire_lease(&elsewhere, at(100)).await.unwrap();
    let (provider, subject) = (&grant.provider, &grant.provider_subject);
    let marked = store.peer_oauth.revoke_grants_of(provider, subject, at(105), at(105)).await.unwrap();

    // A concurrent refresh cannot make it active again, in time or not.
    let renewed = Grant { updated_at: at(110), ..grant.clone() };
    assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &renewed).await.unwrap());
    assert!(!store.oauth.renew_lease(&lease(1, at(140)), at(110)).await.unwrap());
    let revoked = Grant { status: GrantStatus::Revoked, updated_at: at(105), ..grant };
    assert_eq!(marked, std::slice::from_ref(&revoked));
    assert_eq!(store.oauth.find_grant(revoked.id).await.unwrap(), Some(revoked.clone()));
    // The next holder of the lease gets the grant's current state.
    assert_eq!(acquire(store, lease(2, at(999)), 110).await, LeaseOutcome::Acquired(revoked));
    assert!(store.oauth.renew_lease(&elsewhere, at(110)).await.unwrap(), "the lease of another grant stays");
}

async fn a_removed_grant_has_no_lease(store: &Store) {
    let grant = leased(store).await;
    store.peer_oauth.remove_grant(grant.id).await.unwrap();
    assert!(!store.oauth.renew_lease(&lease(1, at(160)), at(110)).await.unwrap());
    assert!(!store.oauth.finish_refresh(&lease(1, at(130)), &refreshed(&grant, at(110))).await.unwrap());
    store.oauth.release_lease(&lease(1, at(130))).await.unwrap();
    assert_eq!(acquire(store, lease(1, at(130)), 100).await, LeaseOutcome::Gone);
    assert_eq!(store.oauth.find_grant(grant_id(1)).await.unwrap(), None);
}
