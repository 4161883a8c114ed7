//! The report as one printable page without any outside reference, Persian first, English beside.

use super::Frozen;
use super::content::{Cell, Content};
use super::xlsx::{provenance, tables};
use crate::persian::{self, Lang};

/// Writes the page in one language.
pub fn write(content: &Content, frozen: Option<&Frozen>, lang: Lang) -> String {
    let pick = |pair: &(String, String)| lang.pick(&pair.0, &pair.1).to_owned();
    let region = lang.pick(&content.region.1, &content.region.2);
    let title = format!("{} {} — {}", lang.pick("گزارش ماهانه", "Monthly report"), region, pick(&content.title));
    let mut out = format!(
        "<!doctype html><html lang=\"{}\" dir=\"{}\"><head><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style></head><body><h1>{}</h1>",
        lang.code(),
        lang.direction(),
        escape(&title),
        escape(&title)
    );
    out.push_str("<dl>");
    for (key, value) in provenance(content, frozen) {
        out.push_str(&format!("<dt>{}</dt><dd><bdi>{}</bdi></dd>", escape(&key), escape(&value)));
    }
    out.push_str("</dl>");
    for table in tables(content, frozen) {
        out.push_str(&format!("<h2>{}</h2>", escape(&pick(&table.name))));
        if table.is_register && table.rows.len() > MOST_PRINTED {
            let count = persian::integer(table.rows.len() as i64, lang);
            out.push_str(&format!("<p>{count} {}</p>", lang.pick("سطر، در فایل اکسل و CSV", "rows, in the workbook and the CSV")));
            continue;
        }
        out.push_str("<table><thead><tr>");
        table.headings.iter().for_each(|heading| out.push_str(&format!("<th scope=\"col\">{}</th>", escape(&pick(heading)))));
        out.push_str("</tr></thead><tbody>");
        for row in &table.rows {
            out.push_str("<tr>");
            row.iter().for_each(|cell| out.push_str(&format!("<td>{}</td>", shown(cell, lang))));
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table>");
    }
    out.push_str("</body></html>\n");
    out
}

/// Rows of a register on paper; a longer one is searched, not read.
const MOST_PRINTED: usize = 200;

const STYLE: &str = "body{font-family:Vazirmatn,Tahoma,sans-serif;margin:1.5cm;color:#111}table{border-collapse:collapse;width:100%;margin-bottom:1em}\
th,td{border:1px solid #999;padding:.2em .5em;text-align:start;font-size:.85em}th{background:#eee}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}\
dd{margin:0;overflow-wrap:anywhere}h2{break-after:avoid}tr{break-inside:avoid}@page{size:A4 landscape;margin:1cm}";

fn shown(cell: &Cell, lang: Lang) -> String {
    match cell {
        Cell::Number { number, is_ratio: true } => format!("<bdi>{}</bdi>", escape(&persian::percent(*number, lang))),
        Cell::Number { number, .. } => {
            let places = if number.fract() == 0.0 { 0 } else { 2 };
            format!("<bdi>{}</bdi>", escape(&persian::decimal(*number, places, lang)))
        }
        Cell::Text(text) => format!("<bdi>{}</bdi>", escape(text)),
        Cell::Both(fa, en) => escape(lang.pick(fa, en)),
        Cell::Empty => "—".to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
