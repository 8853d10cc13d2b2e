//! Decodes compressed HTTP/2 header blocks (RFC 7541) to find what the h2 library drops silently: the fragment after a
//! `#` in the `:path` of a request, which is refused over HTTP/1 because no client sends one; and fields of trailers.
//!
//! To find a fragment, only literals are read. An entry of the dynamic table was a literal earlier on the same
//! connection. The names in the dynamic table are not known here: if no other field is the `:path`, every value with
//! such a name may be it.

use memchr::memchr;

/// The two entries of `:path` in the static table (RFC 7541, appendix A).
const PATHS: std::ops::RangeInclusive<usize> = 4..=5;

/// The first entry of the static table that is no pseudo-header. Pseudo-headers come first in a block (RFC 9113 §8.3).
const FIRST_REGULAR: usize = 15;

/// The first entry of the dynamic table follows the static ones.
const FIRST_DYNAMIC: usize = 62;

/// `:path` as a literal.
const PATH: &[u8] = b":path";
const PATH_IN_HUFFMAN: &[u8] = &[0xb9, 0x58, 0xd3, 0x3f];

/// Whether the `:path` of a complete header block has a fragment.
pub(crate) fn has_fragment(block: &[u8]) -> bool {
    let (mut rest, mut may_have_one) = (Rest(block), false);
    while let Some(field) = rest.field() {
        match field {
            Field::Indexed(index) if PATHS.contains(&index) => return false,
            Field::Literal(name, value) if name.is_path() => return value.has_number_sign(),
            Field::Indexed(FIRST_REGULAR..FIRST_DYNAMIC)
            | Field::Literal(Name::Indexed(FIRST_REGULAR..FIRST_DYNAMIC), _) => break,
            Field::Literal(Name::Indexed(FIRST_DYNAMIC..), value) => {
                may_have_one |= value.begins_as_path() && value.has_number_sign();
            }
            Field::Indexed(_) | Field::Literal(..) | Field::Resized => {}
        }
    }
    may_have_one
}

/// The number of fields in a complete header block, if it can be decoded.
pub(crate) fn fields(block: &[u8]) -> Option<usize> {
    let (mut rest, mut fields) = (Rest(block), 0);
    while !rest.0.is_empty() {
        fields += usize::from(!matches!(rest.field()?, Field::Resized));
    }
    Some(fields)
}

/// One representation of a block (RFC 7541 §6).
enum Field<'b> {
    /// A field from one of the tables.
    Indexed(usize),
    Literal(Name<'b>, Text<'b>),
    /// Not a field, but a new size of the dynamic table.
    Resized,
}

enum Name<'b> {
    Indexed(usize),
    Literal(Text<'b>),
}

/// A string literal (RFC 7541 §5.2).
struct Text<'b> {
    is_huffman: bool,
    bytes: &'b [u8],
}

/// The unread rest of a block.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn field(&mut self) -> Option<Field<'b>> {
        let first = *self.0.first()?;
        if first & 0x80 != 0 {
            return self.integer(7).map(Field::Indexed);
        }
        if first & 0xe0 == 0x20 {
            return self.integer(5).map(|_| Field::Resized);
        }
        let index = self.integer(if first & 0x40 != 0 { 6 } else { 4 })?;
        let name = if index == 0 { Name::Literal(self.text()?) } else { Name::Indexed(index) };
        Some(Field::Literal(name, self.text()?))
    }

    fn text(&mut self) -> Option<Text<'b>> {
        let is_huffman = self.0.first()? & 0x80 != 0;
        let length = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Text { is_huffman, bytes })
    }

    /// An integer with a prefix of `prefix` bits (RFC 7541 §5.1).
    fn integer(&mut self, prefix: u32) -> Option<usize> {
        let most = (1 << prefix) - 1;
        let (&first, mut rest) = self.0.split_first()?;
        let mut number = usize::from(first) & most;
        if number == most {
            // The h2 library reads as many bytes more.
            for shift in [0, 7, 14, 21] {
                let (&byte, later) = rest.split_first()?;
                rest = later;
                number += (usize::from(byte) & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    self.0 = rest;
                    return Some(number);
                }
            }
            return None;
        }
        self.0 = rest;
        Some(number)
    }
}

impl Name<'_> {
    fn is_path(&self) -> bool {
        match self {
            Self::Indexed(index) => PATHS.contains(index),
            Self::Literal(text) => text.bytes == if text.is_huffman { PATH_IN_HUFFMAN } else { PATH },
        }
    }
}

impl Text<'_> {
    fn begins_as_path(&self) -> bool {
        if self.is_huffman { codes(self.bytes).next() == Some(SLASH) } else { self.bytes.first() == Some(&b'/') }
    }

    fn has_number_sign(&self) -> bool {
        if self.is_huffman { has_number_sign_in_huffman(self.bytes) } else { memchr(b'#', self.bytes).is_some() }
    }
}

/// The code of `/` (RFC 7541, appendix B).
const SLASH: (u32, u32) = (6, 0x18);

/// The code of `#`.
const NUMBER_SIGN: (u32, u32) = (12, 0xffa);

/// The lengths of the codes, by the codes' start: codes up to the given one have the given length. Characters with
/// longer codes are invalid in a path, which is refused because of them.
const CODES: [(u32, u32); 11] = [
    (5, 0x9),
    (6, 0x2d),
    (7, 0x7b),
    (8, 0xfd),
    (10, 0x3fc),
    (11, 0x7fc),
    (12, 0xffb),
    (13, 0x1ffd),
    (14, 0x3ffd),
    (15, 0x7ffe),
    (19, 0x7fff2),
];

