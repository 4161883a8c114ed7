//! A generated province's month, computed twice: by the collector from what arrived, and by a script that shares no code
//! with it from what was sent. They must agree to the last second.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audit;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusta_collector::day::Day;
use rusta_collector::inventory::generate::{self, Size, later};
use rusta_collector::inventory::{Inventory, Versions, dates, export};
use rusta_collector::log::{Keeping, Log};
use rusta_collector::store::Store;
use rusta_tests::month::{self, Month, Plan, Sending};
use rusta_tests::programs::{run, run_ok};
use rusta_tests::random::Random;
use rusta_tests::stage::Stage;
use rusta_wire::{AgentId, Batch, BootId, Metric, UnixMs};
use serde_json::{Value, json};

/// Esfand of a leap year: 30 days, and over by the time anybody runs this.
const PERIOD: &str = "1403-12";
const FIRST: &str = "1403-12-01";
const SPLIT: &str = "1403-12-16";
const END: &str = "1404-01-01";
/// Days simulated around the month: outages reach over its bounds, late reports after it.
const BEFORE: i32 = 3;
const AFTER: i32 = 2;
/// Everything that was sent late has arrived by then.
const SETTLED_MS: i64 = 6 * 86_400_000;
const RETENTION_DAYS: u32 = 90;

fn day(text: &str) -> Day {
    Day::of(dates::moment(text).unwrap())
}

/// A month of a registry that splits a county in its middle, on a stage of its own.
struct Province {
    stage: Stage,
    versions: Vec<Value>,
    maintenance: Vec<Value>,
}

impl Province {
    fn import(seed: u64) -> Province {
        let stage = Stage::new(rusta_tests::programs!());
        let nowhere = "127.0.0.1:1".parse().unwrap();
        stage.configure_collector(nowhere, &["127.0.0.1"], nowhere, "");
        let first = generate::draft(Size::Small, seed).unwrap();
        let mut province = Province { stage, versions: Vec::new(), maintenance: Vec::new() };
        let planned = province.plan_work(&first.build(1, UnixMs(0)).unwrap().inventory);
        let split = later::versions(&first).into_iter().find(|version| version.what == "county-split").unwrap().draft;
        for (name, draft, from) in [("first", first, "1403-11-01"), ("split", split, SPLIT)] {
            let folder = province.stage.path(name);
            export::to_folder(&export::files(&draft).unwrap(), &folder).unwrap();
            std::fs::write(folder.join("maintenance.yaml"), &planned).unwrap();
            run_ok(province.stage.collector().args(["inventory", "import", "--effective-from", from]).arg(&folder));
            province.versions.push(json!({ "folder": folder, "from_day": day(from).0 }));
        }
        province
    }

    /// Plans work on every tenth link: announced five days ahead, which is maintenance, or an hour, which is not.
    fn plan_work(&mut self, inventory: &Inventory) -> String {
        let mut yaml = String::new();
        for (number, link) in inventory.links.iter().enumerate().filter(|(number, _)| number % 10 == 3) {
            let site = &inventory.site(link.site).code;
            let on = Day(day(FIRST).0 + 1 + (number % 25) as i32);
            let is_forgiven = number % 20 == 3;
            let announced = if is_forgiven { format!("{} 22:00", Day(on.0 - 5)) } else { format!("{on} 21:00") };
            yaml.push_str(&format!(
                "- id: work-{number}\n  reason: work\n  from: {on} 22:00\n  until: {} 02:00\n  announced: {announced}\n  links: [{site}/{}]\n",
                on.next(),
                link.name
            ));
            let from = on.end().seconds() - 7_200;
            let until = from + 14_400;
            self.maintenance.push(json!({ "site": site, "link": link.name, "from_s": from, "until_s": until, "a_day_ahead": is_forgiven }));
        }
        yaml
    }
}

/// What was sent and arrived, for the script: one line for each series, each boot and each round.
struct Rounds {
    series: BufWriter<File>,
    boots: BufWriter<File>,
    rounds: BufWriter<File>,
    /// Until when an agent had looked, by its first series.
    looks: BufWriter<File>,
    /// First series of each agent.
    first_series: Vec<usize>,
    boots_seen: HashMap<(AgentId, BootId), usize>,
}

