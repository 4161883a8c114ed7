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
