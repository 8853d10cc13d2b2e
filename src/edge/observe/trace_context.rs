//! W3C trace context: a valid `traceparent` is continued under a new parent id; an invalid one is replaced, and its
//! `tracestate` is dropped with it (W3C Trace Context §3.2, §3.3).

use http::HeaderName;

use crate::edge::http::header_list::HeaderList;

/// `traceparent`
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A new trace is marked as sampled: a service that follows its parent's decision would otherwise never record anything.
const SAMPLED: u8 = 1;

/// The forwarded contents of a valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: [u8; 32],
    flags: u8,
}

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// A `traceparent` in its sent form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traceparent([u8; LENGTH]);

impl Traceparent {
    /// The header's value.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The trace to which it belongs.
    pub(crate) fn id(&self) -> TraceId {
        let mut id = [0; 32];
        id.copy_from_slice(&self.0[3..35]);
        TraceId(id)
    }
}

/// The id of a trace, in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

impl TraceId {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The `traceparent` that makes the gateway the parent of the service's work; the received one is removed. `random` is
/// the new parent id (8 bytes) and, if needed, the trace id.
pub(crate) fn continue_trace(headers: &mut HeaderList, random: [u8; 24]) -> Traceparent {
    let known = known_trace(headers);
    let mut text = *b"00-................................-................-..";
    let (parent, id) = random.split_at(8);
    match known {
        Some(trace) => text[3..35].copy_from_slice(&trace.id),
        None => hex(&mut text[3..35], id),
    }
    hex(&mut text[36..52], parent);
    hex(&mut text[53..], &[known.map_or(SAMPLED, |trace| trace.flags)]);
    let keeps_state = known.is_some();
    headers.retain(|name, _| *name != TRACEPARENT && (keeps_state || *name != TRACESTATE));
    Traceparent(text)
}

/// The contents of the `traceparent`, if there is exactly one and it is valid.
fn known_trace(headers: &HeaderList) -> Option<Trace> {
    let mut values = headers.all(TRACEPARENT);
    match (values.next(), values.next()) {
        (Some(one), None) => parse(one),
        (None | Some(_), _) => None,
    }
}

fn parse(text: &[u8]) -> Option<Trace> {
    let is_hex = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |text: &[u8]| text.iter().all(|&byte| byte == b'0');
    let (known, later) = text.split_at_checked(LENGTH)?;
    let (version, id, parent, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let dashes = [2, 35, 52].into_iter().all(|at| known[at] == b'-');
    let hex = [version, id, parent, flags].into_iter().all(is_hex);
    // Later versions may have more after another dash; version 00 may not.
    let length = later.is_empty() || (version != b"00" && later[0] == b'-');
    if !dashes || !hex || !length || version == b"ff" || is_zero(id) || is_zero(parent) {
        return None;
    }
    // Version 00 defines one flag; the others must be sent as zero.
    let flags = u8::from_str_radix(std::str::from_utf8(flags).ok()?, 16).ok()? & SAMPLED;
    Some(Trace { id: id.try_into().ok()?, flags })
}

/// Writes two digits for each byte.
fn hex(digits: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (two, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        two[0] = DIGITS[usize::from(byte >> 4)];
        two[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn continued(parents: &[&str]) -> (String, bool) {
        let mut headers = HeaderList::default();
        for value in parents {
            headers.append(TRACEPARENT, value);
        }
        headers.insert(TRACESTATE, "a=b");
        let traceparent = continue_trace(&mut headers, [0xab; 24]);
        assert!(!headers.contains(&TRACEPARENT));
        let text = String::from_utf8(traceparent.as_bytes().to_vec()).unwrap();
        assert_eq!(text.split('-').nth(1), Some(traceparent.id().as_str()));
        (text, headers.contains(&TRACESTATE))
    }

    #[test]
    fn a_valid_trace_continues_under_a_new_parent() {
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
    fn an_invalid_traceparent_is_replaced_and_its_state_dropped() {
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
