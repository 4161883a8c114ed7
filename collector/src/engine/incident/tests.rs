//! Timelines: what fell, what was judged.

use rusta_wire::UnixMs;

use super::testing::*;
use super::*;
use crate::engine::LinkState;
use crate::inventory::NodeKind;

/// A core, two PoPs measured by sites of their own, `villages` behind each, and some that hang on the core alone.
fn province(villages: usize, strangers: usize) -> World {
    let mut map = Map::new();
    map.node("core", NodeKind::Core, None);
    for pop in ["pop-a", "pop-b"] {
        map.node(pop, NodeKind::Pop, Some("core"));
        map.site(pop, 1, "", &[On::Node(pop)]);
        for n in 0..villages {
            map.site(&format!("{pop}-{n}"), 1, "mci", &[On::Node(pop)]);
        }
    }
    for n in 0..strangers {
        map.site(&format!("stranger-{n}"), 2, "mci", &[On::Node("core")]);
    }
    let mut world = map.world();
    world.look();
    world
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

fn fall(world: &mut World, sites: &[String], state: LinkState) {
    sites.iter().for_each(|site| world.set(site, state));
}

#[test]
fn three_hundred_villages_and_ten_strangers_are_eleven_incidents() {
    let mut world = province(300, 60);
    world.down(&["pop-a"]);
    fall(&mut world, &names("pop-a", 300), LinkState::Down);
    fall(&mut world, &names("stranger", 10), LinkState::Down);
    world.pass(secs(120));
    assert_eq!(world.opened(), 11);
    let shared = world.open().into_iter().max_by_key(|incident| incident.members.len()).unwrap();
    assert_eq!(shared.members.len(), 301);
    assert!(matches!(shared.root, Scope::Node(_) | Scope::Site(_)), "{:?}", shared.root);
    assert!(shared.causes[0].confidence >= 80, "{:?}", shared.causes);
}

#[test]
fn villages_that_fall_silent_behind_a_pop_that_answers_are_one_incident() {
    let mut world = province(30, 10);
    fall(&mut world, &names("pop-b", 30)[..25], LinkState::Unknown);
    world.pass(secs(200));
    assert_eq!(world.opened(), 1);
    assert_eq!(world.open()[0].trouble, Trouble::Silent);
    assert_eq!(rung_of(world.open()[0].root, &world.snapshot.inventory), rusta_wire::Rung::Pop);
}

#[test]
fn a_parent_that_recovers_leaves_its_failed_child_to_be_judged_alone_in_a_stated_time() {
    let mut world = province(20, 5);
    world.down(&["pop-a"]);
    fall(&mut world, &names("pop-a", 20), LinkState::Down);
    world.pass(secs(60));
    assert_eq!(world.opened(), 1);
    world.up(&["pop-a"]);
    names("pop-a", 19).iter().for_each(|site| world.set(site, LinkState::Up));
    world.pass(secs(299));
    assert_eq!(world.opened(), 1, "the child has time to recover");
    world.pass(secs(5));
    assert_eq!(world.opened(), 2, "then it is judged on its own");
    assert_eq!(world.resolved(), 1);
    world.up(&["pop-a-19"]);
    world.pass(secs(1));
    assert_eq!(world.resolved(), 2);
}

#[test]
fn a_child_waits_while_its_parent_is_undecided_but_not_for_ever() {
    let mut map = Map::new();
    map.site("pop", 1, "", &[]);
    map.site("village", 1, "", &[On::Site("pop")]);
    let mut world = map.world();
    world.look();
    let pop = world.link("pop");
    world.down(&["village"]);
    // The parent's proof grows old: it may be failing too.
    let stale = world.snapshot.at - secs(5);
    for _ in 0..170 {
        world.snapshot.at = world.snapshot.at + secs(1);
        world.snapshot.links[pop.index()].evidence_at = Some(stale);
        world.events.extend(world.incidents.advance(&world.snapshot));
    }
    assert_eq!(world.opened(), 0);
    assert!(world.incidents.held().any(|(_, why)| why == Hold::ParentUndecided));
    world.pass(secs(20));
    assert_eq!(world.opened(), 1);
}

#[test]
fn a_late_parent_takes_its_childs_incident_into_its_own() {
    let mut map = Map::new();
    map.site("pop", 1, "", &[]);
    ["a", "b", "c"].iter().for_each(|site| map.site(site, 1, "", &[On::Site("pop")]));
    let mut world = map.world();
    world.look();
    world.down(&["a"]);
    world.pass(secs(30));
    assert_eq!(world.opened(), 1);
    world.down(&["pop", "b", "c"]);
    world.pass(secs(30));
    assert_eq!(world.open().len(), 1);
    assert_eq!(world.open()[0].id, IncidentId(1), "the incident people already know goes on");
    assert_eq!(world.open()[0].open_members().count(), 4);
    assert!(world.events.iter().any(|event| matches!(event, IncidentEvent::RootChanged { .. })));
}

#[test]
fn with_two_parents_a_child_is_explained_only_when_both_are_down() {
    let mut map = Map::new();
    for pop in ["p", "q"] {
        map.site(pop, 1, "", &[]);
    }
    map.site("child", 1, "", &[On::Site("p"), On::Site("q")]);
    let mut world = map.world();
    world.look();
    world.down(&["p", "child"]);
    world.pass(secs(60));
    assert_eq!(world.opened(), 2, "one way still works, so the child's fault is its own");
    world.up(&["p", "child"]);
    world.pass(secs(5));
    world.down(&["p"]);
    world.pass(secs(1000));
    world.down(&["q", "child"]);
    world.pass(secs(60));
    assert_eq!(world.opened(), 4, "p and q, the child inside one of them");
    world.up(&["p"]);
    world.pass(secs(299));
    assert_eq!(world.opened(), 4);
    world.pass(secs(10));
    assert_eq!(world.opened(), 5, "a way works again and the child still does not");
}

#[test]
fn a_mast_nobody_monitors_is_found_by_node_and_by_cell() {
    let mut map = Map::new();
    map.node("mast", NodeKind::Bts, None);
    ["a", "b", "c", "d"].iter().for_each(|site| map.site(site, 1, "mci", &[On::Node("mast")]));
    names("other", 20).iter().for_each(|site| map.site(site, 1, "mci", &[]));
    let mut world = map.world();
    world.look();
    world.down(&["a", "b", "c"]);
    world.pass(secs(60));
    assert_eq!(world.opened(), 1);
    assert_eq!(rung_of(world.open()[0].root, &world.snapshot.inventory), rusta_wire::Rung::Radio);
    for site in ["other-1", "other-2", "other-3"] {
        let link = world.link(site);
        world.incidents.watches[link.index()].cell = Some(4711);
        world.set(site, LinkState::Down);
    }
    world.pass(secs(60));
    assert_eq!(world.opened(), 2);
    assert!(world.open().iter().any(|incident| incident.root == Scope::Cell(4711)));
}

#[test]
fn maintenance_of_a_parent_holds_its_children_and_lets_them_go_afterwards() {
    let mut map = Map::new();
    map.site("pop", 1, "", &[]);
    ["a", "b"].iter().for_each(|site| map.site(site, 1, "", &[On::Site("pop")]));
    let mut world = map.world();
    world.look();
    world.set("pop", LinkState::Maintenance);
    world.down(&["a", "b"]);
    world.pass(secs(3600));
    assert_eq!(world.opened(), 0);
    assert!(world.incidents.held().all(|(_, why)| matches!(why, Hold::ParentMaintenance(_))));
    world.up(&["pop", "a"]);
    world.pass(secs(290));
    assert_eq!(world.opened(), 0);
    world.pass(secs(30));
    assert_eq!(world.opened(), 1, "b failed during the work and stays failed");
}

#[test]
fn a_quiet_fleet_is_our_own_outage() {
    let mut world = province(100, 0);
    world.snapshot.fleet_quiet_since = Some(world.snapshot.at);
    fall(&mut world, &names("pop-a", 100), LinkState::Unknown);
    fall(&mut world, &names("pop-b", 100), LinkState::Unknown);
    world.pass(secs(3600));
    assert_eq!(world.opened(), 1);
    assert_eq!(world.open()[0].root, Scope::Collector);
    world.snapshot.fleet_quiet_since = None;
    fall(&mut world, &names("pop-a", 100), LinkState::Up);
    fall(&mut world, &names("pop-b", 100)[..99], LinkState::Up);
    world.pass(secs(200));
    assert_eq!((world.opened(), world.resolved()), (1, 1));
    world.pass(secs(200));
    assert_eq!(world.opened(), 2, "the one that never came back");
}

#[test]
fn a_collector_that_slept_an_hour_blames_itself() {
    let mut world = province(50, 0);
    world.pass(secs(10));
    world.snapshot.at = world.snapshot.at + secs(3600);
    fall(&mut world, &names("pop-a", 50), LinkState::Unknown);
    fall(&mut world, &names("pop-b", 50), LinkState::Unknown);
    world.restart();
    world.look();
    assert_eq!(world.opened(), 1);
    assert_eq!(world.open()[0].trouble, Trouble::Ours);
    world.pass(secs(60));
    fall(&mut world, &names("pop-a", 50), LinkState::Up);
    fall(&mut world, &names("pop-b", 50), LinkState::Up);
    world.pass(secs(600));
    assert_eq!((world.opened(), world.resolved(), world.open().len()), (1, 1, 0));
}

#[test]
fn a_clock_set_back_neither_opens_nor_blocks() {
    let mut world = province(10, 20);
    world.down(&["stranger-1"]);
    world.pass(secs(5));
    world.snapshot.at = world.snapshot.at - secs(86_400);
    world.pass(secs(400));
    let own = world.events.iter().filter(|event| matches!(event, IncidentEvent::Opened(_))).count();
    assert_eq!(own, 2, "one about our clock, one about the site");
    assert_eq!(world.open().len(), 1);
}

#[test]
fn a_restart_in_the_middle_repeats_and_loses_nothing() {
    let mut world = province(30, 10);
    world.down(&["pop-a"]);
    fall(&mut world, &names("pop-a", 30), LinkState::Down);
    world.pass(secs(30));
    assert_eq!(world.opened(), 1);
    world.restart();
    world.pass(secs(600));
    assert_eq!(world.opened(), 1);
    world.restart();
    world.up(&["pop-a"]);
    fall(&mut world, &names("pop-a", 30), LinkState::Up);
    world.pass(secs(5));
    assert_eq!((world.opened(), world.resolved()), (1, 1));
}

#[test]
fn the_order_in_which_troubles_become_known_does_not_change_the_causes() {
    let sites = names("pop-a", 12).into_iter().chain(names("stranger", 3)).chain(["pop-a".to_string()]).collect::<Vec<_>>();
    let mut results = Vec::new();
    for turn in 0..sites.len() {
        let mut world = province(12, 40);
        let since = world.snapshot.at;
        let order = sites.iter().cycle().skip(turn * 7 % sites.len()).take(sites.len());
        for site in order {
            world.set(site, LinkState::Down);
            let link = world.link(site);
            world.snapshot.links[link.index()].since = since;
            world.pass(secs(2));
        }
        world.pass(secs(400));
        let mut roots = world.open().iter().map(|i| (i.root, i.open_members().map(|(l, _)| l).collect::<Vec<_>>())).collect::<Vec<_>>();
        roots.sort();
        results.push(roots);
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:#?}");
    assert_eq!(results[0].len(), 4);
}

#[test]
fn two_pops_at_once_are_the_core() {
    let mut world = province(40, 0);
    world.down(&["pop-a", "pop-b"]);
    fall(&mut world, &names("pop-a", 40), LinkState::Down);
    fall(&mut world, &names("pop-b", 40), LinkState::Down);
    world.pass(secs(60));
    assert_eq!(world.opened(), 1);
    assert_eq!(rung_of(world.open()[0].root, &world.snapshot.inventory), rusta_wire::Rung::Core);
}

#[test]
fn a_flapping_link_is_one_incident_until_it_is_stable() {
    let mut world = province(10, 5);
    world.set("stranger-0", LinkState::Flapping);
    world.pass(secs(1800));
    assert_eq!((world.opened(), world.open()[0].trouble), (1, Trouble::Flapping));
    world.up(&["stranger-0"]);
    world.pass(secs(2));
    assert_eq!(world.resolved(), 1);
}

#[test]
fn a_link_never_heard_of_is_no_trouble() {
    let mut world = province(3, 0);
    let link = world.link("pop-a-0");
    world.snapshot.links[link.index()].state = LinkState::Unknown;
    world.snapshot.links[link.index()].evidence_at = None;
    world.pass(secs(3600));
    assert_eq!(world.opened(), 0);
    assert_eq!(world.snapshot.links[link.index()].since, UnixMs::from_seconds(START));
}
