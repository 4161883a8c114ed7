//! An import dated back: the days it touches are built again, by the map that holds for them, before anybody counts with them.

use std::sync::Arc;

use rusta_wire::{Batch, Network};

use super::day_tests::{DAY_S, MIDNIGHT, World};
use super::*;
use crate::engine::testing::{Agent, second};
use crate::inventory::documents::MaintenanceText;
use crate::inventory::versions::{Import, import};
use crate::inventory::{Draft, RegionKind, SiteKind, Versions};
use crate::kpi::{Ask, View, by_id, compute, load};

const NOW: i64 = MIDNIGHT + DAY_S + 2 * 3_600;

/// A county of three villages: two that are heard, the first of them under a code that may change, and one that is silent.
fn county(first: &str) -> Draft {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    for (site, village) in [("V0", first), ("V1", "V1"), ("V2", "V2")] {
        let region = draft.region(village, RegionKind::Village, "0901");
        (region.households, region.previous_code) = (Some(10), (site != village).then(|| site.to_owned()));
        draft.site(site, SiteKind::Village, village);
        draft.link(site, "apn0", Network::Apn, "");
    }
    draft
}

/// The same split: `V0` has another code in a new county, the site of `V1` stands in `W0`, the silent one is under announced work.
fn split() -> Draft {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("0902", RegionKind::County, "09");
    let renamed = draft.region("W0", RegionKind::Village, "0902");
    (renamed.households, renamed.previous_code) = (Some(10), Some("V0".to_owned()));
    for village in ["V1", "V2"] {
        draft.region(village, RegionKind::Village, "0901").households = Some(10);
    }
    for (site, village) in [("V0", "W0"), ("V1", "W0"), ("V2", "V2")] {
        draft.site(site, SiteKind::Village, village);
        draft.link(site, "apn0", Network::Apn, "");
    }
    let day = Day::of(second(MIDNIGHT));
    let work = MaintenanceText {
        id: "w".to_owned(),
        reason: "work".to_owned(),
        from: format!("{day} 10:00"),
        until: format!("{day} 11:00"),
        announced: format!("{} 10:00", Day(day.0 - 3)),
        weekly: false,
        regions: Vec::new(),
        sites: vec!["V2".to_owned()],
        links: Vec::new(),
        nodes: Vec::new(),
    };
    draft.documents.maintenance = vec![work.into()];
    draft
}

fn brings_in(world: &World, draft: &Draft, from: Day) {
    import(&world.store, draft, &Import { by: "cli", at: second(NOW), effective_from: from.start() }).unwrap();
}

fn take_up(world: &World) {
    let read = world.inventories.borrow().reload(&world.store).unwrap();
    world.inventories.send_replace(Arc::new(read));
}

fn waiting(world: &World) -> Vec<String> {
    let sql = "SELECT day || ' ' || site_code FROM dirty_days WHERE day < ?1 ORDER BY day, site_code";
    let today = Day::of(second(NOW));
    let read = |db: &rusqlite::Transaction<'_>| {
        Ok::<_, crate::store::StoreError>(db.prepare(sql)?.query_map([today.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    world.store.read(read).unwrap()
}

/// Numerator, denominator and unknown of the time villages of a region were connected on the day after the midnight.
fn connected(world: &World, region: &str) -> [f64; 3] {
    let versions = world.inventories.borrow().clone();
    let period = crate::persian::Period::Day(crate::persian::JalaliDate::at(second(MIDNIGHT)));
    let facts = world.store.read(|db| load::facts(db, &versions, period, View::AsWas, second(NOW))).unwrap();
    let figure = compute(by_id("connected_share_period").unwrap(), &facts, Ask { region: Some(region), ..Ask::default() }).remove(0);
    [figure.numerator, figure.denominator, figure.unknown]
}

fn heard() -> World {
    let mut world = World::of(Versions::default());
    brings_in(&world, &county("V0"), Day(Day::of(second(0)).0 - 10));
    take_up(&world);
    for (id, site) in [(1, "V0"), (2, "V1")] {
        let mut agent = Agent::village(id, site);
        let batches: Vec<Batch> =
            (MIDNIGHT / 60..MIDNIGHT / 60 + 600).map(|minute| agent.batch(minute * 60, id == 1 || minute % 100 < 50)).collect();
        batches.chunks(50).for_each(|some| world.append(&agent, some, MIDNIGHT + 40_000));
    }
    world.catch_up(NOW);
    world
}

#[test]
fn an_import_dated_back_has_the_days_it_touches_built_again_on_its_map() {
    let mut world = heard();
    let ([up, known, _], day) = (connected(&world, "V0"), Day::of(second(MIDNIGHT)));
    assert!(up > 30_000.0 && up == known, "{up} {known}");
    assert!(waiting(&world).is_empty());
    brings_in(&world, &split(), day);
    assert_eq!(waiting(&world), ["", "V0", "V1"].map(|site| format!("{} {site}", day.0)), "marked with the import, not some time later");

    // The builder does not know the import yet: by the map of before the days would be built for nothing.
    assert_eq!(world.builder.step(second(NOW + 1)).unwrap(), 0);
    assert_eq!(waiting(&world).len(), 3);
    take_up(&world);
    world.catch_up(NOW + 2);
    assert!(waiting(&world).is_empty());

    // V1 has no site any more; V2 said nothing, and was cut off while it was worked on.
    assert_eq!(connected(&world, "0901"), [0.0, 3_600.0, 2.0 * 86_400.0 - 3_600.0]);
    // Of two sites in one village either is enough.
    assert_eq!(connected(&world, "0902"), [up, known, 86_400.0 - known]);
    let links = world.day("V2", MIDNIGHT).links[0].spans.iter().map(|span| span.state).collect::<Vec<_>>();
    use crate::engine::LinkState::{Maintenance, Unknown};
    assert_eq!(links, [Unknown, Maintenance, Unknown], "a silent day is looked at again");
}

/// Raw data is kept for thirty days: what stands of sites stays, and villages are put together of it by the new map.
#[test]
fn a_renamed_village_keeps_its_days_from_before_the_raw_data_was_let_go() {
    let mut world = heard();
    let before = connected(&world, "09");
    let late = NOW + 60 * DAY_S;
    world.catch_up(late);
    brings_in(&world, &county("W0"), Day::of(second(MIDNIGHT)));
    take_up(&world);
    world.catch_up(late + 2);
    assert_eq!(connected(&world, "09"), before);
}

/// Whoever writes for long, such as a backup or an import, is not waited for by a step that has nothing to do.
#[test]
fn a_step_that_finds_nothing_to_do_does_not_wait_for_who_writes() {
    let mut world = heard();
    let writes = rusqlite::Connection::open(world.store.path()).unwrap();
    writes.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(world.builder.step(second(NOW + 3)).unwrap(), 0);
    writes.execute_batch("ROLLBACK").unwrap();
}
