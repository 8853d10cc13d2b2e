//! One line per request, written when its answer has ended (or was given up). It never holds a query, a header or a body:
//! those may hold secrets. For machines the lines of a core are put together and written in blocks, soon after: a system call for
//! each would cost more than the line. For people each is written at once, so that it stands in its place among all others.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    io,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use http::{Method, StatusCode, Uri};
use tokio::sync::Notify;
use tracing::debug;

use super::{
    caller::Caller, in_flight::InFlight, ports::AccessLogSink, request_id::RequestText, view::Target, watchdog::Vitals,
};
use crate::{config::LogFormat, domain::gateway::models::service::Route, ports::Clock};

/// The longest path that is written out.
const MAX_PATH: usize = 1024;

/// The longest name of a caller that is written out.
const MAX_NAME: usize = 64;

/// What is logged as the status of a request whose client went away before the answer's head; nginx's number for it.
const CLIENT_GONE: u16 = 499;

/// What is logged as the status of a request that the end of the drain cut off before its answer's head.
const CUT_OFF: u16 = 503;

/// As much as is put together before it is written.
const BLOCK_BYTES: usize = 32 * 1024;

/// How long a line may wait for others: too short for somebody who watches to notice.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A core's part of the log.
pub(super) struct AccessLog {
    sink: Arc<dyn AccessLogSink>,
    format: LogFormat,
    timezone: Tz,
    clock: Arc<dyn Clock>,
    lines: RefCell<Vec<u8>>,
    second: RefCell<Option<Second>>,
    begun: Notify,
    is_cut_off: Cell<bool>,
}

impl AccessLog {
    /// Times are UTC for machines, and of this zone for people.
    pub(super) fn new(sink: Arc<dyn AccessLogSink>, format: LogFormat, timezone: Tz, clock: Arc<dyn Clock>) -> Self {
        Self {
            sink,
            format,
            timezone,
            clock,
            lines: RefCell::default(),
            second: RefCell::default(),
            begun: Notify::new(),
            is_cut_off: Cell::new(false),
        }
    }

    /// The requests that end from now on are cut off by the gateway, not by their clients.
    pub(super) fn cut_off(&self) {
        self.is_cut_off.set(true);
    }

    /// Writes the lines that have waited long enough, for ever.
    pub(super) async fn keep(&self) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(LONGEST_WAIT).await;
            self.flush();
        }
    }

    /// Writes all that there is.
    pub(super) fn flush(&self) {
        let mut lines = self.lines.borrow_mut();
        if !lines.is_empty() {
            self.sink.write(&lines);
            lines.clear();
        }
    }

    fn add(&self, record: &Record, ended: Instant) {
        let lines = &mut *self.lines.borrow_mut();
        if lines.is_empty() {
            // Asked once a block, as the answer takes looking up.
            if !self.sink.is_open() {
                return;
            }
            self.begun.notify_one();
        }
        let mut line = Line { into: lines };
        match self.format {
            LogFormat::Json => {
                self.begin(ended, &mut line);
                record.put(ended, &mut line);
            }
            LogFormat::Text => {
                self.begin_for_people(ended, &mut line);
                record.put_for_people(ended, self.sink.has_colours(), &mut line);
            }
        }
        if self.format == LogFormat::Text || lines.len() >= BLOCK_BYTES {
            self.sink.write(lines);
            lines.clear();
        }
    }

    /// Writes the time and what all lines have in common, in the form of all other lines of the log.
    fn begin(&self, now: Instant, line: &mut Line<'_>) {
        line.raw(r#"{"timestamp":""#);
        let micros = self.put_second(now, line);
        line.digits(micros, 6);
        line.raw(r#"Z","level":"INFO","target":"access""#);
    }

    /// Writes the time of day.
    fn begin_for_people(&self, now: Instant, line: &mut Line<'_>) {
        let micros = self.put_second(now, line);
        line.digits(micros / 1000, 3);
    }

    /// Writes the second and a point; how far the second has come.
    fn put_second(&self, now: Instant, line: &mut Line<'_>) -> u64 {
        let mut second = self.second.borrow_mut();
        let known = second.as_ref().and_then(|second| second.micros_at(now));
        let micros = known.unwrap_or_else(|| second.insert(self.second_of(self.clock.now(), now)).micros);
        line.raw(second.as_ref().map_or("", |second| &second.text));
        micros
    }

    fn second_of(&self, time: DateTime<Utc>, read: Instant) -> Second {
        let text = match self.format {
            LogFormat::Json => time.format("%Y-%m-%dT%H:%M:%S.").to_string(),
            LogFormat::Text => time.with_timezone(&self.timezone).format("%H:%M:%S.").to_string(),
        };
        Second::of(text, time, read)
    }
}

/// The second that was written last. In it the time of a line is told by the time that its request has taken note of anyway:
/// the clock is read once.
struct Second {
    text: String,
    read: Instant,
    /// How far the second had come when the clock was read.
    micros: u64,
}

impl Second {
    fn of(text: String, time: DateTime<Utc>, read: Instant) -> Self {
        Self { text, read, micros: time.timestamp_subsec_micros().into() }
    }

    /// How far it has come by then, if it has not passed.
    fn micros_at(&self, now: Instant) -> Option<u64> {
        let since = u64::try_from(now.saturating_duration_since(self.read).as_micros()).ok()?;
        Some(self.micros + since).filter(|&micros| micros < 1_000_000)
    }
}

/// A line that is being written. What is written stands for itself in JSON, too: nothing in it has to be escaped.
struct Line<'l> {
    into: &'l mut Vec<u8>,
}

