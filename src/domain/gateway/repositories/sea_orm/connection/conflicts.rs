//! The constraint that a database names in its error, as the ports name it. PostgreSQL names the constraint or the index
//! (`password_logins_email_key_key`), SQLite the columns (`password_logins.email_key`).

use sea_orm::{DbErr, SqlErr};

use crate::domain::gateway::repositories::{Constraint, RepositoryError};

/// Every uniqueness constraint but those of ids and digests, as PostgreSQL and as SQLite names it.
const UNIQUE: [(&str, &str, Constraint); 4] = [
    ("\"password_logins_email_key_key\"", " password_logins.email_key", Constraint::Email),
    ("\"password_logins_pkey\"", " password_logins.account_id", Constraint::Login),
    ("\"clients_name_key\"", " clients.name", Constraint::Name),
    ("\"signing_keys_algorithm_generation\"", " signing_keys.algorithm", Constraint::Generation),
];

/// The constraint that a write violated, if that is the reason why it failed.
pub(super) fn violated(error: &DbErr) -> Option<Constraint> {
    let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() else { return None };
    let named = UNIQUE.iter().find(|(postgres, sqlite, _)| message.contains(postgres) || message.contains(sqlite));
    Some(named.map_or(Constraint::Id, |(_, _, constraint)| *constraint))
}

/// The error of a write that names an account.
pub(in crate::domain::gateway::repositories::sea_orm) fn without_account(error: DbErr) -> RepositoryError {
    match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => RepositoryError::Conflict(Constraint::Account),
        _ => error.into(),
    }
}
