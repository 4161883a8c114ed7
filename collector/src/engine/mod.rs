//! The engine: records in, events and a snapshot out. Pure: no I/O, no clock, no async, no logging.
//!
//! ```text
//! Record (received_at, dated batch) --apply--> link machines --> site, village, agent states --> Event
//!                                   --advance_to(time)--> silence, lateness, stale evidence  --> Event
//!                                   --snapshot--> what pages, KPIs of now and /metrics read
//! ```
//!
//! What the engine knows is split by who asks: [`machine`] judges one link, [`roll_up`] makes sites and villages of links,
//! `agent` and `fleet` tell their silence from ours, `live` applies records, `again` those that came late, `passing` lets time pass, `registry` moves
//! between inventory versions, [`told`] goes on after a restart, `views` is what a snapshot copies.

mod again;
pub(crate) mod agent;
pub mod event;
mod fleet;
pub mod incident;
mod live;
pub mod machine;
mod passing;
pub mod record;
mod registry;
pub mod roll_up;
pub mod sight;
pub mod state;
pub mod told;
mod track;
mod views;

pub use event::Event;
pub use live::{Engine, LEAD_IN_MS, LOOK_AHEAD_MS, REACH_DAYS};
pub use record::{BootTime, Record};
pub use roll_up::VillagePolicy;
pub use state::*;
pub use told::{Subject, Told};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
