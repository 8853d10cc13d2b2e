//! Additional contract of a database of accounts and grants: it keeps them, reports what is wrong, and leaves no rows
//! behind.

use std::sync::Arc;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Statement};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use super::{account, grant, grant_id, identity, lease, provider, put};
use crate::domain::gateway::{
    models::{
        account::ProviderIdentity,
        oauth::{GrantFilter, LeaseOutcome},
    },
    repositories::{
        Constraint, RepositoryError,
        account::AccountRepository,
        contract::{
            database::{assert_unavailable, migrated},
            harness::{self, Database, MICROSECOND, PATIENCE, assert_conflict, at},
        },
        oauth::OAuthRepository,
        sea_orm::{Connection, SeaOrmAccounts, SeaOrmOAuth, connect},
    },
};

over_every_database!(
    accounts_and_grants_survive_reopening,
    a_closed_database_is_unavailable,
    a_database_that_is_not_migrated_is_unavailable,
    concurrent_sign_ins_leave_no_orphans,
    email_and_name_are_those_of_the_last_sign_in,
    everything_of_an_account_is_deleted_with_it,
    a_lease_has_a_holder_and_an_end,
    a_grant_from_before_the_migration_was_allowed_when_it_last_changed,
    a_grant_of_the_version_before_was_allowed_when_it_last_changed,
    grants_that_are_no_models_are_corrupt,
);

/// One text of one row.
async fn text(db: &Connection, sql: &str) -> Option<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn rows(db: &Connection, table: &str) -> String {
    text(db, &format!("SELECT CAST(count(*) AS TEXT) FROM {table}")).await.unwrap()
}

fn people(db: &Connection) -> (SeaOrmAccounts, SeaOrmOAuth) {
    (SeaOrmAccounts::new(db.clone()), SeaOrmOAuth::new(db.clone()))
}

async fn granted(db: &Connection) -> (SeaOrmAccounts, SeaOrmOAuth) {
    let (accounts, oauth) = people(db);
    accounts.account_of(&identity("google", "jane"), &account(1)).await.unwrap();
    put(&accounts, &oauth, &grant(1, 1)).await.unwrap();
    (accounts, oauth)
}

async fn accounts_and_grants_survive_reopening(database: &Database) {
    let db = migrated(database).await;
    let (accounts, oauth) = granted(&db).await;
    accounts.link(&identity("github", "jane"), &account(1)).await.unwrap();
    put(&accounts, &oauth, &grant(2, 1)).await.unwrap();
    oauth.acquire_lease(&lease(1, at(130)), at(100)).await.unwrap();
    db.close().await.unwrap();

    let (accounts, oauth) = people(&migrated(database).await);
    for jane in [identity("google", "jane"), identity("github", "jane")] {
        assert_eq!(accounts.account_of(&jane, &account(9)).await.unwrap(), account(1));
    }
    assert_eq!(oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), [grant(2, 1), grant(1, 1)]);
    // The holder vanished: the lease did not, and ends by itself.
    let outcome = oauth.acquire_lease(&lease(2, at(160)), at(129)).await.unwrap();
    assert_eq!(outcome, LeaseOutcome::Held { until: at(130) });
    let outcome = oauth.acquire_lease(&lease(2, at(160)), at(130)).await.unwrap();
    assert_eq!(outcome, LeaseOutcome::Acquired(grant(1, 1)));
}

