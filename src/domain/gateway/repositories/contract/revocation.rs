//! Contract of a token store for revocations: once is enough, and a reader of the deny-list misses nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::TimeDelta;
use tokio::{task::JoinSet, time::timeout};

use super::harness::{self, PATIENCE, Store, at, digest, family, family_id, refresh, revocation, rotation, token_id};
use crate::domain::gateway::models::{
    token::{CLOCKS_APART, LEEWAY, Revocation, RevocationCursor, Rotation, RotationOutcome, TokenFamily},
    values::id::SessionId,
};

over_every_store!(
    a_family_is_revoked_once,
    all_families_of_a_subject_end_and_are_forgotten,
    a_rotation_never_outlives_the_end_of_its_family,
    the_families_of_sessions_are_revoked_once,
    families_of_sessions_are_revoked_while_they_are_rotated,
    an_interrupted_ending_is_finished,
    an_id_is_listed_once,
    what_the_store_has_lost_is_put_back_with_the_end_of_its_families,
    any_of_several_ids_is_found,
    the_deny_list_is_read_in_pages,
    a_reader_misses_nothing_that_is_written_meanwhile,
    a_cancelled_operation_blocks_no_other,
);

/// The whole list.
async fn listed(store: &Store) -> Vec<Revocation> {
    let entries = store.peer_tokens.revocations_after(RevocationCursor::default(), 1000).await.unwrap().entries;
    assert!(entries.is_sorted_by(|a, b| a.cursor < b.cursor), "{entries:?}");
    entries.into_iter().map(|entry| entry.revocation).collect()
}

async fn a_family_is_revoked_once(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    store.tokens.open_family(&family(2), &refresh(12)).await.unwrap();
    let revoked = TokenFamily { revoked_at: Some(at(60)), ..family(1) };
    for now in [at(60), at(70)] {
        assert_eq!(store.tokens.revoke_family(family_id(1), now).await.unwrap(), Some(revoked.clone()));
        assert_eq!(store.peer_tokens.find_refresh(&digest(11)).await.unwrap().unwrap().family, revoked);
        assert_eq!(listed(store).await, [revoked.revocation()]);
    }
    assert_eq!(store.tokens.find_refresh(&digest(12)).await.unwrap().unwrap().family, family(2));
}

async fn all_families_of_a_subject_end_and_are_forgotten(store: &Store) {
    let subject = family(1).subject;
    let other = TokenFamily { subject: format!("{subject} "), ..family(3) };
    for (n, family) in [family(1), family(2), other.clone()].iter().enumerate() {
        store.tokens.open_family(family, &refresh(11 + u8::try_from(n).unwrap())).await.unwrap();
    }
    // One of them with a newer access token and a used refresh token, another one revoked before.
    let RotationOutcome::Rotated(newer) = store.tokens.rotate(&rotation(11, 21, at(60))).await.unwrap() else {
        panic!()
    };
    store.tokens.revoke_family(family_id(2), at(61)).await.unwrap();

    let mut ended = store.peer_tokens.end_families_of(&subject).await.unwrap();
    ended.sort_by_key(|revocation| revocation.id);
    assert_eq!(ended, [newer.revocation(), family(2).revocation()]);
    let mut known = listed(store).await;
    known.sort_by_key(|revocation| revocation.id);
    assert_eq!(known, ended);
    for gone in [11, 12, 21] {
        assert_eq!(store.tokens.find_refresh(&digest(gone)).await.unwrap(), None);
        assert_eq!(store.tokens.rotate(&rotation(gone, 99, at(62))).await.unwrap(), RotationOutcome::Unknown);
    }
    assert_eq!(store.tokens.end_families_of(&subject).await.unwrap(), []);
    assert_eq!(store.tokens.find_refresh(&digest(13)).await.unwrap().unwrap().family, other);
}

