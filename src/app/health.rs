//! What operators learn of the gateway: whether it is ready, and the state of its parts.

pub(super) mod readiness;
pub(super) mod status;
