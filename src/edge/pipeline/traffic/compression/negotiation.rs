//! Chooses a content coding by `Accept-Encoding` (RFC 9110 §12.5.3).

use http::header::ACCEPT_ENCODING;

use crate::edge::{
    http::{header_list::HeaderList, header_values::all_elements},
    pipeline::encoding::Coding,
};

/// In the order of the gateway's preference.
const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

/// Whether a name in a request means this coding.
fn is_named(coding: Coding, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(coding.name().as_bytes())
        || (coding == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
}

/// The coding with the highest weight; of equal ones, the gateway's choice. `None` if the client accepts none, or would
/// rather have the plain response.
pub(crate) fn preferred(headers: &HeaderList) -> Option<Coding> {
    let weight_of = |is_named: &dyn Fn(&[u8]) -> bool| {
        all_elements(headers, ACCEPT_ENCODING).map(parse).find(|(name, _)| is_named(name)).map(|(_, weight)| weight)
    };
    let any = weight_of(&|name| name == b"*");
    let plain = weight_of(&|name| name.eq_ignore_ascii_case(b"identity")).unwrap_or_default();
    let weighted =
        CODINGS.map(|coding| (coding, weight_of(&|name| is_named(coding, name)).or(any).unwrap_or_default()));
    let mut best = None;
    for (coding, weight) in weighted {
        if weight > 0 && weight >= plain && best.is_none_or(|(_, highest)| weight > highest) {
            best = Some((coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// The name of an element and its weight in thousandths. A malformed weight is none: the coding is not used.
fn parse(element: &[u8]) -> (&[u8], u16) {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    (name, weight.map_or(1000, thousandths))
}

/// RFC 9110 §12.4.2.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, digits) = match text {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', digits @ ..] => (whole, digits),
        _ => return 0,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let fraction = digits.iter().chain(b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, fraction) {
        (b'0', fraction) => fraction,
        (b'1', 0) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_by_weights() {
        use Coding::{Brotli, Gzip, Zstd};
        for (accepted, coding) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("GZIP;Q=0.5 , Br ; q=0.4", Some(Gzip)),
            ("br;q=0, gzip;q=0.001", Some(Gzip)),
            ("br;q=0", None),
            ("*", Some(Zstd)),
            ("*;q=0.1, br;q=0, zstd;q=0", Some(Gzip)),
            ("*;q=0", None),
            ("gzip, *;q=0", Some(Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0", None),
            ("br;q=1.5", None),
            ("br;q=0.0001", None),
            ("br;q=x, gzip;q=1.000", Some(Gzip)),
            ("br;q=1.", Some(Brotli)),
            ("br;q=", None),
            ("deflate", None),
            ("", None),
        ] {
            let headers: HeaderList = [(ACCEPT_ENCODING, accepted)].into_iter().collect();
            assert_eq!(preferred(&headers), coding, "{accepted}");
        }
        assert_eq!(preferred(&HeaderList::default()), None);
        let two: HeaderList = [(ACCEPT_ENCODING, "gzip;q=0.3"), (ACCEPT_ENCODING, "br;q=0.2")].into_iter().collect();
        assert_eq!(preferred(&two), Some(Gzip));
    }
}
