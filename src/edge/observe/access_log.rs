//! One line per request, written when its answer has ended (or was given up). It never holds a query, a header or a body:
//! those may hold secrets. For machines the lines of a core are put together and written in blocks, soon after: a system call for
//! each would cost more than the line. For people each is written at once, so that it stands in its place among all others.

mod json;
mod line;
mod people;
mod times;

use std::{
    cell::{Cell, RefCell},
    io,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono_tz::Tz;
use http::{Method, StatusCode, Uri};
use tokio::sync::Notify;
use tracing::debug;

use self::{line::Line, times::Times};
use super::{request_id::RequestText, trace_context::TraceId};
use crate::{
    config::LogFormat,
    domain::gateway::models::service::Route,
    edge::{
        auth::caller::Caller, body::request_body::Upload, limits::in_flight::InFlight, ports::AccessLogSink,
        timer::client_timeouts::ConnectionState,
    },
    ports::Clock,
};

/// What is logged as the status of a request whose client went away before the answer's head; nginx's number for it.
const CLIENT_GONE: u16 = 499;

/// What is logged as the status of a request that the end of the drain cut off before its answer's head.
const CUT_OFF: u16 = 503;

/// As much as is put together before it is written.
const BLOCK_BYTES: usize = 32 * 1024;

/// How long a line may wait for others: too short for somebody who watches to notice.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A core's part of the log.
pub(crate) struct AccessLog {
    sink: Arc<dyn AccessLogSink>,
    format: LogFormat,
    times: Times,
    lines: RefCell<Vec<u8>>,
    begun: Notify,
    is_cut_off: Cell<bool>,
}

impl AccessLog {
    /// Times are UTC for machines, and of this zone for people.
    pub(crate) fn new(sink: Arc<dyn AccessLogSink>, format: LogFormat, timezone: Tz, clock: Arc<dyn Clock>) -> Self {
        Self {
            sink,
            format,
            times: Times::new(clock, format, timezone),
            lines: RefCell::default(),
            begun: Notify::new(),
            is_cut_off: Cell::new(false),
        }
    }

    /// The requests that end from now on are cut off by the gateway, not by their clients.
    pub(crate) fn cut_off(&self) {
        self.is_cut_off.set(true);
    }

    /// Writes the lines that have waited long enough, for ever.
    pub(crate) async fn keep(&self) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(LONGEST_WAIT).await;
            self.flush();
        }
    }

    /// Writes all that there is.
    pub(crate) fn flush(&self) {
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
        let mut line = Line::behind(lines);
        match self.format {
            LogFormat::Json => json::put(record, ended, &self.times, &mut line),
            LogFormat::Text => people::put(record, ended, &self.times, self.sink.has_colours(), &mut line),
        }
        if self.format == LogFormat::Text || lines.len() >= BLOCK_BYTES {
            self.sink.write(lines);
            lines.clear();
        }
    }
}

/// What is known about a request. Dropping it writes the line.
pub(crate) struct Record {
    log: Rc<AccessLog>,
    method: Method,
    target: Option<Uri>,
    request_id: RequestText,
    began: Instant,
    status: u16,
    route: Option<Arc<Route>>,
    /// Where it arrives at the service; for people alone.
    path_there: Option<String>,
    /// The authority of the instance that it goes to.
    instance: Option<Rc<str>>,
    /// Why that could not be connected to.
    trouble: Option<String>,
    client: Option<IpAddr>,
    caller: Option<Rc<Caller>>,
    trace: Option<TraceId>,
    /// When its service was turned to.
    forwarded_at: Option<Instant>,
    /// From then until the head of the service's answer came.
    upstream_time: Option<Duration>,
    /// What of its body was read, but for what `upload` counts.
    bytes_in: Cell<u64>,
    /// Its body, as long as that may still be read for a service.
    upload: Option<Rc<Upload>>,
    bytes_out: Cell<u64>,
    complete: bool,
    connection_state: Rc<ConnectionState>,
    /// What it counts against as long as it is in flight.
    pub(crate) in_flight: InFlight,
}

