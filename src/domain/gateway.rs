//! The gateway's own concerns, one file per concern in every layer.
//!
//! A call enters at a controller and goes one way: controller → service → repository. Models are the types that they
//! share; schemas are their forms on the wire. `tests/architecture.rs` holds the import rules.

pub mod controllers;
pub mod models;
pub mod repositories;
pub mod schemas;
pub mod services;
