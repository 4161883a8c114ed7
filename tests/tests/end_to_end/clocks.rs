//! A router without a clock, as a real program: it enrols in 1970, spools in 1970, boots again in 2019, meets its collector,
//! and later its wall clock jumps an hour. Every sample is dated within the bound that is stated with it, or not at all.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusta_collector::dating::{Contact, Dated, Dating};
use rusta_collector::log::{Keeping, Log, Position, Stored};
use rusta_tests::log::{spooled, stored};
use rusta_tests::programs::{eventually, free_port, run_ok};
use rusta_tests::router::{self, Boot, Router, true_seconds};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{BootId, Frame};

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

/// 2019-01-01: the firmware's idea of the time.
const IN_2019: i64 = 1_546_300_800;

/// What the boot in 1970 has to have seen before the power goes.
const SAMPLES: usize = 200;

/// How long the router is off between two boots: a boot is some seconds old when its agent starts.
const OFF: Duration = Duration::from_secs(4);

/// An answer took less than this, on loopback.
const CONTACT_ERROR_MS: u32 = 2_000;

/// A boot that met the collector once, by what the request said of its age: the longest way a request may take, and a second.
const LIVE_ERROR_MS: u32 = 31_000;

fn samples_spooled(stage: &Stage) -> usize {
    spooled(&stage.path("one/spool")).iter().map(|batch| batch.samples).sum()
}

/// Waits until the log holds `least` batches of a boot.
fn arrived(stage: &Stage, boot: BootId, least: usize) {
    eventually(Duration::from_secs(60), "the boot's batches arrive", || {
        let of_boot = stored(&stage.path("collector/log")).into_iter().filter(|record| record.id.boot == boot);
        (of_boot.count() >= least).then_some(())
    });
}

/// Every record with its time as the collector finds it, once everything has arrived.
fn dated(stage: &Stage) -> Vec<(Stored, Dated)> {
    let keeping = Keeping { dir: stage.path("collector/log"), retention_days: 400, group_commit: Duration::from_millis(1) };
    let records = Log::open(keeping).unwrap().read_from(Position(0), 100_000).unwrap();
    let mut dating = Dating::default();
    for record in &records {
        let Stored { head, site_code, received_at, live_offset_ms, .. } = record;
        dating.observe(&Contact { head, site_code, received_at: *received_at, live_offset_ms: *live_offset_ms });
    }
    records.into_iter().map(|record| (record.clone(), dating.date(&record.head, record.received_at))).collect()
}

#[test]
fn a_router_without_a_clock_is_never_misdated() {
    if !router::possible() {
        return;
    }
    let stage = Stage::new(rusta_tests::programs!());
    let [port, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    stage.configure_collector(port, &["127.0.0.1"], http, "");
    stage.import(&VILLAGES);
    let url = format!("https://{port}");
    let mut collector = stage.serve(None, http);

    let router = Router::new(&stage, "one");
    router.set_wall_clock(300);
    let seen = run_ok(router.fool(Command::new("date").args(["+%Y"])));
    assert_eq!(seen.trim(), "1970", "the wall clock is not the router's");
    let invitation = run_ok(stage.collector().args(["agents", "token", "--site", "one"]));
    let mut enrol = stage.agent();
    enrol.args(["enroll", invitation.trim(), "--dir"]).arg(stage.path("one/identity"));
    run_ok(router.fool(&mut enrol));
    collector.kill();

    let mut targets = String::from("links:\n  - { name: gov0, network: gov }\ntargets:\n");
    for n in 0..25 {
        let probe = format!("tcp: {{ address: \"127.0.0.1:{}\" }}", http.port());
        targets += &format!("  - {{ name: t{n}, link: gov0, rung: core, every: 1s, timeout: 500ms, {probe} }}\n");
    }
    stage.configure_agent("one", &[url], "1s", &targets);

    // 1970, and nobody to ask.
    let Boot { id: in_1970, began_ms: began_1970, mut agent } = router.boot();
    eventually(Duration::from_secs(60), "two hundred samples in 1970", || (samples_spooled(&stage) >= SAMPLES).then_some(()));
    agent.kill();
    let owed: Vec<_> = spooled(&stage.path("one/spool"));
    assert!(owed.iter().all(|batch| batch.id.boot == in_1970) && !owed.is_empty());
    std::thread::sleep(OFF);

    // 2019; after a while the collector is there, and later the wall clock jumps an hour ahead.
    router.set_wall_clock(IN_2019);
    let Boot { id: in_2019, began_ms: began_2019, mut agent } = router.boot();
    std::thread::sleep(Duration::from_secs(4));
    let mut collector = stage.serve(None, http);
    arrived(&stage, in_1970, owed.len());
    arrived(&stage, in_2019, 6);
    router.set_wall_clock(IN_2019 + 3_600);
    let before = stored(&stage.path("collector/log")).len();
    arrived(&stage, in_2019, before - owed.len() + 3);
    agent.kill();
    std::thread::sleep(OFF);

    // Old tzdata: an hour ahead from the start, and one word with the collector before the power goes.
    router.set_wall_clock(true_seconds() + 3_600);
    let Boot { id: an_hour_ahead, began_ms: began_ahead, mut agent } = router.boot();
    // The first reports may go before the first round has ended.
    arrived(&stage, an_hour_ahead, 5);
    agent.kill();
    collector.signal(Signal::SIGTERM);
    collector.wait(Duration::from_secs(30));

    let truth = HashMap::from([(in_1970, began_1970), (in_2019, began_2019), (an_hour_ahead, began_ahead)]);
    let mut counts = HashMap::<BootId, (usize, usize)>::new();
    for (record, time) in dated(&stage) {
        assert!(Frame::read(&record.frame).is_ok());
        let (boot, began) = (record.head.id.boot, truth[&record.head.id.boot]);
        let samples = record.batch().unwrap().samples.len();
        let count = counts.entry(boot).or_default();
        match time {
            Dated::At { offset_ms, error_ms } => {
                let off = (offset_ms - began).unsigned_abs();
                assert!(off <= u64::from(error_ms), "{}: off by {off} ms of {error_ms}", record.head.id);
                let bound = if boot == in_2019 { CONTACT_ERROR_MS } else { LIVE_ERROR_MS };
                assert!(error_ms <= bound, "{}: {error_ms} ms is no bound", record.head.id);
                count.0 += samples;
            }
            Dated::Unknown { not_before, not_after } => {
                let at = |mono: u64| began + i64::try_from(mono).unwrap();
                assert!(not_before.is_none_or(|bound| bound.0 <= at(record.head.from.0)), "{not_before:?}");
                assert!(at(record.head.until.0) <= not_after.0);
                assert!(not_after.0 <= began_2019 + i64::from(LIVE_ERROR_MS), "it was over before the next boot began");
                count.1 += samples;
            }
        }
    }
    println!(
        "samples dated, unknown: 1970 {:?}, 2019 {:?}, an hour ahead {:?}",
        counts[&in_1970], counts[&in_2019], counts[&an_hour_ahead]
    );
    assert!(counts[&in_1970].1 >= SAMPLES && counts[&in_1970].0 == 0, "a boot that met nobody was dated");
    assert!(counts[&in_2019].0 > 0 && counts[&in_2019].1 == 0, "a boot with contact is not dated whole");
    assert!(counts[&an_hour_ahead].0 > 0 && counts[&an_hour_ahead].1 == 0, "one contact did not date its boot");
}
