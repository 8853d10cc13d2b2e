//! The store over Redis: for sessions alone. What lives long, or must never be lost, stays in the database. Keys begin with
//! a prefix, and each ends by itself some time after it has stopped to matter. What two writers could race for happens in
//! one Lua script. One Redis (or one that fails over), not a cluster: a script touches several keys.

mod connection;
mod session;

pub use connection::{RedisConnection, connect};
pub use session::RedisSessions;

/// Before every key of ours.
pub const PREFIX: &str = "gateway:";
