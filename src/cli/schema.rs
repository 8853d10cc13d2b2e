//! `gateway schema`: the format of `gateway.toml` as a JSON Schema, for editors. It is made from the tables by which the
//! parser reads the file. Draft 7 is the newest one that Taplo and its editors know.

use serde_json::{Map, Value, json};

use crate::config::{Field, Form, Kind, Table, file_format};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";
/// A whole number and a unit. The bounds of each field are the parser's.
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";
const SIZE: &str = "^[0-9]+(B|KiB|MiB|GiB)$";
const SERVICE_NAME: &str = "^[a-z][a-z0-9-]{0,62}$";

/// The schema, as it is printed.
pub(super) fn schema() -> Value {
    let (default_routes, service, route) = file_format();
    json!({
        "$schema": DRAFT,
        "title": "gateway.toml",
        "description": "The routes and services of the gateway.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            default_routes.name: of_field(default_routes),
            "services": {
                "description": "The services, by their names.",
                "type": "object",
                "additionalProperties": false,
                "patternProperties": { SERVICE_NAME: of_table(service) },
            },
            "routes": { "description": "The routes.", "type": "array", "items": of_table(route) },
        },
    })
}

fn of_table(table: &Table) -> Value {
    let properties: Map<String, Value> =
        table.fields.iter().map(|field| (field.name.to_owned(), of_field(field))).collect();
    let mut schema = json!({
        "description": table.about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    let alternatives = |names: &&[&str]| -> Value {
        json!({ "anyOf": names.iter().map(|name| json!({ "required": [name] })).collect::<Vec<_>>() })
    };
    let (single, several): (Vec<&[&str]>, Vec<_>) = table.required.iter().copied().partition(|names| names.len() == 1);
    if !single.is_empty() {
        schema["required"] = json!(single.concat());
    }
    if !several.is_empty() {
        schema["allOf"] = several.iter().map(alternatives).collect();
    }
    schema
}

fn of_field(field: &Field) -> Value {
    let mut schema = match &field.kind {
        Kind::Text(form) => of_text(*form),
        Kind::Texts(form) => list(*form),
        Kind::TextOrTexts(form) => json!({ "anyOf": [of_text(*form), list(*form)] }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(bounds) => json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }),
        Kind::Table(table) => of_table(table),
        Kind::TableOrTables(table) => {
            json!({ "anyOf": [of_table(table), { "type": "array", "items": of_table(table), "minItems": 1 }] })
        }
        Kind::FlagOrTable(table) => json!({ "anyOf": [{ "type": "boolean" }, of_table(table)] }),
        Kind::Headers => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Claims => {
            let value = json!({ "type": ["string", "integer", "boolean"] });
            json!({
                "type": "object",
                "additionalProperties": { "anyOf": [value, { "type": "array", "items": value, "minItems": 1 }] },
            })
        }
    };
    schema["description"] = field.about.into();
    schema
}

fn list(form: Form) -> Value {
    json!({ "type": "array", "items": of_text(form) })
}

fn of_text(form: Form) -> Value {
    match form {
        Form::Any => json!({ "type": "string" }),
        Form::OneOf(words) => json!({ "type": "string", "enum": words() }),
        Form::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Form::Duration => json!({ "type": "string", "pattern": DURATION }),
        Form::Size => json!({ "type": "string", "pattern": SIZE }),
    }
}
