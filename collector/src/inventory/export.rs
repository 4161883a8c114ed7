//! Writes a draft back as the files it could have come from. Reading them again gives the same draft, and writing that
//! gives the same bytes: this is the form a version is stored in. Cells that a spreadsheet would run are guarded
//! (`cells.rs`), and reading takes the guard off.

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::documents::FILES;
use super::draft::{Draft, Written};
use super::lists::SHAPES;
use super::sheet::Shape;
use super::source::Files;
use crate::cells::{guarded, plain};

/// Why a draft could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The CSV writer refused.
    #[error("CSV")]
    Csv(#[from] csv::Error),
    /// The YAML writer refused.
    #[error("YAML")]
    Yaml(#[from] serde_yaml::Error),
    /// The workbook cannot hold it: more rows or longer cells than a spreadsheet has.
    #[error("XLSX")]
    Xlsx(#[from] XlsxError),
    /// The disk refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Writes every list and document that has something in it.
pub fn files(draft: &Draft) -> Result<Files, ExportError> {
    let mut files = Files::new();
    for shape in SHAPES {
        let rows: Vec<Vec<String>> = match shape.file {
            "regions.csv" => draft.regions.iter().map(region).collect(),
            "sites.csv" => draft.sites.iter().map(site).collect(),
            "links.csv" => draft.links.iter().map(link).collect(),
            "nodes.csv" => draft.nodes.iter().map(node).collect(),
            "declared.csv" => draft.declared.iter().map(declared).collect(),
            _ => draft.goals.iter().map(goal).collect(),
        };
        if !rows.is_empty() {
            files.insert(shape.file.to_owned(), csv_of(shape, &rows)?);
        }
    }
    for file in FILES {
        if let Some(text) = draft.documents.write(file)? {
            files.insert(file.to_owned(), text.into_bytes());
        }
    }
    Ok(files)
}

/// Guards the cells of lists that an older collector stored as they were; those of today are guarded already.
pub fn guarded_lists(files: Files) -> Result<Files, ExportError> {
    let guarded_list = |(name, bytes): (String, Vec<u8>)| {
        if !name.ends_with(".csv") {
            return Ok((name, bytes));
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        for line in lines(true, &bytes)? {
            writer.write_record(line.iter().map(|cell| guarded(plain(cell)).into_owned()))?;
        }
        Ok((name, writer.into_inner().map_err(|error| ExportError::Io(error.into_error()))?))
    };
    files.into_iter().map(guarded_list).collect()
}

/// Writes files into a folder, making it if it is not there.
pub fn to_folder(files: &Files, folder: &std::path::Path) -> Result<(), ExportError> {
    crate::files::make_folder(folder)?;
    for (name, bytes) in files {
        crate::files::replace(&folder.join(name), bytes)?;
    }
    Ok(())
}

/// Writes files as one workbook: a right-to-left sheet for each list and document. Every cell is text, so that codes keep
/// their zeros; reading it gives the same files again.
pub fn to_workbook(files: &Files) -> Result<Vec<u8>, ExportError> {
    let mut book = Workbook::new();
    let heading = Format::new().set_bold();
    for (name, bytes) in files {
        let sheet = book.add_worksheet().set_name(name.split('.').next().unwrap_or(name))?;
        sheet.set_right_to_left(true);
        let is_list = name.ends_with(".csv");
        for (row, line) in (0u32..).zip(lines(is_list, bytes)?) {
            for (column, cell) in (0u16..).zip(&line) {
                if is_list && row == 0 {
                    sheet.write_string_with_format(row, column, cell, &heading)?;
                } else if !cell.is_empty() {
                    sheet.write_string(row, column, cell)?;
                }
            }
        }
        if is_list {
            sheet.set_freeze_panes(1, 0)?;
        }
    }
    Ok(book.save_to_buffer()?)
}

/// Lists the cells of a list, or the lines of a document.
fn lines(is_list: bool, bytes: &[u8]) -> Result<Vec<Vec<String>>, ExportError> {
    if !is_list {
        return Ok(String::from_utf8_lossy(bytes).lines().map(|line| vec![line.to_owned()]).collect());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    reader.records().map(|record| Ok(record?.iter().map(str::to_owned).collect())).collect()
}

fn csv_of(shape: Shape, rows: &[Vec<String>]) -> Result<Vec<u8>, ExportError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(shape.columns.iter().map(|c| c.name))?;
    for row in rows {
        writer.write_record(row.iter().map(|cell| guarded(cell).into_owned()))?;
    }
    writer.into_inner().map_err(|error| ExportError::Io(error.into_error()))
}

fn region(w: &Written<super::Region>) -> Vec<String> {
    let r = &w.item;
    vec![
        r.code.clone(),
        r.kind.to_string(),
        w.refers.owner.clone(),
        r.name_fa.clone(),
        r.name_en.clone(),
        text(&r.households),
        text(&r.population),
        text(&r.households_as_of),
        text(&r.lat),
        text(&r.lon),
        yes_no(r.inhabited),
        r.fixed_line.map(yes_no).unwrap_or_default(),
        text(&r.cohort),
        text(&r.previous_code),
    ]
}

fn site(w: &Written<super::Site>) -> Vec<String> {
    let s = &w.item;
    vec![
        s.code.clone(),
        s.kind.to_string(),
        w.refers.owner.clone(),
        s.name_fa.clone(),
        s.name_en.clone(),
        text(&s.lat),
        text(&s.lon),
        s.criticality.to_string(),
        s.calendar.clone(),
        s.contact.clone(),
        s.tags.join("|"),
        w.refers.vantage_for.clone(),
    ]
}

fn link(w: &Written<super::Link>) -> Vec<String> {
    let l = &w.item;
    vec![
        w.refers.owner.clone(),
        l.name.clone(),
        l.network.as_str().to_owned(),
        l.role.to_string(),
        text(&l.access),
        l.operator.clone(),
        yes_no(l.metered),
        text(&l.plan_bytes),
        text(&l.cycle_day),
        l.interface.clone(),
        text(&w.refers.sla),
        w.refers.parents.clone(),
        text(&l.contract_mbps),
    ]
}

fn node(w: &Written<super::Node>) -> Vec<String> {
    vec![w.item.code.clone(), w.item.kind.to_string(), w.item.name_fa.clone(), w.refers.owner.clone()]
}

fn declared(w: &Written<super::Declared>) -> Vec<String> {
    let d = &w.item;
    vec![
        d.kpi.clone(),
        d.value.to_string(),
        d.unit.clone(),
        w.refers.owner.clone(),
        d.as_of.clone(),
        d.publisher.clone(),
        text(&d.numerator),
        text(&d.denominator),
        text(&d.announced_on),
        d.source.clone(),
        text(&d.superseded_by),
    ]
}

fn goal(w: &Written<super::Goal>) -> Vec<String> {
    let g = &w.item;
    vec![g.kpi.clone(), w.refers.owner.clone(), g.value.to_string(), text(&g.baseline), text(&g.due_on), g.policy_ref.clone()]
}

fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(T::to_string).unwrap_or_default()
}

fn yes_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}
