//! The monthly report: the same figures as everywhere, frozen as a revision, written as XLSX, CSV or printable HTML.
//!
//! ```text
//! Facts --content--> Content (plain tables, both languages) --freeze--> revision n in the state database
//!                                                           --> xlsx | csv | html
//! ```
//! Everything a file shows is in [`Content`], so the three forms cannot disagree and a stored revision can be written
//! again years later.

mod cli;
mod content;
mod csv_form;
mod html;
mod revision;
mod xlsx;

#[cfg(test)]
mod tests;

pub use cli::{ReportArgs, run};
pub use content::{Cell, Content, Table, content};
pub use revision::{Frozen, freeze, frozen};
