//! `gateway schema`: the format of `gateway.toml` as a JSON Schema, for editors. It is made from the tables by which the
//! parser reads the file. Draft 7 is the newest one that Taplo and its editors know.
//!
//! Alternatives are split by the type of the value, or by `if`. Of an `anyOf` editors only say that none of its schemas
//! holds, not which field is wrong.

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
    // The first is missed if none of the others is there.
    let alternatives = |names: &&[&str]| -> Value {
        let absent: Map<String, Value> = names[1..].iter().map(|name| ((*name).to_owned(), false.into())).collect();
        json!({ "if": { "properties": absent }, "then": { "required": [names[0]] } })
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
        Kind::TextOrTexts(form) => either(of_text(*form), list(*form)),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(bounds) => json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }),
        Kind::Table(table) => of_table(table),
        Kind::TableOrTables(table) => {
            either(of_table(table), json!({ "type": "array", "items": of_table(table), "minItems": 1 }))
        }
        Kind::FlagOrTable(table) => either(json!({ "type": "boolean" }), of_table(table)),
        Kind::Headers => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Claims => {
            let value = json!({ "type": ["string", "integer", "boolean"] });
            let values = json!({ "type": "array", "items": value, "minItems": 1 });
            json!({ "type": "object", "additionalProperties": either(value, values) })
        }
    };
    schema["description"] = field.about.into();
    schema
}

/// A value of one of two schemas of different types. Each keyword but `type` and `enum` concerns values of one type, so
/// both stand side by side.
fn either(one: Value, other: Value) -> Value {
    let types = |schema: &Value| match &schema["type"] {
        Value::Array(types) => types.clone(),
        single => vec![single.clone()],
    };
    let both = json!([types(&one), types(&other)].concat());
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            one.insert("type".to_owned(), both);
            one.into()
        }
        (one, _) => one,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `visit` with every schema inside this one.
    fn each(schema: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
        match schema {
            Value::Object(members) => {
                visit(members);
                members.values().for_each(|inner| each(inner, visit));
            }
            Value::Array(values) => values.iter().for_each(|inner| each(inner, visit)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_mistake_is_that_of_one_field() {
        each(&schema(), &mut |members| {
            assert!(!members.contains_key("anyOf") && !members.contains_key("oneOf"), "{members:?}");
            // Words would concern the values of the other type, too.
            let is_split = members.get("type").is_some_and(Value::is_array);
            assert!(!(is_split && members.contains_key("enum")), "{members:?}");
        });
    }

    #[test]
    fn the_types_of_alternatives_stand_side_by_side() {
        let table = &schema()["properties"]["routes"]["items"];
        let field = |name: &str| table["properties"][name].clone();
        let limit = field("rate_limit");
        assert_eq!(limit["type"], json!(["object", "array"]));
        assert_eq!(
            (&limit["required"], &limit["items"]["required"]),
            (&json!(["requests", "per"]), &limit["required"])
        );
        assert_eq!(limit["additionalProperties"], false);
        assert_eq!(field("maintenance")["type"], json!(["boolean", "object"]));
        assert_eq!(field("claims")["additionalProperties"]["type"], json!(["string", "integer", "boolean", "array"]));
        let unless = json!({ "redirect": false, "respond": false, "maintenance": false });
        let then = json!({ "required": ["service"] });
        assert_eq!(table["allOf"], json!([{ "if": { "properties": unless }, "then": then }]));
    }
}
