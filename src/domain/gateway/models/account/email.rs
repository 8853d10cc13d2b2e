//! The e-mail that somebody signs in with, and when two are the same.

use std::fmt;

use thiserror::Error;

/// The longest that mail can be sent to (RFC 5321 §4.5.3.1, with the angle brackets taken off).
const LONGEST: usize = 254;
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_LABEL: usize = 63;

/// The text is not an e-mail address of the kind that can be signed up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "write an e-mail address such as jane@example.com: letters, digits and .!#$%&'*+/=?^_`{{|}}~- before the @, the domain in \
     ASCII (xn--…) behind it"
)]
pub struct InvalidEmail;

/// An e-mail address: a dot-atom, an `@` and a domain in ASCII (RFC 5321 §4.1.2 without quotes, comments and addresses in
/// brackets). White space around it does not count.
///
/// Two are the same if they are so in lower case, before the `@` too: no provider that matters tells mailboxes apart by
/// case, and a person who writes `Jane@…` today and `jane@…` tomorrow is the same. Nothing else is folded: `jane+x@…` and
/// `j.ane@…` are others, as they are at most providers.
#[derive(Clone)]
pub struct Email {
    written: String,
    key: String,
}

impl Email {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let written = text.trim();
        let (local, domain) = written.rsplit_once('@').ok_or(InvalidEmail)?;
        let good = written.len() <= LONGEST
            && local.len() <= LONGEST_LOCAL_PART
            && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
            && domain.contains('.')
            && domain.split('.').all(is_label);
        good.then(|| Self { written: written.to_owned(), key: written.to_ascii_lowercase() }).ok_or(InvalidEmail)
    }

    /// As the person wrote it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What two that are the same have in common: a store looks it up by this, and holds it once.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

/// It is somebody's: not for a log.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// RFC 5322 §3.2.3
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// RFC 1034 §3.5, with RFC 1123's digits.
fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<String> {
        Email::parse(text).ok().map(|email| email.key().to_owned())
    }

    #[test]
    fn two_are_the_same_whatever_their_case_and_the_space_around_them() {
        for text in ["jane@example.com", " Jane@Example.COM\n", "JANE@EXAMPLE.COM", "\u{3000}jane@example.com\t"] {
            assert_eq!(key(text).as_deref(), Some("jane@example.com"), "{text}");
            assert_eq!(Email::parse(text), Email::parse("jane@example.com"));
        }
        assert_eq!(Email::parse(" Jane@Example.COM ").unwrap().as_str(), "Jane@Example.COM");
        // Unicode has more than one way to fold; ASCII has one.
        for other in ["jane+x@example.com", "j.ane@example.com", "jane@example.co", "jane@mail.example.com"] {
            assert_ne!(key(other), key("jane@example.com"), "{other}");
        }
    }

    #[test]
    fn what_can_be_signed_up_with() {
        let long = format!("{}@{}.com", "a".repeat(64), "b".repeat(63));
        for good in ["a@b.kr", "o'neil+x@sub.example.co.kr", "a.b.c@xn--bcher-kva.example", "1@2.3", &long] {
            assert!(key(good).is_some(), "{good}");
        }
        let (local, label) = (format!("{}@example.com", "a".repeat(65)), format!("a@{}.com", "b".repeat(64)));
        let whole = format!("{}@{}{}", "a".repeat(60), "b.".repeat(96), "com");
        assert!(whole.len() == 256);
        for bad in [
            "",
            " ",
            "@",
            "jane",
            "jane@",
            "@example.com",
            "jane@localhost",
            "jane@example..com",
            "jane@.example.com",
            "jane@example.com.",
            "jane@-example.com",
            "jane@example-.com",
            ".jane@example.com",
            "jane.@example.com",
            "ja..ne@example.com",
            "ja ne@example.com",
            "\"jane\"@example.com",
            "jane@[127.0.0.1]",
            "jane(x)@example.com",
            "jane@doe@example.com",
            "jane@bücher.example",
            "제인@example.com",
            "jane@exam\u{0}ple.com",
            "jane\r\n@example.com",
            "Jane <jane@example.com>",
            "a@b.c,d@e.f",
            "\u{212a}@example.com",
            &local,
            &label,
            &whole,
        ] {
            assert_eq!(Email::parse(bad).err(), Some(InvalidEmail), "{bad:?}");
        }
    }

    #[test]
    fn it_does_not_print() {
        assert_eq!(format!("{:?}", Email::parse("jane@example.com").unwrap()), "Email(…)");
    }
}
