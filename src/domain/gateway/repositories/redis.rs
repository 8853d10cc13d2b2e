//! The store over Redis: for sessions, the states of sign-ins, and the counts of shared rate limits only. Data that is long-lived, or must never be lost, stays in the database. Keys
//! begin with a prefix, and each expires some time after it has stopped to matter. Operations that two writers could
//! race for happen in one Lua script. One Redis (or one that fails over), not a cluster: a script touches several keys.

mod connection;
mod keys;
mod login;
mod rate_limit;
mod session;

pub use connection::{RedisConnection, connect};
pub use login::RedisLogins;
pub use rate_limit::RedisRateLimits;
pub use session::RedisSessions;

/// The prefix of all our keys.
pub const PREFIX: &str = "gateway:";
