//! Writes one line per request when its response has ended (or was abandoned). A line never holds a query, a header or
//! a body: those may hold secrets. Lines for machines are collected per core and written in blocks soon afterwards: a
//! system call for each would cost more than the line. Lines for people are written at once, so that they appear in
//! order with all others.

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

/// The logged status of a request whose client went away before the response's head; it is nginx's number for this.
const CLIENT_GONE: u16 = 499;

/// The logged status of a request that the end of the drain cut off before its response's head.
const CUT_OFF: u16 = 503;

/// The size of a block: this much is collected before it is written.
const BLOCK_BYTES: usize = 32 * 1024;

/// The longest time that a line waits for others: too short to be noticed by a person who watches the log.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A core's part of the access log.
pub(crate) struct AccessLog {
    sink: Arc<dyn AccessLogSink>,
    format: LogFormat,
    times: Times,
    lines: RefCell<Vec<u8>>,
    begun: Notify,
    is_cut_off: Cell<bool>,
}

impl AccessLog {
    /// Times are in UTC for machines, and in this zone for people.
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

    /// Marks requests that end from now on as cut off by the gateway, not by their clients.
    pub(crate) fn cut_off(&self) {
        self.is_cut_off.set(true);
    }

    /// Writes the lines that have waited long enough; never returns.
    pub(crate) async fn keep(&self) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(LONGEST_WAIT).await;
            self.flush();
        }
    }

    /// Writes all pending lines.
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
            // Checked once per block: the check is not free.
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

/// The collected facts about a request. Dropping it writes the line.
pub(crate) struct Record {
    log: Rc<AccessLog>,
    method: Method,
    target: Option<Uri>,
    request_id: RequestText,
    began: Instant,
    status: u16,
    /// The code of the problem, if the gateway did not forward the request or its service did not respond.
    code: Option<&'static str>,
    route: Option<Arc<Route>>,
    /// The path of the request at the service; only for people.
    path_there: Option<String>,
    /// The authority of the endpoint to which it goes.
    instance: Option<Rc<str>>,
    /// The reason why connecting to the endpoint failed.
    trouble: Option<String>,
    client: Option<IpAddr>,
    caller: Option<Rc<Caller>>,
    trace: Option<TraceId>,
    /// The time when it was sent on to its service.
    forwarded_at: Option<Instant>,
    /// The time from then until the head of the service's response came.
    upstream_time: Option<Duration>,
    /// The number of body bytes read, without those that `upload` counts.
    bytes_in: Cell<u64>,
    /// Its body, as long as it may still be read for a service.
    upload: Option<Rc<Upload>>,
    bytes_out: Cell<u64>,
    complete: bool,
    connection_state: Rc<ConnectionState>,
    /// The permits that it holds while it is in flight.
    pub(crate) in_flight: InFlight,
}

impl Record {
    /// Starts the record of a request. `target` is `None` if its head was refused before it was parsed.
    pub(crate) fn begin(
        log: &Rc<AccessLog>,
        method: Method,
        target: Option<Uri>,
        request_id: RequestText,
        connection_state: Rc<ConnectionState>,
    ) -> Box<Self> {
        connection_state.request_begun();
        // Boxed, as it is moved many times until it is written.
        Box::new(Self {
            log: Rc::clone(log),
            method,
            target,
            request_id,
            began: Instant::now(),
            status: CLIENT_GONE,
            code: None,
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

    /// Sets the client.
    pub(crate) fn comes_from(&mut self, client: IpAddr) {
        self.client = Some(client);
    }

    /// Sets the route, and the request's path.
    pub(crate) fn goes_by(&mut self, route: &Arc<Route>, path: &str) {
        if self.log.format == LogFormat::Text {
            self.path_there = route.upstream_pieces(path).map(|pieces| pieces.concat());
        }
        self.route = Some(Arc::clone(route));
    }

    /// Sets the caller.
    pub(crate) fn is_of(&mut self, caller: &Rc<Caller>) {
        self.caller = Some(Rc::clone(caller));
    }

    /// Sets the trace that the service is told.
    pub(crate) fn belongs_to(&mut self, trace: TraceId) {
        self.trace = Some(trace);
    }

    /// From here on, its body is read for its service.
    pub(crate) fn uploads(&mut self, upload: &Rc<Upload>) {
        self.upload = Some(Rc::clone(upload));
    }

    /// Nothing more of its body is read for its service. The buffered part can be released.
    pub(crate) fn upload_ended(&mut self) {
        self.bytes_in.set(self.bytes_in());
        self.upload = None;
    }

    /// Counts bytes of its body, or of another protocol after an upgrade, that were read from the client.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }

    /// Counts bytes of its response's body, or of another protocol after an upgrade, that were passed to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
    }

    /// Sets the time when it is sent on to its service.
    pub(crate) fn forwarded(&mut self, now: Instant) {
        self.forwarded_at = Some(now);
    }

    /// Sets the endpoint by its authority.
    pub(crate) fn reaches(&mut self, authority: &Rc<str>) {
        self.instance = Some(Rc::clone(authority));
    }

    /// Records that the endpoint did not respond, with the reason if connecting to it failed.
    pub(crate) fn is_lost(&mut self, trouble: Option<String>) {
        self.trouble = trouble;
    }

    /// Records that the head of its service's response has come.
    pub(crate) fn service_answered(&mut self) {
        self.upstream_time = self.forwarded_at.map(|since| since.elapsed());
    }

    /// The service and endpoint it was sent to, or was meant for: `auth at localhost:8001`.
    pub(crate) fn service_at(&self) -> String {
        let service = self.route.as_ref().map_or("a service", |route| route.service.as_str());
        match &self.instance {
            Some(instance) => format!("{service} at {instance}"),
            None => service.to_owned(),
        }
    }

    /// The reason why connecting to its endpoint failed, if that is known.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    /// Allows the request to be idle for `limit`.
    pub(crate) fn may_idle(&self, limit: Duration) {
        self.connection_state.may_idle(limit);
    }

    /// Records the code of the problem that the client is told, if it is told one.
    pub(crate) fn refused(&mut self, code: Option<&'static str>) {
        self.code = code;
    }

    /// Records the status of the response.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// Records that the response's last byte was passed to the client.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// Logs that the response broke off. The client's connection is closed, so that it notices.
    pub(crate) fn break_off(&self, error: &io::Error) {
        debug!(request_id = self.request_id.as_str(), %error, "a response broke off");
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
