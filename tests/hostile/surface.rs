//! The API by its own document, so that new endpoints are attacked without changing the tests.

use serde_json::Value;

use crate::common::Gateway;

/// Stands for a secret in every request; no response and no log may contain it.
pub(crate) const SECRET: &str = "s3cret-in-the-wrong-place";

/// One call of the API.
pub(crate) struct Operation {
    pub(crate) method: String,
    /// Parameters of the path are filled in.
    pub(crate) path: String,
    /// The media types of its body, if it has one.
    pub(crate) takes: Vec<String>,
    /// Whether it needs a body.
    pub(crate) needs_body: bool,
    /// The schema of its JSON, if it accepts JSON.
    pub(crate) schema: Option<Value>,
}

impl Operation {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// All operations of the API, and the documentation.
pub(crate) fn operations(gateway: &Gateway) -> Vec<Operation> {
    let document = gateway.get("/openapi.json").expect(200).json();
    let mut operations = Vec::new();
    // Below /api services respond, each in its own way.
    let ours = document["paths"].as_object().unwrap().iter().filter(|(path, _)| !path.starts_with("/api/"));
    for (path, methods) in ours {
        for (method, operation) in methods.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object();
            let schema = content.and_then(|content| content.get("application/json")).map(|json| &json["schema"]);
            operations.push(Operation {
                method: method.to_uppercase(),
                path: filled_in(path),
                takes: content.into_iter().flatten().map(|(media_type, _)| media_type.clone()).collect(),
                needs_body: operation["requestBody"]["required"] == true,
                schema: schema.map(|schema| resolved(schema, &document)),
            });
        }
    }
    assert!(operations.iter().any(|operation| operation.path == "/tokens/dummy"), "the document is not whole");
    for path in ["/docs", "/openapi.json"] {
        let (method, path) = ("GET".into(), path.into());
        operations.push(Operation { method, path, takes: vec![], needs_body: false, schema: None });
    }
    operations
}

/// The methods that a path has.
pub(crate) fn methods(operations: &[Operation], path: &str) -> Vec<String> {
    let mut methods: Vec<String> =
        operations.iter().filter(|one| one.path == path).map(|one| one.method.clone()).collect();
    if methods.iter().any(|method| method == "GET") {
        methods.push("HEAD".into());
    }
    methods.sort();
    methods
}

fn filled_in(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn resolved(schema: &Value, document: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap().clone(),
        None => schema.clone(),
    }
}
