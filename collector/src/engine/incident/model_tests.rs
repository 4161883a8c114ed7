//! Every short order of what can happen to a parent and its child.

use super::testing::*;
use super::*;
use crate::engine::LinkState;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    ParentDown,
    ParentUp,
    ChildDown,
    ChildUp,
    ChildSilent,
    ParentMaintenance,
    Restart,
}

const STEPS: [Step; 7] =
    [Step::ParentDown, Step::ParentUp, Step::ChildDown, Step::ChildUp, Step::ChildSilent, Step::ParentMaintenance, Step::Restart];

/// Long enough for everything that waits: hold-back, settling, gathering.
const PATIENCE: u64 = 700;

fn world() -> World {
    let mut map = Map::new();
    map.site("parent", 1, "", &[]);
    map.site("child", 1, "", &[On::Site("parent")]);
    let mut world = map.world();
    world.look();
    world
}

fn apply(world: &mut World, step: Step) {
    match step {
        Step::ParentDown => world.set("parent", LinkState::Down),
        Step::ParentUp => world.set("parent", LinkState::Up),
        Step::ChildDown => world.set("child", LinkState::Down),
        Step::ChildUp => world.set("child", LinkState::Up),
        Step::ChildSilent => world.set("child", LinkState::Unknown),
        Step::ParentMaintenance => world.set("parent", LinkState::Maintenance),
        Step::Restart => world.restart(),
    }
}

/// Checks what must hold after every look: each link in trouble is in one place, and no child stands alone while its
/// parent fails.
fn check(world: &World, steps: &[Step]) {
    for site in ["parent", "child"] {
        let link = world.link(site);
        let homes = world.open().iter().filter(|incident| incident.open_members().any(|(member, _)| member == link)).count();
        let held = world.incidents.held().filter(|(held, _)| *held == link).count();
        let state = world.snapshot.link(link).state;
        let in_trouble = matches!(state, LinkState::Down | LinkState::Unknown);
        assert_eq!(homes + held, usize::from(in_trouble), "{site} in {steps:?}: {:#?}", world.open());
    }
    // A hold is a diary entry and may be written again after a restart; what people hear of may not.
    let heard = world
        .events
        .iter()
        .filter(|event| !matches!(event, IncidentEvent::Held { .. } | IncidentEvent::Released { .. }))
        .collect::<Vec<_>>();
    for pair in heard.windows(2) {
        assert_ne!(pair[0], pair[1], "said twice in {steps:?}");
    }
}

fn run(steps: &[Step], pause: u64) {
    let mut world = world();
    for step in steps {
        apply(&mut world, *step);
        for _ in 0..pause {
            world.pass(secs(1));
            check(&world, steps);
        }
    }
    world.pass_coarsely(PATIENCE);
    check(&world, steps);
    judge_the_end(&world, steps);
    world.set("parent", LinkState::Up);
    world.set("child", LinkState::Up);
    world.pass_coarsely(PATIENCE);
    assert_eq!(world.open().len(), 0, "lost resolve in {steps:?}: {:#?}", world.open());
    let ended = world.events.iter().filter(|event| matches!(event, IncidentEvent::Resolved(_) | IncidentEvent::Merged { .. })).count();
    assert_eq!(world.opened(), ended, "{steps:?}");
}

/// A fault of the child alone is an incident of its own; a fault behind a failed parent is not; maintenance holds.
fn judge_the_end(world: &World, steps: &[Step]) {
    let state = |site: &str| world.snapshot.link(world.link(site)).state;
    let child_fails = matches!(state("child"), LinkState::Down | LinkState::Unknown);
    let open = world.open().len();
    match (state("parent"), child_fails) {
        (LinkState::Up, fails) => assert_eq!(open, usize::from(fails), "{steps:?}: {:#?}", world.open()),
        (LinkState::Down, _) => assert!((1..=2).contains(&open), "{steps:?}: {:#?}", world.open()),
        (_, false) => assert_eq!(open, 0, "{steps:?}: {:#?}", world.open()),
        (_, true) => assert!(open <= 1, "{steps:?}: {:#?}", world.open()),
    }
}

fn orders(length: usize) -> Vec<Vec<Step>> {
    let longer = |orders: Vec<Vec<Step>>| {
        let with = |order: &Vec<Step>| STEPS.map(|step| order.iter().copied().chain([step]).collect::<Vec<_>>());
        orders.iter().flat_map(with).collect()
    };
    (0..length).fold(vec![Vec::new()], |orders, _| longer(orders))
}

#[test]
fn every_short_order_keeps_every_promise() {
    // All at once, a look after each step, and time enough to judge in between.
    for (length, pauses) in [(1, [0, 1, 40].as_slice()), (2, &[0, 1, 40]), (3, &[0, 1, 40]), (4, &[1])] {
        for steps in orders(length) {
            pauses.iter().for_each(|pause| run(&steps, *pause));
        }
    }
}

#[test]
fn every_order_with_time_to_settle_keeps_every_promise() {
    for steps in orders(3) {
        run(&steps, 310);
    }
}

#[test]
fn no_child_is_judged_before_its_parent() {
    for pause in 0..=9 {
        let mut world = world();
        world.set("child", LinkState::Down);
        world.pass(secs(pause));
        world.set("parent", LinkState::Down);
        world.pass(secs(200));
        assert_eq!(world.opened(), 1, "pause {pause}: {:?}", world.events);
        assert_eq!(world.open()[0].open_members().count(), 2);
    }
}
