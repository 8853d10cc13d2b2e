//! The tables of tokens and of the deny-list.

pub mod dummy_tokens;
pub mod refresh_tokens;
pub mod revocation_cursor;
pub mod revocations;
pub mod token_families;
