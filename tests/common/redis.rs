//! A Redis for one test, which may be killed and restarted.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use super::eventually;

/// A `redis-server`, running or killed. Acknowledged writes are on disk, and survive a restart.
pub(crate) struct Redis {
    port: u16,
    folder: tempfile::TempDir,
    process: Mutex<Option<Child>>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let redis = Self { port, folder: tempfile::tempdir().unwrap(), process: Mutex::default() };
        redis.restart();
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn restart(&self) {
        let port = self.port.to_string();
        let process = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ])
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error}"));
        *self.process.lock().unwrap() = Some(process);
        eventually("Redis answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// `FLUSHALL`.
    pub(crate) fn lose_everything(&self) {
        self.say("FLUSHALL");
    }

    /// Makes it a replica of a server that is not there: it accepts no writes any more.
    pub(crate) fn demote(&self) {
        self.say("REPLICAOF 127.0.0.1 1");
    }

    fn say(&self, command: &str) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut response = [0; 5];
        stream.read_exact(&mut response).unwrap();
        assert_eq!(&response, b"+OK\r\n");
    }

    /// The names of all its keys, except for used-up values and the indexes of expiries.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"KEYS *\r\nQUIT\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let names = response.lines().filter(|line| line.starts_with("gateway:"));
        let is_index = |name: &&str| matches!(*name, "gateway:ends" | "gateway:login-ends");
        names.filter(|name| !name.starts_with("gateway:login:") && !is_index(name)).map(str::to_owned).collect()
    }

    /// Copies of its files.
    pub(crate) fn backup(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(self.folder.path().join("appendonlydir")).unwrap();
        files.map(|file| file.unwrap().path()).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// Starts it with the files of a backup.
    pub(crate) fn restore(&self, backup: &[(PathBuf, Vec<u8>)]) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("appendonlydir")).unwrap();
        std::fs::create_dir(self.folder.path().join("appendonlydir")).unwrap();
        for (path, bytes) in backup {
            std::fs::write(path, bytes).unwrap();
        }
        self.restart();
    }

    /// Its entire data, as it is on disk.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path().join("appendonlydir")).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
