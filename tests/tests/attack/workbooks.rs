//! Workbooks made to kill whoever reads them, sent by the page as an administrator would whose password was guessed.

use std::io::{Cursor, Write};
use std::process::Command;

use rusta_tests::http;
use rusta_tests::programs::run;
use rusta_tests::random::Random;
use rusta_tests::visitor::Visitor;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::stand::Stand;

/// What reading one workbook may take beside what the collector holds anyway.
const MEMORY_KIB: u64 = 512 * 1024;

const RELATIONS: &str = r#"<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const OF_BOOK: &str = r#"<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

fn zipped(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A workbook of one sheet called `sites`; `others` win over its own parts.
fn workbook(sheet: &str, others: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let book = r#"<workbook><sheets><sheet name="sites" sheetId="1" r:id="r1"/></sheets></workbook>"#;
    let mut parts: Vec<(&str, Vec<u8>)> = [
        ("_rels/.rels", RELATIONS),
        ("xl/_rels/workbook.xml.rels", OF_BOOK),
        ("xl/workbook.xml", book),
        ("xl/worksheets/sheet1.xml", &format!("<worksheet><sheetData>{sheet}</sheetData></worksheet>")),
    ]
    .map(|(name, text)| (name, text.as_bytes().to_vec()))
    .into();
    parts.retain(|(name, _)| !others.iter().any(|(other, _)| other == name));
    parts.extend(others.iter().cloned());
    zipped(&parts)
}

fn cell(at: &str, kind: &str, value: &str) -> String {
    let row: String = at.chars().filter(char::is_ascii_digit).collect();
    format!(r#"<row r="{row}"><c r="{at}"{kind}><v>{value}</v></c></row>"#)
}

/// Workbooks that each aim at something else.
fn hostile(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| all.push((what.to_owned(), bytes));
    let corner = cell("A1", "", "1") + &cell("XFD1048576", "", "1");
    add("the far corner", workbook(&corner, &[]));
    for dimension in ["A1:XFD1048576", "A1:XFD4294967295", "B2:A1", "ZZZZZZZ99999999999", ""] {
        let sheet = format!("<worksheet><dimension ref=\"{dimension}\"/><sheetData>{corner}</sheetData></worksheet>");
        add("a dimension", workbook("", &[("xl/worksheets/sheet1.xml", sheet.into_bytes())]));
    }
    for count in ["4294967295", "99999999999", "18446744073709551615", "10000000"] {
        let texts = format!("<sst uniqueCount=\"{count}\"><si><t>x</t></si></sst>");
        add("a list that says it is long", workbook(&cell("A1", " t=\"s\"", "0"), &[("xl/sharedStrings.xml", texts.into_bytes())]));
    }
    for (part, unit) in [
        ("xl/sharedStrings.xml", "<si/>"),
        ("xl/styles.xml", "<xf/>"),
        ("xl/workbook.xml", "<sheet name=\"sites\" r:id=\"r1\"/>"),
        ("xl/workbook.xml", "<definedName name=\"x\">y</definedName>"),
        ("xl/_rels/workbook.xml.rels", "<Relationship Id=\"a\" Target=\"b\" Type=\"c\"/>"),
        ("xl/worksheets/sheet1.xml", "<c r=\"A1\"/>"),
        ("xl/worksheets/sheet1.xml", "<row r=\"9\"><c r=\"BL9\"><v>1</v></c></row>"),
        ("xl/theme/theme1.xml", "<a:srgbClr val=\"ffffff\"/>"),
        ("docProps/app.xml", " "),
        ("xl/media/image.png", "\0\0\0\0\0\0\0\0"),
    ] {
        let root = match part {
            "xl/sharedStrings.xml" => "sst",
            "xl/styles.xml" => "styleSheet",
            "xl/workbook.xml" => "workbook",
            "xl/worksheets/sheet1.xml" => "worksheet",
            _ => "Relationships",
        };
        // Beyond what the part may be, where that is little enough to make.
        let sizes: &[usize] = match root {
            "sst" => &[3, 70],
            "worksheet" if unit.len() < 20 => &[3, 200],
            _ => &[3],
        };
        for megabytes in sizes {
            let inside = unit.repeat((megabytes << 20) / unit.len());
            let inside = if root == "worksheet" { format!("<sheetData>{inside}</sheetData>") } else { inside };
            let text = format!("<{root}>{inside}</{root}>");
            add(&format!("{megabytes} MiB of {unit:?}"), workbook(&cell("A1", "", "1"), &[(part, text.into_bytes())]));
        }
    }
    let text = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(8 << 20));
    let cells: String = (1..=20_000).map(|row| cell(&format!("A{row}"), " t=\"s\"", "0")).collect();
    add("a long text that many cells share", workbook(&cells, &[("xl/sharedStrings.xml", text.into_bytes())]));
    let deep = format!("{}{}", "<a>".repeat(2_000_000), "</a>".repeat(2_000_000));
    add("a deep tree", workbook(&deep, &[]));
    let long_tag = format!("<row {}=\"1\"/>", "a".repeat(60 << 20));
    add("a long tag", workbook(&long_tag, &[]));
    let entities = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>", "lol".repeat(100));
    add("entities", workbook(&format!("{entities}{}", cell("A1", " t=\"str\"", &"&a;".repeat(10_000))), &[]));
    let names: Vec<String> = (0..5_000).map(|n| format!("xl/worksheets/sheet{n}.xml")).collect();
    add("thousands of parts", zipped(&names.iter().map(|name| (name.as_str(), Vec::new())).collect::<Vec<_>>()));
    let whole = workbook(&cell("A1", "", "1"), &[]);
    // What is left is chance: pieces and bits of a good one.
    for _ in 0..150 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes[at] = 0xff,
                _ => drop(bytes.splice(at..at, [0xff; 8])),
            }
        }
        add("damage", bytes);
    }
    all
}

