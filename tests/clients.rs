//! The gateway with independent programs and libraries: how they read our tokens and keys, sign people in, and send
//! requests through it.

mod common;
#[path = "clients/contract.rs"]
mod contract;
#[path = "clients/curl.rs"]
mod curl;
#[path = "clients/depot.rs"]
mod depot;
#[path = "clients/grpc.rs"]
mod grpc;
#[path = "clients/manual.rs"]
mod manual;
#[path = "clients/nghttp2.rs"]
mod nghttp2;
#[path = "clients/oauth2.rs"]
mod oauth2;
#[path = "clients/oidc_provider.rs"]
mod oidc_provider;
#[path = "clients/programs.rs"]
mod programs;
#[path = "clients/schema.rs"]
mod schema;
#[path = "clients/sessions.rs"]
mod sessions;
#[path = "clients/sockets.rs"]
mod sockets;
#[path = "clients/tokens.rs"]
mod tokens;
#[path = "clients/workers.rs"]
mod workers;
