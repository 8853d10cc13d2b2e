//! Compresses what a service sends plain, on routes that say so: with the coding that the client prefers, for types that
//! shrink, and only if nothing about the response forbids it.

mod negotiation;

use http::{
    HeaderName, StatusCode,
    header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY},
};

use crate::edge::{
    http::{
        header_list::HeaderList,
        header_values::{all_elements, elements},
        message::BodyLength,
    },
    pipeline::{
        encoding::{Coding, Encoding},
        response_body::Response,
    },
};

/// Smaller bodies fit into a packet or two as they are.
const LEAST_BYTES: u64 = 1024;

/// Digests are about the bytes that are sent, or would be.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The coding that the client of a request prefers; `None`: the response must stay plain.
pub(crate) fn wanted(headers: &HeaderList) -> Option<Coding> {
    if forbids_changes(headers) { None } else { negotiation::preferred(headers) }
}

/// Compresses a response with this coding, if it may be and is worth it. The response to a `HEAD` gets the headers that
/// the one to a `GET` would have.
pub(crate) fn compress(coding: Option<Coding>, is_head: bool, response: &mut Response) {
    if !is_eligible(is_head, response) {
        return;
    }
    // The plain response is for clients with other preferences, too.
    vary(&mut response.headers);
    let Some(coding) = coding.filter(|_| response.status != StatusCode::NOT_MODIFIED) else { return };
    if is_head {
        response.length = BodyLength::None;
    } else {
        let Some(encoding) = Encoding::new(coding) else { return };
        response.length = BodyLength::Unknown;
        response.body.encode(encoding);
    }
    let headers = &mut response.headers;
    headers.insert(CONTENT_ENCODING, coding.name());
    headers.remove(&ACCEPT_RANGES);
    weaken(headers);
}

fn is_eligible(is_head: bool, response: &Response) -> bool {
    let (headers, status) = (&response.headers, response.status);
    let has_body = match status {
        // It stands for a response that may have been compressed.
        StatusCode::NOT_MODIFIED => return true,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT => false,
        _ => !status.is_informational(),
    };
    let is_long_enough = match response.length {
        BodyLength::Known(length) | BodyLength::Announced(length) => length >= LEAST_BYTES,
        BodyLength::Unknown => true,
        BodyLength::None => is_head,
    };
    has_body
        && is_long_enough
        && !headers.contains(&CONTENT_ENCODING)
        && !headers.contains(&CONTENT_RANGE)
        && !forbids_changes(headers)
        && !DIGESTS.iter().any(|name| headers.contains(name))
        && headers.get(&CONTENT_TYPE).is_some_and(is_compressible)
}

/// RFC 9111 §5.2.1.6, §5.2.2.6.
fn forbids_changes(headers: &HeaderList) -> bool {
    all_elements(headers, CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Whether bodies of this type shrink. Event streams never do: each event must arrive at once.
fn is_compressible(content_type: &[u8]) -> bool {
    const TYPES: [&str; 14] = [
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/rtf",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xhtml+xml",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/svg+xml",
    ];
    let kind = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let Ok(kind) = std::str::from_utf8(&kind) else { return false };
    if kind == "text/event-stream" {
        return false;
    }
    kind.starts_with("text/") || kind.ends_with("+json") || kind.ends_with("+xml") || TYPES.contains(&kind)
}

fn vary(headers: &mut HeaderList) {
    let names = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    if !headers.all(VARY).flat_map(elements).any(names) {
        headers.append(VARY, "accept-encoding");
    }
}

/// The tag of other bytes with the same meaning (RFC 9110 §8.8.3.3).
fn weaken(headers: &mut HeaderList) {
    if let Some(tag) = headers.share(&ETAG)
        && !tag.starts_with(b"W/")
    {
        headers.insert(ETAG, [&b"W/"[..], &tag].concat());
    }
}

#[cfg(test)]
mod tests;
