//! Coarse timers, one per core and purpose: no request costs a timer of its own.

pub(crate) mod client_timeouts;
pub(crate) mod deadlines;
pub(crate) mod stream_guard;
