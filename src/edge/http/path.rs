//! Brings a request's path into the one form that is matched against routes, checked for access and sent upstream
//! (`models::path`).
//!
//! A path that two servers could read differently is refused, never repaired: with a repair, policy would check a path
//! that the caller did not send, and the next server might repair it differently. There is one rewrite: a
//! percent-encoded character that may stand unencoded in a path is decoded (`%61` is `a`, `%3A` is `:`: services treat
//! both as equal), and the hex digits of the other escapes are changed to upper case. The rewritten string replaces the
//! original: nothing after this step sees the path as it was sent.
//!
//! `%2F`, `%5C`, `;` and `//` also mean different things to different servers: Tomcat and Spring cut path parameters
//! off, so that `/users;x/me` or `/open/..;/admin` is a different path there than here. They are recorded here and
//! refused later, except on routes that allow them. Dot segments are refused in every reading.

use std::borrow::Cow;

use thiserror::Error;

use crate::domain::gateway::models::http::path::{Spelling, Spellings, stands_for_itself};

/// The reason why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BadPath {
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

impl From<Spelling> for BadPath {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::EncodedSlash | Spelling::EncodedBackslash => Self::HiddenSlash,
            Spelling::Semicolon => Self::PathParameter,
            Spelling::DoubleSlash => Self::EmptySegment,
        }
    }
}

/// A path in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canonical<'p> {
    pub(crate) path: Cow<'p, str>,
    /// The spellings in it that only some routes allow.
    pub(crate) spellings: Spellings,
}

/// The canonical form of `path`, which is given without its query.
pub(crate) fn canonical(path: &str) -> Result<Canonical<'_>, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::NotAPath);
    }
    let canonical = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    let mut spellings = Spellings::NONE;
    // The start of the piece that some server could read as a segment.
    let mut piece = 1;
    let bytes = canonical.as_bytes();
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            b'/' => {
                check_piece(&bytes[piece..at])?;
                if bytes[at - 1] == b'/' {
                    spellings.insert(Spelling::DoubleSlash);
                }
                piece = at + 1;
            }
            b';' => spellings.insert(Spelling::Semicolon),
            // In upper case, as `decode` has written it.
            b'%' => match &bytes[at + 1..] {
                [b'2', b'F', ..] => {
                    check_piece(&bytes[piece..at])?;
                    spellings.insert(Spelling::EncodedSlash);
                    piece = at + 3;
                }
                [b'5', b'C', ..] => {
                    check_piece(&bytes[piece..at])?;
                    spellings.insert(Spelling::EncodedBackslash);
                    piece = at + 3;
                }
                [b'3', b'B', ..] => spellings.insert(Spelling::Semicolon),
                _ => {}
            },
            _ => check_byte(byte)?,
        }
    }
    check_piece(&bytes[piece..])?;
    Ok(Canonical { path: canonical, spellings })
}

/// Refuses a piece that a server could read as a dot segment, with parameters or without.
fn check_piece(piece: &[u8]) -> Result<(), BadPath> {
    let (b"." | b"..", rest) = piece.split_at(piece.iter().take(2).take_while(|&&byte| byte == b'.').count()) else {
        return Ok(());
    };
    let is_whole = rest.is_empty() || rest.starts_with(b";") || rest.starts_with(b"%3B");
    if is_whole { Err(BadPath::DotSegment) } else { Ok(()) }
}

fn check_byte(byte: u8) -> Result<(), BadPath> {
    match byte {
        _ if stands_for_itself(byte) => Ok(()),
        0..=0x1f | 0x7f => Err(BadPath::ControlCharacter),
        b'\\' => Err(BadPath::HiddenSlash),
        _ => Err(BadPath::ForbiddenCharacter),
    }
}

/// Decodes escapes of characters that may stand unencoded in a path, writes the others in upper case, and refuses those
/// that are never valid in a path.
fn decode(path: &str) -> Result<String, BadPath> {
    let mut canonical = String::with_capacity(path.len());
    // Adjacent escapes, decoded: a multi-byte character must be complete and well-formed.
    let mut run: Vec<u8> = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        if !before.is_empty() {
            check_run(&mut run)?;
            canonical.push_str(before);
        }
        let digits = escape.get(1..3).ok_or(BadPath::InvalidEscape)?;
        // `from_str_radix` alone would accept `+f`.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BadPath::InvalidEscape);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| BadPath::InvalidEscape)?;
        run.push(byte);
        match byte {
            0..=0x1f | 0x7f => return Err(BadPath::ControlCharacter),
            _ if stands_for_itself(byte) => canonical.push(char::from(byte)),
            _ => {
                canonical.push('%');
                canonical.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
            }
        }
        rest = &escape[3..];
    }
    check_run(&mut run)?;
    canonical.push_str(rest);
    Ok(canonical)
}

