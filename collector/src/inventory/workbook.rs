//! Workbooks, opened only after a look at what they would unfold to.
//!
//! A workbook is a ZIP of XML. Fifteen hundred bytes of it can name a cell at the far corner of a sheet, a string a gigabyte
//! long, or a list that says it has 10^18 entries; a reader that believes them dies. So every part is unfolded once into
//! nothing and counted, and cells are taken one after the other into rows no wider and no longer than a list can be.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use calamine::{Data, Reader, Xlsx, XlsxError};
use zip::ZipArchive;

use super::sheet::MAX_PLACES as PLACES;

/// A national registry as XLSX is about 20 MB.
pub const LARGEST_WORKBOOK: u64 = 64 << 20;

/// Parts of the ZIP: a workbook has a dozen, and some per sheet.
const PARTS: u16 = 1_000;
/// Everything unfolded: the national registry's sheets are 200 MB of XML.
const UNFOLDED: u64 = 512 << 20;
/// One part unfolded: the longest sheet, every site's links.
const PART: u64 = 192 << 20;
/// The texts that cells share, and the marks around them, of which each text has four.
const TEXTS: u64 = 64 << 20;
const TEXT_MARKS: u64 = 4_000_000;
/// Styles and relations, which unfold in memory to many times their length.
const STYLES: u64 = 1 << 20;
/// Sheets and names a workbook may declare.
const SHEETS: u64 = 64;
const NAMES: u64 = 10_000;
/// Lists have fewer than thirty columns; a note beside them is no list.
const COLUMNS: usize = 64;
/// A spreadsheet's own bound.
const ROWS: usize = 1_048_576;
/// Letters of all cells together, in bytes.
const LETTERS: usize = 256 << 20;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// Bytes that are seen ahead: no word that is looked for is longer, nor the end record of a ZIP with its locator.
const AHEAD: usize = 64;

/// Why a workbook is not read.
#[derive(Debug, thiserror::Error)]
pub enum WorkbookError {
    /// It is larger, or would unfold to more, than any registry.
    #[error("{0} passes the limit of {1}")]
    TooLarge(&'static str, u64),
    /// It is no workbook, or a damaged one.
    #[error("{0}")]
    Damaged(String),
}

/// A workbook whose parts were counted.
pub struct Workbook {
    book: Xlsx<BufReader<File>>,
    places: usize,
    letters: usize,
}

impl Workbook {
    /// Counts what a workbook would unfold to, and opens it.
    ///
    /// # Errors
    /// What passes a bound, or no workbook.
    pub fn open(path: &Path) -> Result<Workbook, WorkbookError> {
        let mut file = File::open(path).map_err(|error| damaged(&error))?;
        inspect(&mut file)?;
        file.seek(SeekFrom::Start(0)).map_err(|error| damaged(&error))?;
        let book = guarded(|| Xlsx::new(BufReader::new(file)))?;
        if book.sheet_names().len() as u64 > SHEETS {
            return Err(WorkbookError::TooLarge("the number of sheets", SHEETS));
        }
        Ok(Workbook { book, places: 0, letters: 0 })
    }

    /// Names the sheets in their order.
    pub fn sheets(&self) -> Vec<String> {
        self.book.sheet_names()
    }

