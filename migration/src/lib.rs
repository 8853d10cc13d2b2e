//! The gateway's tables.
