//! The registry: regions, sites, links, shared nodes, services, profiles, declared figures and goals, as one immutable
//! version.
//!
//! ```text
//! folder | XLSX --source, lists, documents--> Draft --builder--> Inventory (valid) | every Fault with its place
//! ```
//!
//! An [`Inventory`] is valid by construction: every reference is an index that exists. Indices ([`RegionId`],
//! [`SiteId`], [`LinkId`], [`NodeId`]) are dense and hold only inside one version; what joins versions is the code
//! (`previous_code` when it changed).

mod anchors;
pub mod assignment;
mod builder;
pub mod calendar;
pub mod cli;
pub mod dates;
mod difference;
pub mod documents;
mod draft;
pub mod export;
mod fault;
mod figures;
pub mod generate;
pub mod intake;
pub mod lists;
mod merge;
mod model;
mod profile;
pub mod programs;
mod published;
mod resolve;
pub mod sheet;
pub mod source;
mod touched;
pub mod versions;
pub mod windows;
pub mod workbook;

#[cfg(test)]
mod tests;

pub use builder::{Built, Note};
pub use calendar::{Calendars, Covered, MaintenanceWindow, PublicEvent, Repeat, ServiceCalendar};
pub use difference::{Difference, ListChange};
pub use draft::{Draft, Refers, Written};
pub use fault::{Fault, Kind, Place, nearest, nearest_few};
pub use figures::{Declared, Goal, has_come, newest};
pub use intake::{Dropped, Intake};
pub use model::*;
pub use profile::{Check, Profile, Scope, Service, TargetTemplate};
pub use published::Published;
pub use versions::Versions;
