//! The data plane: accepts connections, proxies `/api/…` to services from one immutable [`snapshot::Snapshot`], and hands
//! everything else to the [`ports::ControlPlane`].
//!
//! It never touches a repository, never awaits a database, and shares no lock between cores per request.
//!
//! A connection goes `accept` → `worker` (one per core) → `connection` (with `tls`, or
//! without) → `conversation` (HTTP/1.x, on a `wire`: heads are read
//! by `head`, bodies by `framing`, and written by `output`) or `http2` (the h2 library; `frames` keep the time, and count
//! `trailers`). Either way a request
//! and its answer are a `message` with a `header_list`. A request goes
//! through `pipeline`: `fields` → `client` → `path` → `view` → `headers` → `cors` → `authenticate` (`session`, `linked`; `caller`) →
//! `browser` or `provider_token` → `buffering` → `in_flight` (`permits`; `shortage`) → `outgoing` (`ours`) →
//! `balance` → `forward` (`upload`; `pool` and `exchange`, or `multiplex` (`service_frames`) and `http2_exchange`; `names`; `retry`) → `redirects` → `body` (`stream` ends it) →
//! `access_log`; or to
//! `own_path`. After a 101 (`upgrade`) the connection goes on as a `tunnel`.

pub mod browser;
pub mod names;
pub mod ports;
pub mod server;
pub mod snapshot;
pub mod tls;

mod accept;
mod access_log;
mod alive;
mod answer_head;
mod auth;
mod authority;
mod balance;
mod bearer;
mod body;
mod body_encoder;
mod body_length;
mod buffer;
mod buffering;
mod cache;
mod caller;
mod client;
mod cluster;
mod connection;
mod connector;
mod conversation;
mod cookies;
mod core;
mod cors;
mod date;
mod deadlines;
mod endpoint;
mod error;
mod error_response;
mod exchange;
mod few;
mod field_line;
mod fields;
mod fingerprint;
mod forward;
mod forwarded;
mod frames;
mod framing;
mod head;
mod header_block;
mod header_list;
mod header_names;
mod header_values;
mod headers;
mod http2;
mod http2_body;
mod http2_exchange;
mod in_flight;
mod incoming;
mod limits;
mod lingering_close;
mod linked;
mod local;
mod lookup;
mod message;
mod multiplex;
mod ours;
mod outgoing;
mod output;
mod own_path;
mod parts;
mod path;
mod permits;
mod pipeline;
mod pool;
mod provider_token;
mod redirects;
mod request_facts;
mod request_id;
mod response_encoder;
mod retry;
mod router;
mod service_frames;
mod session;
mod shortage;
mod socket;
mod stream;
mod tcp;
mod trace;
mod trailers;
mod tunnel;
mod upgrade;
mod upload;
mod upstream;
mod upstream_body;
mod watchdog;
mod wire;
mod worker;

#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod steps;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use self::{parts::Parts, server::Edge};
