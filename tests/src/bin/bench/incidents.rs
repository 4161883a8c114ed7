//! How long a storm of 10,000 sites takes to become incidents, and what memory that needs.
//!
//! Twenty thousand sites behind a hundred PoPs of twenty masts each. At one moment thirty whole PoPs fall, two hundred whole
//! masts of others, and two thousand sites that have nothing in common. The engine alone is measured first, then the
//! notifier over a state database: incidents, rules, desk, and what it writes. The bounds are 1 s of the engine's time from
//! the fall to the last incident, and 100 MiB.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusta_collector::engine::incident::{Incidents, Settings};
use rusta_collector::engine::{LinkState, Snapshot};
use rusta_collector::inventory::{Criticality, Draft, Inventory, NodeKind, RegionKind, SiteKind};
use rusta_collector::notify::{Notifier, parse_setup};
use rusta_collector::rules::DEFAULT_RULES;
use rusta_collector::store::Store;
use rusta_tests::by_hand;
use rusta_wire::{Network, UnixMs};
use serde_json::{Value, json};

use crate::process;

const POPS: usize = 100;
const MASTS: usize = 20;
const SITES: usize = 10;

/// What the storm is made of, and so what the engine has to find.
const CAUSES: usize = 30 + 200 + 2_000;

/// Looks of one second after the fall: all is judged within half of them.
const LOOKS: u32 = 60;

/// A Tuesday morning in Tehran.
const BEGINS: UnixMs = UnixMs(1_795_500_000_000);

const ONCALL: &str = r#"
channels: [{ name: pager, preset: webhook, url: "http://127.0.0.1:9/" }]
people: [{ name: ali, addresses: { pager: x } }]
rotations: [{ name: noc, people: [ali], starts: "1405-08-02" }]
routes: [{ name: noc, page: [{ on_call: [noc], channels: [pager] }], ticket: [{ on_call: [noc], channels: [pager] }] }]
"#;

fn inventory() -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    draft.node("core", NodeKind::Core, "");
    for pop in 0..POPS {
        draft.node(&format!("pop-{pop}"), NodeKind::Pop, "core");
        for mast in 0..MASTS {
            let node = format!("mast-{pop}-{mast}");
            draft.node(&node, NodeKind::Bts, &format!("pop-{pop}"));
            for n in 0..SITES {
                let (code, number) = (format!("v-{pop}-{mast}-{n}"), (pop * MASTS + mast) * SITES + n);
                let village = format!("0901010001{number:06}");
                draft.region(&village, RegionKind::Village, "0901010001").households = Some(50);
                draft.site(&code, SiteKind::Village, &village).criticality = Criticality::B;
                draft.link(&code, "up", Network::Gov, &node).operator = "mci".to_owned();
            }
        }
    }
    draft.build(1, UnixMs(0)).unwrap_or_else(|faults| panic!("{:?}", faults.first())).inventory
}

fn fall(snapshot: &mut Snapshot) {
    let mut sites = 0;
    for pop in 0..POPS {
        let (masts, each) = match pop {
            0..30 => (MASTS, SITES),
            30..50 => (10, SITES),
            _ => (MASTS, 2),
        };
        for (mast, n) in (0..masts).flat_map(|mast| (0..each).map(move |n| (mast, n))) {
            let site = snapshot.inventory.site_by_code(&format!("v-{pop}-{mast}-{n}")).unwrap();
            by_hand::set(snapshot, site, LinkState::Down);
            sites += 1;
        }
    }
    assert_eq!(sites, 10_000);
}

/// What the looks from the fall to the last incident took, all of them and the longest.
struct Took {
    sum: Duration,
    longest: Duration,
    peak_mib: u64,
}

/// Lets the storm pass; `look` returns how many incidents are open.
fn storm(calm: &Snapshot, mut look: impl FnMut(&Snapshot) -> usize) -> Took {
    let mut snapshot = calm.clone();
    look(&snapshot);
    fall(&mut snapshot);
    let before = process::read(std::process::id()).rss_kib;
    process::forget_peak();
    let mut took = Took { sum: Duration::ZERO, longest: Duration::ZERO, peak_mib: 0 };
    let mut open = 0;
    for second in 1..=LOOKS {
        by_hand::pass(&mut snapshot, calm.at + Duration::from_secs(u64::from(second)));
        let began = Instant::now();
        let found = look(&snapshot);
        let length = began.elapsed();
        if open < CAUSES {
            took.sum += length;
            took.longest = took.longest.max(length);
        }
        open = found;
    }
    assert_eq!(open, CAUSES, "incidents are open");
    took.peak_mib = process::peak_kib().saturating_sub(before) / 1_024;
    took
}

/// Measures the engine, then all the notifier does.
pub fn measure() -> Vec<Value> {
    let calm = by_hand::calm(Arc::new(inventory()), BEGINS);
    let mut incidents = Incidents::new(Settings::default());
    let engine = storm(&calm, |snapshot| {
        incidents.advance(snapshot);
        incidents.open().count()
    });
    drop(incidents);

    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let rules = rusta_collector::rules::parse("rules", DEFAULT_RULES).unwrap();
    let setup = Arc::new(parse_setup("oncall", ONCALL, &[]).unwrap());
    let mut notifier = Notifier::open(store, Settings::default(), rules, setup, &calm.inventory).unwrap();
    let all = storm(&calm, |snapshot| {
        notifier.look(snapshot, |_| Vec::new()).unwrap();
        notifier.incidents().open().count()
    });
    let line = |part: &str, took: &Took| {
        json!({
            "bench": "incidents", "part": part, "sites": 10_000, "incidents": CAUSES,
            "seconds": took.sum.as_secs_f64(), "longest_look_ms": took.longest.as_secs_f64() * 1e3, "extra_mib": took.peak_mib,
            "within": took.sum <= Duration::from_secs(1) && took.peak_mib <= 100,
        })
    };
    vec![line("engine", &engine), line("notifier", &all)]
}
