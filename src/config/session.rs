//! The lifetime of browsers' sessions.

use std::time::Duration;

use super::{
    SessionSettings,
    reading::reader::Reader,
    variables::{SESSION_IDLE_TTL, SESSION_TTL},
};

const MINUTE: Duration = Duration::from_mins(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Reads the lifetime of sessions.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<SessionSettings> {
    let total = reader.duration(&SESSION_TTL, MINUTE..=YEAR);
    let idle = reader.duration(&SESSION_IDLE_TTL, MINUTE..=YEAR);
    Some(SessionSettings { total: total?, idle: idle? })
}