fn form_with(workbook: &[u8]) -> Vec<u8> {
    let mut form = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"list.xlsx\"\r\n\r\n".to_vec();
    form.extend_from_slice(workbook);
    form.extend_from_slice(b"\r\n--b--\r\n");
    form
}

#[test]
fn no_workbook_kills_the_collector_or_takes_its_memory() {
    let mut stand = Stand::start();
    let governor = Visitor::new(&stand.stage, stand.http, "governor", "admin");
    let form = governor.get("/admin/import").text();
    let ticket = form.split("action=\"/admin/import/check/").nth(1).unwrap_or_else(|| panic!("{form}"))[..64].to_owned();
    let all = hostile(&mut Random::from_seed(15));
    let base = stand.memory_from_now();
    let (mut refused, mut slowest) = (0, std::time::Duration::ZERO);
    for (what, bytes) in &all {
        let started = std::time::Instant::now();
        let answer = governor.post(&format!("/admin/import/check/{ticket}"), "multipart/form-data; boundary=b", &form_with(bytes));
        slowest = slowest.max(started.elapsed());
        assert!(stand.collector.as_mut().unwrap().ended().is_none(), "{what}: the collector ended");
        assert!([200, 422].contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        // One bit of a date or a name may leave a workbook whole.
        let is_whole = answer.text().contains("/admin/import/store");
        assert!(!is_whole || what == "damage", "{what}: it was taken for a registry");
        refused += 1;
    }
    stand.assert_memory_within(base, MEMORY_KIB);
    assert_eq!(http::get(stand.http, "/readyz").unwrap().status, 200);
    println!("{} hostile workbooks by page: {refused} refused, the slowest took {slowest:?}", all.len());
}

/// The same by the command, whose own memory is bounded.
#[test]
fn no_workbook_takes_more_than_a_command_has() {
    let stand = Stand::start();
    let all = hostile(&mut Random::from_seed(16));
    let aimed: Vec<_> = all.iter().filter(|(what, _)| what != "damage").collect();
    for (what, bytes) in &aimed {
        let file = stand.stage.path("hostile.xlsx");
        std::fs::write(&file, bytes).unwrap();
        let collector = stand.stage.collector();
        let mut command = Command::new("prlimit");
        command.arg("--as=3221225472").arg(collector.get_program()).args(collector.get_args());
        let said = run(command.args(["inventory", "import", "--dry-run"]).arg(&file));
        assert!(matches!(said.code, Some(1 | 2)), "{what}: {said:?}");
    }
    println!("{} hostile workbooks by command under 3 GiB of address space", aimed.len());
}
