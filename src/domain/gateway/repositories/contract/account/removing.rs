//! Nothing is left of a deleted account.

use tokio::time::timeout;

use super::{account, email, grant, identity, login, signed_up};
use crate::domain::gateway::{
    models::{
        account::{Account, AccountEnding, PasswordLogin, ProviderIdentity},
        oauth::GrantFilter,
        session::{Session, Visitor},
        token::TokenFamily,
        values::id::{EndingId, GrantId, SessionId},
    },
    repositories::{
        Constraint,
        contract::harness::{self, PATIENCE, Store, assert_conflict, at, digest, family, refresh, rotation},
    },
};

over_every_store!(
    an_ending_is_remembered_until_it_is_finished,
    an_account_is_removed_once_with_all_it_has,
    nothing_is_left_of_a_removed_account,
    nothing_is_added_to_an_account_while_it_is_removed,
);

async fn an_ending_is_remembered_until_it_is_finished(store: &Store) {
    let ending = |n: u8, seconds: i64| AccountEnding {
        id: EndingId::from_random([n; 16]),
        account: account(n).id,
        keep: (n == 1).then(|| SessionId::from_random([7; 16])),
        removes: n == 2,
        begun_at: at(seconds),
    };
    let begun = async |seconds, limit| store.peer_accounts.endings_begun_by(at(seconds), limit).await.unwrap();
    assert_eq!(begun(0, 9).await, []);
    for (n, seconds) in [(1, 10), (3, 30), (2, 20)] {
        store.accounts.begin_ending(&ending(n, seconds)).await.unwrap();
    }
    assert_conflict(&store.peer_accounts.begin_ending(&ending(1, 40)).await, Constraint::Id);
    assert_eq!(begun(9, 9).await, []);
    assert_eq!(begun(20, 9).await, [ending(1, 10), ending(2, 20)]);
    assert_eq!(begun(99, 2).await, [ending(1, 10), ending(2, 20)]);
    for _ in 0..2 {
        store.accounts.finish_ending(ending(1, 10).id).await.unwrap();
        assert_eq!(begun(99, 9).await, [ending(2, 20), ending(3, 30)]);
    }
}

/// An account with everything that it can have; its names occur nowhere else.
async fn settled(store: &Store, n: u8) -> Account {
    let jane = signed_up(store, n).await;
    let verified_email = Some(email(n).key().to_owned());
    let known = ProviderIdentity { verified_email, ..identity("google", &format!("subject-of-{n}")) };
    store.accounts.link(&known, &jane).await.unwrap();
    store.oauth.put_grant(&grant(n, &jane, "google")).await.unwrap();
    let session = Session {
        id: SessionId::from_random([n; 16]),
        digest: digest(n),
        account: jane.id,
        created_at: at(0),
        used_at: at(0),
        idle_until: at(60),
        expires_at: at(600),
        visitor: Visitor::default(),
    };
    store.sessions.open(&session).await.unwrap();
    let family = TokenFamily { subject: jane.id.to_string(), ..family(n) };
    store.tokens.open_family(&family, &refresh(n)).await.unwrap();
    store.tokens.rotate(&rotation(n, 100 + n, at(9))).await.unwrap();
    jane
}

async fn an_account_is_removed_once_with_all_it_has(store: &Store) {
    assert_eq!(store.accounts.remove(account(1).id).await.unwrap(), None);
    let jane = settled(store, 1).await;
    let john = settled(store, 2).await;
    let removed = store.peer_accounts.remove(jane.id).await.unwrap();
    assert_eq!(removed, Some(vec![grant(1, &jane, "google")]));
    assert_eq!(store.accounts.remove(jane.id).await.unwrap(), None);
    assert_eq!(store.accounts.profile(jane.id).await.unwrap(), None);
    assert_eq!(store.accounts.find_login(&email(1)).await.unwrap(), None);
    assert_conflict(&store.accounts.link(&identity("github", "jane"), &jane).await, Constraint::Account);
    assert_conflict(&store.oauth.put_grant(&grant(9, &jane, "google")).await, Constraint::Identity);
    // A person with the same identity or e-mail gets a new account.
    let again = store.accounts.account_of(&identity("google", "subject-of-1"), &account(3)).await.unwrap();
    assert_eq!(again, account(3));
    store.accounts.sign_up(&account(4), &PasswordLogin { email: email(1), ..login(4) }).await.unwrap();
    let profile = store.accounts.profile(john.id).await.unwrap().unwrap();
    assert_eq!((profile.login, profile.identities.len()), (Some(login(2)), 1));
    assert_eq!(store.oauth.find_grant(GrantId::from_random([2; 16])).await.unwrap(), Some(grant(2, &john, "google")));
}

/// All names of an account, in every form in which a store may show them.
fn names_of(n: u8) -> Vec<String> {
    let id = account(n).id.as_uuid();
    vec![
        id.to_string(),
        id.simple().to_string(),
        account(n).id.to_string(),
        format!("person{n}@example.com"),
        format!("subject-of-{n}"),
        format!("salt+/{n}"),
    ]
}

async fn nothing_is_left_of_a_removed_account(store: &Store) {
    settled(store, 2).await;
    let before = store.dump().await;
    let jane = settled(store, 1).await;
    let during = store.dump().await.to_lowercase();
    assert!(names_of(1).iter().any(|name| during.contains(&name.to_lowercase())), "the dump shows it:\n{during}");
    // In the order of the service.
    store.tokens.end_families_of(&jane.id.to_string()).await.unwrap();
    store.accounts.remove(jane.id).await.unwrap();
    store.sessions.end_all_of(jane.id, None).await.unwrap();

    let after = store.dump().await;
    let lower = after.to_lowercase();
    for name in names_of(1) {
        assert!(!lower.contains(&name.to_lowercase()), "{name} in\n{after}");
    }
    assert!(names_of(2).iter().any(|name| lower.contains(&name.to_lowercase())), "the other's is there:\n{after}");
    // Only the entry that makes its tokens invalid was added.
    let rows = |dump: &str| {
        let mut rows: Vec<_> = dump.lines().filter(|row| !row.starts_with("revocation")).map(str::to_owned).collect();
        rows.sort();
        rows
    };
    if store.is_database() {
        assert_eq!(rows(&after), rows(&before));
    }
    assert!(store.peer_tokens.is_any_revoked(&[family(1).id.into()]).await.unwrap());
    assert!(!store.peer_tokens.is_any_revoked(&[family(2).id.into()]).await.unwrap());
}

/// Either it is added before the removal and removed with it, or it is refused.
async fn nothing_is_added_to_an_account_while_it_is_removed(store: &Store) {
    for n in 1..=6 {
        let jane = signed_up(store, n).await;
        let github = identity("github", &format!("race {n}"));
        let wish = grant(n, &jane, "github");
        store.accounts.link(&identity("github", &wish.provider_subject), &jane).await.unwrap();
        let (linked, put, removed) = timeout(PATIENCE, async {
            tokio::join!(
                store.accounts.link(&github, &jane),
                store.peer_oauth.put_grant(&wish),
                store.peer_accounts.remove(jane.id)
            )
        })
        .await
        .unwrap();
        let grants = removed.unwrap().unwrap();
        assert_eq!(grants.len(), usize::from(put.is_ok()), "{put:?}");
        if linked.is_err() {
            assert_conflict(&linked, Constraint::Account);
        }
        assert_eq!(store.accounts.identities_of(jane.id).await.unwrap(), []);
    }
    assert_eq!(store.oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), []);
}
