//! Reads variables and files, and notes what is wrong with them.

pub(super) mod fields;
pub(super) mod file;
pub(super) mod reader;
pub(super) mod report;
pub(super) mod shapes;
pub(super) mod source;
pub(super) mod spelling;
pub(super) mod units;
