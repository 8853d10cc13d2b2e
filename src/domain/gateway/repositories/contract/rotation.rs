//! Contract of a token store for rotations: one use, grace, reuse, and races.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{
    self, ACCESS_TTL, GRACE, MICROSECOND, PATIENCE, Store, at, digest, family, family_id, refresh, rotation,
};
use crate::domain::gateway::{
    models::{
        token::{RefreshRecord, RevocationCursor, Rotation, RotationOutcome, TokenFamily},
        values::digest::Sha256Digest,
    },
    repositories::{Constraint, contract::harness::assert_conflict},
};

over_every_store!(
    a_rotation_uses_the_token_up_and_stores_its_successor,
    the_newest_access_expiry_never_shrinks,
    a_token_expires_at_the_very_moment,
    a_replay_within_grace_gets_the_same_successor,
    a_replay_gets_nothing_once_the_successor_was_used,
    used_tokens_are_forgotten_but_for_those_by_which_they_can_be_told,
    used_tokens_that_have_expired_are_forgotten,
    a_reuse_after_grace_ends_the_family,
    without_grace_every_second_use_is_a_reuse,
    a_used_token_that_has_expired_is_still_a_reuse,
    nothing_of_a_revoked_family_is_exchanged,
    a_taken_successor_is_a_conflict_and_leaves_the_token_usable,
    of_concurrent_rotations_exactly_one_wins,
    of_concurrent_rotations_without_grace_one_wins_and_the_family_ends,
    a_rotation_that_races_a_revocation_leaves_nothing_alive,
);

async fn opened(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
}

async fn a_rotation_uses_the_token_up_and_stores_its_successor(store: &Store) {
    opened(store).await;
    let now = at(60);
    let after = TokenFamily { access_expires_at: now + ACCESS_TTL, ..family(1) };
    assert_eq!(store.tokens.rotate(&rotation(11, 12, now)).await.unwrap(), RotationOutcome::Rotated(after.clone()));

    let used = RefreshRecord { family: after.clone(), issued_at: at(0), expires_at: at(3600), consumed_at: Some(now) };
    let successor =
        RefreshRecord { family: after, issued_at: now, expires_at: now + TimeDelta::hours(1), consumed_at: None };
    assert_eq!(store.peer_tokens.find_refresh(&digest(11)).await.unwrap(), Some(used));
    assert_eq!(store.peer_tokens.find_refresh(&digest(12)).await.unwrap(), Some(successor));
    assert!(matches!(store.tokens.rotate(&rotation(12, 13, now)).await.unwrap(), RotationOutcome::Rotated(_)));
}

async fn the_newest_access_expiry_never_shrinks(store: &Store) {
    opened(store).await;
    // Another replica's clock is behind.
    let outcome = store.tokens.rotate(&rotation(11, 12, at(-30))).await.unwrap();
    assert_eq!(outcome, RotationOutcome::Rotated(family(1)));
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap().unwrap().family, family(1));
}

async fn a_token_expires_at_the_very_moment(store: &Store) {
    opened(store).await;
    let before = store.tokens.find_refresh(&digest(11)).await.unwrap();
    assert_eq!(store.tokens.rotate(&rotation(11, 12, at(3600))).await.unwrap(), RotationOutcome::Expired);
    assert_eq!(store.tokens.find_refresh(&digest(11)).await.unwrap(), before, "nothing was noted");
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap(), None);
    let outcome = store.tokens.rotate(&rotation(11, 12, at(3600) - MICROSECOND)).await.unwrap();
    assert!(matches!(outcome, RotationOutcome::Rotated(_)), "{outcome:?}");
}

async fn a_replay_within_grace_gets_the_same_successor(store: &Store) {
    opened(store).await;
    store.tokens.rotate(&rotation(11, 12, at(60))).await.unwrap();
    let last = at(60) + GRACE - MICROSECOND;
    let after = TokenFamily { access_expires_at: last + ACCESS_TTL, ..family(1) };
    let outcome = store.peer_tokens.rotate(&rotation(11, 13, last)).await.unwrap();
    assert_eq!(outcome, RotationOutcome::Replayed { family: after.clone(), successor: digest(12) });
    let record = store.tokens.find_refresh(&digest(11)).await.unwrap().unwrap();
    assert_eq!((record.family, record.consumed_at), (after, Some(at(60))), "grace counts from the first use");
    assert_eq!(store.tokens.find_refresh(&digest(13)).await.unwrap(), None);
    assert_eq!(store.tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries, []);
}

