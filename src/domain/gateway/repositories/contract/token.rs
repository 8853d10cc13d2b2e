//! Contract of a token store: reading back, conflicts, dummy tokens, deleting.

use chrono::TimeDelta;
use tokio::{task::JoinSet, time::timeout};

use super::harness::{
    self, ACCESS_TTL, MICROSECOND, PATIENCE, Store, at, digest, dummy, family, family_id, refresh, revocation,
    rotation, token_id,
};
use crate::domain::gateway::{
    models::{
        token::{
            DummyToken, LEEWAY, NewRefreshToken, RefreshRecord, RevocationCursor, Rotation, RotationOutcome,
            TokenFamily,
        },
        values::id::SessionId,
    },
    repositories::{Constraint, contract::harness::assert_conflict},
};

over_every_store!(
    an_opened_family_is_read_back_whole,
    times_are_kept_to_the_microsecond,
    an_unknown_token_is_none,
    a_taken_family_is_a_conflict_and_nothing_is_stored,
    a_taken_digest_is_a_conflict_and_nothing_is_stored,
    of_too_many_families_the_oldest_end,
    families_that_are_opened_at_once_leave_no_more_than_may_be,
    a_dummy_token_is_read_back_whole_expired_or_not,
    a_dummy_token_replaces_the_one_with_the_same_digest,
    dummy_tokens_and_entries_are_forgotten_when_they_expire,
    a_family_is_forgotten_with_its_last_token,
    replicas_that_forget_at_once_do_not_disturb_each_other,
);

async fn an_opened_family_is_read_back_whole(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    let revoked = TokenFamily { revoked_at: Some(at(9)), ..family(2) };
    store.tokens.open_family(&revoked, &refresh(12)).await.unwrap();

    let record = |family| RefreshRecord { family, issued_at: at(0), expires_at: at(3600), consumed_at: None };
    assert_eq!(store.peer_tokens.find_refresh(&digest(11)).await.unwrap(), Some(record(family(1))));
    assert_eq!(store.peer_tokens.find_refresh(&digest(12)).await.unwrap(), Some(record(revoked)));
}

async fn times_are_kept_to_the_microsecond(store: &Store) {
    let finer = TimeDelta::nanoseconds(999);
    let opened = TokenFamily {
        created_at: at(0) + finer,
        access_expires_at: at(5) + finer,
        access_ttl: TimeDelta::seconds(5),
        ..family(1)
    };
    let first = NewRefreshToken { digest: digest(11), issued_at: at(0) + finer, expires_at: at(3600) + finer };
    store.tokens.open_family(&opened, &first).await.unwrap();
    let kept = TokenFamily { created_at: at(0), access_expires_at: at(5), ..opened };
    let record = RefreshRecord { family: kept.clone(), issued_at: at(0), expires_at: at(3600), consumed_at: None };
    assert_eq!(store.tokens.find_refresh(&digest(11)).await.unwrap(), Some(record.clone()));

    let kept = TokenFamily { access_expires_at: at(12), ..kept };
    let outcome = store.tokens.rotate(&rotation(11, 12, at(7) + finer)).await.unwrap();
    assert_eq!(outcome, RotationOutcome::Rotated(kept.clone()));
    let record = RefreshRecord { family: kept.clone(), consumed_at: Some(at(7)), ..record };
    assert_eq!(store.tokens.find_refresh(&digest(11)).await.unwrap(), Some(record));

    let kept = TokenFamily { revoked_at: Some(at(8)), ..kept };
    assert_eq!(store.tokens.revoke_family(family_id(1), at(8) + finer).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap().unwrap().family, kept);

    store.tokens.revoke(&[revocation(1, at(9) + finer)]).await.unwrap();
    store.tokens.put_dummy(&DummyToken { created_at: at(0) + finer, ..dummy(1, at(9) + finer) }).await.unwrap();
    let listed = store.tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries;
    assert_eq!(
        listed.iter().map(|entry| entry.revocation).collect::<Vec<_>>(),
        [kept.revocation(), revocation(1, at(9))]
    );
    assert_eq!(store.tokens.find_dummy(&digest(1)).await.unwrap(), Some(dummy(1, at(9))));
}

async fn an_unknown_token_is_none(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap(), None);
    assert_eq!(store.tokens.find_dummy(&digest(11)).await.unwrap(), None);
    assert_eq!(store.tokens.revoke_family(family_id(2), at(0)).await.unwrap(), None);
    assert_eq!(store.tokens.rotate(&rotation(12, 13, at(0))).await.unwrap(), RotationOutcome::Unknown);
    assert!(!store.tokens.is_any_revoked(&[]).await.unwrap());
    assert!(!store.tokens.is_any_revoked(&[family_id(1).into(), token_id(1).into()]).await.unwrap());
    assert_eq!(store.tokens.revocations_after(RevocationCursor::default(), 9).await.unwrap().entries, []);
}

async fn a_taken_family_is_a_conflict_and_nothing_is_stored(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    let other = TokenFamily { subject: "another".to_owned(), ..family(1) };
    let outcome = store.peer_tokens.open_family(&other, &refresh(12)).await;
    assert_conflict(&outcome, Constraint::Id);
    assert_eq!(store.tokens.find_refresh(&digest(11)).await.unwrap().unwrap().family, family(1));
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap(), None);
}

