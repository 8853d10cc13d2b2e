//! Values that many concerns share: ids, digests, secrets, scopes, the identity of a caller, the size of a page,
//! the pace of lines in the log.

pub mod digest;
pub mod id;
pub mod identity;
pub mod pace;
pub mod paging;
pub mod scope;
pub mod secret;
