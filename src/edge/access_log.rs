//! One line per request, written when its answer has ended (or was given up). It never holds a query, a header or a body:
//! those may hold secrets. The lines of a core are put together and written in blocks, soon after: a system call for each
//! would cost more than the line.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use http::{Method, StatusCode, Uri};
use tokio::sync::Notify;
use tracing::debug;

use super::{in_flight::InFlight, ports::AccessLogSink, request_id::RequestText, view::Target, watchdog::Vitals};
use crate::{config::LogFormat, domain::gateway::models::service::ServiceName, ports::Clock};

/// The longest path that is written out.
const MAX_PATH: usize = 1024;

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
    clock: Arc<dyn Clock>,
    lines: RefCell<Vec<u8>>,
    second: RefCell<Option<Second>>,
    begun: Notify,
    is_cut_off: Cell<bool>,
}

impl AccessLog {
    pub(super) fn new(sink: Arc<dyn AccessLogSink>, format: LogFormat, clock: Arc<dyn Clock>) -> Self {
        Self {
            sink,
            format,
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
        let mut line = Line { format: self.format, into: lines };
        self.begin(ended, &mut line);
        record.put(ended, &mut line);
        line.end();
        if lines.len() >= BLOCK_BYTES {
            self.sink.write(lines);
            lines.clear();
        }
    }

    /// Writes the time and what all lines have in common, in the form of all other lines of the log.
    fn begin(&self, now: Instant, line: &mut Line<'_>) {
        let mut second = self.second.borrow_mut();
        let known = second.as_ref().and_then(|second| second.micros_at(now));
        let micros = known.unwrap_or_else(|| second.insert(Second::of(self.clock.now(), now)).micros);
        line.raw(if line.is_json() { r#"{"timestamp":""# } else { "" });
        line.raw(second.as_ref().map_or("", |second| &second.text));
        line.digits(micros, 6);
        line.raw(if line.is_json() { r#"Z","level":"INFO","target":"access""# } else { "Z  INFO" });
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
    fn of(time: DateTime<Utc>, read: Instant) -> Self {
        let text = time.format("%Y-%m-%dT%H:%M:%S.").to_string();
        Self { text, read, micros: time.timestamp_subsec_micros().into() }
    }

    /// How far it has come by then, if it has not passed.
    fn micros_at(&self, now: Instant) -> Option<u64> {
        let since = u64::try_from(now.saturating_duration_since(self.read).as_micros()).ok()?;
        Some(self.micros + since).filter(|&micros| micros < 1_000_000)
    }
}

/// The name of a part of a line with what stands around it.
#[derive(Clone, Copy)]
struct Name {
    in_json: &'static str,
    in_text: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        Name { in_json: concat!(",\"", $name, "\":"), in_text: concat!(" ", $name, "=") }
    };
}

/// A line that is being written. What is written stands for itself in JSON, too: nothing in it has to be escaped.
struct Line<'l> {
    format: LogFormat,
    into: &'l mut Vec<u8>,
}

impl Line<'_> {
    fn is_json(&self) -> bool {
        self.format == LogFormat::Json
    }

    fn raw(&mut self, text: &str) {
        self.into.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, name: Name) {
        self.raw(if self.is_json() { name.in_json } else { name.in_text });
    }

    fn text(&mut self, name: Name, text: &str) {
        self.name(name);
        self.quote();
        self.raw(text);
        self.quote();
    }

    fn quote(&mut self) {
        if self.is_json() {
            self.into.push(b'"');
        }
    }

    fn word(&mut self, name: Name, word: &str) {
        self.name(name);
        self.raw(word);
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
    fn milliseconds(&mut self, name: Name, time: Duration) {
        self.name(name);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.digits(micros / 1000, 1);
        self.raw(".");
        self.digits(micros % 1000, 3);
    }

    fn end(&mut self) {
        self.raw(if self.is_json() { "}\n" } else { "\n" });
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
    service: Option<ServiceName>,
    instance: Option<Rc<Target>>,
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
            service: None,
            instance: None,
            complete: false,
            vitals,
            in_flight: InFlight::default(),
        })
    }

    /// It goes to `service`.
    pub(super) fn goes_to(&mut self, service: &ServiceName) {
        self.service = Some(service.clone());
    }

    /// It goes to this instance.
    pub(super) fn reaches(&mut self, target: &Rc<Target>) {
        self.instance = Some(Rc::clone(target));
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

    fn put(&self, ended: Instant, line: &mut Line<'_>) {
        line.text(name!("method"), if self.target.is_some() { self.method.as_str() } else { "-" });
        line.text(name!("path"), &self.target.as_ref().map_or(Cow::Borrowed("-"), |target| loggable(target.path())));
        line.name(name!("status"));
        let is_cut_off = self.status == CLIENT_GONE && self.log.is_cut_off.get();
        line.digits(if is_cut_off { CUT_OFF } else { self.status }.into(), 3);
        if let Some(service) = &self.service {
            line.text(name!("service"), service.as_str());
        }
        if let Some(instance) = &self.instance {
            line.text(name!("instance"), &instance.authority);
        }
        line.milliseconds(name!("ms"), ended.saturating_duration_since(self.began));
        line.word(name!("complete"), if self.complete { "true" } else { "false" });
        line.text(name!("request_id"), self.request_id.as_str());
    }
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
