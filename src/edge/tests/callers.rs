//! Tests of authentication, of authorisation, and of the credentials that are forwarded.

pub(crate) mod access;
pub(crate) mod assertions;
pub(crate) mod cors;
pub(crate) mod provider_tokens;
pub(crate) mod sessions;
pub(crate) mod tokens;
