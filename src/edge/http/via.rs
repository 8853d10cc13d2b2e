//! `Via` (RFC 9110 §7.6.3): the gateway's name in it, and whether a request has come back to where it left.
//!
//! A request to a service carries a pseudonym that stands for this process and the request's route. Everything that it
//! passes keeps `Via`, so a request that arrives by the same route at the same process has gone in a circle: an instance of the
//! service is the gateway itself, or leads back to it. Other gateways have other pseudonyms, so they may be chained in
//! any number; and a service may send a request on to another route, as a frontend does that hands `/api` back.

use std::io::Write;

use http::{Version, header::VIA};

use super::{header_list::HeaderList, header_values::all_elements};
use crate::domain::gateway::models::http::path::PathPrefix;

/// What distinguishes this process from all others: a random number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessMark(u64);

/// The gateway's name in `Via` for one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pseudonym([u8; LENGTH]);

/// `gateway-` and 16 digits.
const LENGTH: usize = 24;

impl ProcessMark {
    pub(crate) fn new(random: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(random))
    }

    /// The name for requests by the route with this prefix. Shows neither.
    pub(crate) fn pseudonym(self, route: &PathPrefix) -> Pseudonym {
        // FNV-1a from a secret start; the last step spreads the last bytes over all digits.
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = route.as_str().as_bytes().iter().fold(self.0, step);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mut text = *b"gateway-                ";
        // The rest is as long as 64 bits are.
        let _ = write!(&mut text[8..], "{:016x}", hash ^ (hash >> 32));
        Pseudonym(text)
    }

    /// Whether a request with these headers was sent by this process on the same route before.
    pub(crate) fn has_sent(self, headers: &HeaderList, route: &PathPrefix) -> bool {
        if !headers.contains(&VIA) {
            return false;
        }
        let own = self.pseudonym(route);
        all_elements(headers, VIA).any(|element| received_by(element) == Some(&own.0))
    }
}

impl Pseudonym {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The recipient's name in an element such as `1.1 name (comment)`.
fn received_by(element: &[u8]) -> Option<&[u8]> {
    element.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(1)
}

/// The version of a received message, as `Via` writes it.
pub(crate) fn received_protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    }
}

/// The value for a response that was received in this version. Clients do not learn the pseudonym of their request.
pub(crate) fn of_response(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0 gateway",
        Version::HTTP_2 => "2.0 gateway",
        _ => "1.1 gateway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderList {
        values.iter().map(|value| (VIA, *value)).collect()
    }

    #[test]
    fn only_the_same_route_of_the_same_process_is_a_loop() {
        let (ours, other) = (ProcessMark::new([1; 8]), ProcessMark::new([2; 8]));
        let [auth, board] = ["/api/auth", "/api/board"].map(|prefix| prefix.parse::<PathPrefix>().unwrap());
        let name = String::from_utf8(ours.pseudonym(&auth).as_bytes().to_vec()).unwrap();
        assert!(name.starts_with("gateway-") && name[8..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        for looped in [
            vec![format!("1.1 {name}")],
            vec!["1.1 cdn".to_owned(), format!("2.0 {name} (kept)")],
            vec![format!("1.0 fred,HTTP/1.1 \t{name} , 1.1 cdn")],
        ] {
            let headers = headers(&looped.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(ours.has_sent(&headers, &auth), "{looped:?}");
            assert!(!ours.has_sent(&headers, &board) && !other.has_sent(&headers, &auth), "{looped:?}");
        }
        let nearly =
            [String::new(), name.clone(), format!("1.1 {name}0"), format!("1.1 cdn ({name})"), "1.1".to_owned()];
        for value in nearly {
            assert!(!ours.has_sent(&headers(&[&value]), &auth), "{value}");
        }
        assert!(!ours.has_sent(&HeaderList::default(), &auth));
    }
}
