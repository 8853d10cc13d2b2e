//! What providers share: `flow` sends the requests of OAuth 2.0 and `http` is the one client; `error_codes` classifies
//! errors; `response` reads lenient JSON; `notice` and `security_event` read what providers send unasked; `jws` and
//! `jwks` verify signatures; `id_token` and `cached_document` are for OpenID Connect; `client_secret` makes Apple's.

pub(super) mod cached_document;
pub(super) mod client_secret;
pub(super) mod error_codes;
pub(super) mod flow;
pub(super) mod http;
pub(super) mod id_token;
pub(super) mod jwks;
pub(super) mod jws;
pub(super) mod notice;
pub(super) mod response;
pub(super) mod security_event;
