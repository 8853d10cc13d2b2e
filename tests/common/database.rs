//! A database for one test, SQLite or PostgreSQL.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

/// A database for one test.
pub(crate) trait TestDatabase: Sync {
    fn open() -> Self;
    fn url(&self) -> &str;
}

pub(crate) struct Sqlite {
    url: String,
    _folder: tempfile::TempDir,
}

impl TestDatabase for Sqlite {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite://{}/gateway.db", folder.path().display()), _folder: folder }
    }

    fn url(&self) -> &str {
        &self.url
    }
}

pub(crate) struct Postgres(String);

impl TestDatabase for Postgres {
    fn open() -> Self {
        #[expect(clippy::disallowed_methods, reason = "scripts/test sets the address of its PostgreSQL")]
        let server = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL");
        let name = format!("gateway_{}_{:?}", std::process::id(), std::thread::current().id())
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
            .to_lowercase();
        let created = std::process::Command::new("psql")
            .args([&server, "-qc", &format!("CREATE DATABASE {name}")])
            .status()
            .unwrap();
        assert!(created.success());
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(&name);
        Self(url.to_string())
    }

    fn url(&self) -> &str {
        &self.0
    }
}
