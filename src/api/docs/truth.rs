//! Completes the OpenAPI document where poem-openapi cannot: facts about every operation, facts that depend on the
//! settings, and schemas closed to unknown members. Requests that are generated from the document are refused exactly
//! where it says so.

use serde_json::json;

use crate::json::{Json, openapi30};
use crate::{
    domain::gateway::{
        models::login::{MAX_LOGIN_HINT, MAX_SCOPE_BYTES},
        schemas::token::{MAX_DUMMY_TEXT, reserved_claims},
    },
    problem,
};

/// Facts that depend on the settings.
#[derive(Debug, Clone)]
pub(in crate::api) struct Facts {
    /// The longest lifetime of an access token, in seconds.
    pub(in crate::api) longest_access_life: i64,
    /// The name of the session's cookie.
    pub(in crate::api) session_cookie: String,
    /// The other sites that a sign-in may return to.
    pub(in crate::api) return_origins: Vec<String>,
}

/// The statuses of every operation: the data plane refuses invalid HTTP, and anything may fail.
const OF_EVERY_OPERATION: [(&str, &str); 4] = [
    ("400", "The request is malformed: its path, a header or a parameter is invalid."),
    ("431", "The head of the request is larger than 16 KiB, or has more than 100 headers."),
    ("500", "The gateway failed. Its log gives the reason."),
    ("503", "The gateway is overloaded or cannot reach its store at the moment. Try again shortly."),
];

/// The limit of the parser (`MAX_FORM_PARAMETERS`).
const MOST_FORM_PARAMETERS: usize = crate::api::shared::extract::MAX_FORM_PARAMETERS;

/// A short UUID.
const ID: &str = "^[1-9A-HJ-NP-Za-km-z]{22}$";

/// The name of a provider.
const PROVIDER: &str = "^[a-z][a-z0-9-]{0,31}$";

/// The name of a service.
const SERVICE: &str = "^[a-z][a-z0-9-]{0,62}$";

/// A path of this site.
const RETURN_TO: &str = r"^/(?:[!-.0-\[\]-~][!-\[\]-~]{0,510})?$";

/// No control characters.
const LOGIN_HINT: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";

/// The values of all providers; an error names those that a provider supports.
const AUTH_TYPES: [&str; 3] = ["reauthenticate", "reprompt", "rerequest"];

/// Words of printable ASCII. The settings determine the permitted ones.
const SCOPE: &str = "^[ ,]*[!-+.-~-][ -~]*$";

/// Texts of JSON bodies with more restrictions than a length: the schema, the property, and its pattern.
const TEXTS: [(&str, &str, &str); 8] = [
    ("SignUp", "email", EMAIL),
    ("LogIn", "email", EMAIL),
    ("ChangePassword", "email", EMAIL),
    ("SignUp", "name", NAME),
    ("LogInForm", "email", EMAIL),
    ("SignUpForm", "email", EMAIL),
    ("SignUpForm", "name", NAME_OR_BLANK),
    ("CreateDummyToken", "token", DUMMY_TOKEN),
];

/// A name in a form: empty fields are sent, too.
const NAME_OR_BLANK: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// A dot-atom, an `@` and a domain in ASCII, within the lengths of RFC 5321; surrounding white space is ignored.
const EMAIL: &str = concat!(
    r"^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*",
    r"(?=\S{1,254}[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$)(?=[^@]{1,64}@)",
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*",
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?",
    r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$",
);

/// JSON bodies of third parties, which may contain undocumented members.
const OPEN: [&str; 1] = ["JsonNotice"];

/// No control characters, and not only white space.
const NAME: &str = concat!(
    r"^[^\x00-\x1f\x7f-\x9f]*",
    r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\x00-\x1f\x7f-\x9f]*$",
);

/// No control characters, and no white space at either end.
const DUMMY_TOKEN: &str = concat!(
    r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"(?:[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?$",
);

/// Completes the document. An unreadable one stays as it is.
pub(super) fn completed(document: String, facts: &Facts) -> String {
    let Ok(mut json) = serde_json::from_str::<Json>(&document) else { return document };
    complete(&mut json, facts);
    serde_json::to_string(&json).unwrap_or(document)
}

/// Upgrades the document to OpenAPI 3.1, which services may use, with its groups in this order.
pub(super) fn upgraded(document: &mut Json, groups: &[&str]) {
    openapi30::upgrade(document);
    document.set("openapi", json!("3.1.0"));
    if let Some(Json::Array(tags)) = document.get_mut("tags") {
        let place = |tag: &Json| {
            let name = tag.get("name").and_then(Json::text).unwrap_or_default();
            groups.iter().position(|group| *group == name).unwrap_or(groups.len())
        };
        tags.sort_by_key(place);
    }
}