/// Refuses invalid UTF-8, such as overlong forms like `%c0%af`, which lenient decoders read as `/`, and control
/// characters.
fn check_run(run: &mut Vec<u8>) -> Result<(), BadPath> {
    let good = std::str::from_utf8(run).is_ok_and(|text| !text.chars().any(char::is_control));
    run.clear();
    if good { Ok(()) } else { Err(BadPath::InvalidEscape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_unchanged_and_not_copied() {
        for path in ["/", "/api", "/api/users/", "/a.b/c-d_e~f", "/a:b@c!$&'()*+,=", "/...", "/.well-known/x", "/a/..b"]
        {
            let Canonical { path: same, spellings } = canonical(path).unwrap();
            assert!(matches!(same, Cow::Borrowed(same) if same == path) && spellings.is_empty(), "{path}");
        }
    }

    #[test]
    fn escapes_have_one_spelling() {
        for (sent, one) in [
            ("/%61pi/%75sers", "/api/users"),
            ("/%7Euser", "/~user"),
            ("/a%2Db", "/a-b"),
            ("/a%3ab%40c", "/a:b@c"),
            ("/%21%24%26%27%28%29%2a%2B%2c%3d", "/!$&'()*+,="),
            ("/a%20b", "/a%20b"),
            ("/%22%23%3c%3E%3f%5b%5d%5e%60%7b%7c%7d", "/%22%23%3C%3E%3F%5B%5D%5E%60%7B%7C%7D"),
            ("/%ec%95%88", "/%EC%95%88"),
            ("/100%25", "/100%25"),
            ("/a%2ejson", "/a.json"),
        ] {
            for path in [sent, one] {
                let Canonical { path: found, spellings } = canonical(path).unwrap();
                assert!(found == one && spellings.is_empty(), "{path}");
            }
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (path, why) in [
            ("", BadPath::NotAPath),
            ("*", BadPath::NotAPath),
            ("api", BadPath::NotAPath),
            ("/.", BadPath::DotSegment),
            ("/..", BadPath::DotSegment),
            ("/api/../x", BadPath::DotSegment),
            ("/api/./x", BadPath::DotSegment),
            ("/api/x/..", BadPath::DotSegment),
            ("/api/%2e%2e/x", BadPath::DotSegment),
            ("/api/%2E./x", BadPath::DotSegment),
            ("/api/.%2e", BadPath::DotSegment),
            ("/api/%2e", BadPath::DotSegment),
            ("/..%2fx", BadPath::DotSegment),
            ("/x%2f..", BadPath::DotSegment),
            ("/x%2F.%5cy", BadPath::DotSegment),
            ("/x%5C%2e%2E%5Cy", BadPath::DotSegment),
            ("/api/..;/x", BadPath::DotSegment),
            ("/api/..;a=b", BadPath::DotSegment),
            ("/api/.%3bx/y", BadPath::DotSegment),
            ("/x%2F..;y", BadPath::DotSegment),
            ("//..", BadPath::DotSegment),
            ("/api\\users", BadPath::HiddenSlash),
            ("/a%00", BadPath::ControlCharacter),
            ("/a%0d%0a", BadPath::ControlCharacter),
            ("/a%7f", BadPath::ControlCharacter),
            ("/a\u{1}", BadPath::ControlCharacter),
            ("/a\u{7f}", BadPath::ControlCharacter),
            ("/a%", BadPath::InvalidEscape),
            ("/a%2", BadPath::InvalidEscape),
            ("/a%zz", BadPath::InvalidEscape),
            ("/a%+f", BadPath::InvalidEscape),
            ("/a%f+", BadPath::InvalidEscape),
            ("/a%u002f", BadPath::InvalidEscape),
            ("/%c0%af", BadPath::InvalidEscape),
            ("/%c0%ae%c0%ae/", BadPath::InvalidEscape),
            ("/%ec%95/%88", BadPath::InvalidEscape),
            ("/%ec%95a", BadPath::InvalidEscape),
            ("/%c2%85", BadPath::InvalidEscape),
            ("/%é9", BadPath::InvalidEscape),
            ("/é", BadPath::ForbiddenCharacter),
            ("/a b", BadPath::ForbiddenCharacter),
            ("/a\"b", BadPath::ForbiddenCharacter),
            ("/a|b", BadPath::ForbiddenCharacter),
            ("/{a}", BadPath::ForbiddenCharacter),
            ("/[a]", BadPath::ForbiddenCharacter),
            ("/a?b", BadPath::ForbiddenCharacter),
            ("/a#b", BadPath::ForbiddenCharacter),
        ] {
            assert_eq!(canonical(path), Err(why), "{path:?}");
        }
    }

    #[test]
    fn spellings_that_only_some_routes_allow_are_recorded() {
        use Spelling::{DoubleSlash, EncodedBackslash, EncodedSlash, Semicolon};
        for (sent, one, spellings) in [
            ("//", "//", &[DoubleSlash][..]),
            ("/api//users", "/api//users", &[DoubleSlash]),
            ("//api", "//api", &[DoubleSlash]),
            ("/api/users//", "/api/users//", &[DoubleSlash]),
            ("/api%2fusers", "/api%2Fusers", &[EncodedSlash]),
            ("/api%5cusers", "/api%5Cusers", &[EncodedBackslash]),
            ("/api/users;a=b/me", "/api/users;a=b/me", &[Semicolon]),
            ("/api/users%3b/me", "/api/users%3B/me", &[Semicolon]),
            ("/;/", "/;/", &[Semicolon]),
            ("/...;x/..a%2f.b", "/...;x/..a%2F.b", &[Semicolon, EncodedSlash]),
            ("/a%2F%5C;//", "/a%2F%5C;//", &[EncodedSlash, EncodedBackslash, Semicolon, DoubleSlash]),
            ("/a%2f", "/a%2F", &[EncodedSlash]),
            ("/a%252f%2535C", "/a%252f%2535C", &[]),
        ] {
            let spellings: Spellings = spellings.iter().copied().collect();
            assert_eq!(canonical(sent), Ok(Canonical { path: one.into(), spellings }), "{sent}");
        }
        let reasons = Spelling::ALL.map(|(_, spelling)| BadPath::from(spelling));
        let hidden = BadPath::HiddenSlash;
        assert_eq!(reasons, [hidden, hidden, BadPath::PathParameter, BadPath::EmptySegment]);
    }

    #[test]
    fn doubly_encoded_characters_stay_encoded() {
        assert_eq!(canonical("/%252e%252e%252fx").unwrap().path, "/%252e%252e%252fx");
    }
}
