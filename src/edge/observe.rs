//! Records of a request: the access log, request ids and traces.

pub(crate) mod access_log;
pub(crate) mod request_id;
pub(crate) mod trace_context;
