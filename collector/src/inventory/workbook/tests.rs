use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const OF_BOOK: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
const BOOK: &str = r#"<workbook xmlns:r="x"><sheets><sheet name="sites" sheetId="1" r:id="r1"/></sheets></workbook>"#;

/// A workbook of these parts.
fn workbook(parts: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new(file.reopen().unwrap());
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    file
}

/// A workbook of one sheet with these cells, and whatever else.
fn sheet(cells: &str, others: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let sheet = format!("<worksheet><sheetData>{cells}</sheetData></worksheet>");
    let mut parts = vec![
        ("_rels/.rels", RELATIONS),
        ("xl/_rels/workbook.xml.rels", OF_BOOK),
        ("xl/workbook.xml", BOOK),
        ("xl/worksheets/sheet1.xml", sheet.as_str()),
    ];
    parts.retain(|(name, _)| !others.iter().any(|(other, _)| other == name));
    parts.extend_from_slice(others);
    workbook(&parts)
}

fn rows(file: &tempfile::NamedTempFile) -> Result<Vec<Vec<String>>, WorkbookError> {
    Workbook::open(file.path())?.rows("sites", ToString::to_string)
}

fn refused(file: &tempfile::NamedTempFile) -> String {
    rows(file).unwrap_err().to_string()
}

#[test]
fn cells_stand_where_the_person_sees_them() {
    let file = sheet(
        r#"<row r="2"><c r="B2" t="str"><v>code</v></c><c r="D2"><v>7</v></c></row><row r="4"><c r="A4" t="str"><v>x</v></c></row>"#,
        &[],
    );
    let found = rows(&file).unwrap();
    assert_eq!(found, [vec![], vec![String::new(), "code".into(), String::new(), "7".into()], vec![], vec!["x".to_owned()]]);
}

/// 1,463 bytes, and the collector was dead: a range from A1 to XFD1048576 has 17 thousand million cells.
#[test]
fn a_cell_at_the_far_corner_is_refused_before_anything_is_made_for_it() {
    let corner = sheet(r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#, &[]);
    assert!(std::fs::metadata(corner.path()).unwrap().len() < 2_000);
    assert!(refused(&corner).contains("the number of columns"), "{}", refused(&corner));
    let beyond = sheet(r#"<row r="4294967295"><c r="A4294967295"><v>1</v></c></row>"#, &[]);
    rows(&beyond).unwrap_err();
    let long = sheet(r#"<row r="1048576"><c r="A1048576"><v>1</v></c></row>"#, &[]);
    assert_eq!(rows(&long).unwrap().len(), ROWS, "a spreadsheet's last row is a row");
    let wide: String = (1..=130_000).map(|row| format!(r#"<row r="{row}"><c r="BL{row}"><v>1</v></c></row>"#)).collect();
    assert!(refused(&sheet(&wide, &[])).contains("the number of cells"));
}

#[test]
fn a_list_that_only_says_it_is_long_is_refused() {
    let texts = |count: &str| {
        let strings = format!("<sst uniqueCount{count}><si><t>x</t></si></sst>");
        sheet(r#"<row r="1"><c r="A1" t="s"><v>0</v></c></row>"#, &[("xl/sharedStrings.xml", &strings)])
    };
    for honest in ["=\"1\"", " = '0000001'"] {
        assert_eq!(rows(&texts(honest)).unwrap(), [["x"]], "{honest}");
    }
    for hostile in [
        "=\"99999999\"",
        "=\"9999999999999999999\"",
        " =\n'18446744073709551615'",
        "=\"+99999999999\"",
        "=\"&#57;99999999\"",
        "=99999999999",
    ] {
        assert!(refused(&texts(hostile)).contains("the number of texts"), "{hostile}");
    }
    // On the border of two pieces that are looked at.
    for before in CHUNK - 80..CHUNK + 8 {
        let strings = format!("<!--{}--><sst uniqueCount=\"88888888888\"><si><t>x</t></si></sst>", "-".repeat(before));
        let file = sheet(r#"<row r="1"><c r="A1" t="s"><v>0</v></c></row>"#, &[("xl/sharedStrings.xml", &strings)]);
        assert!(refused(&file).contains("the number of texts"), "{before}");
    }
    let mut utf_16 = vec![0xff, 0xfe];
    utf_16.extend("<sst uniqueCount=\"99999999999\"/>".encode_utf16().flat_map(u16::to_le_bytes));
    let utf_16 = String::from_utf8_lossy(&utf_16).into_owned();
    assert!(refused(&sheet("", &[("xl/sharedStrings.xml", &utf_16)])).contains("not UTF-8"));
}

#[test]
fn what_unfolds_to_more_than_a_registry_is_refused() {
    let styles = format!("<styleSheet>{}</styleSheet>", "<xf/>".repeat(300_000));
    assert!(refused(&sheet("", &[("xl/styles.xml", &styles)])).contains("what it unfolds to"));
    let sheets = r#"<sheet name="s" r:id="r1"/>"#.repeat(3_000);
    assert!(refused(&sheet("", &[("xl/workbook.xml", &format!("<workbook><sheets>{sheets}</sheets></workbook>"))])).contains("sheets"));
    let sheets = r#"<sheet name="s" r:id="r1"/>"#.repeat(100);
    assert!(refused(&sheet("", &[("xl/workbook.xml", &format!("<workbook><sheets>{sheets}</sheets></workbook>"))])).contains("sheets"));
    let names: Vec<String> = (0..2_000).map(|n| format!("{n}.xml")).collect();
    let parts: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert!(refused(&workbook(&parts)).contains("its parts"));
}

/// One long text that a hundred thousand cells share is a hundred thousand copies of it.
#[test]
fn a_text_that_many_cells_share_is_counted_for_each() {
    let strings = format!("<sst uniqueCount=\"1\"><si><t>{}</t></si></sst>", "x".repeat(1 << 20));
    let cells: String = (1..=1_000).map(|row| format!(r#"<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>"#)).collect();
    assert!(refused(&sheet(&cells, &[("xl/sharedStrings.xml", &strings)])).contains("the text of all cells"));
}

#[test]
fn an_archive_that_two_readers_would_read_differently_is_none() {
    let good = std::fs::read(sheet(r#"<row r="1"><c r="A1"><v>1</v></c></row>"#, &[]).path()).unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        rows(&file)
    };
    let end = good.len() - 22;
    with(&|_| ()).unwrap();
    // A comment, a second end record, another count, a ZIP64 locator, something before it, an old compound file, nothing.
    with(&|bytes| bytes.extend(b"comment")).unwrap_err();
    with(&|bytes| bytes.extend(good[end..].to_vec())).unwrap_err();
    with(&|bytes| bytes[end + 10] = 0xff).unwrap_err();
    with(&|bytes| {
        bytes.splice(end..end, b"PK\x06\x07".iter().copied().chain([0; 16]));
    })
    .unwrap_err();
    with(&|bytes| {
        bytes.splice(0..0, b"#!/bin/sh\n".iter().copied());
    })
    .unwrap_err();
    with(&|bytes| bytes.splice(0..8, [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]).for_each(drop)).unwrap_err();
    for length in [0, 3, 21, 22, 41, 42, 60] {
        with(&|bytes| bytes.truncate(length)).unwrap_err();
    }
    // Any byte changed, anywhere: an answer, never an end.
    let mut read = 0;
    for at in 0..good.len() {
        for value in [0, 0x7f, 0xff] {
            read += usize::from(with(&|bytes| bytes[at] = value).is_ok());
        }
    }
    println!("{} damaged workbooks, of which {read} read", 3 * good.len());
}