    /// Reads a sheet's rows from its first row and column on, each cell as `text` writes it. A sheet of charts has no rows.
    ///
    /// # Errors
    /// A cell beyond every list's bounds, or more of them than any registry has.
    pub fn rows(&mut self, sheet: &str, text: impl Fn(&Data) -> String) -> Result<Vec<Vec<String>>, WorkbookError> {
        let (book, places, letters) = (&mut self.book, &mut self.places, &mut self.letters);
        let mut rows: Vec<Vec<String>> = Vec::new();
        let read = guarded(|| {
            let mut cells = match book.worksheet_cells_reader(sheet) {
                Err(XlsxError::NotAWorksheet(_)) => return Ok(Ok(())),
                cells => cells?,
            };
            while let Some(cell) = cells.next_cell()? {
                let (row, column) = cell.get_position();
                let (row, column) = (row as usize, column as usize);
                let text = text(&Data::from(cell.get_value().clone()));
                if text.is_empty() {
                    continue;
                }
                if row >= ROWS {
                    return Ok(Err(WorkbookError::TooLarge("the number of rows", ROWS as u64)));
                }
                if column >= COLUMNS {
                    return Ok(Err(WorkbookError::TooLarge("the number of columns", COLUMNS as u64)));
                }
                if rows.len() <= row {
                    *places += row + 1 - rows.len();
                    rows.resize_with(row + 1, Vec::new);
                }
                if rows[row].len() <= column {
                    *places += column + 1 - rows[row].len();
                    rows[row].resize_with(column + 1, String::new);
                }
                *letters += text.len();
                if *places > PLACES {
                    return Ok(Err(WorkbookError::TooLarge("the number of cells", PLACES as u64)));
                }
                if *letters > LETTERS {
                    return Ok(Err(WorkbookError::TooLarge("the text of all cells", LETTERS as u64)));
                }
                rows[row][column] = text;
            }
            Ok(Ok(()))
        });
        read?.map(|()| rows)
    }
}

fn damaged(error: &dyn std::fmt::Display) -> WorkbookError {
    WorkbookError::Damaged(error.to_string())
}

/// Runs the reader of other people's making: where it gives up in the middle, the workbook is at fault, not we.
fn guarded<T>(read: impl FnOnce() -> Result<T, XlsxError>) -> Result<T, WorkbookError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| damaged(&error)),
        Err(_) => Err(WorkbookError::Damaged("its XML is damaged".to_owned())),
    }
}

/// Counts what a workbook would unfold to.
fn inspect(file: &mut File) -> Result<(), WorkbookError> {
    let length = file.metadata().map_err(|error| damaged(&error))?.len();
    if length > LARGEST_WORKBOOK {
        return Err(WorkbookError::TooLarge("the file", LARGEST_WORKBOOK));
    }
    let parts = declared_parts(file, length)?;
    if parts > PARTS {
        return Err(WorkbookError::TooLarge("the number of its parts", PARTS.into()));
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| damaged(&error))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
    let mut unfolded = 0;
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).map_err(|error| damaged(&error))?;
        let bounds = Bounds::of(&part.name().map_err(|error| damaged(&error))?.to_ascii_lowercase());
        count(&mut part, &bounds, &mut unfolded)?;
    }
    Ok(())
}

/// Reads how many parts the ZIP says it has. Its end record (APPNOTE 4.3.16) is the file's last 22 bytes and the only one, and no
/// ZIP64: nobody writes a workbook otherwise, and a second record would let two readers see two different files.
fn declared_parts(file: &mut File, length: u64) -> Result<u16, WorkbookError> {
    const END: &[u8; 4] = b"PK\x05\x06";
    const END_LENGTH: usize = 22;
    const LOCATOR: &[u8; 4] = b"PK\x06\x07";
    const LOCATOR_LENGTH: usize = 20;
    let none = || WorkbookError::Damaged("it is no workbook".to_owned());
    let (mut found, mut last, mut first) = (0, Vec::new(), None);
    file.seek(SeekFrom::Start(0)).map_err(|error| damaged(&error))?;
    scan(file, |bytes, own| {
        first.get_or_insert_with(|| bytes.starts_with(b"PK\x03\x04"));
        found += (0..own).filter(|at| bytes[*at..].starts_with(END)).count();
        last = bytes[bytes.len().saturating_sub(AHEAD)..].to_vec();
        Ok(())
    })?;
    // An encrypted workbook is no ZIP but a compound file, whose tables a reader would believe.
    if first != Some(true) || last.len() < END_LENGTH || length < (END_LENGTH + LOCATOR_LENGTH) as u64 {
        return Err(none());
    }
    let end = &last[last.len() - END_LENGTH..];
    let before = &last[..last.len() - END_LENGTH];
    let is_zip64 = before.len() >= LOCATOR_LENGTH && before[before.len() - LOCATOR_LENGTH..].starts_with(LOCATOR);
    let number = |at: usize| u16::from_le_bytes([end[at], end[at + 1]]);
    if found != 1 || !end.starts_with(END) || is_zip64 || number(8) != number(10) || number(20) != 0 {
        return Err(none());
    }
    Ok(number(10))
}

