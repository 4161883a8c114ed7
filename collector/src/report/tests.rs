//! Forms agree, revisions stay.

use std::io::Cursor;
use std::sync::Arc;

use calamine::{Data, Reader, Xlsx};
use rusta_wire::UnixMs;

use super::*;
use crate::history::StateSeconds;
use crate::inventory::{Draft, RegionKind};
use crate::kpi::facts::{Facts, Section};
use crate::kpi::{Definition, Definitions, Status, Term, answer, by_id};
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
    Facts {
        period,
        window,
        read_at: window.until,
        status: Status::Provisional,
        sections: vec![section],
        alerts: None,
        definitions: Default::default(),
        whole: Default::default(),
    }
}

#[test]
fn the_workbook_reads_back_right_to_left_with_real_numbers_equal_to_the_figures() {
    let facts = facts(1_296_000);
    let content = content::content(&facts, "p", &promises::Trends::default());
    let bytes = xlsx::write(&content, None).unwrap();
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    let sheets = book.sheet_names();
    assert_eq!(sheets.len(), 1 + content.tables.len());
    let executive = book.worksheet_range(&sheets[1]).unwrap();
    let figure =
        answer(by_id("connected_share_period").unwrap(), &facts, crate::kpi::Ask { region: Some("p"), ..Default::default() }).remove(0);
    assert_eq!(figure.value, Some(0.75));
    assert_eq!(executive.get((1, 1)), Some(&Data::Float(0.75)));
    assert_eq!(executive.get((1, 7)), Some(&Data::Float(figure.numerator)));
    let definitions = book.worksheet_range(sheets.last().unwrap()).unwrap();
    let texts = |kpi: &crate::kpi::Kpi| 1 + usize::from(kpi.second.is_some());
    assert_eq!(definitions.height(), 1 + crate::kpi::CATALOGUE.iter().map(texts).sum::<usize>(), "both texts stand in it");
}

#[test]
fn the_definitions_sheet_holds_every_version_of_the_window() {
    let kpi = by_id("villages_connected_month").unwrap();
    let version = |version, from: &str, connected: &str| {
        let mut terms = kpi.terms;
        terms.set(Term::Connected, connected).unwrap();
        let effective_from = Some(crate::inventory::dates::moment(from).unwrap());
        Definition { kpi, version, effective_from, decree: format!("decree {version}"), terms }
    };
    let later = vec![version(2, "1405-03-01", "0.92"), version(3, "1405-08-15", "0.95"), version(4, "1405-09-01", "0.99")];
    let facts = Facts { definitions: Definitions::new(later), ..facts(0) };
    let content = content::content(&facts, "p", &promises::Trends::default());
    let rows = content.tables.iter().find(|table| table.name.1 == "definitions").unwrap().rows.iter();
    let of_kpi = rows.filter(|row| row[0] == Cell::Text(kpi.id.to_owned()));
    let found: Vec<_> = of_kpi.map(|row| (row[4].clone(), row[6].clone(), row[7].clone())).collect();
    let row = |number: u8, decree: Option<u8>, connected: &str| {
        let text = |text: String| Cell::Text(text);
        let terms = text(format!("policy=either connected={connected} measured=0.5"));
        let decree = decree.map_or(Cell::Empty, |decree| text(format!("decree {decree}")));
        (Cell::Number { number: f64::from(number), is_ratio: false }, decree, terms)
    };
    // The second text of each decree of the first: 5 of none, 6 of the decree 2, 7 of 3, 8 of 4.
    let expected = [row(6, Some(2), "0.92"), row(1, None, "0.9"), row(3, Some(3), "0.95"), row(7, Some(3), "0.95")];
    assert_eq!(found, expected, "in force at its start first, then the first text and what began inside; not the next");
}

