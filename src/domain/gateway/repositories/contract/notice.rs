//! Contract of a store of providers' notices.

use std::{collections::BTreeSet, slice::from_ref, sync::Arc};

use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::harness::{self, MICROSECOND, PATIENCE, Store, at};
use crate::domain::gateway::models::{
    notice::{ClaimedNotice, Notice, NoticeKind, NoticeProgress},
    values::digest::Sha256Digest,
};

over_every_store!(
    a_notice_is_claimed_as_it_was_stored,
    the_same_notice_is_stored_once,
    notices_are_stored_all_at_once,
    a_claimed_notice_is_left_to_its_holder_for_a_while,
    the_longest_due_notices_come_first,
    concurrent_claims_get_different_notices,
    a_postponed_notice_is_due_later,
    an_applied_notice_is_remembered_but_not_due_and_without_its_person,
    only_applied_notices_are_forgotten_and_in_time,
    a_notice_has_a_progress_as_long_as_it_is_remembered,
);

/// For databases only.
mod in_a_database {
    use sea_orm::ConnectionTrait;

    use super::{
        super::{
            database::{assert_unavailable, migrated},
            harness::Database,
        },
        *,
    };
    use crate::domain::gateway::repositories::{
        notice::NoticeRepository,
        sea_orm::{SeaOrmNotices, connect},
    };

    over_every_database!(notices_without_a_table_are_unavailable, a_notice_that_cannot_be_read_holds_up_no_other,);

    async fn notices_without_a_table_are_unavailable(database: &Database) {
        let notices = SeaOrmNotices::new(connect(&database.url, &database.schema).await.unwrap());
        assert_unavailable(notices.store(&[notice("1")]).await);
        assert_unavailable(notices.claim(at(0), at(60), 9).await);
        assert_unavailable(notices.postpone(&notice("1").digest, at(60)).await);
        assert_unavailable(notices.finish(&notice("1").digest, at(0), at(60)).await);
        assert_unavailable(notices.progress(&notice("1").digest).await);
        assert_unavailable(notices.purge_expired(at(60)).await);
    }

    async fn a_notice_that_cannot_be_read_holds_up_no_other(database: &Database) {
        let db = migrated(database).await;
        let notices = SeaOrmNotices::new(db.clone());
        for change in [
            "kind = 'of_tomorrow'",
            "provider = '?'",
            "subject = NULL",
            "attempts = -9",
            "received_at = 9223372036854775807",
        ] {
            notices.store(&[notice("1"), notice("2")]).await.unwrap();
            db.execute_unprepared(&format!("UPDATE notices SET {change} WHERE subject = '1'")).await.unwrap();
            assert_eq!(subjects(&notices.claim(at(0), at(60), 9).await.unwrap()), ["2"], "{change}");
            db.execute_unprepared("DELETE FROM notices").await.unwrap();
        }
    }
}

fn notice(subject: &str) -> Notice {
    received_at(subject, 0)
}

fn received_at(subject: &str, seconds: i64) -> Notice {
    let provider = "kakao".parse().unwrap();
    Notice::new(provider, subject.to_owned(), NoticeKind::GrantsRevoked, Some("'; --"), Some(at(-1)), at(seconds))
}

fn subjects(claimed: &[ClaimedNotice]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.notice.subject.as_str()).collect()
}

async fn a_notice_is_claimed_as_it_was_stored(store: &Store) {
    let whole = notice("제인 \"doe\"%_\\ 😀");
    let bare = Notice { sent_at: None, ..notice("2") };
    assert_eq!(store.notices.store(from_ref(&whole)).await.unwrap(), 1);
    assert_eq!(store.notices.store(from_ref(&bare)).await.unwrap(), 1);
    let mut claimed = store.peer_notices.claim(at(0), at(60), 9).await.unwrap();
    claimed.sort_by_key(|claimed| claimed.notice.sent_at.is_none());
    let once = |notice| ClaimedNotice { notice, attempts: 1 };
    assert_eq!(claimed, [once(whole), once(bare)]);
}

async fn the_same_notice_is_stored_once(store: &Store) {
    assert_eq!(store.notices.store(&[notice("1")]).await.unwrap(), 1);
    assert_eq!(store.peer_notices.store(&[notice("1"), notice("2")]).await.unwrap(), 1);
    let again = Notice { received_at: at(9), ..notice("1") };
    assert_eq!(store.notices.store(&[again]).await.unwrap(), 0);
    let claimed = store.notices.claim(at(9), at(60), 9).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.notice.received_at).collect::<Vec<_>>(), [at(0), at(0)]);
}

async fn notices_are_stored_all_at_once(store: &Store) {
    assert_eq!(store.notices.store(&[]).await.unwrap(), 0);
    let many: Vec<_> = (0..100).map(|n| notice(&n.to_string())).collect();
    assert_eq!(store.notices.store(&many).await.unwrap(), 100);
    assert_eq!(store.notices.claim(at(0), at(60), 1000).await.unwrap().len(), 100);
}