/// The name of a member as it is written.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

impl Line<'_> {
    fn raw(&mut self, text: &str) {
        self.into.extend_from_slice(text.as_bytes());
    }

    /// A member with a text.
    fn text(&mut self, name: &str, text: &str) {
        self.raw(name);
        self.raw("\"");
        self.raw(text);
        self.raw("\"");
    }

    /// At least so many digits.
    fn digits(&mut self, number: u64, least: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        let mut rest = number;
        while rest > 0 {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        self.into.extend_from_slice(&digits[at.min(digits.len() - least)..]);
    }

    /// To the microsecond: more digits would be noise.
    fn milliseconds(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.digits(micros / 1000, 1);
        self.raw(".");
        self.digits(micros % 1000, 3);
    }
}

/// What is known about a request. Dropping it writes the line.
pub(super) struct Record {
    log: Rc<AccessLog>,
    method: Method,
    target: Option<Uri>,
    request_id: RequestText,
    began: Instant,
    status: u16,
    route: Option<Arc<Route>>,
    /// Where it arrives at the service; for people alone.
    path_there: Option<String>,
    instance: Option<Rc<Target>>,
    client: Option<IpAddr>,
    caller: Option<Rc<Caller>>,
    complete: bool,
    vitals: Rc<Vitals>,
    /// What it counts against as long as it is in flight.
    pub(super) in_flight: InFlight,
}

impl Record {
    /// A request has come. `target` is `None` if its head was refused before it was read.
    pub(super) fn begin(
        log: &Rc<AccessLog>,
        method: Method,
        target: Option<Uri>,
        request_id: RequestText,
        vitals: Rc<Vitals>,
    ) -> Box<Self> {
        vitals.request_begun();
        // It is handed on many times until it is written.
        Box::new(Self {
            log: Rc::clone(log),
            method,
            target,
            request_id,
            began: Instant::now(),
            status: CLIENT_GONE,
            route: None,
            path_there: None,
            instance: None,
            client: None,
            caller: None,
            complete: false,
            vitals,
            in_flight: InFlight::default(),
        })
    }

    /// This client sent it.
    pub(super) fn comes_from(&mut self, client: IpAddr) {
        self.client = Some(client);
    }

    /// It goes by this route, with this path.
    pub(super) fn goes_by(&mut self, route: &Arc<Route>, path: &str) {
        if self.log.format == LogFormat::Text {
            self.path_there = route.upstream_pieces(path).map(|pieces| pieces.concat());
        }
        self.route = Some(Arc::clone(route));
    }

    /// It is for this caller.
    pub(super) fn is_of(&mut self, caller: &Rc<Caller>) {
        self.caller = Some(Rc::clone(caller));
    }

    /// It goes to this instance.
    pub(super) fn reaches(&mut self, target: &Rc<Target>) {
        self.instance = Some(Rc::clone(target));
    }

    /// Whom it reached, or was to reach: `auth at http://localhost:8001`.
    pub(super) fn service_at(&self) -> String {
        let service = self.route.as_ref().map_or("a service", |route| route.service.as_str());
        match &self.instance {
            Some(instance) => format!("{service} at http://{}", instance.authority),
            None => service.to_owned(),
        }
    }

