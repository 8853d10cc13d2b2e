//! A database for one test, SQLite or PostgreSQL.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use super::relay::Relay;

/// A database for one test.
pub(crate) trait TestDatabase: Sync {
    fn open() -> Self;
    fn url(&self) -> &str;
}

pub(crate) struct Sqlite {
    url: String,
    folder: tempfile::TempDir,
}

impl TestDatabase for Sqlite {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite://{}/gateway.db?mode=rwc", folder.path().display()), folder }
    }

    fn url(&self) -> &str {
        &self.url
    }
}

impl Sqlite {
    /// Its file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.db")
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

impl Postgres {
    /// A way to its server that can be cut, and the URL of this database by that way.
    pub(crate) fn through_a_relay(&self) -> (Relay, String) {
        let relay = Relay::to(self.server());
        let mut url: url::Url = self.0.parse().unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(relay.address.port())).unwrap();
        (relay, url.to_string())
    }

    /// The address of its server.
    pub(crate) fn server(&self) -> SocketAddr {
        let url: url::Url = self.0.parse().unwrap();
        let host: IpAddr = url.host_str().unwrap().replace("localhost", "127.0.0.1").parse().unwrap();
        (host, url.port().unwrap_or(5432)).into()
    }

    /// Runs SQL as another client. Returns what `psql` prints.
    pub(crate) fn run(&self, sql: &str) -> String {
        let output = std::process::Command::new("psql").args([&self.0, "-qAtc", sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
