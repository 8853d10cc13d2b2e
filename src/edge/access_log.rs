//! One line per request, written when its answer has ended (or was given up), under the target `access`. It never holds a
//! query, a header or a body: those may hold secrets.

use std::{
    borrow::Cow,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode, Uri};
use tracing::{debug, info};

use super::{request_id::RequestText, view::Target, watchdog::Vitals};
use crate::domain::gateway::models::service::ServiceName;

/// The longest path that is written out.
const MAX_PATH: usize = 1024;

/// What is logged as the status of a request whose client went away before the answer's head; nginx's number for it.
const CLIENT_GONE: u16 = 499;

/// What is known about a request. Dropping it writes the line.
pub(super) struct Record {
    method: Method,
    target: Option<Uri>,
    request_id: RequestText,
    began: Instant,
    status: u16,
    service: Option<ServiceName>,
    instance: Option<Rc<Target>>,
    complete: bool,
    part_untaken: bool,
    vitals: Rc<Vitals>,
}

impl Record {
    /// A request has come. `target` is `None` if its head was refused before it was read.
    pub(super) fn begin(method: Method, target: Option<Uri>, request_id: RequestText, vitals: Rc<Vitals>) -> Self {
        vitals.request_begun();
        Self {
            method,
            target,
            request_id,
            began: Instant::now(),
            status: CLIENT_GONE,
            service: None,
            instance: None,
            complete: false,
            part_untaken: false,
            vitals,
        }
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

    /// A part of the answer was handed on.
    pub(super) fn part_handed_on(&mut self) {
        if !std::mem::replace(&mut self.part_untaken, true) {
            self.vitals.part_handed_on();
        }
    }

    /// There is room for the next part, or none is needed any more.
    pub(super) fn part_taken(&mut self) {
        if std::mem::take(&mut self.part_untaken) {
            self.vitals.part_taken();
        }
    }

    /// The answer's last byte was handed on.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// The answer broke off; the client's connection is closed so that it can tell.
    pub(super) fn break_off(&self, error: &io::Error) {
        debug!(request_id = self.request_id.as_str(), %error, "an answer broke off");
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.part_taken();
        self.vitals.request_ended();
        info!(
            target: "access",
            method = %if self.target.is_some() { self.method.as_str() } else { "-" },
            path = %self.target.as_ref().map_or(Cow::Borrowed("-"), |target| loggable(target.path())),
            status = self.status,
            service = self.service.as_ref().map(display),
            instance = self.instance.as_ref().map(|target| display(&target.authority)),
            ms = milliseconds(self.began.elapsed()),
            complete = self.complete,
            request_id = %self.request_id.as_str(),
        );
    }
}

/// To the microsecond: more digits would be noise.
fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

/// A path as it may stand in a log: of printable ASCII, and not too long.
fn loggable(path: &str) -> Cow<'_, str> {
    let printable = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    if path.len() <= MAX_PATH && path.chars().all(printable) {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::new();
    for c in path.chars().take(MAX_PATH) {
        if printable(c) { escaped.push(c) } else { escaped.extend(c.escape_default()) }
    }
    if path.chars().count() > MAX_PATH {
        escaped.push('…');
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use super::*;
    use crate::{
        domain::gateway::models::id::RequestId,
        edge::watchdog::{Limits, Watchdog},
    };

    /// What is logged while `log` runs.
    fn logged(log: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn record(target: Option<Uri>) -> Record {
        let watchdog = Watchdog::new(Limits { head: Duration::MAX, idle: Duration::MAX });
        let id = RequestText::of(RequestId::from_random([7; 16]));
        Record::begin(Method::POST, target, id, watchdog.enrol())
    }

    #[test]
    fn a_request_leaves_one_line_without_its_query() {
        let line = logged(|| {
            let mut record = record(Some(Uri::from_static("/api/users/1?token=secret")));
            record.goes_to(&"auth".parse().unwrap());
            record.answered(StatusCode::CREATED);
            record.complete();
        });
        let id = RequestId::from_random([7; 16]);
        assert_eq!(line.lines().count(), 1, "{line}");
        for part in [" access: ", "method=POST", "path=/api/users/1 ", "status=201", "service=auth", "complete=true"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(line.contains(&id.to_string()) && line.contains(" ms=") && !line.contains("secret"), "{line}");
    }

    #[test]
    fn a_client_that_went_away_and_a_head_that_was_refused_are_logged_too() {
        assert!(logged(|| drop(record(Some(Uri::from_static("/a"))))).contains("status=499"));
        assert!(logged(|| drop(record(None))).contains("method=- path=- "));
    }

    #[test]
    fn a_path_cannot_forge_a_line() {
        assert!(matches!(loggable("/api/users%0A"), Cow::Borrowed("/api/users%0A")));
        assert_eq!(loggable("/a\n\u{1b}[31m\"b\\"), "/a\\n\\u{1b}[31m\\\"b\\\\");
        let long = loggable(&"/a".repeat(MAX_PATH)).into_owned();
        assert!(long.ends_with('…') && long.chars().count() == MAX_PATH + 1);
    }
}
