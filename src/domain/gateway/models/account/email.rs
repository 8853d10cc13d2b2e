//! The e-mail address of a password login, and when two addresses are equal.

use std::fmt;

use thiserror::Error;

/// The longest address that mail can be sent to (RFC 5321 §4.5.3.1, without the angle brackets).
const LONGEST: usize = 254;
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_LABEL: usize = 63;

/// The text is not an e-mail address that can be used to sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be an e-mail address such as jane@example.com: letters, digits and .!#$%&'*+/=?^_`{{|}}~- before the @, and after it \
     a domain in ASCII (xn--…)"
)]
pub struct InvalidEmail;

/// An e-mail address: a dot-atom, an `@` and a domain in ASCII (RFC 5321 §4.1.2 without quotes, comments and addresses
/// in brackets). Surrounding white space is ignored.
///
/// Two addresses are equal if they are equal in lower case, also before the `@`: no provider that matters distinguishes
/// mailboxes by case, and a person may write `Jane@…` today and `jane@…` tomorrow. Nothing else is folded: `jane+x@…`
/// and `j.ane@…` are different addresses, as they are at most providers.
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

    /// The address as the person wrote it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The normalised form that equal addresses share: a store looks an address up by it, and holds it once.
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

/// Hides the address: it is personal data, and must not be logged.
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
    fn addresses_are_equal_whatever_their_case_and_the_space_around_them() {
        for text in ["jane@example.com", " Jane@Example.COM\n", "JANE@EXAMPLE.COM", "\u{3000}jane@example.com\t"] {
            assert_eq!(key(text).as_deref(), Some("jane@example.com"), "{text}");
            assert_eq!(Email::parse(text), Email::parse("jane@example.com"));
        }
        assert_eq!(Email::parse(" Jane@Example.COM ").unwrap().as_str(), "Jane@Example.COM");
        // Unicode has several ways to fold case; ASCII has one.
        for other in ["jane+x@example.com", "j.ane@example.com", "jane@example.co", "jane@mail.example.com"] {
            assert_ne!(key(other), key("jane@example.com"), "{other}");
        }
    }

    #[test]
    fn which_addresses_are_accepted() {
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
