//! Limits on how much may be in use at a time.

pub(crate) mod buckets;
pub(crate) mod in_flight;
pub(crate) mod local_permit;
pub(crate) mod permit;
