//! Who calls, what they may do, and what goes along with them.

pub(crate) mod access;
pub(crate) mod assertions;
pub(crate) mod cors;
pub(crate) mod provider_tokens;
pub(crate) mod sessions;
pub(crate) mod tokens;
