//! Forms agree, revisions stay.

use std::io::Cursor;
use std::sync::Arc;

use calamine::{Data, Reader, Xlsx};
use rusta_wire::UnixMs;

use super::*;
use crate::history::StateSeconds;
use crate::inventory::{Draft, RegionKind};
use crate::kpi::facts::{Facts, Section};
use crate::kpi::{Status, answer, by_id};
use crate::persian::{Lang, Period};
use crate::store::Store;

fn facts(connected: u64) -> Facts {
    let mut draft = Draft::default();
    draft.region("p", RegionKind::Province, "").name_fa = "استان <آ>".to_owned();
    draft.region("c", RegionKind::County, "p");
    draft.region("v1", RegionKind::Village, "c").households = Some(20);
    draft.region("v2", RegionKind::Village, "c").households = Some(30);
    let inventory = Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory);
    let period: Period = "1405-08".parse().unwrap();
    let window = period.window(UnixMs(0));
    let mut section = Section::unknown(Arc::clone(&inventory), window);
    let village = |code: &str| inventory.region_by_code(code).unwrap().index();
    section.villages[village("v1")].as_mut().unwrap().state = StateSeconds { up: 2_592_000, ..StateSeconds::default() };
    section.villages[village("v2")].as_mut().unwrap().state =
        StateSeconds { up: connected, down: 2_592_000 - connected, ..StateSeconds::default() };
    Facts { period, window, status: Status::Provisional, sections: vec![section], alerts: None, definitions: Default::default() }
}

#[test]
fn the_workbook_reads_back_right_to_left_with_real_numbers_equal_to_the_figures() {
    let facts = facts(1_296_000);
    let content = content(&facts, "p");
    let bytes = xlsx::write(&content, None).unwrap();
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    let sheets = book.sheet_names();
    assert_eq!(sheets.len(), 1 + content.tables.len());
    let executive = book.worksheet_range(&sheets[1]).unwrap();
    let figure =
        answer(by_id("connected_share_period").unwrap(), &facts, crate::kpi::Ask { region: Some("p"), ..Default::default() }).remove(0);
    assert_eq!(figure.value, Some(0.75));
    assert_eq!(executive.get((1, 1)), Some(&Data::Float(0.75)));
    assert_eq!(executive.get((1, 5)), Some(&Data::Float(figure.numerator)));
    let definitions = book.worksheet_range(sheets.last().unwrap()).unwrap();
    assert_eq!(definitions.height(), 1 + crate::kpi::CATALOGUE.len());
}

#[test]
fn the_page_escapes_names_and_never_shows_an_unknown_as_a_number() {
    let content = content(&facts(0), "p");
    let fa = html::write(&content, None, Lang::Fa);
    assert!(fa.contains("dir=\"rtl\"") && fa.contains("استان &lt;آ&gt;") && !fa.contains("<آ>"));
    assert!(fa.contains("هنوز گردآوری نشده"), "figures nobody collects say so");
    let en = html::write(&content, None, Lang::En);
    assert!(en.contains("dir=\"ltr\"") && en.contains("not collected yet"));
    assert!(!en.contains("http://") && !en.contains("https://"), "nothing is loaded from outside");
    let csv = String::from_utf8(csv_form::write(&content, None).unwrap()).unwrap();
    assert!(csv.contains("time-weighted connected share,0.5,"), "{csv}");
}

#[test]
fn a_published_revision_stays_and_late_data_makes_the_next_with_the_changed_villages() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let publish = |connected: u64, at: i64| store.write(|tx| freeze(tx, &content(&facts(connected), "p"), UnixMs(at))).unwrap();
    let first = publish(0, 1);
    assert_eq!((first.revision, first.changed.len()), (1, 0));
    assert_eq!(publish(0, 2), first, "the same content is the same revision");
    let second = publish(2_592_000, 3);
    assert_eq!(second.revision, 2);
    assert_eq!(second.changed, [("v2".to_owned(), "not connected".to_owned(), "connected".to_owned())]);
    assert_ne!(first.digest, second.digest);
    let again = |number| store.read(|tx| frozen(tx, "1405-08", "p", number)).unwrap().unwrap();
    assert_eq!(again(Some(1)), first);
    assert_eq!(again(None), second);
    let changed: Result<usize, crate::store::StoreError> = store.write(|tx| Ok(tx.execute("UPDATE reports SET revision = 9", [])?));
    assert!(changed.is_err());
}

#[test]
fn a_month_may_be_published_on_day_three_of_the_next() {
    let from = revision::publishable_from("1405-12".parse().unwrap()).unwrap();
    assert_eq!(from, crate::inventory::dates::moment("1406-01-03").unwrap());
    assert_eq!(revision::publishable_from("1405".parse().unwrap()), None);
}