/// Two figures of one KPI and province: the line of the file that comes last is the older.
#[test]
fn of_figures_declared_twice_the_newest_by_its_day_is_compared() {
    let mut facts = facts(0);
    let mut inventory = crate::inventory::Inventory::clone(&facts.sections[0].inventory);
    let region = inventory.region_by_code("p").unwrap();
    let declared = |value: f64, as_of: &str| crate::inventory::Declared {
        kpi: "connected_share_period".to_owned(),
        value,
        unit: "ratio".to_owned(),
        numerator: None,
        denominator: None,
        region,
        as_of: as_of.to_owned(),
        announced_on: None,
        publisher: "ministry".to_owned(),
        source: format!("statement of {as_of}"),
        superseded_by: None,
    };
    inventory.declared = vec![declared(0.98, "2025-09-01"), declared(0.75, "2018-09-01"), declared(0.99, "2030-01-01")];
    facts.sections[0].inventory = Arc::new(inventory);
    let table = promises::declared(&facts, "p");
    let shown: Vec<_> = table.rows.iter().map(|row| (row[1].clone(), row[4].clone())).collect();
    assert_eq!(shown, [(Cell::Number { number: 0.98, is_ratio: true }, Cell::Text("statement of 2025-09-01".to_owned()))]);
}

#[test]
fn no_number_of_the_executive_page_stands_without_its_unit() {
    let content = content::content(&facts(0), "p", &promises::Trends::default());
    let executive = &content.tables[0];
    let column = |name: &str| executive.headings.iter().position(|heading| heading.1 == name).unwrap();
    let (numerator, denominator) = (column("numerator counts"), column("denominator and unknown count"));
    for row in &executive.rows {
        assert!(matches!(&row[denominator], Cell::Both(..)), "{row:?}");
        assert!(matches!(&row[numerator], Cell::Both(..)), "{row:?}");
    }
    let words = |row: &[Cell]| if let Cell::Both(fa, en) = &row[denominator] { (fa.clone(), en.clone()) } else { panic!("{row:?}") };
    assert_eq!(words(&executive.rows[0]), ("ثانیه".to_owned(), "s".to_owned()));
    let minutes = content.tables.iter().find(|table| table.name.1 == "outages by cause").unwrap();
    assert_eq!(minutes.headings.iter().filter(|heading| heading.1.ends_with(", minutes")).count(), 2);
}

#[test]
fn the_page_escapes_names_and_never_shows_an_unknown_as_a_number() {
    let content = content::content(&facts(0), "p", &promises::Trends::default());
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
    let publish = |connected: u64, at: i64| {
        store
            .write(|tx| revision::freeze(tx, &content::content(&facts(connected), "p", &promises::Trends::default()), &[], UnixMs(at)))
            .unwrap()
    };
    let first = publish(0, 1);
    assert_eq!((first.revision, first.changes.len()), (1, 0));
    assert_eq!(publish(0, 2), first, "the same content is the same revision");
    let second = publish(2_592_000, 3);
    assert_eq!(second.revision, 2);
    assert_eq!(second.changed_villages(), 1);
    let [figures, villages] = second.changes.as_slice() else { panic!("{:?}", second.changes) };
    assert_eq!(figures.rows[0][1..], [Cell::Number { number: 0.5, is_ratio: true }, Cell::Number { number: 1.0, is_ratio: true }]);
    let both = |fa: &str, en: &str| Cell::Both(fa.to_owned(), en.to_owned());
    assert_eq!(villages.rows[0][2..], [both("نامتصل", "not connected"), both("متصل", "connected")]);
    let bytes = xlsx::write(&second.content, Some(&second)).unwrap();
    let sheets = Xlsx::new(Cursor::new(bytes)).unwrap().sheet_names();
    assert!(sheets.contains(&"روستاهای تغییرکرده".to_owned()), "{sheets:?}");
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

/// A store with a province of two villages measured on every day of a month, and who would publish its reports.
fn measured(period: &str, up_of_v2: u32) -> (tempfile::TempDir, Store, Publisher) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let map = facts(0).last_map();
    write_days(&store, period, "v1", 86_400);
    write_days(&store, period, "v2", up_of_v2);
    let inventories = tokio::sync::watch::channel(Arc::new(crate::inventory::Versions::new(vec![map]))).1;
    (dir, store.clone(), Publisher::new(store, inventories))
}

