//! Accepts connections, assigns each to a core, and serves it in the HTTP version that the client speaks.

pub(crate) mod acceptor;
pub(crate) mod connection;
pub(crate) mod connection_limits;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod parts;
pub(crate) mod phase;
pub(crate) mod server;
pub(crate) mod thread_watch;
pub(crate) mod worker;
pub(crate) mod worker_loop;
