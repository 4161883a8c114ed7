//! The sums, the seed, and what happens later.

use std::collections::HashMap;

use rusta_wire::UnixMs;

use super::*;
use crate::inventory::{Inventory, RegionKind, assignment, source};

fn built(size: Size) -> Inventory {
    draft(size, 7).unwrap().build(1, UnixMs(0)).unwrap_or_else(|faults| panic!("{}", faults[0])).inventory
}

fn count(inventory: &Inventory, kind: RegionKind) -> usize {
    inventory.regions.iter().filter(|r| r.kind == kind).count()
}

fn sites(inventory: &Inventory, kind: SiteKind) -> usize {
    inventory.sites.iter().filter(|s| s.kind == kind).count()
}

fn in_band(inventory: &Inventory, low: u32, high: u32) -> (usize, usize) {
    let declared: HashMap<_, _> = inventory.declared.iter().filter(|d| d.kpi == "nin_connected").map(|d| (d.region, d.value)).collect();
    let inside = |r: &&crate::inventory::RegionId| (low..=high).contains(&inventory.region(**r).households.unwrap());
    let villages: Vec<_> = inventory.villages().collect();
    let here: Vec<_> = villages.iter().filter(inside).collect();
    (here.len(), here.iter().filter(|r| declared[r] == 1.0).count())
}

#[test]
fn the_kr_province_has_the_sums_of_the_specification() {
    let kr = built(Size::Kr);
    let levels = [RegionKind::County, RegionKind::District, RegionKind::RuralDistrict, RegionKind::City, RegionKind::Village];
    assert_eq!(levels.map(|kind| count(&kr, kind)), [34, 83, 182, 113, 4_040]);
    let bands = [(1, 4), (5, 9), (10, 15), (16, 19), (20, 30), (31, 70), (71, 100), (101, u32::MAX)];
    let expected = [(562, 20), (400, 50), (326, 95), (192, 90), (386, 243), (841, 718), (322, 312), (1_011, 1_005)];
    assert_eq!(bands.map(|(low, high)| in_band(&kr, low, high)), expected);
    assert_eq!(in_band(&kr, 20, u32::MAX), (2_560, 2_278));
    assert_eq!(kr.sites.iter().filter(|s| GOV_KINDS.contains(&s.kind)).count(), 4_200);
    let kinds = [SiteKind::Headquarters, SiteKind::Farmandari, SiteKind::Bakhshdari, SiteKind::CountyOffice, SiteKind::ProvincialOffice];
    assert_eq!(kinds.map(|k| sites(&kr, k)), [5, 34, 83, 1_290, 140]);
    let kinds = [SiteKind::Municipality, SiteKind::PublicBody, SiteKind::Dehyari, SiteKind::IctOffice];
    assert_eq!(kinds.map(|k| sites(&kr, k)), [113, 120, 2_415, 300]);
    let grade = |g: usize| kr.sites.iter().filter(|s| s.tags.contains(&format!("grade-{g}"))).count();
    assert_eq!([1, 2, 3, 4, 5, 6].map(grade), [1_164, 533, 271, 226, 205, 16]);
    assert_eq!(kr.regions.iter().filter(|r| r.fixed_line == Some(true)).count(), 3_151);
    let best = |g: f64| kr.declared.iter().filter(|d| d.kpi == "best_technology" && d.value == g).count();
    assert_eq!([4.0, 3.0, 2.0, 0.0].map(best), [3_232, 404, 121, 283]);
    assert_eq!(kr.services.len(), 31);
}

#[test]
fn the_lorestan_province_has_the_sums_of_the_specification() {
    let lorestan = built(Size::Lorestan);
    let levels = [RegionKind::County, RegionKind::District, RegionKind::RuralDistrict, RegionKind::City, RegionKind::Village];
    assert_eq!(levels.map(|kind| count(&lorestan, kind)), [12, 36, 90, 39, 3_407]);
    assert_eq!(lorestan.villages().count(), 2_750);
    assert_eq!(in_band(&lorestan, 20, u32::MAX), (1_569, 1_185));
    assert_eq!(in_band(&lorestan, 1, u32::MAX), (2_750, 1_245));
    assert_eq!(lorestan.sites.iter().filter(|s| GOV_KINDS.contains(&s.kind)).count(), 2_026);
    assert_eq!((sites(&lorestan, SiteKind::Dehyari), sites(&lorestan, SiteKind::IctOffice)), (1_359, 115));
    assert_eq!(lorestan.regions.iter().filter(|r| r.fixed_line == Some(true)).count(), 2_255);
    assert_eq!(lorestan.declared.iter().filter(|d| d.kpi == "villages_20plus").count(), 2, "two agencies disagree");
}

