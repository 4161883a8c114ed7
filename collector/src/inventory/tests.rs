//! Reading, joining and refusing.

use rusta_wire::{Network, UnixMs};

use super::source::{Files, draft};
use super::*;

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

const REGIONS: &str = "code,kind,parent_code,name_fa,households\n\
    09,province,,خراسان,\n0901,county,09,مشهد,\n090101,district,0901,مرکزی,\n0901010001,rural_district,090101,طوس,\n\
    0901010001000001,village,0901010001,علی‌آباد,۱۲\n0901010001000002,village,0901010001,حسن‌آباد,40\n";
const SITES: &str = "code,kind,region_code,name_fa,criticality\nF-0901,farmandari,0901,فرمانداری,A\n\
    V-1,village,0901010001000001,علی‌آباد,B\nV-2,dehyari,0901010001000002,حسن‌آباد,\n";
const LINKS: &str = "site_code,name,network,role,access,operator,metered,plan_bytes,cycle_day,parent\n\
    V-2,apn0,apn,primary,lte,mci,yes,3GiB,1,GW-MCI\nV-1,gov0,gov,primary,radio,,no,,,F-0901\nF-0901,core0,gov,,fibre,,,,,CORE\n\
    V-1,apn0,apn,backup,lte,mci,yes,3GiB,1,GW-MCI | B-1\n";
const NODES: &str = "code,kind,name_fa,parent\nB-1,bts,دکل,P-1\nP-1,pop,پاپ,CORE\nCORE,core,هسته,\nGW-MCI,apn_gateway,درگاه,CORE\n";

fn good() -> Files {
    files(&[("regions.csv", REGIONS), ("sites.csv", SITES), ("links.csv", LINKS), ("nodes.csv", NODES)])
}

fn faults(files: &Files) -> Vec<String> {
    let faults = match draft(files) {
        Ok(draft) => draft.build(1, UnixMs(0)).map(|_| ()).unwrap_err(),
        Err(faults) => faults,
    };
    faults.iter().map(|f| format!("{}: {}; {}", f.place, f.english(), f.fix())).collect()
}

/// A collector that was just installed computes figures before it knows a village.
#[test]
fn without_a_registry_every_region_leads_nowhere() {
    let none = Inventory::default();
    assert_eq!(Versions::default().lineage(&none, &none), Vec::new());
}

#[test]
fn a_folder_becomes_a_version_with_every_reference_resolved() {
    let built = draft(&good()).unwrap().build(3, UnixMs(7)).unwrap();
    let inventory = &built.inventory;
    assert_eq!((inventory.version, inventory.effective_from), (3, UnixMs(7)));
    let village = inventory.region_by_code("0901010001000001").unwrap();
    assert_eq!(inventory.region(village).households, Some(12), "Persian digits are numbers too");
    let up: Vec<_> = inventory.ancestors(village).map(|id| inventory.region(id).code.as_str()).collect();
    assert_eq!(up, ["0901010001000001", "0901010001", "090101", "0901", "09"]);

    let site = inventory.site_by_code("V-1").unwrap();
    let links: Vec<_> = inventory.links_of(site).map(|id| inventory.link(id)).collect();
    assert_eq!(links.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["gov0", "apn0"]);
    assert_eq!(links[0].parents, [Parent::Site(inventory.site_by_code("F-0901").unwrap())]);
    let node = |code: &str| Parent::Node(inventory.node_by_code(code).unwrap());
    assert_eq!(links[1].parents, [node("GW-MCI"), node("B-1")]);
    assert_eq!((links[1].plan_bytes, links[1].cycle_day), (Some(3 << 30), Some(1)));
    assert_eq!(links[0].sla_class, Criticality::B, "a link without its own class has its site's");
    assert!(inventory.hangs_on(inventory.node_by_code("B-1").unwrap(), inventory.node_by_code("CORE").unwrap()));
    assert_eq!(inventory.villages().count(), 2);
    assert!(built.notes.is_empty(), "{:?}", built.notes);
}

