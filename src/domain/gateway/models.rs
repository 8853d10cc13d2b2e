//! Plain types and the rules that always hold for them. They know no framework, no store, no clock and no randomness:
//! time and random bytes are arguments.

pub mod access;
pub mod account;
pub mod assertion;
pub mod client;
pub mod container;
pub mod http;
pub mod login;
pub mod notice;
pub mod oauth;
pub mod provider;
pub mod rate_limit;
pub mod registration;
pub mod service;
pub mod session;
pub mod signing_key;
pub mod throttle;
pub mod token;
pub mod values;