async fn a_replay_gets_nothing_once_the_successor_was_used(store: &Store) {
    opened(store).await;
    store.tokens.rotate(&rotation(11, 12, at(60))).await.unwrap();
    let RotationOutcome::Rotated(newest) = store.peer_tokens.rotate(&rotation(12, 13, at(61))).await.unwrap() else {
        panic!()
    };
    // Not the successor, whose use after the grace would revoke the family; nor another access token.
    for replica in [&store.tokens, &store.peer_tokens] {
        assert_eq!(replica.rotate(&rotation(11, 14, at(62))).await.unwrap(), RotationOutcome::Superseded);
    }
    assert_eq!(store.tokens.find_refresh(&digest(13)).await.unwrap().unwrap().family, newest, "nothing was noted");
    // The faster client goes on.
    let outcome = store.tokens.rotate(&rotation(13, 15, at(63))).await.unwrap();
    assert!(matches!(outcome, RotationOutcome::Rotated(_)), "{outcome:?}");
    let outcome = store.tokens.rotate(&rotation(11, 14, at(60) + GRACE)).await.unwrap();
    assert!(matches!(outcome, RotationOutcome::Reused { .. }), "{outcome:?}");
}

async fn used_tokens_are_forgotten_but_for_those_by_which_they_can_be_told(store: &Store) {
    let opened_with = |n: u8| (TokenFamily { session: None, ..family(n) }, refresh(n));
    for (family, first) in [opened_with(1), opened_with(200)] {
        store.tokens.open_family(&family, &first).await.unwrap();
    }
    store.tokens.rotate(&rotation(200, 201, at(0))).await.unwrap();
    // One rotation every eleven seconds: the grace of the previous one is over.
    for n in 1..=100 {
        let outcome = store.replica(n.into()).rotate(&rotation(n, n + 1, at(11 * i64::from(n)))).await.unwrap();
        assert!(matches!(outcome, RotationOutcome::Rotated(_)), "{n}: {outcome:?}");
    }
    let mut known = Vec::new();
    for n in 1..=101 {
        if store.peer_tokens.find_refresh(&digest(n)).await.unwrap().is_some() {
            known.push(n);
        }
    }
    assert_eq!(known, [1, 33, 65, 97, 100, 101], "the last use is within grace, and one is unused");
    assert!(store.tokens.find_refresh(&digest(200)).await.unwrap().is_some(), "another family's");
    for forgotten in [2, 99] {
        let outcome = store.tokens.rotate(&rotation(forgotten, 150, at(1200))).await.unwrap();
        assert_eq!(outcome, RotationOutcome::Unknown);
    }
    let of = async |tokens: &[Sha256Digest]| {
        store.tokens.find_family_of(tokens).await.unwrap().map(|family| (family.id, family.revoked_at))
    };
    assert_eq!(of(&[digest(32), digest(33)]).await, Some((family_id(1), None)));
    assert_eq!(of(&[digest(2), digest(3)]).await, None);
    assert_eq!(of(&[]).await, None);
    store.tokens.revoke_family(family_id(1), at(1200)).await.unwrap();
    assert_eq!(of(&[digest(97)]).await, Some((family_id(1), Some(at(1200)))));
}

async fn used_tokens_that_have_expired_are_forgotten(store: &Store) {
    opened(store).await;
    store.tokens.rotate(&rotation(11, 12, at(3599))).await.unwrap();
    assert!(store.tokens.find_refresh(&digest(11)).await.unwrap().is_some());
    store.tokens.rotate(&rotation(12, 13, at(3600))).await.unwrap();
    assert_eq!(store.tokens.find_refresh(&digest(11)).await.unwrap(), None);
    assert!(store.tokens.find_refresh(&digest(12)).await.unwrap().is_some());
}

async fn a_reuse_after_grace_ends_the_family(store: &Store) {
    opened(store).await;
    store.tokens.rotate(&rotation(11, 12, at(60))).await.unwrap();
    let now = at(60) + GRACE;
    let ended = TokenFamily { access_expires_at: at(60) + ACCESS_TTL, revoked_at: Some(now), ..family(1) };
    let outcome = store.peer_tokens.rotate(&rotation(11, 13, now)).await.unwrap();
    assert_eq!(outcome, RotationOutcome::Reused { family: ended.clone() });

    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap().unwrap().family, ended);
    assert!(store.tokens.is_any_revoked(&[family_id(1).into()]).await.unwrap());
    let listed = store.tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries;
    assert_eq!(listed.iter().map(|entry| entry.revocation).collect::<Vec<_>>(), [ended.revocation()]);
    // Neither the thief's nor the owner's token works now, and that is not another reuse.
    for presented in [11, 12] {
        assert_eq!(store.tokens.rotate(&rotation(presented, 14, now)).await.unwrap(), RotationOutcome::Revoked);
    }
    assert_eq!(store.tokens.revocations_after(listed[0].cursor, 9).await.unwrap().entries, []);
}

async fn without_grace_every_second_use_is_a_reuse(store: &Store) {
    opened(store).await;
    let wish = Rotation { grace: TimeDelta::zero(), ..rotation(11, 12, at(60)) };
    assert!(matches!(store.tokens.rotate(&wish).await.unwrap(), RotationOutcome::Rotated(_)));
    assert!(matches!(store.tokens.rotate(&wish).await.unwrap(), RotationOutcome::Reused { .. }));
}

async fn a_used_token_that_has_expired_is_still_a_reuse(store: &Store) {
    opened(store).await;
    store.tokens.rotate(&rotation(11, 12, at(60))).await.unwrap();
    let outcome = store.tokens.rotate(&rotation(11, 13, at(3601))).await.unwrap();
    assert!(matches!(outcome, RotationOutcome::Reused { .. }), "{outcome:?}");
}

