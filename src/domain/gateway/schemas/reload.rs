//! The result of reading the settings again, for operators.

use chrono::{DateTime, FixedOffset, Utc};
use chrono_tz::Tz;
use poem_openapi::Object;

use super::local;

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub struct Reloaded {
    /// Routes: methods and path.
    pub routes: Changed,
    /// Services: their names.
    pub services: Changed,
    /// Variables that have changed in `.env` and are used only after a restart.
    pub need_restart: Vec<String>,
}

/// The names of what was added, removed and changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub struct Changed {
    /// Added.
    pub added: Vec<String>,
    /// Removed.
    pub removed: Vec<String>,
    /// Changed.
    pub changed: Vec<String>,
}

/// The settings in force, and whether newer ones were refused.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SettingsStatus {
    /// Whether the files contain the settings in force.
    pub ok: bool,
    /// Time at which the settings in force were read.
    pub read_at: DateTime<FixedOffset>,
    /// Time since which newer settings are refused.
    pub refused_since: Option<DateTime<FixedOffset>>,
    /// Mistakes for which they are refused: file, line and reason.
    pub mistakes: Option<Vec<String>>,
}

impl SettingsStatus {
    /// The status of settings that were read at this time, and of newer ones that are refused since another. Writes
    /// times with the offset of `timezone`.
    pub fn new(read_at: DateTime<Utc>, refused: Option<(DateTime<Utc>, Vec<String>)>, timezone: Tz) -> Self {
        let (since, mistakes) = refused.unzip();
        Self {
            ok: mistakes.is_none(),
            read_at: local(read_at, timezone),
            refused_since: since.map(|since| local(since, timezone)),
            mistakes,
        }
    }
}
