//! Sessions in Redis.
//!
//! | key, behind the prefix | type | holds | ends |
//! |---|---|---|---|
//! | `session:DIGEST` | hash | a session | an hour after it is over |
//! | `session-id:ID` | string | the digest of the session with this id | with the session |
//! | `account:ACCOUNT` | sorted set | the digests of an account's sessions, by their last use | with the last of them |
//! | `ends` | sorted set | the sessions to be forgotten, by when | never; it is empty if nothing is kept |
//!
//! Digests are SHA-256 as 64 hexadecimal digits; no secret ever gets here. Times are microseconds since 1970, which Lua's
//! numbers hold exactly.

use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use redis::Script;

use super::{
    connection::RedisConnection,
    keys::{Keys, hex, keep_until, micros},
};
use crate::domain::gateway::{
    models::{
        session::{Session, Visitor},
        values::{
            digest::Sha256Digest,
            id::{AccountId, SessionId},
        },
    },
    repositories::{Constraint, RepositoryError, session::SessionRepository},
};

/// The beginning of all scripts. Their arguments: the prefix, then their own.
macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("session/common.lua"), include_str!($file))));
    };
}

script!(OPEN, "session/open.lua");
script!(LIST, "session/list.lua");
script!(PROLONG, "session/prolong.lua");
script!(END, "session/end.lua");
script!(END_ALL, "session/end_all.lua");
script!(FORGET, "session/forget.lua");

/// The fields of a session's hash, in the order of the scripts' arguments and results.
const FIELDS: [&str; 8] = ["id", "account", "created_at", "used_at", "idle_until", "expires_at", "browser", "network"];

/// A session as the scripts return it: its digest and its fields.
type Row = Vec<Option<String>>;

/// Sessions in Redis.
#[derive(Debug, Clone)]
pub struct RedisSessions {
    keys: Keys,
}

impl RedisSessions {
    /// Sessions whose keys begin with `prefix`.
    pub fn new(connection: RedisConnection, prefix: impl Into<String>) -> Self {
        Self { keys: Keys::new(connection, prefix) }
    }
}

#[async_trait]
impl SessionRepository for RedisSessions {
    async fn open(&self, session: &Session) -> Result<(), RepositoryError> {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let arguments = [
            hex(&session.digest),
            keep_until(session.idle_until),
            session.id.to_string(),
            session.account.to_string(),
            micros(session.created_at),
            micros(session.used_at),
            micros(session.idle_until),
            micros(session.expires_at),
            text(&session.visitor.browser),
            text(&session.visitor.network),
        ];
        let opened: bool = self.keys.run(&OPEN, &arguments.each_ref().map(String::as_str)).await?;
        if opened { Ok(()) } else { Err(RepositoryError::Conflict(Constraint::Id)) }
    }

    async fn find(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError> {
        let key = self.keys.name("session", &hex(digest));
        let fields: Row = self.keys.read(redis::cmd("HMGET").arg(&key).arg(&FIELDS)).await?;
        if fields.iter().all(Option::is_none) {
            return Ok(None);
        }
        session(*digest, &fields).map(Some)
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<Session>, RepositoryError> {
        let key = self.keys.name("session-id", &id.to_string());
        let digest: Option<String> = self.keys.read(redis::cmd("GET").arg(&key)).await?;
        match digest {
            // Ended in between, it is not found: then that is its current state.
            Some(digest) => self.find(&unhex(&digest)?).await,
            None => Ok(None),
        }
    }

    async fn list_of(&self, account: AccountId, limit: u64) -> Result<Vec<Session>, RepositoryError> {
        rows(self.keys.run(&LIST, &[&account.to_string(), &limit.to_string()]).await?)
    }

    async fn prolong(&self, used: &Session) -> Result<bool, RepositoryError> {
        let arguments = [
            hex(&used.digest),
            keep_until(used.idle_until),
            used.id.to_string(),
            used.account.to_string(),
            micros(used.used_at),
            micros(used.idle_until),
        ];
        self.keys.run(&PROLONG, &arguments.each_ref().map(String::as_str)).await
    }

    async fn end(&self, digest: &Sha256Digest) -> Result<Option<Session>, RepositoryError> {
        Ok(rows(self.keys.run(&END, &[&hex(digest)]).await?)?.pop())
    }

    async fn end_all_of(&self, account: AccountId, but: Option<SessionId>) -> Result<Vec<Session>, RepositoryError> {
        let but = but.map(|id| id.to_string()).unwrap_or_default();
        rows(self.keys.run(&END_ALL, &[&account.to_string(), &but]).await?)
    }

    async fn purge_expired(&self, now: DateTime<Utc>) -> Result<u64, RepositoryError> {
        self.keys.purge(&FORGET, now).await
    }
}

fn unhex(text: &str) -> Result<Sha256Digest, RepositoryError> {
    let byte = |nth: usize| u8::from_str_radix(text.get(2 * nth..2 * nth + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len() / 2).map(byte).collect();
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(Sha256Digest::from).ok_or_else(|| corrupt("a digest"))
}

fn corrupt(what: &str) -> RepositoryError {
    RepositoryError::Corrupt(what.to_owned())
}

fn rows(rows: Vec<Row>) -> Result<Vec<Session>, RepositoryError> {
    let one = |row: Row| match row.split_first() {
        Some((Some(digest), fields)) => session(unhex(digest)?, fields),
        Some((None, _)) | None => Err(corrupt("a session without a digest")),
    };
    rows.into_iter().map(one).collect()
}

fn session(digest: Sha256Digest, fields: &[Option<String>]) -> Result<Session, RepositoryError> {
    let [
        Some(id),
        Some(account),
        Some(created_at),
        Some(used_at),
        Some(idle_until),
        Some(expires_at),
        browser,
        network,
    ] = fields
    else {
        return Err(corrupt("a session that lacks a field"));
    };
    let time = |text: &String| {
        let time = text.parse().ok().and_then(DateTime::from_timestamp_micros);
        time.ok_or_else(|| corrupt("a session's time"))
    };
    let told = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(Session {
        id: id.parse().map_err(|_| corrupt("a session's id"))?,
        digest,
        account: account.parse().map_err(|_| corrupt("a session's account"))?,
        created_at: time(created_at)?,
        used_at: time(used_at)?,
        idle_until: time(idle_until)?,
        expires_at: time(expires_at)?,
        visitor: Visitor { browser: told(browser), network: told(network) },
    })
}

#[cfg(test)]
mod tests;
