//! What the models know of HTTP: addresses, paths, headers, cookies, and the pages that browsers show.

pub mod credential;
pub mod header;
pub mod header_rules;
pub mod network;
pub mod origin;
pub mod page;
pub mod path;