/// What one part may unfold to.
struct Bounds {
    bytes: u64,
    /// `<`.
    marks: u64,
    is_xml: bool,
    are_texts: bool,
}

impl Bounds {
    /// Knows a part by the end of its name, as readers do: where it lies is the workbook's own word.
    fn of(name: &str) -> Bounds {
        let is_xml = name.ends_with(".xml") || name.ends_with(".rels");
        let are_texts = name.ends_with("sharedstrings.xml");
        let (bytes, marks) = match name {
            _ if are_texts => (TEXTS, TEXT_MARKS),
            _ if [".rels", "styles.xml", "theme1.xml"].iter().any(|end| name.ends_with(end)) => (STYLES, u64::MAX),
            _ => (PART, u64::MAX),
        };
        Bounds { bytes, marks, is_xml, are_texts }
    }
}

fn count(part: &mut impl Read, bounds: &Bounds, unfolded: &mut u64) -> Result<(), WorkbookError> {
    let (mut bytes, mut marks, mut sheets, mut names) = (0, 0, 0, 0);
    scan(part, |window, own| {
        bytes += own as u64;
        *unfolded += own as u64;
        if bytes > bounds.bytes || *unfolded > UNFOLDED {
            return Err(WorkbookError::TooLarge("what it unfolds to", bounds.bytes.min(UNFOLDED)));
        }
        for (at, byte) in window[..own].iter().enumerate().filter(|_| bounds.is_xml) {
            let rest = &window[at..];
            match byte {
                0 => return Err(WorkbookError::Damaged("its XML is not UTF-8".to_owned())),
                b'<' => marks += 1,
                b's' if rest.starts_with(b"sheet") && rest.get(5).is_some_and(u8::is_ascii_whitespace) => sheets += 1,
                b'd' if rest.starts_with(b"definedName") => names += 1,
                // The reader makes room for as many texts as the workbook says it has, before it has seen one.
                b'u' if bounds.are_texts && rest.starts_with(b"uniqueCount") && !is_small(&rest[b"uniqueCount".len()..]) => {
                    return Err(WorkbookError::TooLarge("the number of texts", TEXT_MARKS));
                }
                _ => {}
            }
        }
        if marks > bounds.marks {
            return Err(WorkbookError::TooLarge("the number of texts", bounds.marks));
        }
        // A page may say "sheet" too, and each name is written twice; what people make is far from either bound.
        if sheets > 10 * SHEETS || names > 2 * NAMES {
            return Err(WorkbookError::TooLarge("the number of sheets or names", SHEETS));
        }
        Ok(())
    })
}

/// Tells whether an attribute's value, with what stands before it, is a number of at most seven digits.
fn is_small(attribute: &[u8]) -> bool {
    let value = attribute.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start);
    let Some((quote, value)) = value.and_then(<[u8]>::split_first) else { return false };
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!(quote, b'"' | b'\'') && (1..=7).contains(&digits) && value.get(digits) == Some(quote)
}

/// Shows everything a reader has, piece by piece: the first `own` bytes of each have not been shown, and behind them stand
/// [`AHEAD`] more, if there are.
fn scan(reader: &mut impl Read, mut look: impl FnMut(&[u8], usize) -> Result<(), WorkbookError>) -> Result<(), WorkbookError> {
    let mut buffer = vec![0; CHUNK + AHEAD];
    let mut end = 0;
    loop {
        let read = reader.read(&mut buffer[end..]).map_err(|error| damaged(&error))?;
        end += read;
        if read == 0 {
            return look(&buffer[..end], end);
        }
        if end == buffer.len() {
            look(&buffer[..end], CHUNK)?;
            buffer.copy_within(CHUNK.., 0);
            end = AHEAD;
        }
    }
}

#[cfg(test)]
mod tests;
