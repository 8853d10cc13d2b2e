//! The people who can sign in: a few known ones, and any other name.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::wire::Scope;

/// The maximum length of a name, in characters.
const MAX_NAME: usize = 100;

/// A person.
#[derive(Clone)]
pub(super) struct Person {
    /// Identifies the person, the same in every run.
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) email_verified: bool,
}

/// The people that the page offers. Carol's address is not verified.
pub(super) fn known() -> [Person; 4] {
    [("alice", "Alice", true), ("bob", "Bob", true), ("jini", "김지니", true), ("carol", "Carol", false)].map(
        |(subject, name, email_verified)| Person {
            subject: subject.to_owned(),
            name: name.to_owned(),
            email: format!("{subject}@example.com"),
            email_verified,
        },
    )
}

impl Person {
    /// A known person by subject or name, else a new person of that name; `None` if the name is invalid.
    pub(super) fn called(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return None;
        }
        if let Some(person) = known().into_iter().find(|person| name == person.subject || name == person.name) {
            return Some(person);
        }
        // A digest is valid in a subject and in an address, whatever the characters of the name.
        let digest: String = URL_SAFE_NO_PAD.encode(Sha256::digest(name)).chars().take(22).collect();
        let subject = format!("somebody-{digest}");
        let email = format!("{subject}@example.com");
        Some(Self { subject, name: name.to_owned(), email, email_verified: true })
    }

    /// The person's claims for a scope (OIDC Core §5.4).
    pub(super) fn claims(&self, scope: &Scope) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), self.subject.clone().into());
        if scope.has("profile") {
            claims.insert("name".to_owned(), self.name.clone().into());
        }
        if scope.has("email") {
            claims.insert("email".to_owned(), self.email.clone().into());
            claims.insert("email_verified".to_owned(), self.email_verified.into());
        }
        claims
    }
}
