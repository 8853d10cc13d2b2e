//! Accounts with a password through the real binary: signing up and in, delays, new passwords, second providers,
//! deletion.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

#[path = "accounts/deleting.rs"]
mod deleting;
#[path = "accounts/linking.rs"]
mod linking;
#[path = "accounts/person.rs"]
mod person;
#[path = "accounts/signing_in.rs"]
mod signing_in;

/// Lets a test act as many clients.
const BEHIND_A_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");

const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";

const PASSWORD: &str = "correct horse battery staple";
