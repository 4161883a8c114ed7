//! Scenarios as data: a topology and a timeline in; incidents, calls and their reasons out.
//!
//! Each file of `scenarios/` is one story, told by setting states, or, with `samples = true`, by agents' batches that the
//! engine judges. Time passes in steps of five seconds near an event and thirty elsewhere, through
//! the real notifier over a real state database, so that a restart in a story is a restart.

// A fault in a test is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "scenarios/acts.rs"]
mod acts;
#[path = "scenarios/caps.rs"]
mod caps;
#[path = "scenarios/samples.rs"]
mod samples;
#[path = "scenarios/story.rs"]
mod story;
#[path = "scenarios/world.rs"]
mod world;

use std::path::Path;

use story::Story;
use world::World;

fn tell(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let story: Story = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    World::new(&story).live(&story);
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { tell(stringify!($name)); })*

        #[test]
        fn every_file_is_told() {
            let told = [$(stringify!($name)),*];
            let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap();
            for file in files {
                let file = file.unwrap().path();
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                assert!(told.contains(&name.as_str()), "{name} is not among the scenarios");
            }
        }
    };
}

scenarios! {
    pop_and_strangers
    parent_recovers_child_does_not
    restart_in_the_middle
    storm
    collector_down_an_hour
    clock_jump
    two_parents
    maintenance_of_a_parent
    mast_nobody_monitors
    escalation_until_acknowledged
    acknowledged_ticket_becomes_a_page
    acknowledged_small_merges_into_large
    acknowledged_in_one_county
    flapping_cause
    class_a_in_time
    night_ticket_waits
    shift_digest
    weekly_digest
    measured_pop_and_strangers
    measured_silence_of_a_mast
    measured_repair
}
