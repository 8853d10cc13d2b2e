//! The health of services and their instances, which all cores share: requests in flight, failures in a row, and which
//! instances get no requests.
//!
//! A request writes only to memory of its own core, as long as nothing fails. Instances that are out are few, so that may
//! take a lock.

mod breaker;
mod counters;
mod instance;
mod service;

pub(crate) use self::{counters::Sums, instance::Removal};
pub use self::{instance::InstanceState, service::ServiceState};