async fn assert_nothing_works(db: Connection) {
    let (accounts, oauth) = people(&db);
    let wish = lease(1, at(130));
    assert_unavailable(accounts.account_of(&identity("google", "jane"), &account(1)).await);
    assert_unavailable(accounts.link(&identity("google", "jane"), &account(1)).await);
    assert_unavailable(oauth.put_grant(&grant(1, 1)).await);
    assert_unavailable(oauth.put_grant_unless_renewable(&grant(1, 1)).await);
    assert_unavailable(oauth.find_grant(grant_id(1)).await);
    assert_unavailable(oauth.list_grants(&GrantFilter::default(), None, 9).await);
    assert_unavailable(oauth.acquire_lease(&wish, at(100)).await);
    assert_unavailable(oauth.renew_lease(&wish, at(100)).await);
    assert_unavailable(oauth.finish_refresh(&wish, &grant(1, 1)).await);
    assert_unavailable(oauth.release_lease(&wish).await);
    assert_unavailable(oauth.revoke_grants_of(&provider("google"), "jane", at(100), at(100)).await);
    assert_unavailable(oauth.reseal_grant(grant_id(1), &[1], &[2]).await);
    assert_unavailable(oauth.remove_grant(grant_id(1)).await);
    assert_unavailable(oauth.grants_expiring(&provider("google"), at(9999), None, 9).await);
}

async fn a_closed_database_is_unavailable(database: &Database) {
    let db = migrated(database).await;
    db.clone().close().await.unwrap();
    assert_nothing_works(db).await;
}

async fn a_database_that_is_not_migrated_is_unavailable(database: &Database) {
    assert_nothing_works(connect(&database.url, &database.schema).await.unwrap()).await;
}

async fn concurrent_sign_ins_leave_no_orphans(database: &Database) {
    let db = migrated(database).await;
    let start = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for n in 1..=8 {
        let (accounts, start) =
            (SeaOrmAccounts::new(connect(&database.url, &database.schema).await.unwrap()), start.clone());
        tasks.spawn(async move {
            start.wait().await;
            accounts.account_of(&identity("google", "jane"), &account(n)).await.unwrap()
        });
    }
    let accounts = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(accounts.iter().all(|account| *account == accounts[0]), "{accounts:?}");
    assert_eq!(rows(&db, "accounts").await, "1");
    assert_eq!(rows(&db, "account_identities").await, "1");

    // Nor does one whose account id is taken.
    let outcome = SeaOrmAccounts::new(db.clone()).account_of(&identity("google", "john"), &accounts[0]).await;
    assert_conflict(&outcome, Constraint::Id);
    assert_eq!(rows(&db, "account_identities").await, "1");
}

/// The port reads neither back; they are visible in the database.
async fn email_and_name_are_those_of_the_last_sign_in(database: &Database) {
    let db = migrated(database).await;
    let accounts = SeaOrmAccounts::new(db.clone());
    let jane = identity("google", "jane");
    let other = ProviderIdentity { subject: "other".to_owned(), ..jane.clone() };
    let newer = ProviderIdentity { verified_email: Some("jane@new.example".to_owned()), name: None, ..jane.clone() };
    let unvouched = ProviderIdentity { verified_email: None, ..jane.clone() };
    accounts.account_of(&other, &account(2)).await.unwrap();
    for seen in [&jane, &newer, &unvouched] {
        accounts.account_of(seen, &account(1)).await.unwrap();
        for person in [seen, &other] {
            let of = format!("FROM account_identities WHERE subject = '{}'", person.subject);
            assert_eq!(text(&db, &format!("SELECT verified_email {of}")).await, person.verified_email);
            // A missing one leaves the old one in place.
            assert_eq!(text(&db, &format!("SELECT name {of}")).await, jane.name);
        }
    }
    // Linking again is not a sign-in.
    accounts.link(&newer, &account(1)).await.unwrap();
    assert_eq!(text(&db, "SELECT name FROM account_identities WHERE subject = 'jane'").await, unvouched.name);
}

