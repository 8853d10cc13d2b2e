//! How long the body behind a head is, and where it ends (RFC 9112 §6.3).

/// How the body behind a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// By its length; zero if there is none.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection: an answer's only.
    UntilClose,
}

/// A `Content-Length`.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    // Digits alone, and no leading zero, which somebody might take for octal.
    if text.is_empty() || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    let mut number: u64 = 0;
    for &byte in text {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(number).filter(|&number| number < u64::MAX - 2)
}
