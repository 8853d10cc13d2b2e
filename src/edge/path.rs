//! Brings a request's path into the one form that is matched against routes, judged for access and sent upstream.
//!
//! What two servers could read differently is refused, never repaired: repairing means that policy judges a path that the
//! caller did not send, and the next server may repair it otherwise. The one thing that is rewritten is a percent-encoded
//! unreserved character (`%61` is `a`, RFC 3986 §6.2.2.2: they mean the same, and some clients encode `~` or `-`) together
//! with the case of the other escapes' hex digits. The rewritten string is then the only one there is: nothing after this
//! step sees what was sent.
//!
//! `;` is refused as well, plain or encoded: Tomcat and Spring cut path parameters off, so that `/users;x/me` or
//! `/open/..;/admin` is another path there than here.

use std::borrow::Cow;

use thiserror::Error;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum BadPath {
    /// Not `/…`.
    #[error("the request target is not a path")]
    NotAPath,
    /// `//`
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, plain or encoded.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `%2f` or `%5c`, or a plain `\`.
    #[error("the path has an encoded slash or a backslash")]
    HiddenSlash,
    /// `;` or `%3b`.
    #[error("the path has a semicolon")]
    PathParameter,
    /// A control character, encoded or not.
    #[error("the path has a control character")]
    ControlCharacter,
    /// `%` without two hex digits, or escapes that are not UTF-8.
    #[error("the path has an invalid escape")]
    InvalidEscape,
    /// A character that RFC 3986 §3.3 does not allow in a path.
    #[error("the path has a character that must be percent-encoded")]
    ForbiddenCharacter,
}

/// The canonical form of `path`, which is given without its query.
pub(super) fn canonical(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::NotAPath);
    }
    let canonical = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    let mut segment = 0;
    let bytes = canonical.as_bytes();
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        if byte == b'/' {
            judge_segment(&bytes[segment + 1..at])?;
            if at == segment + 1 {
                return Err(BadPath::EmptySegment);
            }
            segment = at;
        } else {
            judge_byte(byte)?;
        }
    }
    judge_segment(&bytes[segment + 1..])?;
    Ok(canonical)
}

fn judge_segment(segment: &[u8]) -> Result<(), BadPath> {
    if segment == b"." || segment == b".." { Err(BadPath::DotSegment) } else { Ok(()) }
}

fn judge_byte(byte: u8) -> Result<(), BadPath> {
    match byte {
        0..=0x1f | 0x7f => Err(BadPath::ControlCharacter),
        b'\\' => Err(BadPath::HiddenSlash),
        b';' => Err(BadPath::PathParameter),
        // pchar (RFC 3986 §3.3); a `%` that is still there was checked by `decode`.
        b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => Ok(()),
        _ if is_unreserved(byte) => Ok(()),
        _ => Err(BadPath::ForbiddenCharacter),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes escapes of unreserved characters, writes the others in upper case, and refuses those that could hide something.
fn decode(path: &str) -> Result<String, BadPath> {
    let mut canonical = String::with_capacity(path.len());
    // The escapes that stand side by side, decoded: a multi-byte character must be complete and well-formed.
    let mut run: Vec<u8> = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        if !before.is_empty() {
            judge_run(&mut run)?;
            canonical.push_str(before);
        }
        let digits = escape.get(1..3).ok_or(BadPath::InvalidEscape)?;
        // `from_str_radix` alone would take `+f`.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BadPath::InvalidEscape);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| BadPath::InvalidEscape)?;
        run.push(byte);
        match byte {
            0..=0x1f | 0x7f => return Err(BadPath::ControlCharacter),
            b'/' | b'\\' => return Err(BadPath::HiddenSlash),
            b';' => return Err(BadPath::PathParameter),
            _ if is_unreserved(byte) => canonical.push(char::from(byte)),
            _ => {
                canonical.push('%');
                canonical.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        rest = &escape[3..];
    }
    judge_run(&mut run)?;
    canonical.push_str(rest);
    Ok(canonical)
}

/// Overlong forms such as `%c0%af`, which lenient decoders read as `/`, are not UTF-8.
fn judge_run(run: &mut Vec<u8>) -> Result<(), BadPath> {
    let good = std::str::from_utf8(run).is_ok_and(|text| !text.chars().any(char::is_control));
    run.clear();
    if good { Ok(()) } else { Err(BadPath::InvalidEscape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_stays_as_it_is_and_is_not_copied() {
        for path in ["/", "/api", "/api/users/", "/a.b/c-d_e~f", "/a:b@c!$&'()*+,=", "/...", "/.well-known/x", "/a/..b"]
        {
            assert!(matches!(canonical(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn escapes_have_one_spelling() {
        for (sent, one) in [
            ("/%61pi/%75sers", "/api/users"),
            ("/%7Euser", "/~user"),
            ("/a%2Db", "/a-b"),
            ("/a%20b", "/a%20b"),
            ("/%ec%95%88", "/%EC%95%88"),
            ("/100%25", "/100%25"),
            ("/a%2ejson", "/a.json"),
        ] {
            assert_eq!(canonical(sent).as_deref(), Ok(one), "{sent}");
            assert_eq!(canonical(one).as_deref(), Ok(one), "{one} is stable");
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_refused() {
        for (path, why) in [
            ("", BadPath::NotAPath),
            ("*", BadPath::NotAPath),
            ("api", BadPath::NotAPath),
            ("//", BadPath::EmptySegment),
            ("/api//users", BadPath::EmptySegment),
            ("//api", BadPath::EmptySegment),
            ("/api/users//", BadPath::EmptySegment),
            ("/.", BadPath::DotSegment),
            ("/..", BadPath::DotSegment),
            ("/api/../x", BadPath::DotSegment),
            ("/api/./x", BadPath::DotSegment),
            ("/api/x/..", BadPath::DotSegment),
            ("/api/%2e%2e/x", BadPath::DotSegment),
            ("/api/%2E./x", BadPath::DotSegment),
            ("/api/.%2e", BadPath::DotSegment),
            ("/api/%2e", BadPath::DotSegment),
            ("/api%2fusers", BadPath::HiddenSlash),
            ("/api%2Fusers", BadPath::HiddenSlash),
            ("/api%5cusers", BadPath::HiddenSlash),
            ("/api\\users", BadPath::HiddenSlash),
            ("/api/..;/x", BadPath::PathParameter),
            ("/api/users;a=b/me", BadPath::PathParameter),
            ("/api/users%3b/me", BadPath::PathParameter),
            ("/;/", BadPath::PathParameter),
            ("/a%00", BadPath::ControlCharacter),
            ("/a%0d%0a", BadPath::ControlCharacter),
            ("/a%7f", BadPath::ControlCharacter),
            ("/a\u{1}", BadPath::ControlCharacter),
            ("/a%", BadPath::InvalidEscape),
            ("/a%2", BadPath::InvalidEscape),
            ("/a%zz", BadPath::InvalidEscape),
            ("/a%+f", BadPath::InvalidEscape),
            ("/a%u002f", BadPath::InvalidEscape),
            ("/%c0%af", BadPath::InvalidEscape),
            ("/%c0%ae%c0%ae/", BadPath::InvalidEscape),
            ("/%ec%95/%88", BadPath::InvalidEscape),
            ("/%c2%85", BadPath::InvalidEscape),
            ("/%é9", BadPath::InvalidEscape),
            ("/é", BadPath::ForbiddenCharacter),
            ("/a b", BadPath::ForbiddenCharacter),
            ("/a\"b", BadPath::ForbiddenCharacter),
            ("/a|b", BadPath::ForbiddenCharacter),
            ("/{a}", BadPath::ForbiddenCharacter),
            ("/a?b", BadPath::ForbiddenCharacter),
            ("/a#b", BadPath::ForbiddenCharacter),
        ] {
            assert_eq!(canonical(path), Err(why), "{path:?}");
        }
    }

    #[test]
    fn what_is_encoded_twice_stays_encoded() {
        assert_eq!(canonical("/%252e%252e%252fx").as_deref(), Ok("/%252e%252e%252fx"));
    }
}
