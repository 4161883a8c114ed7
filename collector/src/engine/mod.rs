//! The engine: records in, events and a snapshot out. Pure: no I/O, no clock, no async, no logging.
//!
//! ```text
//! Record (received_at, dated batch) --apply--> link machines --> site, village, agent states --> Event
//!                                   --advance_to(time)--> silence, lateness, stale evidence  --> Event
//!                                   --snapshot--> what pages, KPIs of now and /metrics read
//! ```

pub mod event;
pub mod incident;
pub mod machine;
pub mod record;
pub mod state;

pub use event::Event;
pub use record::{BootTime, Record};
pub use state::*;