async fn a_claimed_notice_is_left_to_its_holder_for_a_while(store: &Store) {
    store.notices.store(&[notice("1")]).await.unwrap();
    assert!(store.notices.claim(at(0) - MICROSECOND, at(60), 9).await.unwrap().is_empty());
    assert_eq!(store.notices.claim(at(0), at(60), 9).await.unwrap()[0].attempts, 1);
    for replica in [&store.notices, &store.peer_notices] {
        assert!(replica.claim(at(60) - MICROSECOND, at(120), 9).await.unwrap().is_empty());
    }
    assert_eq!(store.peer_notices.claim(at(60), at(120), 9).await.unwrap()[0].attempts, 2);
}

async fn the_longest_due_notices_come_first(store: &Store) {
    store.notices.store(&[received_at("3", 3), received_at("1", 1), received_at("2", 2)]).await.unwrap();
    assert_eq!(subjects(&store.notices.claim(at(9), at(60), 2).await.unwrap()), ["1", "2"]);
    assert_eq!(subjects(&store.notices.claim(at(9), at(60), 2).await.unwrap()), ["3"]);
}

async fn concurrent_claims_get_different_notices(store: &Store) {
    let many: Vec<_> = (0..40).map(|n| notice(&n.to_string())).collect();
    store.notices.store(&many).await.unwrap();
    let start = Arc::new(Barrier::new(8));
    let mut claims = JoinSet::new();
    for n in 0..8 {
        let replica = Arc::clone(if n % 2 == 0 { &store.notices } else { &store.peer_notices });
        let start = start.clone();
        claims.spawn(async move {
            start.wait().await;
            let mut mine = Vec::new();
            loop {
                let claimed = replica.claim(at(0), at(60), 3).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed);
            }
        });
    }
    let claimed = timeout(PATIENCE, claims.join_all()).await.unwrap().concat();
    // All claims may have skipped rows that another claim held at that moment: they are still due.
    let left = store.notices.claim(at(0), at(60), 100).await.unwrap();
    let all: Vec<_> = subjects(&claimed).into_iter().chain(subjects(&left)).collect();
    assert_eq!(all.len(), 40, "nobody gets what another has");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

async fn a_postponed_notice_is_due_later(store: &Store) {
    store.notices.store(&[notice("1")]).await.unwrap();
    let digest = claim(store).await;
    store.peer_notices.postpone(&digest, at(5)).await.unwrap();
    assert!(store.notices.claim(at(5) - MICROSECOND, at(60), 9).await.unwrap().is_empty());
    assert_eq!(store.notices.claim(at(5), at(60), 9).await.unwrap()[0].attempts, 2);
    store.notices.postpone(&notice("of nobody").digest, at(5)).await.unwrap();
}

async fn an_applied_notice_is_remembered_but_not_due_and_without_its_person(store: &Store) {
    store.notices.store(&[notice("somebody")]).await.unwrap();
    let digest = claim(store).await;
    assert!(store.dump().await.contains("somebody"));
    store.notices.finish(&digest, at(1), at(100)).await.unwrap();
    assert!(!store.dump().await.contains("somebody"), "the person is forgotten at once");
    // Finished once more, or postponed by an earlier holder.
    store.peer_notices.finish(&digest, at(2), at(0)).await.unwrap();
    store.peer_notices.postpone(&digest, at(0)).await.unwrap();
    assert_eq!(store.peer_notices.purge_expired(at(99)).await.unwrap(), 0);
    assert_eq!(store.notices.store(&[notice("somebody")]).await.unwrap(), 0, "delivered again");
    assert!(store.notices.claim(at(9999), at(99_999), 9).await.unwrap().is_empty());
    store.notices.finish(&notice("of nobody").digest, at(1), at(100)).await.unwrap();
}

async fn only_applied_notices_are_forgotten_and_in_time(store: &Store) {
    store.notices.store(&[notice("1")]).await.unwrap();
    let digest = claim(store).await;
    store.notices.finish(&digest, at(1), at(100)).await.unwrap();
    store.notices.store(&[notice("2")]).await.unwrap();
    assert_eq!(store.notices.purge_expired(at(100) - MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.notices.purge_expired(at(100)).await.unwrap(), 1);
    assert_eq!(store.notices.purge_expired(at(999_999)).await.unwrap(), 0, "what is not applied is never forgotten");
    assert_eq!(subjects(&store.notices.claim(at(0), at(60), 9).await.unwrap()), ["2"]);
    assert_eq!(store.notices.store(&[notice("1")]).await.unwrap(), 1);
}

async fn a_notice_has_a_progress_as_long_as_it_is_remembered(store: &Store) {
    let digest = notice("1").digest;
    let progress = async || store.peer_notices.progress(&digest).await.unwrap();
    assert_eq!(progress().await, None);
    store.notices.store(&[notice("1")]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(progress().await, Some(NoticeProgress { received_at: at(0), applied_at: None }));
        claim(store).await;
        store.notices.postpone(&digest, at(0)).await.unwrap();
    }
    store.notices.finish(&digest, at(7), at(100)).await.unwrap();
    assert_eq!(progress().await, Some(NoticeProgress { received_at: at(0), applied_at: Some(at(7)) }));
    store.notices.purge_expired(at(100)).await.unwrap();
    assert_eq!(progress().await, None);
}

/// Claims the one notice that is due.
async fn claim(store: &Store) -> Sha256Digest {
    let [claimed] = store.notices.claim(at(0), at(60), 9).await.unwrap().try_into().unwrap();
    claimed.notice.digest
}
