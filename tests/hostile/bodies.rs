//! Bodies that an endpoint does not accept.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use serde_json::{Map, Value};

use super::surface::{Operation, SECRET, operations};
use crate::common::{Gateway, PATIENCE, Response, parse};

/// The expected outcome of a body.
#[derive(Clone, Copy)]
enum Verdict {
    /// The body cannot be read: 400.
    Unreadable,
    /// Anything but a failure of the gateway.
    Whatever,
}

/// Each JSON type's name in a schema, and texts of that type.
const VALUES: [(&str, &[&str]); 5] = [
    ("boolean", &["true", "false"]),
    ("integer", &["5", "-5", "0"]),
    ("string", &[r#""s3cret-in-the-wrong-place""#]),
    ("array", &["[]", r#"["s3cret-in-the-wrong-place"]"#, "[[[]]]"]),
    ("object", &["{}", r#"{"s3cret-in-the-wrong-place": "s3cret-in-the-wrong-place"}"#]),
];

/// Invalid numbers: too large, not whole, or not JSON at all.
const NO_NUMBERS: [&str; 13] = [
    "99999999999999999999999",
    "-99999999999999999999999",
    "9223372036854775808",
    "1e400",
    "-1e400",
    "1.5",
    "NaN",
    "Infinity",
    "0x10",
    "01",
    "+1",
    "1_000",
    "--1",
];

/// Invalid strings.
const NO_STRINGS: [&[u8]; 13] = [
    b"\"\xff\xfe\"",
    b"\"\xc0\xaf\"",
    b"\"\xed\xa0\x80\"",
    b"\"a\x01b\"",
    b"\"a\nb\"",
    b"\"a\0b\"",
    b"\"\\ud800\"",
    b"\"\\udc00\"",
    b"\"\\ud800\\ud800\"",
    b"\"\\ud83dx\"",
    b"\"\\x41\"",
    b"\"\\u12\"",
    b"'s3cret-in-the-wrong-place'",
];

/// Valid but unusual strings.
const ODD_STRINGS: [&str; 7] = [
    r#""""#,
    r#"" ""#,
    r#""\u0000s3cret-in-the-wrong-place""#,
    r#""\u001b[31ms3cret-in-the-wrong-place""#,
    r#""s3cret-in-the-wrong-place\r\nX-User-Id: admin""#,
    r#""\u007f\u0085s3cret-in-the-wrong-place""#,
    r#""\ud83d\ude00 '; DROP TABLE tokens; --""#,
];

/// Before authentication: the cost of reading a form is bounded by the number of its parameters.
#[test]
fn a_form_of_many_parameters_is_refused_before_it_is_read() {
    let gateway = Gateway::with(&[("FACEBOOK_CLIENT_ID", "c"), ("FACEBOOK_CLIENT_SECRET", "s3cret")]);
    let send = |path: &str, body: &str| {
        gateway.call("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes())
    };
    let many = |count: usize| (0..count).map(|n| format!("{n:x}=1")).collect::<Vec<_>>().join("&");
    let largest = "&".repeat(256 * 1024);
    for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"] {
        for body in [&many(65), &many(30_000), &largest] {
            let refused = send(path, body).expect_oauth_error(400, "invalid_request");
            assert!(refused.text().contains("more than 64 parameters"), "{path}: {}", refused.text());
        }
        send(path, &many(64)).expect_oauth_error(401, "invalid_client");
    }
    let notice = "/oauth/webhooks/facebook";
    let refused = send(notice, &many(65)).expect_problem(400, "malformed_request");
    assert!(refused.text().contains("more than 64 parameters"), "{}", refused.text());
    assert!(!send(notice, &many(64)).text().contains("parameters"));
    gateway.is_unharmed();
}

#[test]
fn no_body_does_harm_or_is_quoted() {
    let gateway = Gateway::start();
    let mut sent = 0;
    for operation in operations(&gateway) {
        let Some(schema) = &operation.schema else { continue };
        // A provider's notice is authenticated before it is read.
        if operation.path.starts_with("/oauth/webhooks/") {
            continue;
        }
        let cases = whole_bodies(schema).into_iter().chain(fields(schema));
        for (body, verdict) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
            let what = format!("{} with {shown}", operation.name());
            let response =
                gateway.call(&operation.method, &operation.path, &[("Content-Type", "application/json")], &body);
            let may_be_left_out = body.is_empty() && !operation.needs_body;
            validate(response, if may_be_left_out { Verdict::Whatever } else { verdict }, &what);
            sent += 1;
        }
    }
    assert!(sent > 200, "only {sent}");
    assert!(!gateway.console().contains(SECRET));
    gateway.is_unharmed();
}

fn validate(response: Response, verdict: Verdict, what: &str) {
    assert!(response.status < 500, "{what}: {}", response.text());
    match verdict {
        Verdict::Unreadable => {
            assert_eq!(response.status, 400, "{what}: {}", response.text());
            let problem = response.expect_problem(400, "malformed_request");
            assert!(!problem.text().contains("struct"), "{what}: {}", problem.text());
            assert!(!problem.text().contains(SECRET), "{what}: {}", problem.text());
        }
        Verdict::Whatever if response.status >= 400 => {
            let code = response.json()["code"].as_str().unwrap().to_owned();
            let status = response.status;
            let problem = response.expect_problem(status, &code);
            assert!(!problem.text().contains(SECRET), "{what}: {}", problem.text());
        }
        Verdict::Whatever => {}
    }
}

/// Bodies that are no object, or an unterminated one.
fn whole_bodies(schema: &Value) -> Vec<(Vec<u8>, Verdict)> {
    let base = example(schema);
    let good = Value::Object(base.clone()).to_string();
    let values = Value::Array(properties(schema).map(|(_, property)| sample(property)).collect()).to_string();
    let with_secret = format!(r#"["{SECRET}"]"#);
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "[]",
        "[[]]",
        "[{}]",
        &with_secret,
        &values,
        "5",
        "null",
        "true",
        "\"",
        "{",
        "}",
        "{]",
        "{,}",
        "{\"",
        "{}{}",
        "{} x",
        "{'a': 1}",
        "{a: 1}",
        "// {}",
        "\u{feff}{}",
        "\u{0c}{}",
        "\0",
        "%7B%7D",
        "<a/>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    bodies.push(format!("\"{SECRET}\"").into_bytes());
    bodies.push(good.as_bytes()[..good.len() - 1].to_vec());
    bodies.push(good.replace('}', ",}").into_bytes());
    bodies.push(format!("{good} {SECRET}").into_bytes());
    bodies.push(good.encode_utf16().flat_map(u16::to_le_bytes).collect());
    bodies.push(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec());
    for deep in [nested("[", "]"), nested("{\"a\":", "}")] {
        bodies.push(deep.into_bytes());
    }
    for unknown in [SECRET, "__proto__", "", "\\u0000", "Token", "access_token;"] {
        bodies.push(with_field(&base, unknown, b"1"));
    }
    bodies.into_iter().map(|body| (body, Verdict::Unreadable)).collect()
}

/// Bodies with one invalid field.
fn fields(schema: &Value) -> Vec<(Vec<u8>, Verdict)> {
    let mut cases = Vec::new();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties(schema) {
        let mut base = example(schema);
        base.remove(name);
        let mut add = |value: &[u8], verdict| cases.push((with_field(&base, name, value), verdict));
        let wanted = kind(property);
        for (_, values) in VALUES.iter().filter(|(kind, _)| *kind != wanted) {
            for value in *values {
                add(value.as_bytes(), Verdict::Unreadable);
            }
        }
        if required.contains(&name.as_str()) {
            add(b"null", Verdict::Unreadable);
        }
        for value in NO_NUMBERS.map(str::as_bytes).into_iter().chain(NO_STRINGS) {
            add(value, Verdict::Unreadable);
        }
        for deep in [nested("[", "]"), nested("{\"a\":", "}")] {
            add(deep.as_bytes(), Verdict::Unreadable);
        }
        match wanted {
            "string" => {
                for value in ODD_STRINGS {
                    add(value.as_bytes(), Verdict::Whatever);
                }
                add(format!("\"{}\"", SECRET.repeat(8_000)).as_bytes(), Verdict::Whatever);
            }
            "integer" => {
                for value in ["0", "-1", "9223372036854775807", "-9223372036854775808", "-0"] {
                    add(value.as_bytes(), Verdict::Whatever);
                }
            }
            "object" => {
                let wide = (0..20_000).map(|key| format!("\"{key}\":{key}")).collect::<Vec<_>>().join(",");
                let deep = format!("{{\"a\": {}1{}}}", "[".repeat(100), "]".repeat(100));
                for value in
                    [&format!("{{{wide}}}"), &deep, r#"{"a": 1, "a": 2}"#, r#"{"\u0000": "\u001b"}"#, "{\"\": 1}"]
                {
                    add(value.as_bytes(), Verdict::Whatever);
                }
                for value in ["{\"a\": 1e400}", "{\"a\": \"\\ud800\"}", "{\"\\udc00\": 1}", "{1: 1}"] {
                    add(value.as_bytes(), Verdict::Unreadable);
                }
            }
            _ => {}
        }
        let twice = sample(property).to_string();
        base.insert(name.clone(), sample(property));
        cases.push((with_field(&base, name, twice.as_bytes()), Verdict::Unreadable));
    }
    cases
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().unwrap().iter()
}

fn example(schema: &Value) -> Map<String, Value> {
    schema["example"].as_object().expect("each schema has an example").clone()
}

/// Its type; a nullable one has two.
fn kind(property: &Value) -> &str {
    property["type"].as_str().or_else(|| property["type"][0].as_str()).unwrap()
}

/// A value of the right type.
fn sample(property: &Value) -> Value {
    match kind(property) {
        "boolean" => Value::Bool(true),
        "integer" => 5.into(),
        "string" => SECRET.into(),
        "array" => Value::Array(vec![]),
        "object" => Value::Object(Map::new()),
        other => panic!("{other} is new here"),
    }
}

fn with_field(base: &Map<String, Value>, name: &str, value: &[u8]) -> Vec<u8> {
    let mut body = b"{".to_vec();
    for (name, value) in base {
        body.extend(format!("\"{name}\": {value}, ").bytes());
    }
    body.extend(format!("\"{name}\": ").bytes());
    body.extend(value);
    body.push(b'}');
    body
}

fn nested(open: &str, close: &str) -> String {
    format!("{}1{}", open.repeat(10_000), close.repeat(10_000))
}

#[test]
fn only_the_documented_media_types_are_read() {
    let gateway = Gateway::start();
    for operation in operations(&gateway).iter().filter(|operation| !operation.takes.is_empty()) {
        let body = Value::Object(operation.schema.as_ref().map(example).unwrap_or_default()).to_string();
        let send =
            |headers: &[(&str, &str)]| gateway.call(&operation.method, &operation.path, headers, body.as_bytes());
        refused(operation, send(&[]));
        for media_type in [
            "",
            "text/plain",
            "text/html",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/octet-stream",
            "application/xml",
            "application/jsonp",
            "json",
            "application",
            "/",
            ";",
            "application/json/x",
            "text/json,application/json",
            "\u{ff}",
            "*/*",
        ] {
            if !operation.takes.iter().any(|taken| taken.starts_with(media_type) && !media_type.is_empty()) {
                refused(operation, send(&[("Content-Type", media_type)]));
            }
        }
        for taken in &operation.takes {
            for media_type in [taken.clone(), taken.to_uppercase(), format!("{taken}; charset=utf-8")] {
                assert_ne!(send(&[("Content-Type", &media_type)]).status, 415, "{} as {media_type}", operation.name());
            }
        }
    }
    gateway.is_unharmed();
}

/// At the endpoints of OAuth clients errors are those of RFC 6749 §5.2.
#[track_caller]
fn refused(operation: &Operation, response: Response) {
    if operation.path.starts_with("/oauth2/") {
        response.expect_oauth_error(415, "invalid_request");
    } else {
        response.expect_problem(415, "unsupported_media_type");
    }
}

#[test]
fn no_more_is_read_than_is_allowed() {
    let gateway = Gateway::start();
    let operations = operations(&gateway);
    for operation in operations.iter().filter(|operation| operation.schema.is_some()) {
        let big = format!(r#"{{"subject": "{}"}}"#, "a".repeat(2 * 1024 * 1024));
        gateway
            .call(&operation.method, &operation.path, &[("Content-Type", "application/json")], big.as_bytes())
            .expect_problem(413, "body_too_large");
        announced(&gateway, operation, "Content-Length: 2097152\r\n");
        announced(&gateway, operation, "Content-Length: 18446744073709551000\r\n");
        // A refused client gets no 100 (Continue).
        announced(&gateway, operation, "Content-Length: 2097152\r\nExpect: 100-continue\r\n");
        endless(&gateway, operation);
    }
    gateway.is_unharmed();
}

fn head_of(operation: &Operation, headers: &str) -> String {
    let Operation { method, path, .. } = operation;
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}\r\n"
    )
}

/// Only the head is sent: the response does not wait for the body.
fn announced(gateway: &Gateway, operation: &Operation, headers: &str) {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head_of(operation, headers).as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    parse(&response).expect_problem(413, "body_too_large");
}

/// An endless body: the client reads the refusal while it still sends, and the gateway closes.
fn endless(gateway: &Gateway, operation: &Operation) {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut responses = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut response = Vec::new();
        let _ = responses.read_to_end(&mut response);
        response
    });
    stream.write_all(head_of(operation, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    let begun = Instant::now();
    while !reading.is_finished() && stream.write_all(&chunk).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "{}: no refusal", operation.name());
    }
    parse(&reading.join().unwrap()).expect_problem(413, "body_too_large");
}
