//! The OAuth vault through the real binary, with the stand-in provider.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

#[path = "vault/binding.rs"]
mod binding;
#[path = "vault/keys.rs"]
mod keys;
#[path = "vault/life.rs"]
mod life;
#[path = "vault/replicas.rs"]
mod replicas;
#[path = "vault/rolling.rs"]
mod rolling;
#[path = "vault/trouble.rs"]
mod trouble;

/// Nothing is refreshed in the background, so that refreshes can be counted.
const ONLY_WHEN_ASKED: (&str, &str) = ("OAUTH_REFRESH_AHEAD", "0s");
const VAULT_KEY: &str = "dzpPopuI4/KNx+qnj3WNpMLS2v0Vek+qyopYqciI7cE=";
