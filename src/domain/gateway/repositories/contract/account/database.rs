//! Additional contract of a database of password logins.

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbBackend};

use super::{account, email, login};
use crate::domain::gateway::{
    models::{
        session::{Session, SessionLimits, Visitor},
        throttle::ThrottleKey,
        token::{RevocationCursor, RotationOutcome, TokenFamily},
        values::id::{EndingId, SessionId},
    },
    repositories::{
        Constraint, RepositoryError,
        account::AccountRepository,
        contract::{
            database::{assert_unavailable, migrated},
            harness::{self, Database, assert_conflict, at},
        },
        sea_orm::{Connection, SeaOrmAccounts, SeaOrmSessions, SeaOrmThrottle, SeaOrmTokens, connect},
        session::SessionRepository,
        throttle::ThrottleRepository,
        token::TokenRepository,
    },
};

over_every_database!(
    log_ins_and_failures_survive_reopening,
    a_closed_database_is_unavailable,
    a_database_that_is_not_migrated_is_unavailable,
    log_ins_and_failures_that_are_no_models_are_corrupt,
    a_family_that_cannot_be_read_ends_with_the_others,
    thousands_of_families_end,
    a_session_of_an_account_that_is_gone_is_a_conflict,
);

fn counted() -> [ThrottleKey; 1] {
    [ThrottleKey::account(&email(1))]
}

async fn log_ins_and_failures_survive_reopening(database: &Database) {
    let db = migrated(database).await;
    SeaOrmAccounts::new(db.clone()).sign_up(&account(1), &login(1)).await.unwrap();
    for _ in 0..5 {
        SeaOrmThrottle::new(db.clone()).admit(&counted(), &|| at(0)).await.unwrap();
    }
    db.close().await.unwrap();
    let db = migrated(database).await;
    assert_eq!(SeaOrmAccounts::new(db.clone()).find_login(&email(1)).await.unwrap(), Some(login(1)));
    let outcome = SeaOrmThrottle::new(db).admit(&counted(), &|| at(0)).await.unwrap();
    assert_eq!(format!("{outcome:?}"), format!("NotBefore({:?})", at(1)));
}

async fn assert_nothing_works(db: Connection) {
    let (accounts, attempts) = (SeaOrmAccounts::new(db.clone()), SeaOrmThrottle::new(db.clone()));
    let google = "google".parse().unwrap();
    assert_unavailable(accounts.sign_up(&account(1), &login(1)).await);
    assert_unavailable(accounts.add_login(&login(1)).await);
    assert_unavailable(accounts.find_login(&email(1)).await);
    assert_unavailable(accounts.replace_hash(&login(1).hash, &login(1)).await);
    assert_unavailable(accounts.profile(account(1).id).await);
    assert_unavailable(accounts.unlink(account(1).id, &google).await);
    assert_unavailable(accounts.remove(account(1).id).await);
    assert_unavailable(accounts.endings_begun_by(at(0), 1).await);
    assert_unavailable(accounts.finish_ending(EndingId::from_random([1; 16])).await);
    assert_unavailable(attempts.admit(&counted(), &|| at(0)).await);
    assert_unavailable(attempts.forgive(&counted()[0]).await);
    assert_unavailable(attempts.reset(&counted()[0]).await);
    assert_unavailable(attempts.purge_expired(at(0)).await);
    assert_unavailable(SeaOrmSessions::new(db.clone()).end_all_of(account(1).id, None).await);
    assert_unavailable(SeaOrmTokens::new(db).end_families_of("jane").await);
}

async fn a_closed_database_is_unavailable(database: &Database) {
    let db = migrated(database).await;
    db.clone().close().await.unwrap();
    assert_nothing_works(db).await;
}

async fn a_database_that_is_not_migrated_is_unavailable(database: &Database) {
    assert_nothing_works(connect(&database.url, &database.schema).await.unwrap()).await;
}

