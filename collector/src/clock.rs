//! The only place of the collector that reads the wall clock.
//!
//! Everything else is handed a [`UnixMs`], so a test is a timeline and a replay is an audit.

use std::time::{SystemTime, UNIX_EPOCH};

use rusta_wire::UnixMs;

/// Reads the wall clock; a time before 1970 reads as 1970.
#[allow(clippy::disallowed_methods)] // This is the one room where the clock is read.
pub fn now() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