async fn a_taken_digest_is_a_conflict_and_nothing_is_stored(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    let outcome = store.peer_tokens.open_family(&family(2), &refresh(11)).await;
    assert_conflict(&outcome, Constraint::Id);
    assert_eq!(store.tokens.find_refresh(&digest(11)).await.unwrap().unwrap().family, family(1));
    assert_eq!(store.tokens.revoke_family(family_id(2), at(0)).await.unwrap(), None);
}

async fn of_too_many_families_the_oldest_end(store: &Store) {
    let of = |n: u8, session: Option<u8>| TokenFamily {
        created_at: at(n.into()),
        session: session.map(|n| SessionId::from_random([n; 16])),
        ..family(n)
    };
    // The oldest of each kind: of another session, of no session, of no session and another subject, or another client.
    let others = [
        of(1, Some(2)),
        of(2, None),
        TokenFamily { subject: "another".into(), ..of(3, None) },
        TokenFamily { client_id: "another".into(), ..of(4, None) },
    ];
    for (n, other) in (101..).zip(&others) {
        assert_eq!(store.tokens.open_family_among(other, &refresh(n), 2).await.unwrap(), []);
    }
    for n in [10, 11] {
        assert_eq!(store.tokens.open_family_among(&of(n, Some(1)), &refresh(n), 2).await.unwrap(), []);
    }
    // A revoked family counts, too: it uses as much space.
    store.tokens.revoke_family(family_id(11), at(60)).await.unwrap();
    let ended = store.peer_tokens.open_family_among(&of(12, Some(1)), &refresh(12), 2).await.unwrap();
    assert_eq!(ended, [of(10, Some(1)).revocation()]);
    let is_known = async |n| store.tokens.find_refresh(&digest(n)).await.unwrap().is_some();
    assert!(!is_known(10).await && is_known(11).await && is_known(12).await);
    assert!(store.tokens.is_any_revoked(&[family_id(10).into()]).await.unwrap());
    for n in 101..=104 {
        assert!(is_known(n).await, "{n}");
    }
    // More than one, if there are more; and all or nothing.
    store.tokens.open_family(&of(13, Some(1)), &refresh(13)).await.unwrap();
    let taken = store.tokens.open_family_among(&of(13, Some(1)), &refresh(14), 1).await;
    assert_conflict(&taken, Constraint::Id);
    assert!(is_known(12).await);
    let mut ended = store.tokens.open_family_among(&of(14, Some(1)), &refresh(14), 1).await.unwrap();
    ended.sort_by_key(|revocation| revocation.id);
    assert_eq!(ended, [11, 12, 13].map(|n| of(n, Some(1)).revocation()));
    let mut all = [10, 11, 12, 13].map(|n| family_id(n).into()).to_vec();
    let mut among = store.peer_tokens.revoked_among(&[&all[..], &[family_id(14).into()]].concat()).await.unwrap();
    among.sort();
    all.sort();
    assert_eq!(among, all);
    assert_eq!(store.tokens.revoked_among(&[]).await.unwrap(), []);
}

async fn families_that_are_opened_at_once_leave_no_more_than_may_be(store: &Store) {
    let mut tasks = JoinSet::new();
    for n in 1..=12 {
        let replica = store.replica(n.into());
        tasks.spawn(async move {
            let family = TokenFamily { created_at: at(n.into()), session: None, ..family(n) };
            replica.open_family_among(&family, &refresh(n), 3).await.unwrap().len()
        });
    }
    timeout(PATIENCE, tasks.join_all()).await.unwrap();
    // Two concurrent calls may have left the oldest to each other; the next one ends them.
    let last = TokenFamily { created_at: at(99), session: None, ..family(99) };
    store.tokens.open_family_among(&last, &refresh(99), 3).await.unwrap();
    let mut known = 0;
    for n in (1..=12).chain([99]) {
        known += usize::from(store.tokens.find_refresh(&digest(n)).await.unwrap().is_some());
    }
    assert_eq!(known, 3);
    assert_eq!(store.tokens.revocations_after(RevocationCursor::default(), 99).await.unwrap().entries.len(), 10);
}

async fn a_dummy_token_is_read_back_whole_expired_or_not(store: &Store) {
    store.tokens.put_dummy(&dummy(1, at(-5))).await.unwrap();
    store.tokens.put_dummy(&dummy(2, at(5))).await.unwrap();
    assert_eq!(store.peer_tokens.find_dummy(&digest(1)).await.unwrap(), Some(dummy(1, at(-5))));
    assert_eq!(store.peer_tokens.find_dummy(&digest(2)).await.unwrap(), Some(dummy(2, at(5))));
}

