//! The report as a workbook: right-to-left sheets, real numbers, filters, a sheet of definitions.

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::Frozen;
use super::content::{Cell, Content, Table};
use super::held;
use crate::cells::guarded;
use crate::persian::{Lang, Moment};

/// Writes the workbook.
pub fn write(content: &Content, frozen: Option<&Frozen>) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let title = Format::new().set_bold().set_font_size(14);
    let heading = Format::new().set_bold().set_text_wrap();
    let formats = Formats { heading, percent: Format::new().set_num_format("0.0%"), number: Format::new().set_num_format("#,##0.##") };
    let cover = book.add_worksheet().set_name("گزارش")?;
    cover.set_right_to_left(true);
    cover.write_with_format(0, 0, format!("{} — {}", content.region.1, content.title.0), &title)?;
    for (row, (key, value)) in (2..).zip(provenance(content, frozen)) {
        cover.write(row, 0, key)?;
        cover.write_string(row, 1, guarded(&value))?;
    }
    cover.set_column_width(0, 28)?.set_column_width(1, 70)?;
    for table in tables(content, frozen) {
        sheet(&mut book, table, &formats)?;
    }
    book.save_to_buffer()
}

/// Lists every table of a report, what changed since the revision before at the end.
pub(super) fn tables<'a>(content: &'a Content, frozen: Option<&'a Frozen>) -> impl Iterator<Item = &'a Table> {
    content.tables.iter().chain(frozen.into_iter().flat_map(|frozen| &frozen.changes))
}

/// Says where the numbers come from: window, revision, checksum.
pub(super) fn provenance(content: &Content, frozen: Option<&Frozen>) -> Vec<(String, String)> {
    let mut lines = vec![
        ("دوره / period".to_owned(), content.period.clone()),
        ("ناحیه / region".to_owned(), format!("{} {} {}", content.region.0, content.region.1, content.region.2)),
    ];
    match frozen {
        Some(frozen) => {
            lines.push(("وضعیت / status".to_owned(), format!("نهایی، ویرایش / final, revision {}", frozen.revision)));
            let at = Moment::at(frozen.published_at);
            lines.push(("انتشار / published".to_owned(), format!("{} / {}", at.full(Lang::Fa), at.rfc3339())));
            if let Some(versions) = held::words(&frozen.registry) {
                let cause = format!("شناسنامه، نسخه {versions} / registry, version {versions}");
                lines.push(("سبب ویرایش / cause of the revision".to_owned(), cause));
            }
            lines.push(("SHA-256".to_owned(), frozen.digest.clone()));
        }
        None => lines.push(("وضعیت / status".to_owned(), "موقت / provisional".to_owned())),
    }
    lines
}

struct Formats {
    heading: Format,
    percent: Format,
    number: Format,
}

fn sheet(book: &mut Workbook, table: &Table, formats: &Formats) -> Result<(), XlsxError> {
    let sheet = book.add_worksheet().set_name(&table.name.0)?;
    sheet.set_right_to_left(true);
    for (column, (fa, en)) in (0u16..).zip(&table.headings) {
        sheet.write_with_format(0, column, format!("{fa}\n{en}"), &formats.heading)?;
        sheet.set_column_width(column, 18)?;
    }
    for (row, cells) in (1u32..).zip(&table.rows) {
        for (column, cell) in (0u16..).zip(cells) {
            match cell {
                Cell::Number { number, is_ratio: true } => sheet.write_with_format(row, column, *number, &formats.percent)?,
                Cell::Number { number, .. } => sheet.write_with_format(row, column, *number, &formats.number)?,
                Cell::Text(text) => sheet.write_string(row, column, guarded(text))?,
                Cell::Both(fa, en) => sheet.write_string(row, column, guarded(&format!("{fa} / {en}")))?,
                Cell::Empty => sheet,
            };
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    let (last_row, last_column) = (u32::try_from(table.rows.len()).unwrap_or(0), u16::try_from(table.headings.len()).unwrap_or(1));
    if last_row > 0 {
        sheet.autofilter(0, 0, last_row, last_column.saturating_sub(1))?;
    }
    Ok(())
}