fn complete(document: &mut Json, facts: &Facts) {
    let mut bodies = Vec::new();
    for (_, path) in document.get_mut("paths").map(Json::members_mut).unwrap_or_default() {
        for (_, operation) in path.members_mut() {
            responses(operation);
            parameters(operation, facts);
            bodies.extend(request_bodies(operation));
            if operation.get("security").is_none() {
                // Explicit, so that it does not look forgotten.
                operation.set("security", json!([]));
            }
        }
    }
    if let Some(session) = document.at_mut(&["components", "securitySchemes", "session"]) {
        session.set("name", json!(facts.session_cookie));
    }
    // The same text without JSON.
    let text_body = ["paths", "/tokens/dummy", "post", "requestBody", "content", "text/plain", "schema"];
    if let Some(schema) = document.at_mut(&text_body) {
        schema.set("minLength", json!(1));
        schema.set("maxLength", json!(MAX_DUMMY_TEXT));
        schema.set("pattern", json!(DUMMY_TOKEN));
    }
    let Some(schemas) = document.at_mut(&["components", "schemas"]) else { return };
    for form in ["LinkRequest", "LogInForm", "SignUpForm"] {
        if let Some(text) = schemas.at_mut(&[form, "properties", "return_to"]) {
            set_return_to(text, &facts.return_origins);
        }
    }
    for (schema, property, pattern) in TEXTS {
        if let Some(text) = schemas.at_mut(&[schema, "properties", property]) {
            text.set("pattern", json!(pattern));
        }
    }
    for (schema, is_form) in bodies.into_iter().filter(|(schema, _)| !OPEN.contains(&schema.as_str())) {
        if let Some(schema) = schemas.get_mut(&schema) {
            if is_form { open_to_texts(schema) } else { closed(schema) }
        }
    }
    if let Some(life) = schemas.at_mut(&["CreateToken", "properties", "expires_in"]) {
        life.set("maximum", json!(facts.longest_access_life));
    }
    if let Some(claims) = schemas.at_mut(&["CreateToken", "properties", "claims"]) {
        let reserved = reserved_claims().iter().map(|name| ((*name).to_owned(), json!({"not": {}}).into()));
        claims.set("properties", Json::Object(reserved.collect()));
    }
}