fn has_number_sign_in_huffman(bytes: &[u8]) -> bool {
    // Its code begins with nine ones, as hardly any other does.
    let may_begin = |pair: &[u8]| pair[0].trailing_ones() + pair[1].leading_ones() >= 9;
    bytes.windows(2).any(may_begin) && codes(bytes).any(|code| code == NUMBER_SIGN)
}

/// The codes of a text, with their lengths, up to the first character that is invalid in a path.
fn codes(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1)));
    std::iter::from_fn(move || {
        let (mut length, mut code) = (0, 0);
        for (of_length, last) in CODES {
            while length < of_length {
                code = code << 1 | bits.next()?;
                length += 1;
            }
            if code <= last {
                return Some((length, code));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// A literal with this beginning, name included.
    fn literal(begin: &[u8], is_huffman: bool, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap() | if is_huffman { 0x80 } else { 0 };
        [begin, &[length], value].concat()
    }

    #[test]
    fn a_fragment_is_found_however_the_path_is_written() {
        // As another encoder writes them (PyPI: hpack).
        let (with, without) = (bytes("6075998b505b11ff43"), bytes("6075998b505b10a8991f"));
        let names: [&[u8]; 6] =
            [&[0x04], &[0x44], &[0x14], &[0x05], b"\0\x05:path", &[0x10, 0x84, 0xb9, 0x58, 0xd3, 0x3f]];
        for name in names {
            for (before, behind) in [(&b""[..], &b""[..]), (b"\x3f\xe1\x1f\x82\x86\xbe\x41\x01#", b"\x90")] {
                let block = |is_huffman, path: &[u8]| [before, &literal(name, is_huffman, path), behind].concat();
                assert!(has_fragment(&block(true, &with)) && !has_fragment(&block(true, &without)), "{name:?}");
                assert!(has_fragment(&block(false, b"/api/users#a")), "{name:?}");
                assert!(!has_fragment(&block(false, b"/api/users%23a")), "{name:?}");
            }
        }
    }

    #[test]
    fn a_number_sign_is_distinguished_from_similar_codes() {
        let text = |hex: &str| has_number_sign_in_huffman(&bytes(hex));
        assert!(text("63febf") && text("ffaf"), "/# and # alone");
        assert!(!text("6075998b505b11fe0e0ffefc4707fdffbff5ff3f"), "/api/users?a=~&b=>+'|");
        assert!(text("63fff87fd7"), "a backslash before it");
        for symbol in 0..=u8::MAX {
            assert!(!text(&format!("{symbol:02x}ffffff")), "{symbol}");
        }
    }

    #[test]
    fn a_name_in_the_dynamic_table_may_be_the_path_if_no_other_is() {
        for name in [&[0x7e][..], &[0x7f, 0x05], &[0x0f, 0x2f], &[0x1f, 0x2f]] {
            let named = |is_huffman, value: &[u8]| [b"\x82\x86", &literal(name, is_huffman, value)[..]].concat();
            assert!(has_fragment(&named(false, b"/a#b")) && has_fragment(&named(true, &bytes("63febf"))), "{name:?}");
            assert!(!has_fragment(&named(false, b"a=/#")) && !has_fragment(&named(true, &bytes("ffaf"))), "{name:?}");
            assert!(!has_fragment(&[&named(false, b"/a#b")[..], b"\x84"].concat()), "the path is another");
        }
        // The dynamic table named the path, and a name from it after a regular field is a regular field, too.
        let regular = [&b"\x82\x86\xbf\x90"[..], &literal(&[0x7e], false, b"/a#b")].concat();
        assert!(!has_fragment(&regular));
        // The last entry of the static table is no path.
        assert!(!has_fragment(&literal(&[0x7d], false, b"/a#b")));
    }

    #[test]
    fn other_headers_may_have_a_number_sign_and_truncated_blocks_are_ignored() {
        let cookie = literal(&[0x0f, 0x11], false, b"a=#");
        assert!(!has_fragment(&[b"\x82\x84\x86".as_slice(), &cookie].concat()));
        assert!(!has_fragment(&[cookie.as_slice(), b"\x82\x84\x86"].concat()));
        let path = literal(&[0x04], false, b"/#");
        for upto in 0..path.len() {
            assert!(!has_fragment(&path[..upto]));
        }
        assert!(!has_fragment(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0x01]), "a number without an end");
    }

    #[test]
    fn fields_are_counted_however_they_are_written() {
        let written = [
            b"\x88".to_vec(),
            literal(&[0x08], false, b"200"),
            literal(b"\0\x05:path", false, b"/"),
            literal(&[0x10, 0x84, 0xb9, 0x58, 0xd3, 0x3f], true, &[0x63]),
            literal(&[0x7f, 0x80, 0x01], false, b"in the dynamic table"),
            b"\xff\x80\x80\x80\0".to_vec(),
        ];
        assert_eq!(fields(&written.concat()), Some(written.len()));
        assert_eq!(fields(&[b"\x20\x3f\xe1\x1f".as_slice(), &written.concat()].concat()), Some(written.len()), "sizes");
        assert_eq!(fields(b""), Some(0));
        for broken in [&b"\x04"[..], b"\x04\x02/", b"\0\x05:pat", b"\xff\xff\xff\xff\xff\x01"] {
            assert_eq!(fields(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_length_with_more_digits_than_it_needs_hides_no_fragment() {
        assert!(has_fragment(&[&[0x04, 0x7f, 0x80, 0x80, 0x80, 0][..], &[b'a'; 126], b"#"].concat()));
    }

    #[test]
    fn a_long_path_is_read_to_its_end() {
        let path = [b"/".as_slice(), &[b'a'; 300], b"#"].concat();
        let block = [&[0x04, 0x7f, 0xaf, 0x01], path.as_slice()].concat();
        assert_eq!(path.len(), 127 + 0x2f + 0x80);
        assert!(has_fragment(&block));
    }
}
