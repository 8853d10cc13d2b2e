//! Values that many concerns share: ids, digests, secrets, scopes, the identity of a caller, the size of a page.

pub mod digest;
pub mod id;
pub mod identity;
pub mod paging;
pub mod scope;
pub mod secret;