    /// Why its instance could not be connected to, if that is known.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.instance.as_ref()?.trouble.take();
        trouble.map(|error| format!("{error}; is it running?"))
    }

    /// It may stand still for so long.
    pub(super) fn may_idle(&self, limit: Duration) {
        self.vitals.may_idle(limit);
    }

    /// The answer's head is known.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// The answer's last byte was handed on.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// The answer broke off; the client's connection is closed so that it can tell.
    pub(super) fn break_off(&self, error: &io::Error) {
        debug!(request_id = self.request_id.as_str(), %error, "an answer broke off");
    }

    /// The status as it is logged.
    fn status(&self) -> u16 {
        let is_cut_off = self.status == CLIENT_GONE && self.log.is_cut_off.get();
        if is_cut_off { CUT_OFF } else { self.status }
    }

    fn path(&self) -> Cow<'_, str> {
        self.target.as_ref().map_or(Cow::Borrowed("-"), |target| loggable(target.path()))
    }

    fn method(&self) -> &str {
        if self.target.is_some() { self.method.as_str() } else { "-" }
    }

    fn put(&self, ended: Instant, line: &mut Line<'_>) {
        line.text(name!("method"), self.method());
        line.text(name!("path"), &self.path());
        line.raw(name!("status"));
        line.digits(self.status().into(), 3);
        if let Some(route) = &self.route {
            line.text(name!("service"), route.service.as_str());
            line.text(name!("route"), &loggable(route.prefix.as_str()));
        }
        if let Some(instance) = &self.instance {
            line.text(name!("instance"), &instance.authority);
        }
        line.raw(name!("ms"));
        line.milliseconds(ended.saturating_duration_since(self.began));
        line.raw(name!("complete"));
        line.raw(if self.complete { "true" } else { "false" });
        if let Some(client) = &self.client {
            line.text(name!("client"), &client.to_string());
        }
        if let Some(caller) = &self.caller {
            line.text(name!("subject"), &readable(&caller.identity.subject));
        }
        line.text(name!("request_id"), self.request_id.as_str());
        line.raw("}\n");
    }

    /// `21:03:25.123  200 GET /api/users → auth /users @ localhost:8001  1.234 ms  alice  127.0.0.1`
    fn put_for_people(&self, ended: Instant, with_colours: bool, line: &mut Line<'_>) {
        let (colour, plain) = if with_colours { (colour_of(self.status()), "\u{1b}[0m") } else { ("", "") };
        line.raw("  ");
        line.raw(colour);
        line.digits(self.status().into(), 3);
        line.raw(plain);
        line.raw(" ");
        line.raw(self.method());
        line.raw(" ");
        line.raw(&self.path());
        if let Some(route) = &self.route {
            line.raw(" → ");
            line.raw(route.service.as_str());
            line.raw(" ");
            line.raw(&loggable(self.path_there.as_deref().unwrap_or_default()));
        }
        if let Some(instance) = &self.instance {
            line.raw(" @ ");
            line.raw(&instance.authority);
        }
        line.raw("  ");
        line.milliseconds(ended.saturating_duration_since(self.began));
        line.raw(" ms");
        if !self.complete {
            line.raw(" (broken off)");
        }
        if let Some(caller) = &self.caller {
            line.raw("  ");
            line.raw(&readable(&caller.identity.subject));
        }
        if let Some(client) = &self.client {
            line.raw("  ");
            line.raw(&client.to_string());
        }
        line.raw("  ");
        line.raw(self.request_id.as_str());
        line.raw("\n");
    }
}

/// Green for what went well, yellow for what the caller did wrong, red for what we or a service did.
fn colour_of(status: u16) -> &'static str {
    match status {
        0..=299 => "\u{1b}[32m",
        300..=399 => "\u{1b}[36m",
        400..=499 => "\u{1b}[33m",
        _ => "\u{1b}[31m",
    }
}

/// A name as it may stand in a log: what does not print, and quotes and backslashes, give way to `?`.
fn readable(name: &str) -> String {
    let is_good =
        |c: &char| !(c.is_control() || matches!(c, '"' | '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    name.chars().take(MAX_NAME).map(|c| if is_good(&c) { c } else { '?' }).collect()
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        self.vitals.request_ended(now);
        self.log.add(self, now);
    }
}

/// A path as it may stand in a log: of printable ASCII, without quotes and backslashes, and not too long.
fn loggable(path: &str) -> Cow<'_, str> {
    let printable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if path.len() <= MAX_PATH && path.bytes().all(printable) {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::new();
    for c in path.chars().take(MAX_PATH) {
        match u8::try_from(c) {
            Ok(byte) if printable(byte) => escaped.push(c),
            // A backslash would begin an escape of JSON's own.
            _ => escaped.extend(c.escape_unicode().map(|c| if c == '\\' { '%' } else { c })),
        }
    }
    if path.chars().count() > MAX_PATH {
        escaped.push('…');
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests;
