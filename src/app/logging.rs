//! The log: lines for people, or one JSON object per line.

mod output;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
    sync::OnceLock,
    thread,
    time::Duration,
};

use chrono_tz::Tz;
use tracing::{Dispatch, dispatcher, error, info, level_filters::LevelFilter, warn};
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, format::Writer, time::FormatTime},
};

pub use self::output::LogOutput;
use crate::{
    adapters::clock::WallClock,
    config::LogFormat,
    domain::gateway::{models::token::DummyText, services::ports::DummyConsole},
    edge::ports::AccessLogSink,
    ports::Clock,
};

/// How long the process waits at its end for a slow reader of the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The process's standard output while the gateway serves. Lines are written once [`start`] was called.
pub fn stdout() -> LogOutput {
    static STDOUT: OnceLock<LogOutput> = OnceLock::new();
    STDOUT.get_or_init(LogOutput::default).clone()
}

/// Dropping it waits for the last lines to be written.
#[must_use]
pub struct Logging(());

impl Drop for Logging {
    fn drop(&mut self) {
        stdout().flush(LAST_LINES);
    }
}

/// Starts logging, with times in this zone for people. `RUST_LOG` filters (default `info`).
///
/// # Errors
/// If the operating system refuses a thread.
pub fn start(format: LogFormat, timezone: Tz) -> io::Result<Logging> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let (filter, mistake) = match builder.from_env() {
        Ok(filter) => (filter, None),
        Err(mistake) => (builder.parse_lossy(""), Some(mistake)),
    };
    // A second start (tests in one process) has no effect.
    let _ = dispatcher::set_global_default(dispatch(format, timezone, filter, stdout));
    // The standard hook writes to standard error, which may be the same stuck pipe, and not in JSON.
    panic::set_hook(Box::new(log_panic));
    thread::Builder::new().name("log".to_owned()).spawn(|| {
        stdout().write_to(io::stdout(), |lines| warn!(lines, "log lines were dropped: their reader was too slow"));
    })?;
    if let Some(error) = mistake {
        warn!(%error, "RUST_LOG is ignored; it must be a filter such as info,gateway=debug");
    }
    Ok(Logging(()))
}

fn dispatch<W>(format: LogFormat, timezone: Tz, filter: EnvFilter, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // sqlx and the migrations log a lot; their failures come back as errors.
    let filter = filter.add_directives_of_libraries();
    // Colours are for terminals, not for files.
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stdout().is_terminal()).with_writer(writer);
    match format {
        LogFormat::Text => log.with_target(false).with_timer(TimeOfDay(timezone)).into(),
        LogFormat::Json => log.json().flatten_event(true).into(),
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        error!(place, %backtrace, "a thread panicked: {message}");
    } else {
        error!(place, "a thread panicked: {message}");
    }
}

/// The target of the access log: the same output, if `RUST_LOG` lets the target `access` pass.
pub(super) struct AccessLog;

/// The time of day, as in request lines.
struct TimeOfDay(Tz);

impl FormatTime for TimeOfDay {
    fn format_time(&self, into: &mut Writer<'_>) -> fmt::Result {
        write!(into, "{}", WallClock.now().with_timezone(&self.0).format("%H:%M:%S%.3f"))
    }
}

impl AccessLogSink for AccessLog {
    fn has_colours(&self) -> bool {
        static TERMINAL: OnceLock<bool> = OnceLock::new();
        *TERMINAL.get_or_init(|| io::stdout().is_terminal())
    }

    fn is_open(&self) -> bool {
        tracing::event_enabled!(target: "access", tracing::Level::INFO)
    }

    fn write(&self, lines: &[u8]) {
        stdout().push(lines);
    }
}

/// Prints dummy tokens (development only) as JSON lines.
pub(super) struct DummyLog;

impl DummyConsole for DummyLog {
    fn show(&self, typed: &DummyText) {
        info!(dummy_token = typed.as_str(), "this text is a token now (development only)");
    }
}

trait LibraryDirectives {
    fn add_directives_of_libraries(self) -> Self;
}

impl LibraryDirectives for EnvFilter {
    fn add_directives_of_libraries(self) -> Self {
        ["sqlx=warn", "sea_orm_migration=warn", "poem=warn", "hickory_net=error", "hickory_resolver=error"]
            .into_iter()
            .filter_map(|directive| directive.parse().ok())
            .fold(self, Self::add_directive)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The JSON that this thread logs during `work`, panics included.
    fn logged(work: impl FnOnce() + panic::UnwindSafe) -> Vec<serde_json::Value> {
        let output = LogOutput::default();
        let written = output.clone();
        let dispatch = dispatch(LogFormat::Json, Tz::UTC, EnvFilter::new("info"), move || written.clone());
        let (hook, ours) = (Arc::new(panic::take_hook()), thread::current().id());
        let of_others = Arc::clone(&hook);
        panic::set_hook(Box::new(
            move |panic| {
                if thread::current().id() == ours { log_panic(panic) } else { of_others(panic) }
            },
        ));
        let _ = dispatcher::with_default(&dispatch, || panic::catch_unwind(work));
        panic::set_hook(Box::new(move |panic| hook(panic)));
        let lines = String::from_utf8(output.pending()).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    #[test]
    fn a_panic_is_one_object() {
        let lines = logged(|| panic!("as \"asked\"\nin two lines"));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(
            (&line["level"], &line["message"]),
            (&"ERROR".into(), &"a thread panicked: as \"asked\"\nin two lines".into())
        );
        assert!(line["place"].as_str().unwrap().contains("logging.rs"), "{line}");
    }

    #[test]
    fn a_dummy_token_is_one_object() {
        let lines = logged(|| DummyLog.show(&DummyText::parse("안녕 \"hello\"").unwrap()));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(line["dummy_token"], "안녕 \"hello\"");
    }
}
