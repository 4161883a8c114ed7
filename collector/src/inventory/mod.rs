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

mod builder;
pub mod calendar;
pub mod dates;
pub mod documents;
mod draft;
mod fault;
mod figures;
pub mod lists;
mod model;
mod profile;
mod resolve;
pub mod sheet;
pub mod source;

#[cfg(test)]
mod tests;

pub use builder::{Built, Note};
pub use calendar::{Calendars, Covered, MaintenanceWindow, PublicEvent, Repeat, ServiceCalendar};
pub use draft::{Draft, Refers, Written};
pub use fault::{Fault, Kind, Place, nearest};
pub use figures::{Declared, Goal};
pub use model::*;
pub use profile::{Check, Profile, Scope, Service, TargetTemplate};