/// In either order: the deny-list covers every live access token.
async fn a_rotation_never_outlives_the_end_of_its_family(store: &Store) {
    for n in 1..=8 {
        let family = TokenFamily { subject: format!("subject {n}"), ..family(n) };
        store.tokens.open_family(&family, &refresh(n)).await.unwrap();
        let wish = rotation(n, 100 + n, at(60));
        let subject = family.subject.clone();
        let (rotated, ended) = timeout(PATIENCE, async {
            tokio::join!(store.tokens.rotate(&wish), store.peer_tokens.end_families_of(&subject))
        })
        .await
        .unwrap();
        let [revocation] = ended.unwrap()[..] else { panic!() };
        match rotated.unwrap() {
            RotationOutcome::Rotated(rotated) => assert_eq!(revocation, rotated.revocation()),
            RotationOutcome::Unknown => assert_eq!(revocation, family.revocation()),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.tokens.find_refresh(&digest(100 + n)).await.unwrap(), None);
    }
}

async fn the_families_of_sessions_are_revoked_once(store: &Store) {
    let session = |n: u8| SessionId::from_random([n; 16]);
    let of = |n: u8, session: Option<SessionId>| TokenFamily { session, ..family(n) };
    // The third's last access token has expired; the fourth belongs to another session, the fifth to none.
    let dead = TokenFamily { access_expires_at: at(0), ..of(3, Some(session(1))) };
    let families = [of(1, Some(session(1))), of(2, Some(session(2))), dead, of(4, Some(session(4))), of(5, None)];
    for (n, family) in (1..).zip(&families) {
        store.tokens.open_family(family, &refresh(n)).await.unwrap();
    }
    store.tokens.revoke_family(family_id(2), at(1)).await.unwrap();
    let now = at(0) + LEEWAY + CLOCKS_APART;
    let revoked = |family: &TokenFamily| TokenFamily { revoked_at: Some(now), ..family.clone() };
    let mut outcome =
        store.peer_tokens.revoke_families_of_sessions(&[session(1), session(2), session(9)], now).await.unwrap();
    outcome.sort_by_key(|family| family.id);
    assert_eq!(outcome, [revoked(&families[0]), revoked(&families[2])]);
    assert_eq!(store.tokens.revoke_families_of_sessions(&[session(1)], at(70)).await.unwrap(), []);
    assert_eq!(store.tokens.revoke_families_of_sessions(&[], at(70)).await.unwrap(), []);
    let entries = [&families[1], &families[0]].map(TokenFamily::revocation);
    assert_eq!(listed(store).await, entries, "what nobody would take needs no entry");
    for (n, family) in [(1, revoked(&families[0])), (3, revoked(&families[2])), (4, families[3].clone())] {
        assert_eq!(store.tokens.find_refresh(&digest(n)).await.unwrap().unwrap().family, family);
    }
}