#[test]
fn each_mistake_is_listed_with_file_row_column_and_a_fix_in_both_languages() {
    let mut bad = good();
    bad.insert("sites.csv".into(), SITES.replace("V-2,dehyari,0901010001000002", "V-2,dehyary,0901010001000003").into_bytes());
    bad.insert("nodes.csv".into(), NODES.replace("B-1,bts,دکل,P-1", "B-1,bts,,P-1").into_bytes());
    let first = faults(&bad);
    assert!(
        first[0].starts_with("nodes.csv:2:name_fa: required value is empty") || first[1].starts_with("nodes.csv:2:name_fa"),
        "{first:?}"
    );
    assert!(first.iter().any(|f| f.starts_with("sites.csv:4:kind: `dehyary` is not one of village, dehyari")), "{first:?}");

    let mut bad = good();
    bad.insert("sites.csv".into(), SITES.replace("0901010001000002", "0901010001000003").into_bytes());
    bad.insert("links.csv".into(), LINKS.replace("GW-MCI | B-1", "GW-MCI | B-9").replace("V-1,gov0", "V-9,gov0").into_bytes());
    let second = faults(&bad);
    let has = |begin: &str| assert!(second.iter().any(|f| f.starts_with(begin)), "{begin} is not in {second:#?}");
    has("sites.csv:4:region_code: `0901010001000003` is not in regions.csv; did you mean `09010100010000");
    has("links.csv:3:site_code: `V-9` is not in sites.csv");
    has("links.csv:5:parent: `B-9` is not in nodes.csv, sites.csv or links.csv; did you mean `B-1`?");
    let fault = Fault::at("sites.csv", 4, "kind", Kind::Empty);
    assert!(fault.to_string().contains("خانه را پر کنید"));
}

#[test]
fn regions_that_collide_are_refused_never_merged() {
    let mut bad = good();
    bad.insert(
        "regions.csv".into(),
        format!("{REGIONS}0901010001,rural_district,090101,دیگر,\n090102,district,0901,مركزي,\n").into_bytes(),
    );
    let found = faults(&bad);
    assert!(found.iter().any(|f| f.starts_with("regions.csv:8:code: `0901010001` collides with regions.csv:5:code")), "{found:?}");
    assert!(found.iter().any(|f| f.starts_with("regions.csv:9:name_fa")), "another spelling of one name collides: {found:?}");
}

#[test]
fn a_wrong_level_and_a_circle_are_refused() {
    let mut bad = good();
    bad.insert("regions.csv".into(), REGIONS.replace("0901010001,rural_district,090101", "0901010001,rural_district,09").into_bytes());
    assert!(faults(&bad).iter().any(|f| f.contains("a rural_district cannot stand under province")), "{:?}", faults(&bad));

    let mut bad = good();
    bad.insert("links.csv".into(), LINKS.replace("F-0901,core0,gov,,fibre,,,,,CORE", "F-0901,core0,gov,,fibre,,,,,V-1").into_bytes());
    assert!(faults(&bad)[0].contains("depends on itself"), "{:?}", faults(&bad));
}

#[test]
fn a_mistyped_heading_names_the_nearest_one() {
    let mut bad = good();
    bad.insert("sites.csv".into(), SITES.replace("criticality", "critcality").into_bytes());
    assert_eq!(
        faults(&bad),
        ["sites.csv:1:critcality: unknown column `critcality`; did you mean `criticality`? remove the column if it is not needed"]
    );
}

#[test]
fn excel_habits_are_read() {
    let regions = format!("\u{feff}{}", REGIONS.replace(',', ";"));
    let files = files(&[("regions.csv", &regions)]);
    let inventory = draft(&files).unwrap().build(1, UnixMs(0)).unwrap().inventory;
    assert_eq!(inventory.regions.len(), 6);
}

#[test]
fn a_workbook_comes_back_as_the_files_it_was_made_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.xlsx");
    let generated = export::files(&generate::draft(generate::Size::Demo, 7).unwrap()).unwrap();
    std::fs::write(&path, export::to_workbook(&generated).unwrap()).unwrap();
    let read = source::read(&path).unwrap_or_else(|faults| panic!("{}", faults[0]));
    assert_eq!(export::files(&read).unwrap(), generated);
}

