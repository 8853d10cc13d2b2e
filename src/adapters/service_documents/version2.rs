//! Converts Swagger 2.0 documents to OpenAPI 3.0.

use serde_json::json;

use crate::json::Json;

/// The members of a schema, which version 2 writes beside the parameter's name.
const OF_SCHEMA: [&str; 17] = [
    "type",
    "format",
    "items",
    "default",
    "enum",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "x-nullable",
];

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Converts a document.
pub(super) fn upgraded(document: Json) -> Json {
    let usual = |name: &str| texts(document.get(name)).unwrap_or_else(|| vec!["application/json".to_owned()]);
    let (consumes, produces) = (usual("consumes"), usual("produces"));
    let base = document.get("basePath").and_then(Json::text).unwrap_or("/").to_owned();
    let mut made =
        Json::from(json!({"openapi": "3.0.3", "info": {}, "servers": [{"url": base}], "paths": {}, "components": {}}));
    let (mut schemas, mut parameters, mut bodies, mut responses) = (object(), object(), object(), object());
    for (name, value) in document.into_members() {
        match name.as_str() {
            "info" => made.set("info", value),
            "paths" => made.set("paths", paths(value, &consumes, &produces)),
            "definitions" => schemas = value,
            "parameters" => {
                for (name, parameter) in value.into_members() {
                    match parameter_or_body(parameter, &consumes) {
                        Part::Parameter(parameter) => parameters.set(&name, parameter),
                        Part::Body(body) => bodies.set(&name, body),
                        Part::Field(..) => {}
                    }
                }
            }
            "responses" => {
                for (name, value) in value.into_members() {
                    responses.set(&name, response(value, &produces));
                }
            }
            _ => {}
        }
    }
    let mut components = object();
    let all = [("schemas", schemas), ("parameters", parameters), ("requestBodies", bodies), ("responses", responses)];
    for (kind, values) in all {
        components.set(kind, values);
    }
    made.set("components", components);
    rename(&mut made);
    made
}

/// The maximum number of media types in `consumes` and `produces`: each gets a copy of the schema.
const MOST_KINDS: usize = 3;

fn object() -> Json {
    Json::Object(Vec::new())
}

fn texts(list: Option<&Json>) -> Option<Vec<String>> {
    let Json::Array(elements) = list? else { return None };
    let texts: Vec<_> = elements.iter().filter_map(|one| one.text().map(str::to_owned)).take(MOST_KINDS).collect();
    (!texts.is_empty()).then_some(texts)
}

fn paths(paths: Json, consumes: &[String], produces: &[String]) -> Json {
    let mut made = object();
    for (path, item) in paths.into_members() {
        let mut item_made = object();
        let mut shared = Vec::new();
        let mut operations = Vec::new();
        for (name, value) in item.into_members() {
            match (name.as_str(), value) {
                ("parameters", Json::Array(parameters)) => shared = parameters,
                (method, value) if METHODS.contains(&method) => operations.push((name, value)),
                _ => {}
            }
        }
        for (method, value) in operations {
            // The shared parameters of a path may include a body, which belongs into each operation.
            item_made.set(&method, operation(value, &shared, consumes, produces));
        }
        made.set(&path, item_made);
    }
    made
}

fn operation(operation: Json, shared: &[Json], consumes: &[String], produces: &[String]) -> Json {
    let consumes = texts(operation.get("consumes")).unwrap_or_else(|| consumes.to_vec());
    let produces = texts(operation.get("produces")).unwrap_or_else(|| produces.to_vec());
    let mut made = object();
    let (mut parameters, mut fields, mut required, mut has_file) = (Vec::new(), object(), Vec::new(), false);
    let own = match operation.get("parameters") {
        Some(Json::Array(own)) => own.clone(),
        _ => Vec::new(),
    };
    let is_same = |one: &Json, other: &Json| one.get("name") == other.get("name") && one.get("in") == other.get("in");
    let of_path = shared.iter().filter(|one| one.get("name").is_none() || !own.iter().any(|other| is_same(one, other)));
    for parameter in of_path.chain(&own).cloned() {
        match parameter_or_body(parameter, &consumes) {
            Part::Parameter(parameter) => parameters.push(parameter),
            Part::Body(body) => made.set("requestBody", body),
            Part::Field(name, schema, is_required) => {
                has_file |= schema.get("format").and_then(Json::text) == Some("binary");
                if is_required {
                    required.push(Json::from(json!(name)));
                }
                fields.set(&name, schema);
            }
        }
    }
    if !fields.members().is_empty() {
        let mut schema = Json::from(json!({"type": "object"}));
        schema.set("properties", fields);
        if !required.is_empty() {
            schema.set("required", Json::Array(required));
        }
        let multipart = has_file || consumes.iter().any(|kind| kind == "multipart/form-data");
        let kind = if multipart { "multipart/form-data" } else { "application/x-www-form-urlencoded" };
        made.set("requestBody", body(&[kind.to_owned()], &schema));
    }
    for (name, value) in operation.into_members() {
        match (name.as_str(), value) {
            ("parameters", _) if !parameters.is_empty() => {
                made.set("parameters", Json::Array(std::mem::take(&mut parameters)));
            }
            ("consumes" | "produces" | "schemes" | "security" | "parameters", _) => {}
            ("responses", value) => {
                let mut responses = object();
                for (status, value) in value.into_members() {
                    responses.set(&status, response(value, &produces));
                }
                made.set("responses", responses);
            }
            (_, value) => made.set(&name, value),
        }
    }
    if !parameters.is_empty() {
        made.set("parameters", Json::Array(parameters));
    }
    made
}

