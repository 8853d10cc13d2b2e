//! W3C trace context: a valid `traceparent` is continued under a new parent id, an invalid one is replaced, and then its
//! `tracestate` is dropped with it (W3C Trace Context §3.2, §3.3).

use http::{HeaderMap, HeaderName};

/// `traceparent`
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A new trace is marked as sampled: a service that follows its parent's decision would otherwise never record anything.
const SAMPLED: u8 = 1;

/// What a valid `traceparent` says that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: [u8; 32],
    flags: u8,
}

/// The `traceparent` that makes us the parent of what the service does; the one that came is taken out. `random` is the new
/// parent id (8 bytes) and, if need be, the trace id.
pub(super) fn continue_trace(headers: &mut HeaderMap, random: [u8; 24]) -> String {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let known = match (values.next(), values.next()) {
        (Some(one), None) => parse(one.as_bytes()),
        (None | Some(_), _) => None,
    };
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    if let Some(trace) = known {
        text.extend(trace.id.map(char::from));
    } else {
        headers.remove(TRACESTATE);
        hex(&mut text, &random[8..]);
    }
    text.push('-');
    hex(&mut text, &random[..8]);
    text.push('-');
    hex(&mut text, &[known.map_or(SAMPLED, |trace| trace.flags)]);
    headers.remove(TRACEPARENT);
    text
}

fn parse(text: &[u8]) -> Option<Trace> {
    let is_hex = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |text: &[u8]| text.iter().all(|&byte| byte == b'0');
    let (known, later) = text.split_at_checked(55)?;
    let (version, id, parent, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let dashes = [2, 35, 52].into_iter().all(|at| known[at] == b'-');
    let hex = [version, id, parent, flags].into_iter().all(is_hex);
    // Later versions may say more behind another dash; version 00 may not.
    let length = later.is_empty() || (version != b"00" && later[0] == b'-');
    if !dashes || !hex || !length || version == b"ff" || is_zero(id) || is_zero(parent) {
        return None;
    }
    // Version 00 knows one flag; the others must be sent as zero.
    let flags = u8::from_str_radix(std::str::from_utf8(flags).ok()?, 16).ok()? & SAMPLED;
    Some(Trace { id: id.try_into().ok()?, flags })
}

fn hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn continued(parents: &[&str]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for value in parents {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let traceparent = continue_trace(&mut headers, [0xab; 24]);
        assert!(!headers.contains_key(TRACEPARENT));
        (traceparent, headers.contains_key(TRACESTATE))
    }

    #[test]
    fn a_valid_trace_goes_on_under_a_new_parent() {
        for (sent, flags) in [
            (format!("00-{ID}-b7ad6b7169203331-01"), "01"),
            (format!("00-{ID}-b7ad6b7169203331-00"), "00"),
            (format!("00-{ID}-b7ad6b7169203331-ff"), "01"),
            (format!("cc-{ID}-b7ad6b7169203331-01-what-comes-later"), "01"),
        ] {
            assert_eq!(continued(&[&sent]), (format!("00-{ID}-abababababababab-{flags}"), true), "{sent}");
        }
    }

    #[test]
    fn an_invalid_one_is_replaced_and_its_state_dropped() {
        let good = format!("00-{ID}-b7ad6b7169203331-01");
        let replaced = (format!("00-{}-abababababababab-01", "ab".repeat(16)), false);
        for sent in [
            String::new(),
            "00".to_owned(),
            format!("ff-{ID}-b7ad6b7169203331-01"),
            format!("00-{ID}-b7ad6b7169203331-01-x"),
            format!("cc-{ID}-b7ad6b7169203331-01.x"),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            good.to_uppercase(),
            good.replace('-', "_"),
            good.replace("0af", "0ag"),
        ] {
            assert_eq!(continued(&[&sent]), replaced, "{sent}");
        }
        assert_eq!(continued(&[&good, &good]), replaced);
        assert_eq!(continued(&[]), replaced);
    }
}
