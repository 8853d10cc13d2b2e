//! Renames the components of a service's document, and the references to them.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use crate::json::Json;

/// The kinds of components that are kept.
const KINDS: [&str; 6] = ["schemas", "responses", "parameters", "examples", "requestBodies", "headers"];

/// Components by kind, each with its name.
pub(super) type Components = Vec<(String, Vec<(String, Json)>)>;

/// The new names of a service's components, unique among all services.
pub(super) struct Names {
    /// By `#/components/<kind>/<name>`, as references write it.
    references: HashMap<String, String>,
}

impl Names {
    /// Takes the components from a document, each under its new name.
    pub(super) fn taken(document: &mut Json, service: &str) -> (Self, Components) {
        let mut references = HashMap::new();
        let mut components = Vec::new();
        for kind in KINDS {
            let known = document.at_mut(&["components", kind]).map(std::mem::take).unwrap_or_default();
            let mut used = Unique::default();
            let mut renamed = Vec::new();
            for (name, value) in known.into_members() {
                let new = used.name(&format!("{service}.{}", plain(&name)));
                references.insert(format!("#/components/{kind}/{name}"), format!("#/components/{kind}/{new}"));
                renamed.push((new, value));
            }
            if !renamed.is_empty() {
                components.push((kind.to_owned(), renamed));
            }
        }
        let names = Self { references };
        for (kind, values) in &mut components {
            for (name, value) in values {
                names.put_into(value);
                // Client generators name types by it.
                if kind == "schemas" && value.get("title").is_some() {
                    value.set("title", json!(name));
                }
            }
        }
        (names, components)
    }

    /// Rewrites all references. A dangling one becomes a schema that accepts everything: the document must be complete
    /// by itself.
    pub(super) fn put_into(&self, json: &mut Json) {
        if let Some(reference) = json.get("$ref").and_then(Json::text) {
            match self.references.get(&decoded(reference)) {
                Some(new) => json.set("$ref", json!(new)),
                None => *json = json!({"description": format!("not described here: {reference}")}).into(),
            }
            return;
        }
        if let Some(mapping) = json.at_mut(&["discriminator", "mapping"]) {
            for (_, target) in mapping.members_mut() {
                let text = target.text().unwrap_or_default();
                let reference =
                    if text.starts_with('#') { text.to_owned() } else { format!("#/components/schemas/{text}") };
                if let Some(new) = self.references.get(&decoded(&reference)) {
                    *target = json!(new).into();
                }
            }
        }
        json.members_mut().iter_mut().for_each(|(_, value)| self.put_into(value));
        json.elements_mut().iter_mut().for_each(|value| self.put_into(value));
    }
}

/// Makes names unique: a repeated one gets a number.
#[derive(Default)]
pub(super) struct Unique {
    given: HashSet<String>,
    /// The next number to try, by name.
    next: HashMap<String, usize>,
}

impl Unique {
    pub(super) fn name(&mut self, wanted: &str) -> String {
        if self.given.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        let next = self.next.entry(wanted.to_owned()).or_insert(2);
        loop {
            let name = format!("{wanted}_{next}");
            *next += 1;
            if self.given.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Replaces characters that component names may not contain (OpenAPI 3.1, Components Object).
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect()
}

/// Decodes the URL and JSON pointer escapes of a reference (RFC 6901 §6).
fn decoded(reference: &str) -> String {
    let bytes = reference.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| reference.get(at + 1..at + 3)).flatten();
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            plain.push(byte);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&plain).replace("~1", "/").replace("~0", "~")
}