async fn log_ins_and_failures_that_are_no_models_are_corrupt(database: &Database) {
    let db = migrated(database).await;
    let (accounts, attempts) = (SeaOrmAccounts::new(db.clone()), SeaOrmThrottle::new(db.clone()));
    for change in ["email = 'jane'", "changed_at = 9223372036854775807"] {
        accounts.sign_up(&account(1), &login(1)).await.unwrap();
        db.execute_unprepared(&format!("UPDATE password_logins SET {change}")).await.unwrap();
        for outcome in [accounts.find_login(&email(1)).await.map(drop), accounts.profile(account(1).id).await.map(drop)]
        {
            assert!(matches!(outcome, Err(RepositoryError::Corrupt(_))), "{change}: {outcome:?}");
        }
        // An unreadable row can be deleted.
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

/// Three thousand families of one subject and session, each with a refresh token.
async fn thousands(db: &Connection) -> TokenFamily {
    let family = harness::family(1);
    SeaOrmTokens::new(db.clone()).open_family(&family, &harness::refresh(11)).await.unwrap();
    let (id, digest) = match db.get_database_backend() {
        DbBackend::Sqlite => ("randomblob(16)", "randomblob(32)"),
        _ => ("gen_random_uuid()", "sha256(CAST(CAST(id AS TEXT) AS BYTEA))"),
    };
    let rest =
        "client_id, subject, scope, audience, claims, access_ttl, created_at, access_expires_at, forget_at, session_id";
    db.execute_unprepared(&format!(
        "INSERT INTO token_families (id, {rest}) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2999) \
         SELECT {id}, {rest} FROM token_families, n"
    ))
    .await
    .unwrap();
    db.execute_unprepared(&format!(
        "INSERT INTO refresh_tokens (digest, family_id, issued_at, expires_at) \
         SELECT {digest}, id, created_at, forget_at FROM token_families"
    ))
    .await
    .unwrap();
    family
}

async fn thousands_of_families_end(database: &Database) {
    let db = migrated(database).await;
    let (one, other) =
        (SeaOrmTokens::new(db.clone()), SeaOrmTokens::new(connect(&database.url, &database.schema).await.unwrap()));
    let listed = async || one.revocations_after(RevocationCursor::default(), 10_000).await.unwrap().entries.len();
    // By their subject; a concurrent revocation does not wait for all of them.
    let family = thousands(&db).await;
    let ending = one.end_families_of(&family.subject);
    let (ended, others) = tokio::join!(ending, async {
        for n in 1..=10 {
            other.revoke(&[harness::revocation(n, at(60))]).await.unwrap();
        }
    });
    let () = others;
    assert_eq!((ended.unwrap().len(), listed().await), (3000, 3010));
    assert_eq!(one.find_refresh(&harness::digest(11)).await.unwrap(), None);
    // By their session, on two replicas concurrently.
    let family = thousands(&db).await;
    let sessions = [family.session.unwrap()];
    let (here, there) = tokio::join!(
        one.revoke_families_of_sessions(&sessions, at(60)),
        other.revoke_families_of_sessions(&sessions, at(60))
    );
    assert_eq!(here.unwrap().len() + there.unwrap().len(), 3000);
    assert_eq!(listed().await, 6009, "the first of them was on the list");
    // A family that has rotated as often as allowed has no other token.
    db.execute_unprepared("DELETE FROM token_families").await.unwrap();
    one.open_family(&family, &harness::refresh(12)).await.unwrap();
    db.execute_unprepared("UPDATE refresh_tokens SET generation = 65535").await.unwrap();
    let outcome = one.rotate(&harness::rotation(12, 13, at(60))).await.unwrap();
    assert!(matches!(outcome, RotationOutcome::Rotated(_)), "{outcome:?}");
    assert_eq!(one.rotate(&harness::rotation(13, 14, at(60))).await.unwrap(), RotationOutcome::Expired);
}

async fn a_session_of_an_account_that_is_gone_is_a_conflict(database: &Database) {
    let sessions = SeaOrmSessions::new(migrated(database).await);
    let limits = SessionLimits { idle: TimeDelta::hours(1), total: TimeDelta::hours(2) };
    let id = SessionId::from_random([1; 16]);
    let session = Session::begin(id, harness::digest(1), account(1).id, Visitor::default(), limits, at(0));
    let outcome = sessions.open(&session).await;
    assert_conflict(&outcome, Constraint::Account);
}
