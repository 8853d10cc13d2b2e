//! The checks of the fuzz targets in `fuzz/` on the parsers of the data plane. Not part of the binary: compiled with
//! the feature `fuzz` only. Each function panics when a property does not hold; the tests run it with the seeds in
//! `fuzz/seeds`.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Uri, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING},
};

use crate::edge::{
    http::{
        cookies,
        field_line::{put_header, put_length},
        header_list::HeaderList,
        message::{BodyLength, RequestHead},
        path,
        sanitize::sanitise_request,
    },
    http1::{
        body_decoder::{BadBody, BodyDecoder, BodyPart},
        body_framing::BodyFraming,
        request_head::{self, BadHead, MAX_HEADERS},
    },
    http2::validate,
};

/// An HTTP/1.x request head. Its end does not depend on how the bytes arrive, and httparse reads the same request.
pub fn http1_head(bytes: &[u8]) {
    let whole = request_head::end(bytes, &mut 0);
    assert_eq!(whole.ok(), end_byte_by_byte(bytes).ok(), "the end of the head depends on how the bytes arrive");
    let Ok(Some(end)) = whole else { return };
    let Ok(head) = request_head::parse(&Bytes::copy_from_slice(&bytes[..end])) else { return };
    let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut oracle = httparse::Request::new(&mut room);
    assert_eq!(oracle.parse(bytes), Ok(httparse::Status::Complete(end)), "httparse sees another end");
    assert_eq!(oracle.method, Some(head.request.method.as_str()));
    let target = oracle.path.unwrap_or_default();
    // A bare authority, which is for CONNECT, has no path.
    let written = if head.request.uri.scheme().is_some() { with_path(target) } else { target.to_owned() };
    let read = head.request.uri.to_string();
    assert_eq!(one_case(read.trim_start_matches('/')), one_case(written.trim_start_matches('/')));
    // The framing headers are removed from the list, and compared separately.
    let frames =
        |name: &str| name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
    let ours = head.request.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH && **name != TRANSFER_ENCODING);
    let theirs = oracle.headers.iter().filter(|header| !frames(header.name));
    assert!(
        ours.map(|(name, value)| (name.as_str().to_owned(), value))
            .eq(theirs.clone().map(|header| (header.name.to_ascii_lowercase(), header.value))),
        "httparse reads other headers"
    );
    let said = |name: &'static str| oracle.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    let lengths: Vec<&[u8]> = said("content-length").map(|header| header.value).collect();
    match head.framing {
        BodyFraming::Chunked => assert!(lengths.is_empty() && said("transfer-encoding").count() == 1),
        BodyFraming::Length(length) => {
            assert_eq!(said("transfer-encoding").count(), 0);
            assert!(lengths.len() <= 1 && lengths.iter().all(|text| *text == length.to_string().as_bytes()));
            assert!(length == 0 || !lengths.is_empty());
        }
        BodyFraming::UntilClose => unreachable!("a request does not end with the connection"),
    }
}

/// A target with its scheme, if it has one, in lower case: schemes are case-insensitive (RFC 9110 §4.2.3).
fn one_case(target: &str) -> String {
    let (scheme, rest) = target.split_at(target.find("://").unwrap_or(0));
    format!("{}{rest}", scheme.to_ascii_lowercase())
}

/// An absolute target. An empty path becomes `/` (RFC 9112 §3.2.2).
fn with_path(target: &str) -> String {
    let begins = target.find("://").map_or(0, |at| at + "://".len());
    let ends = target[begins..].find(['/', '?']).map_or(target.len(), |at| begins + at);
    let (authority, rest) = target.split_at(ends);
    if rest.starts_with('/') { target.to_owned() } else { format!("{authority}/{rest}") }
}

/// The end of a head when its bytes arrive one by one.
fn end_byte_by_byte(bytes: &[u8]) -> Result<Option<usize>, BadHead> {
    let mut scanned = 0;
    for length in 1..=bytes.len() {
        match request_head::end(&bytes[..length], &mut scanned) {
            Ok(None) => {}
            found => return found,
        }
    }
    Ok(None)
}

/// An HTTP/1.x body. The first byte chooses its framing, the second how many bytes arrive at a time. The decoded body
/// does not depend on how they arrive.
pub fn http1_body(bytes: &[u8]) {
    let [kind, size, stream @ ..] = bytes else { return };
    let framing = match kind % 4 {
        0 => BodyFraming::UntilClose,
        1 => BodyFraming::Length(u64::from(kind / 4)),
        _ => BodyFraming::Chunked,
    };
    for padded in [false, true] {
        let decoder = || if padded { BodyDecoder::of_response(framing) } else { BodyDecoder::of_request(framing) };
        let whole = body(decoder(), stream, stream.len().max(1));
        assert_eq!(whole, body(decoder(), stream, usize::from(*size).max(1)), "the body depends on how it arrives");
        if let (Ok((data, _, rest)), BodyFraming::Length(length)) = (&whole, framing) {
            assert!(data.len() as u64 <= length && (rest.is_empty() || data.len() as u64 == length));
        }
    }
}

