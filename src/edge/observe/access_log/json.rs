//! A line for machines: one JSON object, whose members docs/logging.md lists. Nothing in it needs escaping: values
//! from outside were brought into a form without quotes, backslashes and control characters before.

use std::time::Instant;

use super::{Record, line::Line, times::Times};

/// The name of a member in its written form.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// Writes the line of a request that has `ended`. It begins like all other lines of the log.
pub(crate) fn put(record: &Record, ended: Instant, times: &Times, line: &mut Line<'_>) {
    line.raw(r#"{"timestamp":""#);
    let micros = times.put_second(ended, line);
    line.digits(micros, 6);
    line.raw(r#"Z","level":"INFO","target":"access""#);
    put_request(record, line);
    put_times(record, ended, line);
    put_caller(record, line);
    text(name!("request_id"), record.request_id.as_str(), line);
    if let Some(trace) = &record.trace {
        text(name!("trace_id"), trace.as_str(), line);
    }
    line.raw("}\n");
}

/// Writes the request, the result, and the service.
fn put_request(record: &Record, line: &mut Line<'_>) {
    text(name!("method"), record.method(), line);
    quoted(name!("path"), line, |line| line.path(record.path()));
    line.raw(name!("status"));
    line.digits(record.status().into(), 3);
    if let Some(code) = record.code {
        text(name!("code"), code, line);
    }
    if let Some(route) = &record.route {
        if !route.service.is_none() {
            text(name!("service"), route.service.as_str(), line);
        }
        quoted(name!("route"), line, |line| line.path(route.prefix.as_str()));
    }
    if let Some(instance) = &record.instance {
        text(name!("instance"), instance, line);
    }
}

/// Writes the durations, and the number of bytes in each direction.
fn put_times(record: &Record, ended: Instant, line: &mut Line<'_>) {
    line.raw(name!("ms"));
    line.milliseconds(ended.saturating_duration_since(record.began));
    if let Some(time) = record.upstream_time {
        line.raw(name!("upstream_ms"));
        line.milliseconds(time);
    }
    line.raw(name!("bytes_in"));
    line.digits(record.bytes_in(), 1);
    line.raw(name!("bytes_out"));
    line.digits(record.bytes_out.get(), 1);
    line.raw(name!("complete"));
    line.raw(if record.complete { "true" } else { "false" });
}

/// Writes the client and the caller.
fn put_caller(record: &Record, line: &mut Line<'_>) {
    if let Some(client) = &record.client {
        quoted(name!("client"), line, |line| line.shown(client));
    }
    let Some(caller) = &record.caller else { return };
    quoted(name!("subject"), line, |line| line.name(&caller.identity.subject));
    if let Some(client_id) = caller.identity.client_id() {
        quoted(name!("client_id"), line, |line| line.name(client_id));
    }
}

fn text(name: &str, text: &str, line: &mut Line<'_>) {
    quoted(name, line, |line| line.raw(text));
}

fn quoted(name: &str, line: &mut Line<'_>, put: impl FnOnce(&mut Line<'_>)) {
    line.raw(name);
    line.raw("\"");
    put(line);
    line.raw("\"");
}
