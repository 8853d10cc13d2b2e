//! The store over SeaORM: one code path for SQLite and PostgreSQL. Their differences are in `connection/sqlite.rs` and
//! `connection/postgres.rs`, and nowhere else. Entities never leave this folder.

mod account;
mod client;
mod connection;
mod entities;
mod forgetting;
mod login;
mod notice;
mod oauth;
mod registration;
mod session;
mod signing_key;
mod throttle;
mod token;

pub use account::SeaOrmAccounts;
pub use client::SeaOrmClients;
pub use connection::{ConnectError, Connection, availability, connect, is_migrated, migrate, watch};
pub use login::SeaOrmLogins;
pub use notice::SeaOrmNotices;
pub use oauth::SeaOrmOAuth;
pub use registration::SeaOrmRegistrations;
pub use session::SeaOrmSessions;
pub use signing_key::SeaOrmSigningKeys;
pub use throttle::SeaOrmThrottle;
pub use token::SeaOrmTokens;