/// The data, the number of trailers, and the rest of the input.
fn body(mut decoder: BodyDecoder, stream: &[u8], size: usize) -> Result<(Vec<u8>, usize, Vec<u8>), BadBody> {
    let (mut input, mut data, mut trailers) = (BytesMut::new(), Vec::new(), 0);
    for part in stream.chunks(size) {
        input.extend_from_slice(part);
        while let Some(piece) = decoder.next(&mut input)? {
            match piece {
                BodyPart::Data(bytes) => data.extend_from_slice(&bytes),
                BodyPart::Trailers(lines) => trailers += lines.len(),
            }
        }
    }
    Ok((data, trailers, input.to_vec()))
}

/// The `Cookie` headers of a request, one a line. None of the gateway's cookies is left for a service, and the others
/// are unchanged.
pub fn cookies(bytes: &[u8]) {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| http::HeaderValue::from_bytes(line).is_ok());
    let mut headers: HeaderList = lines.map(|line| (COOKIE, line)).collect();
    let names = |headers: &HeaderList| -> Vec<Vec<u8>> {
        let pairs = headers.all(COOKIE).flat_map(|value| value.split(|&byte| byte == b';'));
        let name =
            |pair: &[u8]| pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        pairs.map(name).filter(|name| !name.is_empty()).collect()
    };
    let is_gateway_cookie = |name: &Vec<u8>| {
        let bare = name.strip_prefix(b"__host-").or_else(|| name.strip_prefix(b"__secure-")).unwrap_or(name);
        bare.starts_with(b"gateway_")
    };
    let others: Vec<_> = names(&headers).into_iter().filter(|name| !is_gateway_cookie(name)).collect();
    cookies::remove_ours_from_request(&mut headers);
    assert_eq!(names(&headers), others);
}

/// A path. Its canonical form is canonical, and no reading of it has a dot segment.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(one) = path::canonical(text) else { return };
    assert_eq!(path::canonical(&one.path).as_ref(), Ok(&one), "the canonical form is not canonical");
    let lenient = one.path.replace("%2F", "/").replace("%5C", "/").replace("%3B", ";").replace('\\', "/");
    let segments = lenient.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    assert!(
        lenient.starts_with('/') && !segments.into_iter().any(|segment| matches!(segment, "." | "..")),
        "{lenient}"
    );
}

/// An HTTP/2 request as hyper and h2 accept it: the first line is its target, the others are headers, and its body
/// follows an empty line. If it is accepted, its head over HTTP/1.1 is parsed as the same message.
pub fn http2_to_http1(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let Ok(uri) = Uri::try_from(lines.next().unwrap_or_default()) else { return };
    let headers = lines.by_ref().take_while(|line| !line.is_empty()).filter_map(|line| {
        let colon = line.iter().skip(1).position(|&byte| byte == b':')? + 1;
        let name = HeaderName::from_lowercase(&line[..colon]).ok()?;
        // The library refuses these (RFC 9113 §8.2.2).
        let is_of_connection = matches!(name.as_str(), "transfer-encoding" | "connection" | "upgrade" | "keep-alive");
        (!is_of_connection).then_some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
    });
    let mut request =
        RequestHead { uri, headers: headers.collect(), version: Version::HTTP_2, ..RequestHead::default() };
    let has_body = lines.next().is_some();
    if validate::validate(&mut request, has_body).is_err() {
        return;
    }
    sanitise_request(&mut request.headers);
    request.headers.remove(&HOST);
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("GET {target} HTTP/1.1\r\nhost: a\r\n").into_bytes();
    request.headers.put(&mut head);
    let framing = match request.length {
        BodyLength::Known(length) => {
            put_length(length, &mut head);
            BodyFraming::Length(length)
        }
        BodyLength::Unknown => {
            put_header("transfer-encoding", b"chunked", &mut head);
            BodyFraming::Chunked
        }
        BodyLength::None | BodyLength::Announced(_) => BodyFraming::Length(0),
    };
    head.extend_from_slice(b"\r\n");
    if head.len() > request_head::MAX_HEAD_BYTES {
        return;
    }
    assert_eq!(request_head::end(&head, &mut 0), Ok(Some(head.len())), "{}", head.escape_ascii());
    match request_head::parse(&Bytes::from(head)) {
        // A service may accept more headers than the gateway. That changes nothing in how they are read.
        Err(BadHead::TooLarge) => {}
        read => {
            let read = read.map(|read| (read.request.uri.to_string(), read.framing));
            assert_eq!(read, Ok((target.to_owned(), framing)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_seeds_hold_all_properties() {
        type Target = fn(&[u8]);
        let targets: [(&str, Target); 5] = [
            ("http1_head", http1_head),
            ("http1_body", http1_body),
            ("http2_to_http1", http2_to_http1),
            ("cookies", cookies),
            ("path", path),
        ];
        for (name, target) in targets {
            let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
            let seeds: Vec<_> =
                fs::read_dir(seeds).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect();
            assert!(!seeds.is_empty(), "{name} has no seed");
            // Also each seed truncated anywhere.
            for seed in &seeds {
                (0..=seed.len()).for_each(|length| target(&seed[..length]));
            }
        }
    }
}