fn responses(operation: &mut Json) {
    let Some(responses) = operation.get_mut("responses") else { return };
    for (status, description) in OF_EVERY_OPERATION {
        if responses.get(status).is_none() {
            responses.set(status, json!({"description": description}));
        }
        let Some(response) = responses.get_mut(status) else { continue };
        if response.get("content").is_none() {
            response.set("content", json!({}));
        }
        if let Some(content) = response.get_mut("content")
            && content.get(problem::CONTENT_TYPE).is_none()
        {
            content.set(problem::CONTENT_TYPE, json!({"schema": {"$ref": "#/components/schemas/Problem"}}));
        }
    }
    if let Json::Object(members) = responses {
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
}

/// Parameters with the same name have the same schema in every operation.
fn parameters(operation: &mut Json, facts: &Facts) {
    for parameter in operation.get_mut("parameters").map(Json::elements_mut).unwrap_or_default() {
        let name = parameter.get("name").and_then(Json::text).unwrap_or_default().to_owned();
        let Some(schema) = parameter.get_mut("schema") else { continue };
        match name.as_str() {
            "id" | "confirmation_code" => schema.set("pattern", json!(ID)),
            "provider" => schema.set("pattern", json!(PROVIDER)),
            "name" => schema.set("pattern", json!(SERVICE)),
            "return_to" => set_return_to(schema, &facts.return_origins),
            "login_hint" => {
                schema.set("minLength", json!(1));
                schema.set("maxLength", json!(MAX_LOGIN_HINT));
                schema.set("pattern", json!(LOGIN_HINT));
            }
            "auth_type" => schema.set("enum", json!(AUTH_TYPES)),
            "scope" => {
                schema.set("maxLength", json!(MAX_SCOPE_BYTES));
                schema.set("pattern", json!(SCOPE));
            }
            "limit" => {
                schema.set("minimum", json!(1));
                schema.set("maximum", json!(100));
            }
            _ => {}
        }
    }
}

fn set_return_to(schema: &mut Json, return_origins: &[String]) {
    if return_origins.is_empty() {
        schema.set("pattern", json!(RETURN_TO));
    } else {
        let escaped = |origin: &String| origin.replace('.', r"\.").replace('[', r"\[").replace(']', r"\]");
        let origins: Vec<_> = return_origins.iter().map(escaped).collect();
        let path = RETURN_TO.trim_start_matches('^').trim_end_matches('$');
        let there = format!("^(?:{})(?:{path})?$", origins.join("|"));
        schema.set("maxLength", json!(512));
        schema.set("anyOf", json!([{"pattern": RETURN_TO}, {"pattern": there}]));
    }
}

/// The schemas of a body, and whether it is a form.
fn request_bodies(operation: &mut Json) -> Vec<(String, bool)> {
    let content = operation.at_mut(&["requestBody", "content"]).map(Json::members_mut).unwrap_or_default();
    let schemas = content.iter().filter_map(|(media_type, content)| {
        let schema = content.get("schema")?.get("$ref")?.text()?.rsplit('/').next()?.to_owned();
        Some((schema, media_type != "application/json"))
    });
    schemas.collect()
}

/// A JSON body: unknown members are refused, and optional ones may be null.
fn closed(schema: &mut Json) {
    let required: Vec<String> = match schema.get("required") {
        Some(Json::Array(names)) => names.iter().filter_map(Json::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    for (name, property) in schema.get_mut("properties").map(Json::members_mut).unwrap_or_default() {
        if !required.contains(name) {
            property.set("nullable", json!(true));
        }
    }
    schema.set("additionalProperties", json!(false));
}

/// A form: unknown parameters are ignored, but none may repeat, and their number is limited.
fn open_to_texts(schema: &mut Json) {
    schema.set("additionalProperties", json!({"type": "string"}));
    schema.set("maxProperties", json!(MOST_FORM_PARAMETERS));
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn after(document: &Value, return_origins: &[&str]) -> Value {
        let return_origins = return_origins.iter().map(|&origin| origin.to_owned()).collect();
        let facts = Facts { longest_access_life: 60, session_cookie: "__Host-session".to_owned(), return_origins };
        serde_json::from_str(&completed(document.to_string(), &facts)).unwrap()
    }

    #[test]
    fn every_operation_declares_its_statuses_and_its_security() {
        let document = json!({"paths": {"/a": {
            "get": {"responses": {"503": {"description": "mine", "content": {"x": {}}}, "200": {}}},
            "put": {"responses": {}, "security": [{"b": []}]}
        }}});
        let paths = &after(&document, &[])["paths"]["/a"];
        let statuses: Vec<_> = paths["get"]["responses"].as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["200", "400", "431", "500", "503"]);
        let own = &paths["get"]["responses"]["503"];
        assert_eq!((&own["description"], own["content"].as_object().unwrap().len()), (&json!("mine"), 2));
        assert_eq!(paths["get"]["responses"]["200"], json!({}));
        assert_eq!((&paths["get"]["security"], &paths["put"]["security"]), (&json!([]), &json!([{"b": []}])));
    }

    #[test]
    fn json_bodies_are_closed_and_forms_are_not() {
        let body = |media: &str, schema: &str| json!({"requestBody": {"content": {media: {"schema": {"$ref": format!("#/components/schemas/{schema}")}}}}});
        let document = json!({
            "paths": {
                "/a": {"post": body("application/json", "A"), "put": body("application/x-www-form-urlencoded", "B")},
                "/b": {"post": body("application/json", "JsonNotice")},
            },
            "components": {"schemas": {
                "A": {"required": ["x"], "properties": {"x": {}, "y": {}}},
                "B": {"properties": {"x": {}}},
                "C": {"properties": {"x": {}}},
                "JsonNotice": {"properties": {"x": {}}}
            }}
        });
        let schemas = &after(&document, &[])["components"]["schemas"];
        assert_eq!(schemas["A"]["additionalProperties"], false);
        assert_eq!(schemas["A"]["properties"], json!({"x": {}, "y": {"nullable": true}}));
        assert_eq!(schemas["B"]["additionalProperties"], json!({"type": "string"}));
        assert_eq!(schemas["JsonNotice"], schemas["C"]);
        assert_eq!((&schemas["B"]["maxProperties"], &schemas["C"]), (&json!(64), &json!({"properties": {"x": {}}})));
    }

    #[test]
    fn the_document_contains_the_settings() {
        let parameter = |name: &str| json!({"name": name, "schema": {"type": "string"}});
        let document = json!({
            "paths": {"/a": {"get": {"parameters": [parameter("return_to"), parameter("id"), parameter("state")]}}},
            "components": {
                "schemas": {"CreateToken": {"properties": {"expires_in": {"maximum": 5}, "claims": {}}}},
                "securitySchemes": {"session": {"name": "x"}}
            }
        });
        let said = after(&document, &[]);
        let parameters = &said["paths"]["/a"]["get"]["parameters"];
        assert_eq!(parameters[0]["schema"]["pattern"], RETURN_TO);
        assert_eq!(
            (&parameters[1]["schema"]["pattern"], &parameters[2]["schema"]),
            (&json!(ID), &json!({"type": "string"}))
        );
        assert_eq!(said["components"]["securitySchemes"]["session"]["name"], "__Host-session");
        let properties = &said["components"]["schemas"]["CreateToken"]["properties"];
        assert_eq!(properties["expires_in"]["maximum"], 60);
        assert_eq!(properties["claims"]["properties"]["iss"], json!({"not": {}}));
        let with_origins = after(&document, &["https://a.test"]);
        let one_of = &with_origins["paths"]["/a"]["get"]["parameters"][0]["schema"]["anyOf"];
        let pattern = one_of[1]["pattern"].as_str().unwrap();
        assert!(pattern.starts_with(r"^(?:https://a\.test)(?:/") && pattern.ends_with(")?$"), "{pattern}");
    }

    #[test]
    fn an_unreadable_document_stays_as_it_is() {
        let facts = Facts { longest_access_life: 1, session_cookie: String::new(), return_origins: Vec::new() };
        assert_eq!(completed("x".to_owned(), &facts), "x");
    }
}
