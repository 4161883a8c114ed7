//! The monthly report: the same figures as everywhere, frozen as a revision, written as XLSX, CSV or printable HTML.
//!
//! ```text
//! state database --gather--> Content (plain tables, both languages) --freeze--> revision n in the state database
//!                              |      ^                                 ^
//!                    tables, promises  +--> xlsx | csv | html           publish (on day 3, and when late data came;
//!                                                             held until a person does, when the registry changed it)
//! ```
//! Everything a file shows is in [`Content`], so the three forms cannot disagree and a stored revision can be written
//! again years later.

mod cli;
mod content;
mod csv_form;
mod form;
mod gather;
mod held;
mod html;
mod promises;
mod publish;
mod revision;
mod tables;
mod xlsx;

#[cfg(test)]
mod tests;

pub use cli::{ReportArgs, run};
pub use content::{Cell, Content, Table, VillageVerdict};
pub use form::Form;
pub use gather::gather;
pub use publish::Publisher;
pub use revision::{Frozen, frozen};