fn body(kinds: &[String], schema: &Json) -> Json {
    let mut content = object();
    for kind in kinds {
        let mut one = object();
        one.set("schema", schema.clone());
        content.set(kind, one);
    }
    let mut body = object();
    body.set("content", content);
    body
}

/// The counterpart of a version 2 parameter.
enum Part {
    Parameter(Json),
    Body(Json),
    /// A form field: its name, its schema, and whether it is required.
    Field(String, Json, bool),
}

fn parameter_or_body(parameter: Json, consumes: &[String]) -> Part {
    let text = |name: &str| parameter.get(name).and_then(Json::text).unwrap_or_default().to_owned();
    let is_required = parameter.get("required") == Some(&json!(true).into());
    match text("in").as_str() {
        "body" => {
            let schema = parameter.get("schema").cloned().unwrap_or_else(object);
            let mut made = body(consumes, &schema);
            if let Some(description) = parameter.get("description") {
                made.set("description", description.clone());
            }
            if is_required {
                made.set("required", json!(true));
            }
            Part::Body(made)
        }
        "formData" => {
            let mut schema = schema_of(&parameter);
            if let Some(description) = parameter.get("description") {
                schema.set("description", description.clone());
            }
            Part::Field(text("name"), schema, is_required)
        }
        // References as well.
        "" => Part::Parameter(parameter),
        _ => {
            let collection = text("collectionFormat");
            let schema = schema_of(&parameter);
            let mut made = object();
            for (name, value) in parameter.into_members() {
                if !OF_SCHEMA.contains(&name.as_str()) && name != "collectionFormat" {
                    made.set(&name, value);
                }
            }
            if collection == "multi" {
                made.set("style", json!("form"));
                made.set("explode", json!(true));
            } else if made.get("in").and_then(Json::text) == Some("query")
                && schema.get("type").and_then(Json::text) == Some("array")
            {
                made.set("style", json!("form"));
                made.set("explode", json!(false));
            }
            made.set("schema", schema);
            Part::Parameter(made)
        }
    }
}

fn schema_of(described: &Json) -> Json {
    let mut schema = object();
    for (name, value) in described.members().iter().filter(|(name, _)| OF_SCHEMA.contains(&name.as_str())) {
        schema.set(name, value.clone());
    }
    if schema.get("type").and_then(Json::text) == Some("file") {
        schema.set("type", json!("string"));
        schema.set("format", json!("binary"));
    }
    schema
}

fn response(response: Json, produces: &[String]) -> Json {
    let mut made = object();
    let examples = response.get("examples").cloned();
    for (name, value) in response.into_members() {
        match name.as_str() {
            "schema" => {
                let schema = if value.get("type").and_then(Json::text) == Some("file") {
                    json!({"type": "string", "format": "binary"}).into()
                } else {
                    value
                };
                let mut content = body(produces, &schema);
                let content = content.get_mut("content").map(std::mem::take).unwrap_or_default();
                made.set("content", content);
            }
            "headers" => {
                let mut headers = object();
                for (name, header) in value.into_members() {
                    let mut one = object();
                    one.set("schema", schema_of(&header));
                    if let Some(description) = header.get("description") {
                        one.set("description", description.clone());
                    }
                    headers.set(&name, one);
                }
                made.set("headers", headers);
            }
            "examples" => {}
            _ => made.set(&name, value),
        }
    }
    for (kind, example) in examples.into_iter().flat_map(Json::into_members) {
        if let Some(content) = made.at_mut(&["content", &kind]) {
            content.set("example", example);
        }
    }
    if made.get("$ref").is_none() && made.get("description").is_none() {
        made.set("description", json!(""));
    }
    made
}

/// Rewrites references, and members with another name in version 3.
fn rename(json: &mut Json) {
    const MOVED: [(&str, &str); 3] = [
        ("#/definitions/", "#/components/schemas/"),
        ("#/parameters/", "#/components/parameters/"),
        ("#/responses/", "#/components/responses/"),
    ];
    if let Some(reference) = json.get("$ref").and_then(Json::text) {
        let moved = MOVED.iter().find_map(|(from, to)| Some(format!("{to}{}", reference.strip_prefix(from)?)));
        if let Some(moved) = moved {
            json.set("$ref", json!(moved));
        }
    }
    if let Some(nullable) = json.get("x-nullable").cloned() {
        json.set("nullable", nullable);
    }
    if let Some(property) = json.get("discriminator").and_then(Json::text).map(str::to_owned) {
        json.set("discriminator", json!({"propertyName": property}));
    }
    json.members_mut().iter_mut().for_each(|(_, value)| rename(value));
    json.elements_mut().iter_mut().for_each(rename);
}
