//! The forms a report is sent in; a printable page of it is written by [`super::run`] only.

use super::content::Content;
use super::revision::Frozen;
use super::{csv_form, xlsx};
use crate::inventory::word_enum;

word_enum! {
    /// A form of the report.
    Form {
        /// A workbook, a sheet for each table.
        Xlsx = "xlsx",
        /// All tables below each other.
        Csv = "csv",
    }
}

impl Form {
    /// Writes a report.
    ///
    /// # Errors
    /// What the form's writer says.
    pub fn write(self, content: &Content, frozen: Option<&Frozen>) -> anyhow::Result<Vec<u8>> {
        Ok(match self {
            Form::Xlsx => xlsx::write(content, frozen)?,
            Form::Csv => csv_form::write(content, frozen)?,
        })
    }

    /// Returns the type a browser knows it by.
    pub const fn content_type(self) -> &'static str {
        match self {
            Form::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Form::Csv => "text/csv; charset=utf-8",
        }
    }
}