#[test]
fn names_that_a_spreadsheet_would_run_leave_guarded_and_come_back_as_they_were() {
    let names = ["=HYPERLINK(\"http://x\")", "+cmd|'x'!A0", "-2+3", "@SUM(A1)", "'=1", "''@x", "-98"];
    let mut named = generate::draft(generate::Size::Demo, 7).unwrap();
    for (site, name) in named.sites.iter_mut().zip(names) {
        (site.item.name_en, site.item.contact) = (name.to_owned(), name.to_owned());
    }
    let files = export::files(&named).unwrap();
    let text = String::from_utf8(files["sites.csv"].clone()).unwrap();
    let mut cells = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    for record in cells.records() {
        for cell in &record.unwrap() {
            assert!(!cell.starts_with(['=', '@', '+', '\t']) && (!cell.starts_with('-') || cell.parse::<f64>().is_ok()), "{cell}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.xlsx");
    std::fs::write(&path, export::to_workbook(&files).unwrap()).unwrap();
    for read in [source::read(&path).unwrap(), draft(&files).unwrap()] {
        for (site, name) in read.sites.iter().zip(names) {
            assert_eq!((site.item.name_en.as_str(), site.item.contact.as_str()), (name, name));
        }
        assert_eq!(export::files(&read).unwrap(), files);
    }
}

#[test]
fn a_mistake_in_a_workbook_is_named_by_the_row_of_its_sheet() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet().set_name("regions").unwrap();
    let lines: Vec<Vec<&str>> = REGIONS.lines().map(|line| line.split(',').collect()).collect();
    for (row, cells) in lines.iter().enumerate() {
        // An empty row between, as people leave them.
        let row = if row > 2 { row + 1 } else { row };
        for (column, cell) in cells.iter().enumerate() {
            let cell = if *cell == "district" { "distict" } else { cell };
            sheet.write_string(row as u32, column as u16, cell).unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.xlsx");
    book.save(&path).unwrap();
    let faults = source::read(&path).err().unwrap();
    let place = faults.iter().find(|fault| fault.english().contains("distict")).unwrap_or_else(|| panic!("{faults:?}"));
    assert_eq!(place.place.to_string(), "regions.csv:5:kind");
    assert!(place.to_string().contains("پذیرفتنی نیست"), "it is said in Persian too: {place}");
    let said = place.of_workbook();
    assert!(said.starts_with("sheet regions, row 5, column kind: ") && said.contains("برگه regions، سطر 5، ستون kind: "), "{said}");
}

#[test]
fn words_of_the_lists_are_read_in_any_case() {
    let mut typed = good();
    let shout = |text: &str| {
        let lines = text.lines().enumerate();
        let words = ["village", "dehyari", "core", "apn", "gov", "lte", "fibre", "primary", "backup"];
        let line = |(number, line): (usize, &str)| {
            let cells = line.split(',').map(|cell| if number > 0 && words.contains(&cell) { cell.to_uppercase() } else { cell.to_owned() });
            cells.collect::<Vec<_>>().join(",")
        };
        lines.map(line).collect::<Vec<_>>().join("\n")
    };
    for name in ["regions.csv", "sites.csv", "links.csv"] {
        let text = String::from_utf8(typed[name].clone()).unwrap();
        let shouted = shout(&text);
        assert_ne!(shouted.trim(), text.trim(), "{name}");
        typed.insert(name.into(), shouted.into_bytes());
    }
    let [as_typed, plain] = [&typed, &good()].map(|files| export::files(&draft(files).unwrap()).unwrap());
    assert_eq!(as_typed, plain);
}

#[test]
fn a_difference_is_told_in_words_of_the_lists() {
    let built = |files: &Files| draft(files).unwrap().build(1, UnixMs(0)).unwrap().inventory;
    let mut other = good();
    let links = String::from_utf8(other["links.csv"].clone()).unwrap();
    other.insert("links.csv".into(), links.replace("lte", "").replace("3GiB", "4GiB").into_bytes());
    let difference = Difference::between(&built(&good()), &built(&other));
    let said = difference.to_string();
    assert!(said.contains("access lte -> none") && said.contains("plan 3GiB -> 4GiB"), "{said}");
    assert!(!said.contains("Some(") && !said.contains("None"), "{said}");
}

#[test]
fn wrong_items_of_a_yaml_list_are_each_reported_with_their_line() {
    let mut bad = good();
    let services = "- id: health\n  name_fa: سلامت\n- id: market\n  nam_fa: بازار\n- id: line137\n  name_fa: ۱۳۷\n  owner: [x]\n";
    bad.insert("services.yaml".into(), services.as_bytes().to_vec());
    let found = faults(&bad);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("services.yaml:3:") || found[0].starts_with("services.yaml:4:"), "{found:?}");
    assert!(found[1].starts_with("services.yaml:7:"), "{found:?}");
}

#[test]
fn a_draft_can_be_filled_by_hand() {
    let mut draft = Draft::default();
    draft.region("p", RegionKind::Province, "").name_fa = "استان".to_owned();
    draft.region("c", RegionKind::County, "p");
    draft.region("v", RegionKind::Village, "c").households = Some(9);
    draft.site("s", SiteKind::Village, "v");
    draft.link("s", "apn0", Network::Apn, "");
    let inventory = draft.build(1, UnixMs(0)).unwrap().inventory;
    assert_eq!(inventory.link_code(LinkId(0)), "s/apn0");
}

mod stored {
    use super::*;
    use crate::inventory::versions::{self, Import};
    use crate::persian::Window;
    use crate::store::Store;

    const PROFILES: &str = "- name: apn\n  kinds: [village]\n  networks: [apn]\n  targets:\n  - name: gateway\n    rung: gateway\n    every: 60s\n    \
        icmp: {address: 'gw.{county}.{operator}', count: 3}\n- name: one site\n  sites: [V-1]\n  networks: [gov]\n  targets:\n  - {name: school, rung: service, tcp: {address: '10.0.0.9:443'}}\n";
    const SERVICES: &str =
        "- id: health\n  name_fa: سلامت\n  vantages: [village]\n  check: {every: 30m, http: {url: 'https://health/{site}'}}\n";

    fn full() -> Files {
        let mut files = good();
        files.insert("profiles.yaml".into(), PROFILES.as_bytes().to_vec());
        files.insert("services.yaml".into(), SERVICES.as_bytes().to_vec());
        files.insert("calendars.yaml".into(), b"- name: office\n  week: {saturday: '07:30-14:30'}\n  holidays: [1405-01-01]\n".to_vec());
        let work = "- id: w\n  reason: x\n  from: 1405-01-02 10:00\n  until: 1405-01-02 12:00\n  announced: 1404-12-20\n  weekly: true\n  nodes: [CORE]\n";
        files.insert("maintenance.yaml".into(), work.as_bytes().to_vec());
        files.insert("goals.csv".into(), b"kpi,region_code,value\nconnected_share_now,09,1\n".to_vec());
        files.insert(
            "declared.csv".into(),
            b"kpi,value,unit,region_code,as_of,publisher\nnin_share_20plus,0.89,ratio,09,1404-06-01,x\n".to_vec(),
        );
        files
    }

    fn import(store: &Store, files: &Files, from: i64) -> Inventory {
        let import = Import { by: "cli", at: UnixMs(5), effective_from: UnixMs(from) };
        versions::import(store, &draft(files).unwrap(), &import).unwrap().inventory
    }

    #[test]
    fn export_gives_what_imports_to_the_same_version() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(import(&store, &full(), 0).version, 1);
        let exported = versions::files(&store, 1).unwrap();
        assert_eq!(exported.len(), 10);
        assert_eq!(import(&store, &exported, 0).version, 1, "nothing changed, so no new version");
        assert_eq!(export::files(&draft(&exported).unwrap()).unwrap(), exported);
        let loaded = Versions::load(&store).unwrap().last();
        assert_eq!((loaded.sites.len(), loaded.services.len(), loaded.maintenance.len()), (3, 1, 1));
        assert_eq!(loaded.goals.len() + loaded.declared.len(), 2);
        assert_eq!(versions::list(&store).unwrap().len(), 1);
    }

    #[test]
    fn stored_versions_cannot_be_changed_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        import(&store, &full(), 0);
        for sql in ["UPDATE inventory_versions SET effective_from = 9", "DELETE FROM inventory_versions"] {
            let refused: Result<usize, crate::store::StoreError> = store.write(|tx| Ok(tx.execute(sql, [])?));
            assert!(refused.is_err(), "{sql}");
        }
    }

    #[test]
    fn a_refused_import_stores_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut bad = full();
        bad.insert("goals.csv".into(), b"kpi,region_code,value\nconnected_share_now,10,1\n".to_vec());
        let import = Import { by: "cli", at: UnixMs(5), effective_from: UnixMs(0) };
        let refused = versions::import(&store, &draft(&bad).unwrap(), &import);
        assert!(matches!(refused, Err(versions::VersionError::Faults(faults)) if faults[0].place.to_string() == "goals.csv:2:region_code"));
        assert!(versions::list(&store).unwrap().is_empty());
    }

    #[test]
    fn each_day_has_its_version_and_a_region_is_followed_through_its_codes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let old = import(&store, &full(), 1_000);
        let mut split = full();
        let regions = REGIONS.replace("0901010001000002,village,0901010001", "0902010001000001,village,0902010001")
            + "0902,county,09,نو,\n090201,district,0902,نو,\n0902010001,rural_district,090201,نو,\n";
        let regions: Vec<String> = regions
            .lines()
            .map(|line| match line {
                heading if heading.starts_with("code") => format!("{heading},previous_code"),
                moved if moved.starts_with("0902010001000001") => format!("{moved},0901010001000002"),
                same => format!("{same},"),
            })
            .collect();
        split.insert("regions.csv".into(), regions.join("\n").into_bytes());
        split.insert("sites.csv".into(), SITES.replace("0901010001000002", "0902010001000001").into_bytes());
        let new = import(&store, &split, 2_000);
        assert_eq!((old.version, new.version), (1, 2));

        let versions = Versions::load(&store).unwrap();
        let at = |time| versions.at(UnixMs(time)).version;
        assert_eq!([at(0), at(1_000), at(1_999), at(2_000)], [1, 1, 1, 2]);
        let parts = versions.parts(Window { from: UnixMs(1_500), until: UnixMs(3_000) });
        let parts: Vec<_> = parts.iter().map(|(w, i)| (w.from.0, w.until.0, i.version)).collect();
        assert_eq!(parts, [(1_500, 2_000, 1), (2_000, 3_000, 2)]);

        let lineage = versions.lineage(&old, &new);
        let moved = lineage[old.region_by_code("0901010001000002").unwrap().index()].unwrap();
        assert_eq!(new.region(moved).code, "0902010001000001");
        let difference = Difference::between(&old, &new);
        assert_eq!(difference.regions.added, ["0902", "090201", "0902010001"]);
        assert!(difference.regions.removed.is_empty());
        assert_eq!(difference.regions.changed[0].0, "0902010001000001");
    }

    #[test]
    fn an_assignment_is_the_matching_profiles_and_services_with_names_filled_in() {
        let inventory = draft(&full()).unwrap().build(1, UnixMs(0)).unwrap().inventory;
        let site = inventory.site_by_code("V-1").unwrap();
        let assignment = assignment::of(&inventory, site);
        let value: serde_yaml::Value = serde_yaml::from_str(&assignment.yaml).unwrap();
        let targets = value["targets"].as_sequence().unwrap();
        let names: Vec<_> = targets.iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["gov0-school", "apn0-gateway", "service-health"]);
        assert_eq!(targets[1]["icmp"]["address"], "gw.0901.mci");
        assert_eq!((targets[1]["link"].as_str(), targets[1]["every"].as_str()), (Some("apn0"), Some("60s")));
        assert_eq!(targets[2]["http"]["url"], "https://health/V-1");
        assert_eq!(targets[2]["link"], "gov0", "services are reached over the primary link");
        assert_eq!(value["links"][1]["plan"]["bytes"].as_u64(), Some(3 << 30));
        assert_eq!(assignment, assignment::of(&inventory, site));
        assert_ne!(assignment.version, assignment::of(&inventory, inventory.site_by_code("V-2").unwrap()).version);
    }

    #[test]
    fn a_weekly_window_comes_back_and_only_an_early_announcement_is_forgiven() {
        let inventory = draft(&full()).unwrap().build(1, UnixMs(0)).unwrap().inventory;
        let window = &inventory.maintenance[0];
        let day = 86_400_000;
        let spans = window.spans(UnixMs(window.span.0.0 + day), UnixMs(window.span.0.0 + 15 * day));
        assert_eq!(spans.iter().map(|s| (s.0.0 - window.span.0.0) / day).collect::<Vec<_>>(), [7, 14]);
        assert!(window.is_announced_for(window.span.0));
        let covered = |site: &str, link: &str| {
            inventory.is_covered(window, inventory.link_by_name(inventory.site_by_code(site).unwrap(), link).unwrap())
        };
        assert!(covered("F-0901", "core0") && covered("V-1", "apn0"), "a mast's and a gateway's node hang on the core");
        assert!(!covered("V-1", "gov0"), "it hangs on a site, not on the node");
    }
}
