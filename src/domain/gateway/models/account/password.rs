//! Passwords in clear, before they are hashed, and the stored hashes.

use std::fmt;

use thiserror::Error;

/// In characters. Shorter ones can be guessed (OWASP ASVS 2.1.1, NIST SP 800-63B §5.1.1.2).
pub const SHORTEST_PASSWORD: usize = 8;
/// In characters: long enough for any passphrase, and no more costly to hash than a short one.
pub const LONGEST_PASSWORD: usize = 256;

/// The text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be 8 to 256 characters")]
pub struct UnfitPassword;

/// A password in clear. It has no `Display`, and its `Debug` hides it.
///
/// Characters (Unicode scalar values) are counted, not bytes. The text is used as sent: nothing is trimmed, folded or
/// normalised, so a letter that was typed composed does not match the same letter decomposed. Keyboards compose.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A new password that a person chooses.
    pub fn chosen(text: String) -> Result<Self, UnfitPassword> {
        let fits = (SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&text.chars().count());
        fits.then_some(Self(text)).ok_or(UnfitPassword)
    }

    /// A password that a client presents. One that could not have been chosen is wrong like any other.
    pub fn presented(text: String) -> Self {
        Self(text)
    }

    /// The text, for hashing and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A stored password hash: a PHC string, which contains the hash parameters. It allows guessing, so it does not print
/// either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string.
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// The string, for verifying and for the store.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_count_and_not_bytes() {
        for (text, fits) in [
            ("1234567".to_owned(), false),
            ("12345678".to_owned(), true),
            ("비밀번호비밀번호".to_owned(), true),
            ("비밀번".to_owned(), false),
            ("😀".repeat(8), true),
            ("😀".repeat(256), true),
            ("a".repeat(256), true),
            ("a".repeat(257), false),
            ("        ".to_owned(), true),
            (String::new(), false),
        ] {
            assert_eq!(Password::chosen(text.clone()).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn the_text_is_not_changed() {
        for text in [" spaces around ", "Ｆｕｌｌ ｗｉｄｔｈ", "e\u{301}e\u{301}e\u{301}e\u{301}", "tab\tand\u{0}nul"]
        {
            assert_eq!(Password::chosen(text.to_owned()).unwrap().expose(), text);
        }
    }

    #[test]
    fn neither_the_password_nor_its_hash_prints() {
        let printed = format!("{:?} {:?}", Password::presented("hunter42".into()), PasswordHash::new("$argon2id$"));
        assert_eq!(printed, "Password(…) PasswordHash(…)");
    }
}
