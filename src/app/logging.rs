//! The log: lines for people, or one JSON object a line.

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
use tracing::{error, warn};
use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

pub use self::output::LogOutput;
use crate::{adapters::clock::WallClock, config::LogFormat, edge::ports::AccessLogSink, ports::Clock};

/// How long the end of the process waits for a slow reader to take the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What goes to standard output while the gateway serves: a process has one. Lines are written once [`start`] was called.
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

/// Starts logging, with times of this zone for people. `RUST_LOG` filters (default `info`).
///
/// # Errors
/// When the operating system gives no thread.
pub fn start(format: LogFormat, timezone: Tz) -> io::Result<Logging> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy()
        // sqlx and the migrations talk a lot; what matters of them comes back as errors.
        .add_directives_of_libraries();
    // Colours are for a person who watches, not for a file.
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stdout().is_terminal()).with_writer(stdout);
    // A second start (tests in one process) keeps the first.
    let _ = match format {
        LogFormat::Text => log.with_target(false).with_timer(TimeOfDay(timezone)).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    // The standard hook writes to standard error, which may be the same stuck pipe.
    panic::set_hook(Box::new(log_panic));
    thread::Builder::new().name("log".to_owned()).spawn(|| {
        stdout().write_to(io::stdout(), |lines| warn!(lines, "log lines were dropped: their reader was too slow"));
    })?;
    Ok(Logging(()))
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

/// Where the access log goes: the same place as all else, if `RUST_LOG` lets the target `access` pass.
pub(super) struct AccessLog;

/// As the lines of requests have it.
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

trait LibraryDirectives {
    fn add_directives_of_libraries(self) -> Self;
}

impl LibraryDirectives for EnvFilter {
    fn add_directives_of_libraries(self) -> Self {
        ["sqlx=warn", "sea_orm_migration=warn", "poem=warn"]
            .into_iter()
            .filter_map(|directive| directive.parse().ok())
            .fold(self, Self::add_directive)
    }
}
