//! The last release works on the tables of this version: during an update both run, and the image of the last release is
//! started again if this one does not please. The tables of the last release are made by its migrations, which are never
//! changed; its statements are in `released/`, as `CONTRIBUTING.md` says ("Release").

use std::collections::BTreeSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::harness::{self, Database};

over_every_database!(
    the_last_release_works_on_the_tables_of_this_version,
    tables_that_the_last_release_cannot_use_are_noticed
);

/// The newest migration of the last release.
const NEWEST: &str = "m20261128_000028_add_marks_to_revocations";

/// Every statement that the last release makes.
const SQLITE: &str = include_str!("released/sqlite.sql");
const POSTGRES: &str = include_str!("released/postgres.sql");

/// What rows of a table must comply with.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Rule {
    /// A column: its type, and whether a row without it is refused.
    Column { table: String, name: String, kind: String, is_needed: bool },
    /// A unique index or another constraint.
    Constraint { table: String, text: String },
}

impl Rule {
    fn table(&self) -> &str {
        match self {
            Self::Column { table, .. } | Self::Constraint { table, .. } => table,
        }
    }
}

/// The first columns of all rows, which must be texts.
async fn texts<const N: usize>(db: &DatabaseConnection, sql: &str) -> Vec<[String; N]> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| std::array::from_fn(|n| row.try_get_by_index(n).unwrap())).collect()
}

/// Describes nothing outside the schema: other tests drop theirs meanwhile, which the view `pg_indexes` does not bear.
async fn rules(db: &DatabaseConnection) -> BTreeSet<Rule> {
    let (columns, constraints) = match db.get_database_backend() {
        DbBackend::Postgres => (
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT),
                 CASE WHEN is_nullable = 'NO' AND column_default IS NULL THEN 'needed' ELSE '' END
             FROM information_schema.columns WHERE table_schema = CURRENT_SCHEMA()",
            "SELECT CAST(relname AS TEXT), pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid
             WHERE relnamespace = CAST(CURRENT_SCHEMA() AS regnamespace) AND contype <> 'n'
             UNION ALL SELECT CAST(relname AS TEXT), regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+ ON \\S+', '')
             FROM pg_index JOIN pg_class t ON t.oid = indrelid
             WHERE relnamespace = CAST(CURRENT_SCHEMA() AS regnamespace) AND indisunique",
        ),
        _ => (
            "SELECT t.name, c.name, c.type, CASE WHEN c.\"notnull\" AND c.dflt_value IS NULL THEN 'needed' ELSE '' END
             FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'",
            "SELECT t.name, 'unique ' || (SELECT group_concat(i.name) FROM pragma_index_info(x.name) i) || ' ' ||
                 coalesce((SELECT substr(s.sql, instr(s.sql, ' WHERE ')) FROM sqlite_schema s
                           WHERE s.name = x.name AND instr(s.sql, ' WHERE ')), '')
             FROM sqlite_schema t, pragma_index_list(t.name) x WHERE t.type = 'table' AND x.\"unique\"
             UNION ALL SELECT t.name, 'references ' || f.\"table\" || ' by ' || f.\"from\"
             FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
        ),
    };
    let columns = texts(db, columns).await.into_iter().map(|[table, name, kind, needed]| Rule::Column {
        table,
        name,
        kind,
        is_needed: !needed.is_empty(),
    });
    let constraints = texts(db, constraints).await.into_iter().map(|[table, text]| Rule::Constraint { table, text });
    columns.chain(constraints).collect()
}