fn write_days(store: &Store, period: &str, village: &str, up: u32) {
    let window = period.parse::<Period>().unwrap().window(UnixMs(0));
    let days = crate::day::Day::of(window.from).0..crate::day::Day::of(window.until).0;
    let write = |tx: &rusqlite::Transaction<'_>| {
        for kind in [2, 3] {
            tx.execute("INSERT OR IGNORE INTO objects (kind, code, link) VALUES (?1, ?2, '')", (kind, village))?;
            let sql = "INSERT OR REPLACE INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
                       SELECT ?1, ?2, id, ?3, 0, 86400 - ?3, 0, 0, 0 FROM objects WHERE kind = ?1 AND code = ?4";
            for day in days.clone() {
                tx.execute(sql, (kind, day, up, village))?;
            }
        }
        Ok::<_, crate::store::StoreError>(())
    };
    store.write(write).unwrap();
}

fn moment(text: &str) -> UnixMs {
    crate::inventory::dates::moment(text).unwrap()
}

#[test]
fn revision_one_is_published_on_day_three_without_a_hand_and_late_data_makes_the_next() {
    let (_dir, store, mut publisher) = measured("1405-08", 0);
    assert!(publisher.step(moment("1405-09-02")).unwrap().is_empty(), "day 3 has not come");
    let first = publisher.step(moment("1405-09-03")).unwrap();
    assert_eq!((first.len(), first[0].revision), (1, 1), "months nobody measured are not published");
    assert!(publisher.step(moment("1405-09-04")).unwrap().is_empty(), "nothing changed");
    write_days(&store, "1405-08", "v2", 86_400);
    let touched: Result<usize, crate::store::StoreError> = store.write(|tx| {
        Ok(tx.execute("INSERT INTO dirty_days (day, site_code) VALUES (?1, 'v2')", [crate::day::Day::of(moment("1405-08-05")).0])?)
    });
    touched.unwrap();
    assert!(publisher.step(moment("1405-09-06")).unwrap().is_empty(), "a day waits to be built");
    store.write(|tx| Ok::<_, crate::store::StoreError>(tx.execute("DELETE FROM dirty_days", [])?)).unwrap();
    let second = publisher.step(moment("1405-09-06")).unwrap();
    assert_eq!((second[0].revision, second[0].changed_villages()), (2, 1));
    assert_eq!(store.read(|tx| frozen(tx, "1405-08", "p", Some(1))).unwrap().unwrap(), first[0], "the published one stays");
}

/// The registry of the two villages, where the second may lie in another county.
fn registry(county: &str) -> Draft {
    let mut draft = Draft::default();
    draft.region("p", RegionKind::Province, "");
    draft.region("a", RegionKind::County, "p");
    draft.region("b", RegionKind::County, "p");
    draft.region("v1", RegionKind::Village, "a").households = Some(10);
    draft.region("v2", RegionKind::Village, county).households = Some(30);
    draft
}