async fn nothing_of_a_revoked_family_is_exchanged(store: &Store) {
    opened(store).await;
    store.tokens.rotate(&rotation(11, 12, at(60))).await.unwrap();
    store.tokens.revoke_family(family_id(1), at(61)).await.unwrap();
    // Used within grace, unused, and expired.
    for (presented, now) in [(11, at(62)), (12, at(62)), (12, at(9000))] {
        let outcome = store.tokens.rotate(&rotation(presented, 13, now)).await.unwrap();
        assert_eq!(outcome, RotationOutcome::Revoked);
    }
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap().unwrap().consumed_at, None);
    assert_eq!(store.tokens.find_refresh(&digest(13)).await.unwrap(), None);
}

async fn a_taken_successor_is_a_conflict_and_leaves_the_token_usable(store: &Store) {
    opened(store).await;
    store.tokens.open_family(&family(2), &refresh(12)).await.unwrap();
    let outcome = store.tokens.rotate(&rotation(11, 12, at(60))).await;
    assert_conflict(&outcome, Constraint::Id);
    let record = store.tokens.find_refresh(&digest(11)).await.unwrap().unwrap();
    assert_eq!((record.family, record.consumed_at), (family(1), None));
    assert!(matches!(store.tokens.rotate(&rotation(11, 13, at(60))).await.unwrap(), RotationOutcome::Rotated(_)));
}

/// Starts eight tasks, half of them on another replica, that exchange one token at once, each for its own successor.
async fn race(store: &Store, presented: u8, grace: TimeDelta) -> Vec<RotationOutcome> {
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 0_u8..8 {
        let (replica, start) = (store.replica(n.into()), start.clone());
        let wish = Rotation { grace, ..rotation(presented, 100 + n, at(60)) };
        tasks.spawn(async move {
            start.wait().await;
            replica.rotate(&wish).await.unwrap()
        });
    }
    timeout(PATIENCE, tasks.join_all()).await.unwrap()
}

async fn of_concurrent_rotations_exactly_one_wins(store: &Store) {
    opened(store).await;
    let outcomes = race(store, 11, GRACE).await;
    let mut successors = Vec::new();
    for n in 100..108 {
        if let Some(successor) = store.tokens.find_refresh(&digest(n)).await.unwrap() {
            successors.push((digest(n), successor));
        }
    }
    let [(successor, record)] = successors.as_slice() else { panic!("{successors:?}") };
    let rotated = RotationOutcome::Rotated(record.family.clone());
    let replayed = RotationOutcome::Replayed { family: record.family.clone(), successor: *successor };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == rotated).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == replayed).count(), 7, "{outcomes:?}");
}

async fn of_concurrent_rotations_without_grace_one_wins_and_the_family_ends(store: &Store) {
    opened(store).await;
    let outcomes = race(store, 11, TimeDelta::zero()).await;
    let count = |kind: fn(&RotationOutcome) -> bool| outcomes.iter().filter(|outcome| kind(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, RotationOutcome::Rotated(_))), 1, "{outcomes:?}");
    assert_eq!(count(|outcome| matches!(outcome, RotationOutcome::Reused { .. })), 1, "{outcomes:?}");
    assert_eq!(count(|outcome| matches!(outcome, RotationOutcome::Revoked)), 6, "{outcomes:?}");
    assert_eq!(store.tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries.len(), 1);
}

async fn a_rotation_that_races_a_revocation_leaves_nothing_alive(store: &Store) {
    for n in 1..=20 {
        store.tokens.open_family(&family(n), &refresh(n)).await.unwrap();
        let start = Arc::new(Barrier::new(2));
        let (one, other) = (store.replica(0), store.replica(1));
        let (ready, wish) = (start.clone(), rotation(n, 100 + n, at(60)));
        let rotated = tokio::spawn(async move {
            ready.wait().await;
            one.rotate(&wish).await
        });
        let revoked = tokio::spawn(async move {
            start.wait().await;
            other.revoke_family(family_id(n), at(60)).await
        });
        let rotated = timeout(PATIENCE, rotated).await.unwrap().unwrap().unwrap();
        let revoked = timeout(PATIENCE, revoked).await.unwrap().unwrap().unwrap().unwrap();

        // The entry covers every issued access token, in either order.
        let listed = store.tokens.revocations_after(RevocationCursor::default(), 99).await.unwrap().entries;
        assert_eq!(listed.last().unwrap().revocation, revoked.revocation());
        let expires_at = match rotated {
            RotationOutcome::Rotated(family) => family.access_expires_at,
            RotationOutcome::Revoked => family(n).access_expires_at,
            other => panic!("{other:?}"),
        };
        assert_eq!(revoked.access_expires_at, expires_at);
        for presented in [n, 100 + n] {
            let outcome = store.tokens.rotate(&rotation(presented, 99, at(61))).await.unwrap();
            assert!(matches!(outcome, RotationOutcome::Revoked | RotationOutcome::Unknown), "{outcome:?}");
        }
    }
}
