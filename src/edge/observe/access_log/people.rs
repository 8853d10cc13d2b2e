//! A line for people:
//!
//! `21:03:25.123  200 GET /api/users → auth /users @ localhost:8001  1.234 ms  alice  127.0.0.1  6dLzyFvUWLrzXRFd5Tv3aK`

use std::time::Instant;

use super::{Record, line::Line, times::Times};

/// Writes the line of a request that has `ended`.
pub(crate) fn put(record: &Record, ended: Instant, times: &Times, with_colours: bool, line: &mut Line<'_>) {
    let micros = times.put_second(ended, line);
    line.digits(micros / 1000, 3);
    let (colour, plain) = if with_colours { (colour_of(record.status()), "\u{1b}[0m") } else { ("", "") };
    line.raw("  ");
    line.raw(colour);
    line.digits(record.status().into(), 3);
    line.raw(plain);
    line.raw(" ");
    line.raw(record.method());
    line.raw(" ");
    line.path(record.path());
    if let Some(route) = record.route.as_ref().filter(|route| !route.service.is_none()) {
        line.raw(" → ");
        line.raw(route.service.as_str());
        line.raw(" ");
        line.path(record.path_there.as_deref().unwrap_or_default());
    }
    if let Some(instance) = &record.instance {
        line.raw(" @ ");
        line.raw(instance);
    }
    line.raw("  ");
    line.milliseconds(ended.saturating_duration_since(record.began));
    line.raw(" ms");
    if let Some(code) = record.code {
        line.raw("  ");
        line.raw(code);
    }
    if !record.complete {
        line.raw(" (broken off)");
    }
    if let Some(caller) = &record.caller {
        line.raw("  ");
        line.name(&caller.identity.subject);
    }
    if let Some(client) = &record.client {
        line.raw("  ");
        line.shown(client);
    }
    line.raw("  ");
    line.raw(record.request_id.as_str());
    line.raw("\n");
}

/// Green for success, cyan for redirects, yellow for errors of the caller, red for errors of the gateway or a service.
fn colour_of(status: u16) -> &'static str {
    match status {
        0..=299 => "\u{1b}[32m",
        300..=399 => "\u{1b}[36m",
        400..=499 => "\u{1b}[33m",
        _ => "\u{1b}[31m",
    }
}
