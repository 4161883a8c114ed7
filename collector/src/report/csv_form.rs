//! The report as one CSV: the tables one after the other, ASCII digits, so that any program reads it.

use super::Frozen;
use super::content::{Cell, Content};
use super::xlsx::{provenance, tables};
use crate::cells::guarded;

/// Writes the report. The first bytes are the UTF-8 mark Excel wants to see.
pub fn write(content: &Content, frozen: Option<&Frozen>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(b"\xef\xbb\xbf".to_vec());
    for (key, value) in provenance(content, frozen) {
        writer.write_record([guarded(&key).as_ref(), guarded(&value).as_ref()])?;
    }
    for table in tables(content, frozen) {
        writer.write_record([""])?;
        writer.write_record([format!("{} / {}", table.name.0, table.name.1)])?;
        writer.write_record(table.headings.iter().map(|(fa, en)| format!("{fa} / {en}")))?;
        for row in &table.rows {
            writer.write_record(row.iter().map(text))?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Number { number, .. } => number.to_string(),
        Cell::Text(text) => guarded(text).into_owned(),
        Cell::Both(fa, en) => guarded(&format!("{fa} / {en}")).into_owned(),
        Cell::Empty => String::new(),
    }
}
