//! Who can sign in: a few people, and anybody else by name.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::wire::Scope;

/// No name is longer, in characters.
const MAX_NAME: usize = 100;

/// Somebody.
#[derive(Clone)]
pub(super) struct Person {
    /// Names them, the same in every run.
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
    /// A known person by subject or name, else somebody of that name; `None` if it is no name.
    pub(super) fn called(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return None;
        }
        if let Some(person) = known().into_iter().find(|person| name == person.subject || name == person.name) {
            return Some(person);
        }
        // A digest fits into a subject and into an address, whatever the name is made of.
        let digest: String = URL_SAFE_NO_PAD.encode(Sha256::digest(name)).chars().take(22).collect();
        let subject = format!("somebody-{digest}");
        let email = format!("{subject}@example.com");
        Some(Self { subject, name: name.to_owned(), email, email_verified: true })
    }

    /// What a scope tells of them (OIDC Core §5.4).
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
