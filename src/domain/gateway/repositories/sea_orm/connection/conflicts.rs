//! The constraint that a database names in its error, as the ports name it. PostgreSQL names the constraint in a field of
//! its own, which no language setting translates; SQLite names the columns in the text, which is always English.

use sea_orm::{DbErr, RuntimeErr, SqlErr};

use crate::domain::gateway::repositories::{Constraint, RepositoryError};

/// Every uniqueness constraint but those of ids and digests: its table, the begin of its name in PostgreSQL, and its
/// columns in SQLite. PostgreSQL appends a number to the name if another relation of the schema has it.
const UNIQUE: [(&str, &str, &str, Constraint); 4] = [
    ("password_logins", "password_logins_email_key_key", "password_logins.email_key", Constraint::Email),
    ("password_logins", "password_logins_pkey", "password_logins.account_id", Constraint::Login),
    ("clients", "clients_name_key", "clients.name", Constraint::Name),
    (
        "signing_keys",
        "signing_keys_algorithm_generation",
        "signing_keys.algorithm, signing_keys.generation",
        Constraint::Generation,
    ),
];

/// The constraint that a write violated, if that is the reason why it failed.
pub(super) fn violated(error: &DbErr) -> Option<Constraint> {
    let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() else { return None };
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
        return Some(Constraint::Id);
    };
    let Some(cause) = cause.as_database_error() else { return Some(Constraint::Id) };
    Some(constraint(cause.table(), cause.constraint(), cause.message()))
}

/// The constraint by what a database says: PostgreSQL its table and name, SQLite a message.
fn constraint(table: Option<&str>, name: Option<&str>, message: &str) -> Constraint {
    let found = UNIQUE.iter().find(|(its_table, its_name, columns, _)| match (table, name) {
        (Some(table), Some(name)) => table == *its_table && name.starts_with(its_name),
        _ => message.rsplit_once(": ").is_some_and(|(_, violated)| violated == *columns),
    });
    found.map_or(Constraint::Id, |(.., constraint)| *constraint)
}

/// The error of a write that names an account.
pub(in crate::domain::gateway::repositories::sea_orm) fn without_account(error: DbErr) -> RepositoryError {
    match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => RepositoryError::Conflict(Constraint::Account),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgresql_names_a_constraint_in_any_language_and_with_a_number() {
        let message = "doppelter Schlüsselwert verletzt Unique-Constraint »clients_name_key«";
        for (table, name, expected) in [
            ("clients", "clients_name_key", Constraint::Name),
            ("clients", "clients_name_key1", Constraint::Name),
            ("clients", "clients_pkey", Constraint::Id),
            ("password_logins", "password_logins_email_key_key2", Constraint::Email),
            ("password_logins", "password_logins_pkey1", Constraint::Login),
            ("signing_keys", "signing_keys_algorithm_generation", Constraint::Generation),
            ("signing_keys", "signing_keys_pkey", Constraint::Id),
            ("customers", "clients_name_key", Constraint::Id),
        ] {
            assert_eq!(constraint(Some(table), Some(name), message), expected, "{name}");
        }
    }

    #[test]
    fn sqlite_names_the_columns() {
        for (columns, expected) in [
            ("password_logins.email_key", Constraint::Email),
            ("password_logins.account_id", Constraint::Login),
            ("clients.name", Constraint::Name),
            ("clients.name_of_another", Constraint::Id),
            ("signing_keys.algorithm, signing_keys.generation", Constraint::Generation),
            ("sessions.digest", Constraint::Id),
        ] {
            let message = format!("UNIQUE constraint failed: {columns}");
            assert_eq!(constraint(None, None, &message), expected, "{columns}");
        }
    }
}