impl Rounds {
    fn create(stage: &Stage, month: &Month) -> Rounds {
        let file = |name: &str| BufWriter::new(File::create(stage.path(name)).unwrap());
        let mut series = file("series.csv");
        let mut first_series = Vec::new();
        let mut number = 0;
        for agent in month.agents() {
            first_series.push(number);
            for one in &agent.table.series {
                let (target, rung, probe) = (&one.target, one.rung, one.probe);
                writeln!(series, "{},{},{target},{rung},{probe},{}", agent.site, one.link, one.interval_s).unwrap();
                number += 1;
            }
        }
        Rounds {
            series,
            boots: file("boots.csv"),
            rounds: file("rounds.csv"),
            looks: file("looks.csv"),
            first_series,
            boots_seen: HashMap::new(),
        }
    }

    fn write(&mut self, month: &Month, sending: &Sending, batch: &Batch) {
        let agent = &month.agents()[sending.agent as usize];
        let boot_at = month.boot_at(sending);
        let next = self.boots_seen.len();
        let boot = *self.boots_seen.entry((agent.id, batch.id.boot)).or_insert(next);
        if boot == next {
            writeln!(self.boots, "{}", boot_at.0).unwrap();
        }
        let until = boot_at.0 + batch.until.0 as i64;
        writeln!(self.looks, "{},{until},{}", self.first_series[sending.agent as usize], boot_at.0).unwrap();
        for sample in &batch.samples {
            let place = usize::from(sample.series.0);
            let value = |metric| agent.table.series[place].value(sample, metric).map(|value| value.to_string()).unwrap_or_default();
            let (series, at) = (self.first_series[sending.agent as usize] + place, boot_at.0 + sample.at.0 as i64);
            let (sent, received, rtt) = (value(Metric::Sent), value(Metric::Received), value(Metric::RttUsP50));
            writeln!(self.rounds, "{series},{boot},{at},{},{sent},{received},{rtt}", sample.outcome).unwrap();
        }
    }

    fn finish(mut self) {
        for file in [&mut self.series, &mut self.boots, &mut self.rounds, &mut self.looks] {
            file.flush().unwrap();
        }
    }
}

#[test]
fn a_script_that_shares_no_code_finds_the_same_seconds_and_figures() {
    let mut random = Random::from_clock();
    eprintln!("RUSTA_SEED={}", random.seed());
    let mut province = Province::import(random.next() >> 1);
    let data = province.stage.path("collector");
    let plan = Plan {
        from: Day(day(FIRST).0 - BEFORE).start(),
        until: Day(day(END).0 + AFTER).start(),
        seed: random.seed(),
        near_s: 900,
        far_s: 1_800,
        report_s: 3 * 3_600,
        intensity: 4.0,
    };
    let store = Store::open(&data).unwrap();
    let map = Versions::load(&store).unwrap().at(plan.from);
    drop(store);
    let month = Month::new(&map, plan);
    let log = Log::open(Keeping { dir: data.join("log"), retention_days: RETENTION_DAYS, group_commit: Duration::from_millis(1) }).unwrap();
    let mut rounds = Rounds::create(&province.stage, &month);
    month.append(&log, &month.sendings(), |sending, batch| rounds.write(&month, sending, batch));
    rounds.finish();
    let built = month::build_history(&data, &log, UnixMs(plan.until.0 + SETTLED_MS), RETENTION_DAYS);
    eprintln!("{built} days of sites built");

    let collector = province.stage.collector();
    let mut words = vec![collector.get_program().to_str().unwrap().to_owned()];
    words.extend(collector.get_args().map(|word| word.to_str().unwrap().to_owned()));
    let question = json!({
        "collector": words,
        "database": data.join("state.sqlite"),
        "rounds": province.stage.path(""),
        "period": PERIOD,
        "versions": province.versions,
        "maintenance": std::mem::take(&mut province.maintenance),
        // Saturday to Wednesday from 07:30 to 14:30; the calendar's holidays lie in another year.
        "hours": { "weekdays": [5, 6, 0, 1, 2], "opens_s": 27_000, "closes_s": 52_200 },
        "first_day": day(FIRST).0 - BEFORE,
        "end_day": day(END).0 + AFTER,
        "month_first_day": day(FIRST).0,
        "month_end_day": day(END).0,
    });
    let question = province.stage.write("question.json", &question.to_string());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recomputation/recompute.py");
    let said = run(Command::new("python3").arg(script).arg(question));
    println!("{}", said.stdout);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}