async fn families_of_sessions_are_revoked_while_they_are_rotated(store: &Store) {
    let session = SessionId::from_random([1; 16]);
    for n in 1..=6 {
        store.tokens.open_family(&TokenFamily { session: Some(session), ..family(n) }, &refresh(n)).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for n in 0..2 {
        let replica = store.replica(n);
        tasks.spawn(async move { replica.revoke_families_of_sessions(&[session], at(60)).await.unwrap().len() });
    }
    for n in 1..=6 {
        let replica = store.replica(n.into());
        tasks.spawn(async move {
            // Twice, without grace: the second revokes the family, unless another task was faster.
            for successor in [n + 100, n + 200] {
                let wish = Rotation { grace: TimeDelta::zero(), ..rotation(n, successor, at(60)) };
                replica.rotate(&wish).await.unwrap();
            }
            0
        });
    }
    let by_session: usize = timeout(PATIENCE, tasks.join_all()).await.unwrap().into_iter().sum();
    assert!(by_session <= 6, "{by_session}");
    assert_eq!(listed(store).await.len(), 6);
}

async fn an_interrupted_ending_is_finished(store: &Store) {
    let session = |n: u8| SessionId::from_random([50 + n; 16]);
    for n in 1..=3 {
        store.tokens.open_family(&TokenFamily { session: Some(session(n)), ..family(n) }, &refresh(n)).await.unwrap();
    }
    store.tokens.open_family(&TokenFamily { session: None, ..family(4) }, &refresh(4)).await.unwrap();
    assert_eq!(store.tokens.revoke_families_of_ended_sessions(at(60)).await.unwrap(), []);
    // The sessions were put on the list, and the gateway was killed.
    let ended = [1, 3].map(|n| Revocation { id: session(n).as_uuid().into(), expires_at: at(9000) });
    store.tokens.revoke(&ended).await.unwrap();
    let mut finished = store.peer_tokens.revoke_families_of_ended_sessions(at(60)).await.unwrap();
    finished.sort_by_key(|family| family.id);
    let revoked = |n| TokenFamily { session: Some(session(n)), revoked_at: Some(at(60)), ..family(n) };
    assert_eq!(finished, [revoked(1), revoked(3)]);
    // In whatever order the families got their positions.
    let mut known = listed(store).await;
    known[2..].sort_by_key(|revocation| revocation.id);
    let families = finished.iter().map(TokenFamily::revocation);
    assert_eq!(known, ended.into_iter().chain(families).collect::<Vec<_>>());
    assert_eq!(store.tokens.revoke_families_of_ended_sessions(at(61)).await.unwrap(), []);
}

async fn an_id_is_listed_once(store: &Store) {
    for expires_at in [at(10), at(20)] {
        store.tokens.revoke(&[revocation(1, expires_at)]).await.unwrap();
    }
    store.tokens.revoke(&[revocation(2, at(20))]).await.unwrap();
    assert_eq!(listed(store).await, [revocation(1, at(10)), revocation(2, at(20))]);
    // Some of several are on it already, and one is repeated.
    let several = [revocation(3, at(30)), revocation(1, at(30)), revocation(4, at(40)), revocation(3, at(50))];
    store.tokens.revoke(&several).await.unwrap();
    store.tokens.revoke(&[]).await.unwrap();
    let all = [revocation(1, at(10)), revocation(2, at(20)), revocation(3, at(30)), revocation(4, at(40))];
    assert_eq!(listed(store).await, all);
}

async fn what_the_store_has_lost_is_put_back_with_the_end_of_its_families(store: &Store) {
    for n in [1, 2, 3] {
        store.tokens.open_family(&family(n), &refresh(n)).await.unwrap();
    }
    store.tokens.revoke_family(family_id(1), at(5)).await.unwrap();
    let lost = [family(1).revocation(), revocation(9, at(60)), family(2).revocation()];
    for _ in 0..2 {
        store.peer_tokens.restore(&lost, at(70)).await.unwrap();
        assert_eq!(listed(store).await, lost);
    }
    for (n, revoked_at) in [(1, Some(at(5))), (2, Some(at(70))), (3, None)] {
        let family = store.tokens.find_refresh(&digest(n)).await.unwrap().unwrap().family;
        assert_eq!(family.revoked_at, revoked_at, "{n}");
    }
    store.tokens.restore(&[], at(80)).await.unwrap();
}

async fn any_of_several_ids_is_found(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    store.tokens.revoke_family(family_id(1), at(1)).await.unwrap();
    store.tokens.revoke(&[revocation(7, at(-60))]).await.unwrap();
    assert!(store.peer_tokens.is_any_revoked(&[token_id(1).into(), family_id(1).into()]).await.unwrap());
    assert!(store.peer_tokens.is_any_revoked(&[token_id(7).into()]).await.unwrap(), "until it is forgotten");
    assert!(!store.peer_tokens.is_any_revoked(&[token_id(1).into(), family_id(2).into()]).await.unwrap());
}

async fn the_deny_list_is_read_in_pages(store: &Store) {
    for n in [5, 3, 9, 1] {
        store.tokens.revoke(&[revocation(n, at(10))]).await.unwrap();
    }
    let page = async |cursor, limit| store.peer_tokens.revocations_after(cursor, limit).await.unwrap().entries;
    let whole = page(RevocationCursor::default(), 4).await;
    assert_eq!(
        whole.iter().map(|entry| entry.revocation).collect::<Vec<_>>(),
        [5, 3, 9, 1].map(|n| revocation(n, at(10)))
    );
    assert_eq!(page(RevocationCursor::default(), 0).await, []);
    assert_eq!(page(RevocationCursor::default(), 3).await, whole[..3]);
    assert_eq!(page(RevocationCursor::default(), i64::MAX.unsigned_abs()).await, whole);
    assert_eq!(page(whole[0].cursor, 2).await, whole[1..3]);
    assert_eq!(page(whole[2].cursor, 9).await, whole[3..]);
    assert_eq!(page(whole[3].cursor, 9).await, []);
    assert_eq!(page(RevocationCursor::at(i64::MAX), 9).await, []);
    assert_eq!(page(RevocationCursor::at(-1), 9).await, whole);

    // Deleted entries leave a gap; positions are never reused.
    store.tokens.purge_expired(at(10)).await.unwrap();
    store.tokens.revoke(&[revocation(2, at(20))]).await.unwrap();
    let [next] = page(whole[3].cursor, 9).await[..] else { panic!("one entry") };
    assert_eq!(next.revocation, revocation(2, at(20)));
}

async fn a_reader_misses_nothing_that_is_written_meanwhile(store: &Store) {
    const WRITERS: u32 = 6;
    const EACH: u32 = 15;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (replica, done) = (store.replica(1), done.clone());
        tokio::spawn(async move {
            let (mut seen, mut cursor) = (Vec::new(), RevocationCursor::default());
            loop {
                let was_last = done.load(Ordering::SeqCst);
                let page = replica.revocations_after(cursor, 4).await.unwrap().entries;
                if page.is_empty() && was_last {
                    return seen;
                }
                for entry in page {
                    assert!(entry.cursor > cursor);
                    cursor = entry.cursor;
                    seen.push(entry.revocation.id);
                }
            }
        })
    };
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let replica = store.replica(writer as usize);
        writers.spawn(async move {
            for n in 0..EACH {
                replica.revoke(&[revocation(writer * EACH + n, at(60))]).await.unwrap();
            }
        });
    }
    timeout(PATIENCE, writers.join_all()).await.unwrap();
    done.store(true, Ordering::SeqCst);
    let mut seen = timeout(PATIENCE, reader).await.unwrap().unwrap();
    seen.sort();
    let mut written: Vec<_> = (0..WRITERS * EACH).map(|n| token_id(n).into()).collect();
    written.sort();
    assert_eq!(seen, written);
}

/// A client that hangs up drops the future of its request at any point.
async fn a_cancelled_operation_blocks_no_other(store: &Store) {
    store.tokens.open_family(&family(1), &refresh(11)).await.unwrap();
    for steps in 0..40 {
        let mut operation = Box::pin(store.tokens.revoke_family(family_id(1), at(60)));
        for _ in 0..steps {
            // One poll, then a turn for the tasks that it waits for.
            if finishes_at_once(&mut operation).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(operation);
        timeout(PATIENCE, store.peer_tokens.revoke(&[revocation(steps, at(60))])).await.unwrap().unwrap();
    }
    store.peer_tokens.revoke_family(family_id(1), at(60)).await.unwrap();
    // Both or neither: the family is on the list exactly once, and every acknowledged entry is there.
    let listed = listed(store).await;
    assert_eq!(listed.len(), 41);
    assert_eq!(listed.iter().filter(|entry| entry.id == family_id(1).into()).count(), 1);
}

/// Polls once, and returns whether that finished it.
async fn finishes_at_once(operation: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *operation).poll(context).is_ready()))
        .await
}