#[test]
fn a_revision_caused_by_the_registry_says_so_and_waits_for_a_person() {
    use crate::inventory::versions::{Import, import};
    let (_dir, store, _) = measured("1405-08", 0);
    let imported = |county, at: &str| {
        let from = moment("1405-08-01");
        import(&store, &registry(county), &Import { by: "cli", at: moment(at), effective_from: from }).unwrap();
        // Rows were written by hand here: nothing is there to build them from.
        store.write(|tx| Ok::<_, crate::store::StoreError>(tx.execute("DELETE FROM dirty_days", [])?)).unwrap();
        Arc::new(crate::inventory::Versions::load(&store).unwrap())
    };
    let (sender, inventories) = tokio::sync::watch::channel(imported("a", "1405-08-01"));
    let mut publisher = Publisher::new(store.clone(), inventories);
    let first = publisher.step(moment("1405-09-03")).unwrap();
    assert_eq!((first[0].revision, first[0].registry.len()), (1, 0));
    write_days(&store, "1405-08", "v2", 86_400);
    assert_eq!(publisher.step(moment("1405-09-05")).unwrap()[0].registry, Vec::<u32>::new(), "late data makes the next by itself");

    let versions = imported("b", "1405-09-06");
    assert!(publisher.step(moment("1405-09-07")).unwrap().is_empty(), "not by the registry of before");
    sender.send_replace(Arc::clone(&versions));
    assert!(publisher.step(moment("1405-09-09")).unwrap().is_empty(), "the registry's change waits for a person");
    let newest = || store.read(|tx| frozen(tx, "1405-08", "p", None)).unwrap().unwrap();
    let held =
        || store.read(|db| Ok::<i64, crate::store::StoreError>(db.query_row("SELECT count(*) FROM reports_held", [], |row| row.get(0))?));
    assert_eq!((newest().revision, held().unwrap()), (2, 1));

    let (period, now) = ("1405-08".parse::<Period>().unwrap(), moment("1405-09-10"));
    let content = store.read(|db| gather(db, &versions, period, "p", now)).unwrap().unwrap();
    let publish = |released| store.write(|tx| held::publish(tx, &content, period.window(now), released, now)).unwrap();
    assert!(matches!(publish(false), held::Outcome::Held(stands, registry) if stands.revision == 2 && registry == [2]));
    assert!(matches!(publish(true), held::Outcome::Published(frozen) if frozen.revision == 3 && frozen.registry == [2]));
    assert_eq!((newest().registry, held().unwrap()), (vec![2], 0));
    assert!(xlsx::provenance(&content, Some(&newest())).iter().any(|(_, said)| said.contains("registry, version 2")));
    assert!(matches!(publish(false), held::Outcome::Stands(frozen) if frozen.revision == 3));
}

#[test]
fn a_goal_tells_its_pace_and_a_falling_figure_is_not_on_trend() {
    let goals = |connected: [u64; 3]| {
        let mut trends = promises::Trends::default();
        connected[..2].iter().for_each(|seconds| trends.add(&with_goal(*seconds), "p"));
        let table = promises::goals(&with_goal(connected[2]), "p", &trends);
        let row = table.rows.into_iter().next().unwrap();
        (row[9].clone(), row[10].clone())
    };
    let words = |cell: &Cell| if let Cell::Both(_, en) = cell { en.clone() } else { panic!("{cell:?}") };
    let (pace, expected) = goals([0, 1_296_000, 1_296_000]);
    let villages = |number: f64| Cell::Number { number, is_ratio: false };
    assert_eq!((words(&expected).as_str(), pace), ("not on trend", villages(0.0)), "half of the time is not connected");
    let (pace, expected) = goals([2_592_000, 2_592_000, 0]);
    assert_eq!((words(&expected).as_str(), pace), ("not on trend", villages(-0.5)), "one of two villages was lost in three months");
    let (_, expected) = goals([0, 0, 2_592_000]);
    assert_eq!(words(&expected), "Bahman 1405", "the line through 0, 0 and a half grows by a quarter a month");
}

