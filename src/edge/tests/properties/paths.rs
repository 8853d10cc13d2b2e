use std::borrow::Cow;

use proptest::prelude::*;

use super::{cases, hostile_path};
use crate::edge::path::canonical;

/// All escapes undone, as the most lenient server would.
fn decoded(path: &str) -> Vec<u8> {
    let (mut bytes, mut decoded) = (path.as_bytes(), Vec::new());
    while let [first, rest @ ..] = bytes {
        let escape = rest.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let value = escape.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let (byte, after) = match value {
            Some(digits) => (u8::from_str_radix(digits, 16).unwrap(), &rest[2..]),
            None => (*first, rest),
        };
        decoded.push(byte);
        bytes = after;
    }
    decoded
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_passes_is_in_its_one_form(path in hostile_path()) {
        if let Ok(one) = canonical(&path) {
            prop_assert_eq!(canonical(&one), Ok(Cow::Borrowed(&*one)));
        }
    }

    #[test]
    fn nothing_is_repaired(path in hostile_path()) {
        if let Ok(one) = canonical(&path) {
            prop_assert_eq!(decoded(&one), decoded(&path), "the same characters");
            prop_assert_eq!(one.matches('/').count(), path.matches('/').count(), "in the same segments");
        }
    }

    #[test]
    fn no_server_can_read_it_differently(path in hostile_path()) {
        if let Ok(one) = canonical(&path) {
            prop_assert!(one.starts_with('/'));
            prop_assert!(one.bytes().all(|byte| byte.is_ascii_graphic() && !br#"\;?#"<>{}|^`[]"#.contains(&byte)), "{}", one);
            let decoded = decoded(&one);
            prop_assert!(std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control)), "{}", one);
            prop_assert!(!decoded.contains(&b'\\') && !decoded.contains(&b';'), "{}", one);
            let segments: Vec<&[u8]> = decoded.split(|&byte| byte == b'/').skip(1).collect();
            prop_assert_eq!(segments.len(), one.matches('/').count(), "{}", one);
            let (last, others) = segments.split_last().unwrap();
            prop_assert!(others.iter().all(|segment| !segment.is_empty()), "{}", one);
            prop_assert!(others.iter().chain([last]).all(|segment| *segment != b"." && *segment != b".."), "{}", one);
        }
    }

    #[test]
    fn a_plain_path_is_never_refused(path in "(/[A-Za-z0-9_~!$&'()*+,=:@-]{1,9}){0,6}/?") {
        let expected = if path.is_empty() { None } else { Some(path.as_str()) };
        let canonical = canonical(&path).ok();
        prop_assert_eq!(canonical.as_deref(), expected);
    }
}
