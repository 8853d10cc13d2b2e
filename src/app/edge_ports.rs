//! The ports of the data plane, as the control plane serves them.

pub(super) mod control_plane;
pub(super) mod instances;
pub(super) mod publisher;
pub(super) mod resolver;
pub(super) mod shared_buckets;
