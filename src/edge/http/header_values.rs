//! Reads headers that hold a list (RFC 9110 §5.6.1).

use http::{HeaderName, header::TE};

use super::header_list::HeaderList;

/// The value of `TE` from a sender that accepts trailers.
pub(crate) const TRAILERS: &str = "trailers";

/// Whether the sender accepts trailers. All other values of `TE` concern only this connection (RFC 9110 §10.1.4).
pub(crate) fn wants_trailers(headers: &HeaderList) -> bool {
    all_elements(headers, TE).any(|coding| coding.eq_ignore_ascii_case(TRAILERS.as_bytes()))
}

/// The elements of a list header (RFC 9110 §5.6.1), over all headers of its name.
pub(crate) fn all_elements(headers: &HeaderList, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.all(name).flat_map(elements)
}

/// The elements of a list.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}
