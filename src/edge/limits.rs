//! How much of something there may be at a time.

pub(crate) mod in_flight;
pub(crate) mod local_permit;
pub(crate) mod permit;
