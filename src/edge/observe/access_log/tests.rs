use std::borrow::Cow;

use chrono::DateTime;
use serde_json::{Value, json};

use super::line::{MAX_PATH, loggable};
use super::*;
use crate::{
    domain::gateway::models::values::{
        id::{FamilyId, RequestId, TokenId},
        identity::Identity,
        scope::Scope,
    },
    edge::{
        http::header_list::HeaderList,
        observe::trace_context::continue_trace,
        tests::support::{CollectingSink, NOW, route},
        timer::client_timeouts::{ClientTimeouts, Timeouts},
    },
    ports::testing::TestClock,
};

fn identity(subject: &str) -> Identity {
    Identity {
        subject: subject.to_owned(),
        scope: Scope::default(),
        token_id: TokenId::from_random([1; 16]),
        family: FamilyId::from_random([1; 16]),
        expires_at: DateTime::UNIX_EPOCH,
        claims: json!({"client_id": "c\u{202e}1"}).as_object().unwrap().clone(),
    }
}

fn record(log: &Rc<AccessLog>, target: Option<Uri>) -> Box<Record> {
    let client_timeouts = ClientTimeouts::new(Timeouts { head: Duration::MAX, idle: Duration::MAX });
    let id = RequestText::of(RequestId::from_random([7; 16]));
    Record::begin(log, Method::POST, target, id, client_timeouts.enrol())
}

/// The log output of the requests that `happens` makes.
fn logged(format: LogFormat, happens: impl FnOnce(&Rc<AccessLog>)) -> String {
    let sink = Arc::<CollectingSink>::default();
    let log = Rc::new(AccessLog::new(Arc::clone(&sink) as _, format, Tz::Asia__Seoul, TestClock::at(NOW)));
    happens(&log);
    // Lines for machines are collected.
    assert_eq!(sink.text().is_empty(), format == LogFormat::Json);
    log.flush();
    sink.text()
}

fn created(log: &Rc<AccessLog>) {
    let mut record = record(log, Some(Uri::from_static("/api/users/1?token=secret")));
    record.comes_from([203, 0, 113, 5].into());
    record.goes_by(&Arc::new(route("/api/users", "auth", "/users")), "/api/users/1");
    record.is_of(&Caller::new(identity("제인\n\"")));
    record.belongs_to(continue_trace(&mut HeaderList::default(), [0xab; 24]).id());
    record.forwarded(Instant::now());
    record.service_answered();
    record.received(7);
    record.sent(5);
    record.sent(12_345);
    record.answered(StatusCode::CREATED);
    record.complete();
}

#[test]
fn a_request_leaves_one_line_without_its_query() {
    let line = logged(LogFormat::Text, created);
    let id = RequestId::from_random([7; 16]);
    let (before, after) = line.split_once(" → ").unwrap();
    assert_eq!(before, "22:46:40.000  201 POST /api/users/1");
    let (there, after) = after.split_once("  ").unwrap();
    assert_eq!(there, "auth /users/1");
    let (milliseconds, rest) = after.split_once(" ms").unwrap();
    assert!(milliseconds.parse::<f64>().is_ok() && milliseconds.split('.').nth(1).unwrap().len() == 3, "{line}");
    assert_eq!(rest, format!("  제인??  203.0.113.5  {id}\n"));
}

#[test]
fn the_manual_shows_a_line_as_it_is() {
    let page = include_str!("../../../../docs/logging.md");
    let example = page.lines().find(|line| line.contains("  200 GET ")).unwrap();
    // The endpoint, which is known once there is a connection, follows the path at the service.
    let columns = |line: &str| line.split("  ").map(|part| part.split(' ').count()).collect::<Vec<_>>();
    let shown = columns(&example.replace(" @ localhost:8001", ""));
    assert_eq!(shown, columns(logged(LogFormat::Text, created).trim_end()));
}

#[test]
fn a_line_for_machines_is_an_object() {
    let line = logged(LogFormat::Json, created);
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["timestamp"], "1970-01-12T13:46:40.000000Z");
    assert_eq!((&object["level"], &object["target"]), (&"INFO".into(), &"access".into()));
    assert_eq!((&object["method"], &object["path"]), (&"POST".into(), &"/api/users/1".into()));
    assert_eq!((&object["status"], &object["service"]), (&201.into(), &"auth".into()));
    assert_eq!((&object["route"], &object["client"]), (&"/api/users".into(), &"203.0.113.5".into()));
    assert_eq!((&object["subject"], &object["client_id"]), (&"제인??".into(), &"c?1".into()));
    assert_eq!((&object["bytes_in"], &object["bytes_out"]), (&7.into(), &12_350.into()));
    assert_eq!(object["trace_id"], "ab".repeat(16));
    assert!(object["upstream_ms"].as_f64().unwrap() <= object["ms"].as_f64().unwrap(), "{line}");
    assert!(object["complete"] == true && !line.contains("secret"), "{line}");
    assert!(line.ends_with("}\n") && line.lines().count() == 1);
}

#[test]
fn a_client_that_left_and_a_refused_head_are_logged_too() {
    let gone = logged(LogFormat::Text, |log| drop(record(log, Some(Uri::from_static("/a")))));
    assert!(gone.contains("  499 POST /a  ") && gone.contains(" ms (broken off)"), "{gone}");
    assert!(logged(LogFormat::Text, |log| drop(record(log, None))).contains("  499 - -  "));
    let gone = logged(LogFormat::Json, |log| drop(record(log, Some(Uri::from_static("/a")))));
    assert!(gone.contains("\"status\":499,") && gone.contains("\"complete\":false,"), "{gone}");
    let gone: Value = serde_json::from_str(&gone).unwrap();
    assert_eq!((&gone["bytes_in"], &gone["bytes_out"]), (&0.into(), &0.into()));
    for unknown in ["service", "route", "instance", "upstream_ms", "client", "subject", "client_id", "trace_id"] {
        assert_eq!(gone.get(unknown), None, "{gone}");
    }
}

#[test]
fn a_caller_without_a_machine_client_has_none_in_the_line() {
    let line = logged(LogFormat::Json, |log| {
        let claims = serde_json::Map::new();
        record(log, None).is_of(&Caller::new(Identity { claims, ..identity("alice") }));
    });
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((object["subject"].as_str(), object.get("client_id")), (Some("alice"), None));
}

#[test]
fn many_lines_are_written_in_blocks_and_each_once() {
    let sink = Arc::<CollectingSink>::default();
    let log = Rc::new(AccessLog::new(Arc::clone(&sink) as _, LogFormat::Json, Tz::UTC, TestClock::at(NOW)));
    (0..1000).for_each(|_| created(&log));
    log.flush();
    log.flush();
    assert_eq!(sink.text().lines().count(), 1000);
    assert!(sink.blocks() < 20, "{}", sink.blocks());
}

#[test]
fn a_path_cannot_forge_a_line() {
    assert!(matches!(loggable("/api/users%0A"), Cow::Borrowed("/api/users%0A")));
    assert_eq!(loggable("/a\n\u{1b}[31m\"b\\"), "/a%u{a}%u{1b}[31m%u{22}b%u{5c}");
    let long = loggable(&"/a".repeat(MAX_PATH)).into_owned();
    assert!(long.ends_with('…') && long.chars().count() == MAX_PATH + 1);
}
