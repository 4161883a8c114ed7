//! Notify: one cause, one call, and always a reason.
//!
//! ```text
//! rules --fired, resolved--> Desk: cases
//!    case --> maintenance -> root cause -> flap -> group -> dedup -> escalate -> deliver -> record
//!               |  each stage passes, holds or drops the call, and says why  |         |
//!               '--------------------- decisions ----------------------------'      outbox (state database)
//!                                                                                      |
//!                                       channel 1, channel 2, ... <--- delivery: retried, never repeated
//! ```
//!
//! The desk is pure: facts in, calls and decisions out. What it knows is stored in the same transaction as what it wants
//! sent, so a restart loses nothing and repeats nothing. A resolve goes to everybody who was called, whatever any stage or
//! cap says.

mod acknowledgement;
mod acts;
mod case;
pub mod channel;
pub mod command;
mod delivery;
mod desk;
mod figures;
mod inbox;
mod incidents;
mod keep;
mod message;
mod outbox;
mod reason;
mod rotation;
mod setup;
mod sms;
mod stages;
mod task;
mod text;

#[cfg(test)]
mod channel_tests;

pub use acknowledgement::{Standing, standing};
pub use case::{Case, CaseKey};
pub use delivery::{Attempts, Delivery, deliver_due};
pub use desk::{Call, Decision, Desk, Kind, Verdict, Work};
pub use incidents::{Affected, IncidentView, Timeline, decided_of_site, explain, incident, incidents, stored};
pub use keep::{Kept, Look, keep, load};
pub use message::{Letter, Message, SiteLine};
pub use outbox::{Outbox, Queued};
pub use reason::in_words as reason_in_words;
pub use rotation::Rotation;
pub use setup::{ChannelUse, Person, Recipient, Route, Setup, Step, parse as parse_setup};
pub use sms::{fit, parts};
pub use stages::STAGES;
pub use task::{Notifier, NotifyError, Running, Started, connected_share, read_files, run, start};
pub use text::{Rendered, render};
