//! Plain types and the rules that always hold for them. They know no framework, no store, no clock and no randomness:
//! time and random bytes are arguments.

pub mod access;
pub mod account;
pub mod assertion;
pub mod caller;
pub mod client;
pub mod credential;
pub mod digest;
pub mod header;
pub mod id;
pub mod identity;
pub mod login;
pub mod network;
pub mod notice;
pub mod oauth;
pub mod origin;
pub mod page;
pub mod paging;
pub mod path;
pub mod provider;
pub mod scope;
pub mod secret;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod throttle;
pub mod token;
