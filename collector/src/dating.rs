//! Time without a clock: learns from live contact when each boot of each agent began. Pure.
//!
//! A sample says how long after its boot's start it was observed. What is missing is the start itself, the *offset*:
//! Unix time of the boot's monotonic zero. Every batch narrows it:
//!
//! ```text
//!             persisted clock: not before              received_at - until: not after
//!                     |                                          |
//!  -------------------[==========[ collector's time ]============]------------------> offset
//!                                 two-sided, some ms
//! ```
//! A boot with two-sided evidence is [`Dated::At`], all of it, also what was measured before the contact. One without is
//! [`Dated::Unknown`] between its bounds. A clock that contradicts what the collector saw itself is not believed.

use rusta_wire::UnixMs;

/// When a boot's samples were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dated {
    /// `observed = monotonic + offset`, wrong by at most `error`.
    At {
        /// Unix time of the boot's monotonic zero, in milliseconds.
        offset_ms: i64,
        /// Bound of the offset's error.
        error_ms: u32,
    },
    /// Nobody can say; the samples stay out of the KPIs.
    Unknown {
        /// All of the boot is later than this, as far as anything is known.
        not_before: Option<UnixMs>,
        /// All of the boot is earlier than this.
        not_after: UnixMs,
    },
}
