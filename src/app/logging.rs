//! The log: lines for people, or one JSON object a line.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::{config::LogFormat, edge::ports::AccessLogSink};

/// Starts logging. `RUST_LOG` filters (default `info`).
pub fn start(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy()
        // sqlx and the migrations talk a lot; what matters of them comes back as errors.
        .add_directives_of_libraries();
    // Colours are for a person who watches, not for a file.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stdout().is_terminal());
    // A second start (tests in one process) keeps the first.
    let _ = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Where the access log goes: the same place as all else, if `RUST_LOG` lets the target `access` pass.
pub(super) struct AccessLog;

impl AccessLogSink for AccessLog {
    fn is_open(&self) -> bool {
        tracing::event_enabled!(target: "access", tracing::Level::INFO)
    }

    fn write(&self, lines: &[u8]) {
        // Nobody could be told.
        let _ = io::stdout().lock().write_all(lines);
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
