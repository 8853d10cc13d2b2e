//! The fields of one `[[routes]]` entry: their names and types.

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{Parser, access::Claims, broken_by_source, is_near};

/// One `[[routes]]` entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteEntry {
    pub(super) path: Option<Spanned<String>>,
    pub(super) methods: Option<Spanned<Vec<String>>>,
    pub(super) allow: Option<Spanned<Vec<String>>>,
    pub(super) service: Option<Spanned<String>>,
    pub(super) upstream_path: Option<Spanned<String>>,
    pub(super) access: Option<Spanned<String>>,
    pub(super) scope: Option<Spanned<Vec<String>>>,
    pub(super) any_scope: Option<Spanned<Vec<String>>>,
    pub(super) claims: Option<Spanned<Claims>>,
    pub(super) provider: Option<Spanned<String>>,
    pub(super) forward_authorization: Option<Spanned<bool>>,
    pub(super) preserve_host: Option<Spanned<bool>>,
    pub(super) provider_token: Option<Spanned<String>>,
    pub(super) provider_token_header: Option<Spanned<String>>,
    pub(super) body_limit: Option<Spanned<String>>,
    pub(super) buffer_request: Option<Spanned<String>>,
    pub(super) max_requests: Option<Spanned<i64>>,
    pub(super) connect_timeout: Option<Spanned<String>>,
    pub(super) first_byte_timeout: Option<Spanned<String>>,
    pub(super) idle_timeout: Option<Spanned<String>>,
    pub(super) total_timeout: Option<Spanned<String>>,
    pub(super) end_with_token: Option<Spanned<bool>>,
    pub(super) assertion: Option<Spanned<bool>>,
}

/// The type of a field in TOML.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Flag,
    Number,
    Table,
}

/// Every field: its name, its type, and a valid value in words.
const FIELDS: [(&str, Kind, &str); 23] = [
    ("path", Kind::Text, "a path in quotes, such as \"/api/users\""),
    ("methods", Kind::Texts, "a list of names in quotes, such as [\"GET\", \"POST\"]"),
    ("allow", Kind::Texts, "a list of words in quotes, such as [\"semicolon\"]"),
    ("service", Kind::Text, "the name of a service in quotes, such as \"users\""),
    ("upstream_path", Kind::Text, "a path in quotes, such as \"/users\""),
    ("access", Kind::Text, "open, token, session or token-or-session, in quotes"),
    ("scope", Kind::Texts, "a list of words in quotes, such as [\"read\", \"write\"]"),
    ("any_scope", Kind::Texts, "a list of words in quotes, such as [\"read\", \"write\"]"),
    ("claims", Kind::Table, "a table, such as { team = \"blue\" }"),
    ("provider", Kind::Text, "the name of a provider in quotes, such as \"google\""),
    ("forward_authorization", Kind::Flag, "true or false"),
    ("preserve_host", Kind::Flag, "true or false"),
    ("provider_token", Kind::Text, "the name of a provider in quotes, such as \"google\""),
    ("provider_token_header", Kind::Text, "a header's name in quotes, such as \"X-Provider-Token\""),
    ("body_limit", Kind::Text, "a size in quotes, such as \"64KiB\" or \"10MiB\""),
    ("buffer_request", Kind::Text, "a size in quotes, such as \"64KiB\""),
    ("max_requests", Kind::Number, "a whole number"),
    ("connect_timeout", Kind::Text, "a duration in quotes, such as \"500ms\" or \"10s\""),
    ("first_byte_timeout", Kind::Text, "a duration in quotes, such as \"500ms\" or \"10s\""),
    ("idle_timeout", Kind::Text, "a duration in quotes, such as \"500ms\" or \"10s\""),
    ("total_timeout", Kind::Text, "a duration in quotes, such as \"500ms\" or \"10s\""),
    ("end_with_token", Kind::Flag, "true or false"),
    ("assertion", Kind::Flag, "true or false"),
];

/// The fields without which there is no route.
const REQUIRED: [&str; 2] = ["path", "service"];

impl Kind {
    fn fits(self, value: &DeValue<'_>) -> bool {
        match (self, value) {
            (Self::Text, DeValue::String(_))
            | (Self::Flag, DeValue::Boolean(_))
            | (Self::Number, DeValue::Integer(_))
            | (Self::Table, DeValue::Table(_)) => true,
            (Self::Texts, DeValue::Array(values)) => {
                values.iter().all(|value| matches!(value.get_ref(), DeValue::String(_)))
            }
            _ => false,
        }
    }
}

impl Parser<'_> {
    /// Reads the fields of a route. Unknown ones, and those of another type, are noted and left out, so that all
    /// mistakes of a route are reported at once.
    pub(super) fn entry(&mut self, entry: Spanned<DeValue<'_>>) -> Option<RouteEntry> {
        let place = Spanned::new(entry.span(), ());
        let DeValue::Table(fields) = entry.into_inner() else {
            self.note(&place, "routes must be tables, each under a line [[routes]]");
            return None;
        };
        for name in REQUIRED.into_iter().filter(|name| fields.keys().all(|key| key.get_ref() != name)) {
            self.note(&place, format!("{name} is required in every [[routes]]"));
        }
        // The parser sorts them by name; mistakes are reported in the order of the file.
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_by_key(|(key, _)| key.span().start);
        let mut kept = DeTable::new();
        for (key, value) in fields {
            if self.is_field(&key, &value) {
                kept.insert(key, value);
            }
        }
        let kept = Spanned::new(place.span(), DeValue::Table(kept));
        RouteEntry::deserialize(ValueDeserializer::from(kept)).map_err(|error| self.unreadable(&error)).ok()
    }

    /// Whether a field exists and the value is of its type. Notes what is wrong.
    fn is_field<K: AsRef<str>>(&mut self, key: &Spanned<K>, value: &Spanned<DeValue<'_>>) -> bool {
        let name = key.get_ref().as_ref();
        let Some((_, kind, wanted)) = FIELDS.iter().find(|(known, ..)| *known == name) else {
            let meant = FIELDS.iter().find(|(known, ..)| is_near(name, known));
            let hint = match meant {
                Some((meant, ..)) => format!("did you mean {meant}?"),
                None => "docs/routes.md lists the fields".to_owned(),
            };
            self.note(key, format!("a route must not have the field {name:?}; {hint}"));
            return false;
        };
        if !kind.fits(value.get_ref()) {
            let problem = broken_by_source(&format!("must be {wanted}"), &self.source(value));
            self.note(value, format!("{name} {problem}"));
            return false;
        }
        true
    }
}
