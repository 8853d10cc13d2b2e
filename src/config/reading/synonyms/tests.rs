use std::collections::HashSet;

use super::*;
use crate::config::{Table, file_format};

/// The tables at the top of the file, and those inside them.
fn tables() -> Vec<&'static Table> {
    let (_, service, route) = file_format();
    let inner = [service, route].into_iter().flat_map(|table| table.fields).filter_map(|field| field.kind.table());
    [service, route].into_iter().chain(inner).collect()
}

#[test]
fn every_name_leads_to_a_field_that_there_is_and_none_is_one() {
    for (name, names) in FIELDS {
        let table = tables().into_iter().find(|table| table.name == *name).unwrap();
        let fields: Vec<String> = table.fields.iter().map(|field| folded(field.name)).collect();
        let elsewhere =
            ELSEWHERE.iter().filter(|(of, _)| of == name).flat_map(|(_, (_, others))| others.split_whitespace());
        let mut seen = HashSet::new();
        for (ours, others) in *names {
            assert!(fields.contains(&folded(ours)), "{name}: {ours}");
            for other in others.split_whitespace() {
                assert_eq!(other, folded(other));
                assert!(!fields.contains(&other.to_owned()) && seen.insert(other), "{name}: {other}");
            }
        }
        for other in elsewhere {
            assert!(!fields.contains(&other.to_owned()) && seen.insert(other), "{name}: {other}");
        }
    }
}

#[test]
fn the_fields_of_the_other_table_are_known() {
    let (_, service, route) = file_format();
    for (table, other, hint) in [(route, service, OF_SERVICE), (service, route, OF_ROUTE)] {
        let own: Vec<&str> = table.fields.iter().map(|field| field.name).collect();
        for name in other.fields.iter().map(|field| field.name).filter(|name| !own.contains(name)) {
            if name == "url" {
                // It has a hint of its own.
                continue;
            }
            assert_eq!(meant(table.name, name), Some(Meant::Else(hint)), "{name}");
        }
    }
}

#[test]
fn what_others_call_a_field_is_known_in_each_way_to_write_it() {
    for (table, name, field) in [
        ("a route", "stripPrefix", "upstream_path"),
        ("a route", "strip-prefix", "upstream_path"),
        ("a route", "uri", "path"),
        ("a route", "timeout_ms", "total_timeout"),
        ("a service", "servers", "url"),
        ("a service", "health_check", "check"),
        ("a service", "loadBalancer", "balance"),
        ("check", "unhealthy_threshold", "unhealthy_after"),
        ("rate_limit", "window", "per"),
    ] {
        assert_eq!(meant(table, name), Some(Meant::Field(field)), "{name}");
    }
    assert!(matches!(meant("a route", "proxy_pass"), Some(Meant::Else(hint)) if hint.contains("[services.NAME]")));
    assert_eq!((meant("a route", "colour"), meant("redirect", "uri")), (None, None));
}
