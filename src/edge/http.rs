//! HTTP messages, independent of the version, and pure rules about them, without any I/O.

pub(crate) mod authority;
pub(crate) mod client_address;
pub(crate) mod cookies;
pub(crate) mod date;
pub(crate) mod field_line;
pub(crate) mod forwarded;
pub(crate) mod header_list;
pub(crate) mod header_names;
pub(crate) mod header_values;
pub(crate) mod message;
pub(crate) mod path;
pub(crate) mod sanitize;
pub(crate) mod via;
