//! Where an inventory comes from: a folder of CSV and YAML, or one XLSX with a sheet per list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use calamine::Data;
use rusta_wire::UnixMs;

use super::documents::FILES;
use super::draft::Draft;
use super::fault::{Fault, Kind, nearest};
use super::lists::{self, SHAPES};
use super::sheet::{Sheet, stored};
use super::workbook::{Workbook, WorkbookError};

/// The files of an inventory by name, as bytes: what is read, stored and exported.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Reads a folder or workbook into a draft. Any fault refuses it.
pub fn read(path: &Path) -> Result<Draft, Vec<Fault>> {
    if is_workbook(path) { workbook(path).and_then(whole) } else { draft(&folder(path)?) }
}

/// Reads a folder, workbook or single list that speaks of a part of the registry: what it refers to may stand in the version
/// in force, and is looked for when it is laid over that. Any fault of its own refuses it.
pub fn read_part(path: &Path) -> Result<Draft, Vec<Fault>> {
    let (draft, faults) = if is_workbook(path) { workbook(path)? } else { lists_and_documents(&folder(path)?) };
    if faults.is_empty() { Ok(draft) } else { Err(faults) }
}

/// Tells by its ending whether a path names a workbook.
pub fn is_workbook(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"))
}

/// Reads the known files of a folder, or one of them by itself. A CSV or YAML file with another name is a fault: it would be silently ignored.
pub fn folder(path: &Path) -> Result<Files, Vec<Fault>> {
    let unreadable = |name: &str, error: std::io::Error| Fault::at(name, 0, "", Kind::Unreadable { reason: error.to_string() });
    if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| known_files().any(|known| known == *name))
        && path.is_file()
    {
        let bytes = std::fs::read(path).map_err(|error| vec![unreadable(name, error)])?;
        return Ok(Files::from([(name.to_owned(), bytes)]));
    }
    let entries = std::fs::read_dir(path).map_err(|e| vec![unreadable(&path.display().to_string(), e)])?;
    let (mut files, mut faults) = (Files::new(), Vec::new());
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_list = [".csv", ".yaml", ".yml"].iter().any(|end| name.ends_with(end));
        if known_files().any(|known| known == name) {
            match std::fs::read(entry.path()) {
                Ok(bytes) => drop(files.insert(name, bytes)),
                Err(error) => faults.push(unreadable(&name, error)),
            }
        } else if is_list {
            let near = nearest(&name, known_files()).map_or_else(|| known_files().collect::<Vec<_>>().join(", "), |n| format!("`{n}`"));
            faults.push(Fault::at(&name, 0, "", Kind::UnknownSheet { found: name.clone(), nearest: near }));
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// Reads files into a draft.
pub fn draft(files: &Files) -> Result<Draft, Vec<Fault>> {
    let (draft, mut faults) = lists_and_documents(files);
    if draft.regions.is_empty() && faults.is_empty() {
        faults.push(Fault::at(
            "regions.csv",
            0,
            "",
            Kind::Missing {
                en: "regions.csv with at least a province".to_owned(), fa: "regions.csv با دست‌کم یک استان".to_owned()
            },
        ));
    }
    whole((draft, faults))
}

fn lists_and_documents(files: &Files) -> (Draft, Vec<Fault>) {
    let (mut draft, mut faults) = (Draft::default(), Vec::new());
    for shape in SHAPES {
        if let Some(bytes) = files.get(shape.file)
            && let Some(sheet) = Sheet::from_csv(shape, bytes, &mut faults)
        {
            lists::read(&sheet, shape.file, &mut draft, &mut faults);
        }
    }
    for file in FILES {
        let Some(bytes) = files.get(file) else { continue };
        match std::str::from_utf8(bytes) {
            Ok(text) => draft.documents.read(file, text, &mut faults),
            Err(error) => faults.push(Fault::at(file, 0, "", Kind::Unreadable { reason: error.to_string() })),
        }
    }
    (draft, faults)
}

/// Reads a workbook: lists by sheet name; documents as sheets whose first column holds the YAML lines.
fn workbook(path: &Path) -> Result<(Draft, Vec<Fault>), Vec<Fault>> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let refused = |place: &str, error: WorkbookError| {
        let kind = match error {
            WorkbookError::TooLarge(what, limit) => Kind::TooLarge { what, limit },
            WorkbookError::Damaged(reason) => Kind::Unreadable { reason },
        };
        vec![Fault::at(place, 0, "", kind)]
    };
    let mut book = Workbook::open(path).map_err(|error| refused(&name, error))?;
    let (mut draft, mut faults) = (Draft::default(), Vec::new());
    for sheet_name in book.sheets() {
        let csv = format!("{sheet_name}.csv");
        let yaml = format!("{sheet_name}.yaml");
        if let Some(shape) = SHAPES.into_iter().find(|s| s.file == csv) {
            let rows = book.rows(&sheet_name, |data| stored(&cell(data))).map_err(|error| refused(&sheet_name, error))?;
            if let Some(sheet) = Sheet::from_rows(shape, rows, &mut faults) {
                lists::read(&sheet, shape.file, &mut draft, &mut faults);
            }
        } else if let Some(file) = FILES.into_iter().find(|f| *f == yaml) {
            let rows = book.rows(&sheet_name, cell).map_err(|error| refused(&sheet_name, error))?;
            let lines: Vec<&str> = rows.iter().map(|row| row.first().map_or("", String::as_str)).collect();
            draft.documents.read(file, &lines.join("\n"), &mut faults);
        } else {
            let known = || known_files().filter_map(|f| f.split('.').next());
            let near = nearest(&sheet_name, known()).map_or_else(|| known().collect::<Vec<_>>().join(", "), |n| format!("`{n}`"));
            faults.push(Fault::at(&sheet_name, 0, "", Kind::UnknownSheet { found: sheet_name.clone(), nearest: near }));
        }
    }
    Ok((draft, faults))
}

/// Hands the draft over, or every fault there is: beside the rows that cannot be read, also what the others refer to in
/// vain. A list that lost a row to a fault is not searched, for the row that is missed may be the faulty one.
fn whole((draft, mut faults): (Draft, Vec<Fault>)) -> Result<Draft, Vec<Fault>> {
    if faults.is_empty() {
        return Ok(draft);
    }
    let hurt: BTreeSet<String> = faults.iter().map(|fault| fault.place.file.clone()).collect();
    let certain = |fault: &Fault| match &fault.kind {
        Kind::UnknownReference { list, .. } => !hurt.contains(*list),
        Kind::Collision { .. } => true,
        _ => false,
    };
    faults.extend(draft.build(0, UnixMs(0)).err().unwrap_or_default().into_iter().filter(certain));
    faults.sort_by(|a, b| a.place.cmp(&b.place));
    Err(faults)
}

fn cell(data: &Data) -> String {
    match data {
        Data::Empty => String::new(),
        // A code typed as a number has lost its leading zeros; the reference check then says so.
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        Data::DateTime(_) | Data::DateTimeIso(_) => data.to_string().split(['T', ' ']).next().unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

fn known_files() -> impl Iterator<Item = &'static str> + Clone {
    SHAPES.into_iter().map(|s| s.file).chain(FILES)
}