async fn a_dummy_token_replaces_the_one_with_the_same_digest(store: &Store) {
    let replacement = DummyToken {
        id: token_id(77),
        family: family_id(77),
        subject: "another".to_owned(),
        scope: "write".parse().unwrap(),
        created_at: at(1),
        ..dummy(1, at(500))
    };
    store.tokens.put_dummy(&dummy(1, at(5))).await.unwrap();
    store.tokens.put_dummy(&dummy(2, at(5))).await.unwrap();
    store.tokens.put_dummy(&replacement).await.unwrap();
    assert_eq!(store.tokens.find_dummy(&digest(1)).await.unwrap(), Some(replacement));
    assert_eq!(store.tokens.find_dummy(&digest(2)).await.unwrap(), Some(dummy(2, at(5))));
}

async fn dummy_tokens_and_entries_are_forgotten_when_they_expire(store: &Store) {
    for (n, expires_at) in [(1, at(9)), (2, at(10)), (3, at(10) + MICROSECOND)] {
        store.tokens.put_dummy(&dummy(n, expires_at)).await.unwrap();
        store.tokens.revoke(&[revocation(n.into(), expires_at)]).await.unwrap();
    }
    assert_eq!(store.tokens.purge_expired(at(10)).await.unwrap(), 4);
    assert_eq!(store.tokens.find_dummy(&digest(1)).await.unwrap(), None);
    assert_eq!(store.tokens.find_dummy(&digest(2)).await.unwrap(), None);
    assert_eq!(store.tokens.find_dummy(&digest(3)).await.unwrap(), Some(dummy(3, at(10) + MICROSECOND)));
    assert!(!store.tokens.is_any_revoked(&[token_id(1).into(), token_id(2).into()]).await.unwrap());
    assert!(store.tokens.is_any_revoked(&[token_id(3).into()]).await.unwrap());
    assert_eq!(store.tokens.purge_expired(at(10)).await.unwrap(), 0);
}

async fn a_family_is_forgotten_with_its_last_token(store: &Store) {
    // The first family: its used token lives longest. The second: its successor does. The third: its access token does,
    // which is accepted for as long as the leeway allows.
    let short = NewRefreshToken { expires_at: at(100), ..refresh(22) };
    let now = at(50);
    let successor = |n, expires_at| NewRefreshToken { digest: digest(n), issued_at: now, expires_at };
    for (n, first, successor) in [
        (1, refresh(11), successor(101, at(3000))),
        (2, short, successor(102, at(3600) - MICROSECOND)),
        (3, NewRefreshToken { digest: digest(33), ..short }, successor(103, at(200))),
    ] {
        let access_ttl = if n == 3 { TimeDelta::seconds(3550) } else { ACCESS_TTL };
        store.tokens.open_family(&TokenFamily { access_ttl, ..family(n) }, &first).await.unwrap();
        let wish = Rotation { presented: first.digest, successor, ..rotation(0, 0, now) };
        assert!(matches!(store.tokens.rotate(&wish).await.unwrap(), RotationOutcome::Rotated(_)));
    }
    let is_known = async |n| store.tokens.find_refresh(&digest(n)).await.unwrap().is_some();

    assert_eq!(store.tokens.purge_expired(at(3600) - MICROSECOND - MICROSECOND).await.unwrap(), 0);
    assert!(is_known(102).await);
    assert_eq!(store.tokens.purge_expired(at(3600) - MICROSECOND).await.unwrap(), 1);
    assert!(!is_known(102).await && !is_known(22).await);
    assert!(is_known(11).await && is_known(101).await && is_known(33).await && is_known(103).await);
    assert_eq!(store.tokens.purge_expired(at(3600)).await.unwrap(), 1);
    assert!(!is_known(11).await && !is_known(101).await && is_known(33).await && is_known(103).await);
    assert_eq!(store.tokens.purge_expired(at(3600) + LEEWAY - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.tokens.purge_expired(at(3600) + LEEWAY).await.unwrap(), 1);
    assert!(!is_known(33).await && !is_known(103).await);

    // A deleted family is unknown, and its names are free.
    assert_eq!(store.tokens.rotate(&rotation(101, 9, at(60))).await.unwrap(), RotationOutcome::Unknown);
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    let revoked = store.tokens.revoke_family(family_id(1), at(60)).await.unwrap().unwrap();
    // A revoked family is deleted like any other; its entry stays as long as the leeway requires.
    assert_eq!(store.tokens.purge_expired(revoked.access_expires_at + LEEWAY - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.tokens.purge_expired(revoked.access_expires_at + LEEWAY).await.unwrap(), 1);
    assert_eq!(store.tokens.purge_expired(at(3600)).await.unwrap(), 1);
}

async fn replicas_that_forget_at_once_do_not_disturb_each_other(store: &Store) {
    for n in 1..=20 {
        store.tokens.open_family(&family(n), &refresh(n)).await.unwrap();
        store.tokens.put_dummy(&dummy(n, at(10))).await.unwrap();
    }
    let [one, other] = [0, 1].map(|n| {
        let replica = store.replica(n);
        tokio::spawn(async move { replica.purge_expired(at(3600)).await })
    });
    let forgotten = one.await.unwrap().unwrap() + other.await.unwrap().unwrap();
    // Rows that one had locked may have been left for later by the other.
    assert_eq!(forgotten + store.tokens.purge_expired(at(3600)).await.unwrap(), 40);
}
