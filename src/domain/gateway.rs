//! The gateway's own concerns, one file per concern in every layer.
//!
//! A call enters at a controller and goes one way: controller → service → repository. Models are the words they share;
//! schemas are those words as they go over the wire. `tests/architecture.rs` holds the import rules.

pub mod controllers;
pub mod models;
pub mod repositories;
pub mod schemas;
pub mod services;
