//! Times that cannot be, and words about others.

use std::time::Duration;

use rusta_tests::fleet::{Refused, village_table};
use rusta_tests::http;
use rusta_tests::programs::{eventually, run_ok};
use rusta_wire::{
    BootId, Clock, ClockSource, MonoMs, Network, Outcome, ProbeKind, Rung, Sample, Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};

use crate::stand::{Stand, body};

/// A boot that "began" nine thousand years ago killed the collector, and each start after it.
#[test]
fn no_time_an_upload_can_name_stops_the_collector_or_its_next_start() {
    let mut stand = Stand::start();
    let (mut honest, mut stolen) = (stand.enroll("one"), stand.enroll("stolen"));
    stand.report(&mut honest, true);
    let base = stand.memory_from_now();
    let table = village_table("gov0", Network::Gov);
    let year = 366 * 86_400_000i64;
    let now = stand.now().0;
    let (mut tried, mut taken) = (0, 0);
    for (n, unix) in [now - 9_000 * year, now - 70 * 86_400_000, now + 5 * year, 0, i64::MIN, i64::MAX, now].into_iter().enumerate() {
        for (m, (from, until)) in
            [(0, 60_000), (0, 1 << 45), (1 << 45, (1 << 45) + 60_000), (u64::MAX - 60_000, u64::MAX - 1), (0, u64::MAX - 1)]
                .into_iter()
                .enumerate()
        {
            for source in [ClockSource::Collector, ClockSource::Synchronised, ClockSource::Persisted] {
                let mut batch = stolen.batch(MonoMs(from), MonoMs(until), UnixMs(unix), Vec::new());
                batch.id.boot = BootId(1_000 + (n * 10 + m) as u64);
                batch.id.sequence = Sequence(u64::MAX - tried);
                batch.clock = Clock { unix: UnixMs(unix), source, uncertainty_ms: u32::MAX };
                let at = MonoMs(until / 2 / 100 * 100);
                batch.samples = vec![Sample { series: SeriesIndex(1), at, outcome: Outcome::Ok, values: vec![Some(41_000)] }];
                tried += 1;
                match stand.post(&stolen, body(&table, &[batch])) {
                    Ok(()) => taken += 1,
                    Err(Refused::Status(status, answer)) => {
                        assert!(matches!(status, 422 | 400 | 429) && !answer.reason.is_empty(), "{status}")
                    }
                    Err(gone) => panic!("the collector is gone: {gone:?}"),
                }
            }
        }
    }
    println!("{tried} impossible times tried, {taken} kept as unknown or past");
    stand.until_state("one", "up", || {
        stand.report(&mut honest, true);
    });
    stand.assert_memory(base);
    stand.restart();
    stand.until_state("one", "up", || {
        stand.report(&mut honest, true);
    });
}

/// 43 kB of `towards` once made half a province "connected" and hid a real outage.
#[test]
fn nobody_is_believed_about_another_village_and_the_attempt_is_counted_and_audited() {
    let stand = Stand::start();
    let (mut honest, stolen) = (stand.enroll("one"), stand.enroll("stolen"));
    let towards = |site: &str, n: usize| Series {
        link: "gov0".into(),
        network: Network::Gov,
        target: format!("{site}-{n}"),
        towards: site.into(),
        rung: [Rung::Gateway, Rung::Core, Rung::Pop][n % 3],
        probe: ProbeKind::Icmp,
        interval_s: 60,
        metrics: Vec::new(),
    };
    let table = SeriesTable { series: (0..60).map(|n| towards(["one", "two"][n % 2], n)).collect() };
    let mut batches = 0;
    let mut stolen = stolen;
    stand.until_state("one", "down", || {
        stand.report(&mut honest, false);
        let until = stand.mono();
        let mut batch = stolen.batch(MonoMs(until.0 - 1_000), until, stand.now(), Vec::new());
        batch.table = table.id();
        let at = MonoMs((until.0 - 500) / 100 * 100);
        batch.samples = (0..60).map(|n| Sample { series: SeriesIndex(n), at, outcome: Outcome::Ok, values: Vec::new() }).collect();
        stand.post(&stolen, body(&table, &[batch])).unwrap();
        batches += 1;
        std::thread::sleep(Duration::from_millis(500));
    });
    println!("{} words about others in {batches} batches", batches * 60);
    assert_eq!(stand.state("two"), "unknown", "nobody ever reported from there");
    assert!(stand.metric("rusta_series_foreign_total") > 0);
    eventually(Duration::from_secs(30), "who it was is shown", || {
        let agents = http::get(stand.http, "/api/v1/agents").unwrap().json();
        let of = |agent: &serde_json::Value| agent["id"] == stolen.id.to_string() && agent["limited"].to_string().contains("not_a_vantage");
        agents["items"].as_array().unwrap().iter().any(of).then_some(())
    });
    assert_eq!(stand.audited("agent.limited"), 1, "a row a day, not one a batch");
    assert!(stand.metric(&format!("rusta_agent_limited{{agent=\"{}\"", stolen.id)) > 0);
}

#[test]
fn what_a_stolen_router_said_is_taken_out_while_serving_and_stays_out() {
    let mut stand = Stand::start();
    let (mut honest, mut stolen) = (stand.enroll("one"), stand.enroll("stolen"));
    stand.until_state("stolen", "up", || {
        stand.report(&mut honest, true);
        stand.report(&mut stolen, true);
    });
    run_ok(stand.stage.collector().args(["agents", "revoke", &stolen.id.to_string(), "--since", "1h"]));
    stand.until_state("stolen", "unknown", || {
        stand.report(&mut honest, true);
        std::thread::sleep(Duration::from_millis(200));
    });
    assert_eq!(stand.state("one"), "up", "the others are not concerned");
    assert_eq!(stand.audited("agent.disown"), 1);
    stand.restart();
    stand.until_state("one", "up", || {
        stand.report(&mut honest, true);
    });
    assert_eq!(stand.state("stolen"), "unknown", "a restart brings it back");
}