/// The two villages with a goal for the national network; `v2` reached it for so many seconds.
fn with_goal(reached: u64) -> Facts {
    let mut facts = facts(0);
    let section = &mut facts.sections[0];
    let mut inventory = crate::inventory::Inventory::clone(&section.inventory);
    let province = inventory.region_by_code("p").unwrap();
    let kpi = "nin_share_20plus".to_owned();
    let goal = crate::inventory::Goal { kpi, region: province, value: 1.0, baseline: Some(0.0), due_on: None, policy_ref: String::new() };
    inventory.goals = vec![goal];
    let village = inventory.region_by_code("v2").unwrap().index();
    section.inventory = Arc::new(inventory);
    for (at, village_seconds) in section.villages.iter_mut().enumerate() {
        let up = if at == village { reached } else { 0 };
        village_seconds.iter_mut().for_each(|v| v.nin = StateSeconds { up, down: 2_592_000 - up, ..StateSeconds::default() });
    }
    facts
}

#[test]
fn every_number_of_every_sheet_is_a_number() {
    let content = content::content(&facts(1_296_000), "p", &promises::Trends::default());
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(xlsx::write(&content, None).unwrap())).unwrap();
    let mut numbers = 0;
    for table in &content.tables {
        let sheet = book.worksheet_range(&table.name.0).unwrap();
        for (row, cells) in table.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                let read = sheet.get((row + 1, column));
                match cell {
                    Cell::Number { number, .. } => assert_eq!(read, Some(&Data::Float(*number)), "{} {row} {column}", table.name.1),
                    Cell::Text(text) if !text.is_empty() => assert_eq!(read, Some(&Data::String(text.clone()))),
                    _ => {}
                }
                numbers += usize::from(matches!(cell, Cell::Number { .. }));
            }
        }
    }
    assert!(numbers > 100, "{numbers}");
    assert!(content.tables.iter().any(|table| table.name.1 == "villages of the 3 by 2"));
}

#[test]
fn a_revision_names_the_revocation_it_was_made_for() {
    use crate::identity::{Revocation, revoke};
    use crate::inventory::SiteKind;
    let (_dir, store, _) = measured("1405-08", 0);
    let mut draft = Draft::default();
    for (code, kind, parent) in [
        ("p", RegionKind::Province, ""),
        ("c", RegionKind::County, "p"),
        ("v1", RegionKind::Village, "c"),
        ("v2", RegionKind::Village, "c"),
        ("q", RegionKind::Province, ""),
    ] {
        draft.region(code, kind, parent);
    }
    draft.site("s2", SiteKind::Village, "v2");
    draft.site("core", SiteKind::Core, "q");
    let map = Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory);
    let inventories = tokio::sync::watch::channel(Arc::new(crate::inventory::Versions::new(vec![map]))).1;
    let mut publisher = Publisher::new(store.clone(), inventories);
    let mut of_p = |day: &str| publisher.step(moment(day)).unwrap().into_iter().find(|frozen| frozen.content.region.0 == "p");
    assert_eq!(of_p("1405-09-03").unwrap().revision, 1);
    for (id, site) in [(0xa1, "s2"), (0xa2, "core"), (0xa3, "gone")] {
        let agent = rusta_wire::AgentId(id);
        let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, 'k', 0, 0)";
        store.write(|tx| Ok::<_, crate::store::StoreError>(tx.execute(sql, (agent.to_string(), site))?)).unwrap();
        let since = Some(moment("1405-08-20"));
        revoke(&store, agent, Revocation { actor: "user:boss", at: moment("1405-09-04"), since, reason: "stolen router" }).unwrap();
    }
    let second = of_p("1405-09-05").unwrap();
    let reasons = &second.changes[0];
    assert_eq!((second.revision, reasons.name.1.as_str()), (2, "reasons of the revision"));
    let text = |word: &str| Cell::Text(word.to_owned());
    assert_eq!(reasons.rows, [vec![text("s2"), text("00000000000000a1"), text("1405-08-20"), text("stolen router")]], "its own alone");
    let sheets = Xlsx::new(Cursor::new(xlsx::write(&second.content, Some(&second)).unwrap())).unwrap().sheet_names();
    assert!(sheets.contains(&"علت بازنگری".to_owned()), "{sheets:?}");
    assert_eq!(of_p("1405-09-07"), None, "and is said once");
}
