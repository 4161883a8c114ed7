//! The list of sites as files: what the page shows, all pages of it, within the same sight.

use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::sites::SitesQuery;
use crate::cells::guarded;
use crate::persian::{Lang, Moment, Named, words};
use crate::view::{SiteRow, sites};
use crate::web::asked::Asked;
use crate::web::state::WebState;

/// An export of a whole country's sites, and nothing larger.
const MOST_ROWS: usize = 200_000;

/// Writes CSV with a byte order mark, which is how Excel knows Persian.
pub async fn csv(State(web): State<WebState>, asked: Asked, Query(query): Query<SitesQuery>) -> Response {
    if let Err(refusal) = asked.took_out("export") {
        return refusal;
    }
    let rows = rows(&web, &asked, &query);
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let lines = std::iter::once(titles(asked.prefs.lang).map(str::to_owned)).chain(rows.iter().map(|row| cells(row, asked.prefs.lang)));
    for line in lines {
        if let Err(error) = writer.write_record(line.iter().map(|cell| guarded(cell).into_owned())) {
            return asked.failed(&error);
        }
    }
    match writer.into_inner() {
        Ok(bytes) => file(bytes, "text/csv; charset=utf-8", "sites.csv"),
        Err(error) => asked.failed(error.error()),
    }
}

/// Writes XLSX; the Persian sheet runs right to left.
pub async fn xlsx(State(web): State<WebState>, asked: Asked, Query(query): Query<SitesQuery>) -> Response {
    if let Err(refusal) = asked.took_out("export") {
        return refusal;
    }
    let rows = rows(&web, &asked, &query);
    match workbook(&rows, asked.prefs.lang) {
        Ok(bytes) => file(bytes, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "sites.xlsx"),
        Err(error) => asked.failed(&error),
    }
}

fn rows(web: &WebState, asked: &Asked, query: &SitesQuery) -> Vec<SiteRow> {
    let snapshot = web.snapshot();
    query
        .filter(&snapshot, asked.sight(&snapshot))
        .map_or_else(|_| Vec::new(), |filter| sites(&snapshot, asked.sight(&snapshot), &filter, None, MOST_ROWS).items)
}

const COLUMNS: usize = 12;

fn titles(lang: Lang) -> [&'static str; COLUMNS] {
    let w = words(lang);
    [
        w.code,
        w.name,
        lang.pick("نام لاتین", "Latin name"),
        w.kind,
        w.class,
        w.region,
        w.networks,
        w.operator,
        w.state,
        w.since,
        w.cause,
        w.evidence,
    ]
}

/// Dates are Jalali in ASCII figures: spreadsheets sort them, and people read them.
fn cells(row: &SiteRow, lang: Lang) -> [String; COLUMNS] {
    let time = |time: &Option<crate::view::Time>| {
        time.map_or_else(String::new, |time| {
            let moment = Moment::at(time.0);
            format!("{} {:02}:{:02}", moment.date.in_figures(Lang::En), moment.hour, moment.minute)
        })
    };
    let list = |labels: Vec<&str>| labels.join(lang.pick("، ", ", "));
    [
        row.code.clone(),
        row.name_fa.clone(),
        row.name_en.clone(),
        row.kind.label(lang).to_owned(),
        row.criticality.to_string(),
        lang.name(&row.lies_in.name_fa, &row.lies_in.name_en).to_owned(),
        list(row.networks.iter().map(|network| network.0.label(lang)).collect()),
        list(row.operators.iter().map(String::as_str).collect()),
        row.state.label(lang).to_owned(),
        time(&row.since),
        row.cause.as_ref().map_or_else(String::new, |cause| format!("{} {}", cause.code, cause.rung.0.label(lang))),
        time(&row.evidence_at),
    ]
}

fn workbook(rows: &[SiteRow], lang: Lang) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.set_name(words(lang).sites)?;
    sheet.set_right_to_left(lang == Lang::Fa);
    sheet.set_freeze_panes(1, 0)?;
    let bold = Format::new().set_bold();
    for (column, title) in (0..).zip(titles(lang)) {
        sheet.write_string_with_format(0, column, title, &bold)?;
        sheet.set_column_width(column, 18)?;
    }
    for (line, row) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(cells(row, lang)) {
            sheet.write_string(line, column, guarded(&cell))?;
        }
    }
    let last = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    sheet.autofilter(0, 0, last, u16::try_from(COLUMNS - 1).unwrap_or(0))?;
    book.save_to_buffer()
}

pub(super) fn file(bytes: Vec<u8>, kind: &'static str, name: &str) -> Response {
    ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))], bytes).into_response()
}