impl Record {
    /// A request has come. `target` is `None` if its head was refused before it was read.
    pub(crate) fn begin(
        log: &Rc<AccessLog>,
        method: Method,
        target: Option<Uri>,
        request_id: RequestText,
        connection_state: Rc<ConnectionState>,
    ) -> Box<Self> {
        connection_state.request_begun();
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
            trouble: None,
            client: None,
            caller: None,
            trace: None,
            forwarded_at: None,
            upstream_time: None,
            bytes_in: Cell::new(0),
            upload: None,
            bytes_out: Cell::new(0),
            complete: false,
            connection_state,
            in_flight: InFlight::default(),
        })
    }

    /// This client sent it.
    pub(crate) fn comes_from(&mut self, client: IpAddr) {
        self.client = Some(client);
    }

    /// It goes by this route, with this path.
    pub(crate) fn goes_by(&mut self, route: &Arc<Route>, path: &str) {
        if self.log.format == LogFormat::Text {
            self.path_there = route.upstream_pieces(path).map(|pieces| pieces.concat());
        }
        self.route = Some(Arc::clone(route));
    }

    /// It is for this caller.
    pub(crate) fn is_of(&mut self, caller: &Rc<Caller>) {
        self.caller = Some(Rc::clone(caller));
    }

    /// It is part of this trace, as its service is told.
    pub(crate) fn belongs_to(&mut self, trace: TraceId) {
        self.trace = Some(trace);
    }

    /// Its body is read for its service from here.
    pub(crate) fn uploads(&mut self, upload: &Rc<Upload>) {
        self.upload = Some(Rc::clone(upload));
    }

    /// No more of its body is read for its service. What was kept of it can be released.
    pub(crate) fn upload_ended(&mut self) {
        self.bytes_in.set(self.bytes_in());
        self.upload = None;
    }

    /// So many bytes of its body, or of what came behind it in another protocol, were read from the client.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }

    /// So many bytes of its answer's body, or of what went behind it in another protocol, were handed to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
    }

    /// Its service is turned to now.
    pub(crate) fn forwarded(&mut self, now: Instant) {
        self.forwarded_at = Some(now);
    }

    /// It goes to the instance with this authority.
    pub(crate) fn reaches(&mut self, authority: &Rc<str>) {
        self.instance = Some(Rc::clone(authority));
    }

    /// The instance did not answer; why it could not be connected to, if that was it.
    pub(crate) fn is_lost(&mut self, trouble: Option<String>) {
        self.trouble = trouble;
    }

    /// The head of its service's answer has come.
    pub(crate) fn service_answered(&mut self) {
        self.upstream_time = self.forwarded_at.map(|since| since.elapsed());
    }

    /// Whom it reached, or was to reach: `auth at http://localhost:8001`.
    pub(crate) fn service_at(&self) -> String {
        let service = self.route.as_ref().map_or("a service", |route| route.service.as_str());
        match &self.instance {
            Some(instance) => format!("{service} at http://{instance}"),
            None => service.to_owned(),
        }
    }

    /// Why its instance could not be connected to, if that is known.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.as_ref().map(|error| format!("{error}; is it running?"))
    }

    /// It may stand still for so long.
    pub(crate) fn may_idle(&self, limit: Duration) {
        self.connection_state.may_idle(limit);
    }

    /// The answer's head is known.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// The answer's last byte was handed to the client.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// The answer broke off; the client's connection is closed so that it can tell.
    pub(crate) fn break_off(&self, error: &io::Error) {
        debug!(request_id = self.request_id.as_str(), %error, "an answer broke off");
    }

    /// The status as it is logged.
    fn status(&self) -> u16 {
        let is_cut_off = self.status == CLIENT_GONE && self.log.is_cut_off.get();
        if is_cut_off { CUT_OFF } else { self.status }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("-", Uri::path)
    }

    fn method(&self) -> &str {
        if self.target.is_some() { self.method.as_str() } else { "-" }
    }

    fn bytes_in(&self) -> u64 {
        self.bytes_in.get() + self.upload.as_ref().map_or(0, |upload| upload.came_bytes())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        self.connection_state.request_ended(now);
        self.log.add(self, now);
    }
}

#[cfg(test)]
mod tests;
