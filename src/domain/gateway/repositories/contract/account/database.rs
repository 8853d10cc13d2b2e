//! What a database of log-ins owes besides.

use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{account, email, login};
use crate::domain::gateway::{
    models::attempt::Counted,
    repositories::{
        RepositoryError,
        account::AccountRepository,
        attempt::AttemptRepository,
        contract::{
            database::{assert_unavailable, migrated},
            harness::{self, Database, at},
        },
        sea_orm::{SeaOrmAccounts, SeaOrmAttempts, SeaOrmSessions, SeaOrmTokens, connect},
        session::SessionRepository,
        token::TokenRepository,
    },
};

over_every_database!(
    log_ins_and_failures_survive_reopening,
    a_closed_database_is_unavailable,
    a_database_that_is_not_migrated_is_unavailable,
    log_ins_and_failures_that_are_no_models_are_corrupt,
    a_family_that_cannot_be_read_ends_with_the_others,
);

fn counted() -> [Counted; 1] {
    [Counted::account(&email(1))]
}

async fn log_ins_and_failures_survive_reopening(database: &Database) {
    let db = migrated(database).await;
    SeaOrmAccounts::new(db.clone()).sign_up(&account(1), &login(1)).await.unwrap();
    for _ in 0..5 {
        SeaOrmAttempts::new(db.clone()).admit(&counted(), &|| at(0)).await.unwrap();
    }
    db.close().await.unwrap();
    let db = migrated(database).await;
    assert_eq!(SeaOrmAccounts::new(db.clone()).find_login(&email(1)).await.unwrap(), Some(login(1)));
    let outcome = SeaOrmAttempts::new(db).admit(&counted(), &|| at(0)).await.unwrap();
    assert_eq!(format!("{outcome:?}"), format!("NotBefore({:?})", at(1)));
}

async fn assert_nothing_works(db: DatabaseConnection) {
    let (accounts, attempts) = (SeaOrmAccounts::new(db.clone()), SeaOrmAttempts::new(db.clone()));
    let google = "google".parse().unwrap();
    assert_unavailable(accounts.sign_up(&account(1), &login(1)).await);
    assert_unavailable(accounts.add_login(&login(1)).await);
    assert_unavailable(accounts.find_login(&email(1)).await);
    assert_unavailable(accounts.replace_hash(&login(1).hash, &login(1)).await);
    assert_unavailable(accounts.profile(account(1).id).await);
    assert_unavailable(accounts.unlink(account(1).id, &google).await);
    assert_unavailable(accounts.remove(account(1).id).await);
    assert_unavailable(attempts.admit(&counted(), &|| at(0)).await);
    assert_unavailable(attempts.forgive(&counted()[0]).await);
    assert_unavailable(attempts.reset(&counted()[0]).await);
    assert_unavailable(attempts.forget_expired(at(0)).await);
    assert_unavailable(SeaOrmSessions::new(db.clone()).end_all_of(account(1).id, None).await);
    assert_unavailable(SeaOrmTokens::new(db).end_families_of("jane").await);
}

async fn a_closed_database_is_unavailable(database: &Database) {
    let db = migrated(database).await;
    db.clone().close().await.unwrap();
    assert_nothing_works(db).await;
}

async fn a_database_that_is_not_migrated_is_unavailable(database: &Database) {
    assert_nothing_works(connect(&database.url).await.unwrap()).await;
}

async fn log_ins_and_failures_that_are_no_models_are_corrupt(database: &Database) {
    let db = migrated(database).await;
    let (accounts, attempts) = (SeaOrmAccounts::new(db.clone()), SeaOrmAttempts::new(db.clone()));
    for change in ["email = 'jane'", "changed_at = 9223372036854775807"] {
        accounts.sign_up(&account(1), &login(1)).await.unwrap();
        db.execute_unprepared(&format!("UPDATE password_logins SET {change}")).await.unwrap();
        for outcome in [accounts.find_login(&email(1)).await.map(drop), accounts.profile(account(1).id).await.map(drop)]
        {
            assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{change}: {outcome:?}");
        }
        // What cannot be read can be got rid of.
        assert_eq!(accounts.remove(account(1).id).await.unwrap(), Some(vec![]), "{change}");
    }
    for change in ["failures = -1", "last_at = 9223372036854775807"] {
        attempts.admit(&counted(), &|| at(0)).await.unwrap();
        db.execute_unprepared(&format!("UPDATE login_attempts SET {change}")).await.unwrap();
        let outcome = attempts.admit(&counted(), &|| at(0)).await;
        assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{change}: {outcome:?}");
        attempts.reset(&counted()[0]).await.unwrap();
    }
}

async fn a_family_that_cannot_be_read_ends_with_the_others(database: &Database) {
    let db = migrated(database).await;
    let tokens = SeaOrmTokens::new(db.clone());
    let family = harness::family(1);
    tokens.open_family(&family, &harness::refresh(11)).await.unwrap();
    db.execute_unprepared("UPDATE token_families SET scope = 'a  b', claims = '[]'").await.unwrap();
    assert_eq!(tokens.end_families_of(&family.subject).await.unwrap(), [family.revocation()]);
    assert_eq!(tokens.find_refresh(&harness::digest(11)).await.unwrap(), None);
}