#[test]
fn the_nation_has_the_census_bands_and_its_provinces_stay_whole() {
    let nation = built(Size::National);
    assert_eq!((count(&nation, RegionKind::Province), nation.villages().count()), (31, 62_284));
    let bands = [(1, 19), (20, 30), (31, 70), (71, 100), (101, u32::MAX)];
    assert_eq!(bands.map(|(low, high)| in_band(&nation, low, high).0), sums::NATIONAL_BANDS);
    let kr = nation.region_by_code("09").unwrap();
    assert_eq!(nation.villages().filter(|v| nation.is_within(*v, kr)).count(), 4_040);
    assert!(nation.sites.len() >= 65_000, "{}", nation.sites.len());
}

#[test]
fn one_seed_gives_one_registry_and_another_gives_another() {
    let files = |seed| export::files(&draft(Size::Demo, seed).unwrap()).unwrap();
    assert_eq!(files(1), files(1));
    assert_ne!(files(1), files(2));
    assert_eq!(source::draft(&files(1)).unwrap().build(1, UnixMs(0)).unwrap().inventory.villages().count(), 12);
}

#[test]
fn the_shipped_example_is_the_demo_of_one_seed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/inventory");
    let mut shipped = source::folder(&folder).unwrap();
    let mut generated = export::files(&draft(Size::Demo, 1405).unwrap()).unwrap();
    assert!(source::draft(&shipped).unwrap().build(1, UnixMs(0)).is_ok());
    // The YAML files carry comments for people; their meaning is compared by reading them in every other test here.
    shipped.retain(|name, _| name.ends_with(".csv"));
    generated.retain(|name, _| name.ends_with(".csv"));
    assert_eq!(shipped, generated);
}

#[test]
fn the_year_brings_a_split_a_rename_a_city_and_a_decree() {
    let first = draft(Size::Lorestan, 7).unwrap();
    let before = first.build(1, UnixMs(0)).unwrap().inventory;
    let later = later::versions(&first);
    let whats: Vec<_> = later.iter().map(|l| l.what).collect();
    assert_eq!(whats, ["county-split", "rename", "village-to-city", "definition-change"]);
    let versions: Vec<Inventory> =
        later.iter().map(|l| l.draft.build(2, UnixMs(1)).unwrap_or_else(|f| panic!("{}: {}", l.what, f[0])).inventory).collect();
    assert_eq!(versions.iter().map(|v| count(v, RegionKind::County)).collect::<Vec<_>>(), [13, 13, 13, 13]);
    assert_eq!(versions.iter().map(|v| v.villages().count()).collect::<Vec<_>>(), [2_750, 2_750, 2_749, 2_749]);
    assert_eq!(count(&versions[2], RegionKind::City), 40);
    assert_eq!(versions[2].sites.len(), before.sites.len(), "sites stay where they stand");
    let holds = |version: &Inventory| version.declared.iter().filter(|d| d.kpi == "nin_share_20plus" && d.superseded_by.is_none()).count();
    assert_eq!((holds(&versions[2]), holds(&versions[3]), versions[3].declared.len() - versions[2].declared.len()), (1, 1, 1));
    assert_eq!(versions[3].goals.len(), versions[2].goals.len() + 1);
    let moved = versions[0].regions.iter().filter(|r| r.previous_code.is_some()).count();
    assert!(moved > 20, "{moved}");
    let new_county = versions[0].region_by_code("1513").unwrap();
    assert!(versions[0].villages().any(|v| versions[0].is_within(v, new_county)));
}

#[test]
fn every_generated_site_with_a_link_has_targets_with_an_anchor() {
    let demo = built(Size::Demo);
    for (id, site) in (0..).map(crate::inventory::SiteId).zip(&demo.sites) {
        let value: serde_yaml::Value = serde_yaml::from_str(&assignment::of(&demo, id).yaml).unwrap();
        let rungs: Vec<_> = value["targets"].as_sequence().unwrap().iter().map(|t| t["rung"].as_str().unwrap().to_owned()).collect();
        assert!(rungs.contains(&"core".to_owned()) || site.links.is_empty(), "{} has {rungs:?}", site.code);
    }
}