/// What makes the last release fail on these tables, which were made from tables with the rules `before`.
async fn obstacles(db: &DatabaseConnection, before: &BTreeSet<Rule>) -> Vec<String> {
    let now = rules(db).await;
    let mut obstacles = Vec::new();
    for rule in before {
        if let Rule::Column { table, name, kind, .. } = rule {
            let remains = |rule: &Rule| matches!(rule, Rule::Column { table: t, name: n, kind: k, .. } if (t, n, k) == (table, name, kind));
            if !now.iter().any(remains) {
                obstacles.push(format!("{table}.{name} is gone, or of another type than {kind}"));
            }
        }
    }
    for rule in now.difference(before).filter(|rule| before.iter().any(|known| known.table() == rule.table())) {
        match rule {
            Rule::Column { table, name, is_needed: true, .. } => {
                obstacles.push(format!("{table}.{name} may not be empty, and has no default"));
            }
            Rule::Column { is_needed: false, .. } => {}
            Rule::Constraint { table, text } => obstacles.push(format!("{table} has a new constraint: {text}")),
        }
    }
    for statement in statements(db.get_database_backend()) {
        let prepared = match db.get_database_backend() {
            DbBackend::Postgres => format!("PREPARE released AS {statement}; DEALLOCATE released"),
            _ => format!("EXPLAIN {statement}"),
        };
        if let Err(error) = db.execute_unprepared(&prepared).await {
            obstacles.push(format!("{statement}: {error}"));
        }
    }
    obstacles
}

fn statements(backend: DbBackend) -> impl Iterator<Item = &'static str> {
    if backend == DbBackend::Postgres { POSTGRES } else { SQLITE }.lines()
}

/// The tables of the last release.
async fn released(database: &Database) -> (DatabaseConnection, BTreeSet<Rule>) {
    let db = database.directly().await;
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("CREATE SCHEMA {}", database.schema)).await.unwrap();
    }
    let known = Migrator::migrations().iter().position(|migration| migration.name() == NEWEST).unwrap() + 1;
    Migrator::up(&db, Some(known.try_into().unwrap())).await.unwrap();
    let rules = rules(&db).await;
    (db, rules)
}

async fn the_last_release_works_on_the_tables_of_this_version(database: &Database) {
    let (db, before) = released(database).await;
    assert!(statements(db.get_database_backend()).count() > 100);
    assert_eq!(obstacles(&db, &before).await, [""; 0], "as it was released");
    Migrator::up(&db, None).await.unwrap();
    assert_eq!(obstacles(&db, &before).await, [""; 0], "a migration must only add: see migration/src/releases.rs");
    db.close().await.unwrap();
}

/// The check above notices what a migration must not do.
async fn tables_that_the_last_release_cannot_use_are_noticed(database: &Database) {
    let (db, before) = released(database).await;
    for (change, back, noticed) in [
        (
            "ALTER TABLE clients RENAME COLUMN name TO title",
            "ALTER TABLE clients RENAME COLUMN title TO name",
            "clients.name is gone",
        ),
        ("CREATE UNIQUE INDEX added ON sessions (account_id)", "DROP INDEX added", "sessions has a new constraint"),
        ("ALTER TABLE notices RENAME TO letters", "ALTER TABLE letters RENAME TO notices", "notices.digest is gone"),
        (
            "ALTER TABLE notices ADD COLUMN added TEXT NOT NULL",
            "ALTER TABLE notices DROP COLUMN added",
            "notices.added may not be empty",
        ),
    ] {
        // SQLite itself refuses such a column.
        if db.execute_unprepared(change).await.is_ok() {
            let found = obstacles(&db, &before).await;
            assert!(found.iter().any(|obstacle| obstacle.starts_with(noticed)), "{change}: {found:#?}");
            if change.contains("RENAME") {
                assert!(found.iter().any(|obstacle| obstacle.starts_with("SELECT")), "{change}: {found:#?}");
            }
            db.execute_unprepared(back).await.unwrap();
        }
    }
    for harmless in
        ["ALTER TABLE grants ADD COLUMN added TEXT", "ALTER TABLE grants ADD COLUMN other TEXT NOT NULL DEFAULT ''"]
    {
        db.execute_unprepared(harmless).await.unwrap();
    }
    db.execute_unprepared("CREATE TABLE added (id BIGINT PRIMARY KEY)").await.unwrap();
    assert_eq!(obstacles(&db, &before).await, [""; 0]);
    db.close().await.unwrap();
}
