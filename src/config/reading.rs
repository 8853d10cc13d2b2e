//! Reads variables and files, and notes what is wrong with them.

pub(super) mod certificate;
pub(super) mod fields;
pub(super) mod file;
pub(super) mod reader;
mod regular_file;
pub(super) mod report;
pub(super) mod shapes;
pub(super) mod source;
pub(super) mod spelling;
mod synonyms;
pub(super) mod units;
