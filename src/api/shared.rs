//! What all routers share: reading requests, and building responses and pages.

pub(super) mod context;
pub(super) mod cors;
pub(super) mod extract;
pub(super) mod operators;
pub(super) mod pages;
pub(super) mod problems;
