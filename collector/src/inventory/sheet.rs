//! Tables as people keep them: CSV (comma, semicolon or tab; UTF-8 with or without mark) and XLSX sheets, read into
//! rows of text. What the text means is decided in `lists`.

use super::fault::{Fault, Kind, nearest};
use crate::cells;
use crate::persian::normalise;

/// A national list of links is about 20 MB; ten times that is a mistake, not an inventory.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// The national registry has 104,000 settlements; a million rows is a spreadsheet's own bound.
const MAX_ROWS: usize = 1_048_576;
/// Cells, filled or not; a file of nothing but commas has a hundred million. The longest national list has 2 million.
pub(super) const MAX_PLACES: usize = 8_000_000;
/// Contacts and tags are the longest cells; a page would not show more.
const MAX_CELL_BYTES: usize = 4096;

/// A column of a list.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// Whether every row must fill it.
    pub required: bool,
}

/// Describes a list: its file name and columns.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// File name in the folder; the sheet's name is the same without `.csv`.
    pub file: &'static str,
    /// Columns in export order.
    pub columns: &'static [Column],
}

/// A list as read: only known columns, in the shape's order.
#[derive(Debug)]
pub struct Sheet {
    shape: Shape,
    /// For each column of the shape, its place in a row.
    places: Vec<Option<usize>>,
    rows: Vec<(u32, Vec<String>)>,
}

impl Sheet {
    /// Reads CSV bytes; faults go to `faults` and leave out what they concern.
    pub fn from_csv(shape: Shape, bytes: &[u8], faults: &mut Vec<Fault>) -> Option<Sheet> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            faults.push(Fault::at(shape.file, 0, "", Kind::TooLarge { what: "the file", limit: MAX_FILE_BYTES }));
            return None;
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator(bytes)).from_reader(bytes);
        let (mut rows, mut places) = (Vec::new(), 0);
        for (index, record) in reader.records().enumerate() {
            match record {
                Ok(record) => {
                    places += record.len();
                    if places > MAX_PLACES {
                        faults.push(Fault::at(shape.file, 0, "", Kind::TooLarge { what: "the number of cells", limit: MAX_PLACES as u64 }));
                        return None;
                    }
                    rows.push(record.iter().map(stored).collect());
                }
                Err(error) => faults.push(Fault::at(shape.file, row_number(index), "", Kind::Unreadable { reason: error.to_string() })),
            }
        }
        Sheet::from_rows(shape, rows, faults)
    }

    /// Reads rows of which the first is the heading.
    pub fn from_rows(shape: Shape, rows: Vec<Vec<String>>, faults: &mut Vec<Fault>) -> Option<Sheet> {
        if rows.len() > MAX_ROWS {
            faults.push(Fault::at(shape.file, 0, "", Kind::TooLarge { what: "the number of rows", limit: MAX_ROWS as u64 }));
            return None;
        }
        let mut rows = rows.into_iter().enumerate();
        let Some((_, heading)) = rows.next() else {
            faults.push(Fault::at(shape.file, 0, "", Kind::Missing { en: "the heading row".to_owned(), fa: "سطر عنوان‌ها".to_owned() }));
            return None;
        };
        let places = places(shape, &heading, faults)?;
        let mut kept = Vec::new();
        for (index, cells) in rows {
            if cells.iter().all(String::is_empty) {
                continue;
            }
            let row = row_number(index);
            if cells.len() > heading.len() && cells[heading.len()..].iter().any(|c| !c.is_empty()) {
                faults.push(Fault::at(shape.file, row, "", Kind::ExtraCells));
                continue;
            }
            if let Some(at) = cells.iter().position(|c| c.len() > MAX_CELL_BYTES) {
                let column = heading.get(at).map_or("", String::as_str);
                faults.push(Fault::at(shape.file, row, column, Kind::TooLarge { what: "the cell", limit: MAX_CELL_BYTES as u64 }));
                continue;
            }
            kept.push((row, cells));
        }
        Some(Sheet { shape, places, rows: kept })
    }

    /// Visits every row.
    pub fn for_each(&self, faults: &mut Vec<Fault>, mut visit: impl FnMut(&mut Row<'_>)) {
        for (number, cells) in &self.rows {
            visit(&mut Row { sheet: self, number: *number, cells, faults });
        }
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// One row being read; every complaint gets the row's place.
pub struct Row<'a> {
    sheet: &'a Sheet,
    number: u32,
    cells: &'a [String],
    faults: &'a mut Vec<Fault>,
}

impl Row<'_> {
    /// Returns the row's number as a spreadsheet counts.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns a cell; empty if the column or cell is not there. A required empty cell is a fault.
    pub fn text(&mut self, column: &'static str) -> String {
        let at = self.sheet.shape.columns.iter().position(|c| c.name == column);
        let cell = at.and_then(|at| self.sheet.places[at]).and_then(|place| self.cells.get(place));
        let text = cell.cloned().unwrap_or_default();
        if text.is_empty() && at.is_some_and(|at| self.sheet.shape.columns[at].required) {
            self.fault(column, Kind::Empty);
        }
        text
    }

    /// Reads a cell by `read`, which says what it expected; `None` if empty or refused.
    pub fn read<T>(&mut self, column: &'static str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(column);
        if text.is_empty() {
            return None;
        }
        match read(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.fault(column, Kind::BadValue { found: text, expected });
                None
            }
        }
    }

    /// Records a fault at a column of this row.
    pub fn fault(&mut self, column: &str, kind: Kind) {
        self.faults.push(Fault::at(self.sheet.shape.file, self.number, column, kind));
    }
}

/// Returns a cell as it is stored, without the guard an export put before it. Most cells are codes and numbers, which need no
/// Unicode.
pub(super) fn stored(cell: &str) -> String {
    let cell = cells::plain(cell);
    let plain = cell.bytes().all(|b| matches!(b, b'!'..=b'~'));
    if plain { cell.to_owned() } else { normalise(cell) }
}

fn places(shape: Shape, heading: &[String], faults: &mut Vec<Fault>) -> Option<Vec<Option<usize>>> {
    let before = faults.len();
    for (at, name) in heading.iter().enumerate() {
        if name.is_empty() {
            continue;
        }
        if !shape.columns.iter().any(|c| c.name == name) {
            let known = shape.columns.iter().map(|c| c.name);
            let guess = nearest(name, known.clone()).map_or_else(|| known.collect::<Vec<_>>().join(", "), |n| format!("`{n}`"));
            faults.push(Fault::at(shape.file, 1, name, Kind::UnknownColumn { found: name.clone(), nearest: guess }));
        }
        if heading[..at].contains(name) {
            faults.push(Fault::at(shape.file, 1, name, Kind::RepeatedColumn));
        }
    }
    let places: Vec<_> = shape.columns.iter().map(|c| heading.iter().position(|h| h == c.name)).collect();
    for (column, place) in shape.columns.iter().zip(&places) {
        if column.required && place.is_none() {
            faults.push(Fault::at(
                shape.file,
                1,
                column.name,
                Kind::Missing { en: format!("the column `{}`", column.name), fa: format!("ستون `{}`", column.name) },
            ));
        }
    }
    (faults.len() == before).then_some(places)
}

/// Excel writes the separator of the computer's locale; the heading holds none of them as text.
fn separator(bytes: &[u8]) -> u8 {
    let heading = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| heading.iter().filter(|b| **b == wanted).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|b| (count(*b), *b == b',')).unwrap_or(b',')
}

fn row_number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
