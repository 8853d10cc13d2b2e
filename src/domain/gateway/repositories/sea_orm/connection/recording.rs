//! Writes down the statements that the contract suite makes, for `contract/released.rs`.

use std::{fs::OpenOptions, io::Write};

use sea_orm::{DbBackend, Statement};

/// Appends a statement to `sqlite.sql` or `postgres.sql` in the folder `RECORD_STATEMENTS`, if that is set.
pub(super) fn note(statement: &Statement) {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests only")]
    let Ok(folder) = std::env::var("RECORD_STATEMENTS") else { return };
    let is_ours =
        ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|word| statement.sql.starts_with(word))
            && !["pg_", "sqlite_", "pragma_", "seaql_", "row_to_json", "quote("]
                .iter()
                .any(|word| statement.sql.contains(word));
    if is_ours {
        let file = if statement.db_backend == DbBackend::Postgres { "postgres.sql" } else { "sqlite.sql" };
        let mut file = OpenOptions::new().append(true).create(true).open(format!("{folder}/{file}")).unwrap();
        let line = statement.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        // In one write: other tests append to the file, too.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