async fn everything_of_an_account_is_deleted_with_it(database: &Database) {
    let db = migrated(database).await;
    let (accounts, oauth) = granted(&db).await;
    accounts.account_of(&identity("google", "john"), &account(2)).await.unwrap();
    let other = grant(2, 2);
    put(&accounts, &oauth, &other).await.unwrap();
    let jane = "SELECT account_id FROM account_identities WHERE subject = 'jane'";
    db.execute_unprepared(&format!("DELETE FROM accounts WHERE id = ({jane})")).await.unwrap();
    assert_eq!(oauth.list_grants(&GrantFilter::default(), None, 9).await.unwrap(), [other]);
    assert_eq!(rows(&db, "account_identities").await, "2", "john's");
    assert_eq!(accounts.account_of(&identity("google", "jane"), &account(3)).await.unwrap(), account(3));
}

async fn a_lease_has_a_holder_and_an_end(database: &Database) {
    let db = migrated(database).await;
    let (_, oauth) = granted(&db).await;
    assert!(db.execute_unprepared("UPDATE grants SET lease_until = 1").await.is_err());
    oauth.acquire_lease(&lease(1, at(130)), at(100)).await.unwrap();
    assert!(db.execute_unprepared("UPDATE grants SET lease_until = NULL").await.is_err());
    assert!(db.execute_unprepared("UPDATE grants SET lease_holder = NULL").await.is_err());
}

async fn a_grant_from_before_the_migration_was_allowed_when_it_last_changed(database: &Database) {
    let db = migrated(database).await;
    granted(&db).await;
    let since = "SELECT CAST(count(*) AS TEXT) FROM seaql_migrations WHERE version >= 'm20261128_000025'";
    let steps = text(&db, since).await.unwrap().parse().unwrap();
    let directly = database.directly().await;
    Migrator::down(&directly, Some(steps)).await.unwrap();
    directly.execute_unprepared("UPDATE grants SET updated_at = 7000000").await.unwrap();
    Migrator::up(&directly, None).await.unwrap();
    assert_eq!(text(&db, "SELECT CAST(allowed_at AS TEXT) FROM grants").await.as_deref(), Some("7000000"));
}

async fn a_grant_of_the_version_before_was_allowed_when_it_last_changed(database: &Database) {
    let db = migrated(database).await;
    let (_, oauth) = granted(&db).await;
    db.execute_unprepared("UPDATE grants SET allowed_at = NULL, updated_at = 7000000").await.unwrap();
    let found = oauth.find_grant(grant_id(1)).await.unwrap().unwrap();
    assert_eq!(found.allowed_at, found.updated_at);
    let revoke = async |until| {
        let (provider, subject) = (&found.provider, &found.provider_subject);
        oauth.revoke_grants_of(provider, subject, until, at(120)).await.unwrap().len()
    };
    assert_eq!(revoke(found.updated_at - MICROSECOND).await, 0);
    assert_eq!(revoke(found.updated_at).await, 1);
}

async fn grants_that_are_no_models_are_corrupt(database: &Database) {
    let db = migrated(database).await;
    for change in [
        "provider = 'Google'",
        "status = 'lost'",
        "created_at = 9223372036854775807",
        "allowed_at = 9223372036854775807",
        "updated_at = 9223372036854775807",
        "expires_at = -9223372036854775807",
    ] {
        let (_, oauth) = granted(&db).await;
        db.execute_unprepared(&format!("UPDATE grants SET {change}")).await.unwrap();
        for outcome in [
            oauth.find_grant(grant_id(1)).await.map(drop),
            oauth.list_grants(&GrantFilter::default(), None, 9).await.map(drop),
            oauth.acquire_lease(&lease(1, at(130)), at(100)).await.map(drop),
            oauth.remove_grant(grant_id(1)).await.map(drop),
        ] {
            assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{change}: {outcome:?}");
        }
        // An unreadable row can be deleted.
        assert_eq!(oauth.remove_grant(grant_id(1)).await.unwrap(), None, "{change}");
    }
    let (accounts, _) = granted(&db).await;
    db.execute_unprepared("UPDATE accounts SET created_at = 9223372036854775807").await.unwrap();
    let outcome = accounts.account_of(&identity("google", "jane"), &account(1)).await;
    assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{outcome:?}");
}
