//! Upgrades schemas of OpenAPI 3.0 to those of 3.1, which are JSON Schema.

use serde_json::{Value, json};

use super::Json;

/// Members that contain data and never a schema.
const DATA: [&str; 5] = ["example", "examples", "default", "enum", "const"];

/// Upgrades all schemas in a document.
pub fn upgrade(json: &mut Json) {
    walk(json, false);
}

/// `names` means that the members are named by the author, and are no keywords.
fn walk(json: &mut Json, names: bool) {
    if !names {
        bounds(json, "exclusiveMinimum", "minimum");
        bounds(json, "exclusiveMaximum", "maximum");
        nullable(json);
    }
    for (name, value) in json.members_mut() {
        if names || !DATA.contains(&name.as_str()) {
            walk(value, !names && matches!(name.as_str(), "properties" | "patternProperties" | "schemas" | "mapping"));
        }
    }
    json.elements_mut().iter_mut().for_each(|element| walk(element, false));
}

/// `exclusiveMinimum: true` beside `minimum: 5` is `exclusiveMinimum: 5`.
fn bounds(json: &mut Json, exclusive: &str, inclusive: &str) {
    let Some(Json::Plain(Value::Bool(is_exclusive))) = json.get(exclusive).cloned() else { return };
    json.remove(exclusive);
    if is_exclusive && let Some(bound) = json.remove(inclusive) {
        json.set(exclusive, bound);
    }
}

/// `nullable: true` becomes an additional type.
fn nullable(json: &mut Json) {
    let Some(Json::Plain(Value::Bool(is_nullable))) = json.get("nullable").cloned() else { return };
    json.remove("nullable");
    if !is_nullable {
        return;
    }
    if let Some(kind) = json.get("type").and_then(Json::text).map(str::to_owned) {
        json.set("type", json!([kind, "null"]));
        if let Some(Json::Array(values)) = json.get_mut("enum")
            && !values.contains(&Json::Plain(Value::Null))
        {
            values.push(Json::Plain(Value::Null));
        }
    } else if !json.members().is_empty() {
        let other = std::mem::take(json);
        *json = Json::from(json!({"anyOf": []}));
        json.set("anyOf", Json::Array(vec![other, json!({"type": "null"}).into()]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgraded(schema: Value) -> Value {
        let mut json = Json::from(schema);
        upgrade(&mut json);
        serde_json::to_value(&json).unwrap()
    }

    #[test]
    fn nullable_schemas_get_an_additional_type() {
        assert_eq!(upgraded(json!({"type": "string", "nullable": true})), json!({"type": ["string", "null"]}));
        assert_eq!(upgraded(json!({"type": "string", "nullable": false})), json!({"type": "string"}));
        assert_eq!(
            upgraded(json!({"type": "string", "enum": ["a"], "nullable": true})),
            json!({"type": ["string", "null"], "enum": ["a", null]})
        );
        assert_eq!(
            upgraded(json!({"$ref": "#/components/schemas/A", "nullable": true})),
            json!({"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "null"}]})
        );
    }

    #[test]
    fn bounds_are_numbers() {
        assert_eq!(
            upgraded(json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false})),
            json!({"exclusiveMinimum": 1, "maximum": 9})
        );
        assert_eq!(upgraded(json!({"exclusiveMinimum": 3})), json!({"exclusiveMinimum": 3}));
    }

    #[test]
    fn names_and_data_are_left_alone() {
        let schema = json!({
            "properties": {"nullable": {"type": "boolean"}, "exclusiveMinimum": {"type": "string"}},
            "example": {"type": "string", "nullable": true},
            "default": {"nullable": true}
        });
        assert_eq!(upgraded(schema.clone()), schema);
    }
}
