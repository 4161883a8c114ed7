//! What a month of a province of 8,000 sites costs: to ask, to report, to restate; and what a registry costs to import.
//!
//! ```text
//! generate, import --> month in the log --> history built --> questions (library, HTTP), report, a late week built again
//! ```
//! Simulating the month and building it takes most of the time; `--keep DIR` leaves it there and uses it the next time, and
//! `--size small` tries the bench itself on three counties. A hundred sites send their last week late and in full: a round
//! every minute or five, a report every five. The others report four times a day; a month's figures are none the cheaper
//! for it, because they are made from daily sums.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusta_collector::clock;
use rusta_collector::day::Day;
use rusta_collector::inventory::{Inventory, Versions};
use rusta_collector::kpi::{Ask, Book, CATALOGUE, Kpi, View, answer, connected_share_now};
use rusta_collector::log::{Keeping, Log};
use rusta_collector::persian::{JalaliDate, Period};
use rusta_collector::store::Store;
use rusta_tests::month::{self, Month, Plan, Sending};
use rusta_tests::programs::{Programs, free_port, run_ok};
use rusta_tests::random::Random;
use rusta_tests::stage::Stage;
use rusta_wire::UnixMs;
use serde_json::{Value, json};

/// Brings the same month and the same questions back.
const SEED: u64 = 7;

/// Longer ago than the month begins, so that what is kept can be built again.
const RETENTION_DAYS: u32 = 130;

/// Sites whose last week comes late: a county's share.
const LATE_SITES: usize = 100;

/// Questions asked of the library, and through HTTP.
const QUESTIONS: usize = 5_000;

/// Times a month is read with nothing in memory.
const COLD: usize = 5;

/// The month before the last: over, settled and due for a report.
fn month_asked() -> Period {
    Period::Month(JalaliDate::at(clock::now()).month_start(-2))
}

fn figure(what: &str, unit: &str, value: f64, goal: f64, more: Value) -> Value {
    json!({ "bench": "history", "what": what, unit: value, "goal": goal, "within": value <= goal, "more": more })
}

fn seconds(mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64()
}

/// Prints one line for each figure.
pub fn measure(programs: &Programs, keep: Option<&Path>, size: &str) {
    let stage = keep.map_or_else(|| Stage::new(programs.clone()), |folder| Stage::kept(programs.clone(), folder));
    let period = month_asked();
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let agents = SocketAddr::from(([127, 0, 0, 1], free_port()));
    stage.configure_collector(agents, &["127.0.0.1"], http, &format!("log: {{ retention_days: {RETENTION_DAYS} }}"));
    if !stage.path("built").exists() {
        simulate(&stage, period, size);
        stage.write("built", &period.to_string());
    }
    let built = std::fs::read_to_string(stage.path("built")).unwrap();
    assert_eq!(built, period.to_string(), "the month kept there is another one");
    ask_library(&stage, period).iter().for_each(|figures| println!("{figures}"));
    println!("{}", ask_http(&stage, period, http));
    println!("{}", report(&stage, period));
    println!("{}", restate(&stage, period));
    nation(&stage).iter().for_each(|figures| println!("{figures}"));
}

/// Writes a month into the log and builds its history; the late week's last.
fn simulate(stage: &Stage, period: Period, size: &str) {
    run_ok(stage.collector().args(["inventory", "generate", "--size", size, "--seed", "7", "--out"]).arg(stage.path("province")));
    run_ok(stage.collector().args(["inventory", "import", "--effective-from", "1404-01-01"]).arg(stage.path("province")));
    let data = stage.path("collector");
    let (from, until) = bounds(period);
    let map = Versions::load(&Store::open(&data).unwrap()).unwrap().at(from);
    let plan = Plan { from, until, seed: SEED, near_s: 900, far_s: 1_800, report_s: 6 * 3_600, intensity: 1.0 };
    let week = UnixMs(until.0 - 7 * 86_400_000);
    let dense = Plan { from: week, seed: SEED + 1, near_s: 60, far_s: 300, report_s: 300, ..plan };
    let log = Log::open(Keeping { dir: data.join("log"), retention_days: RETENTION_DAYS, group_commit: Duration::from_millis(1) }).unwrap();
    let late = late_sites(&map);
    let is_late = |month: &Month, sending: &Sending| late.contains(&&*month.agents()[sending.agent as usize].site);
    for (plan, whose) in [(plan, false), (dense, true)] {
        let month = Month::new(&map, plan);
        let mut sendings = month.sendings();
        // Of the late sites nothing of the last week but what comes late.
        let is_before = |sending: &Sending| month.boot_at(sending).0 + (sending.until().0 as i64) < week.0;
        sendings.retain(|sending| is_late(&month, sending) == whose || (!whose && is_before(sending)));
        let appended = seconds(|| month.append(&log, &sendings, |_, _| ()));
        let mut built = 0;
        let took = seconds(|| built = month::build_history(&data, &log, clock::now(), RETENTION_DAYS));
        eprintln!("{} reports appended in {appended:.0} s, {built} days of sites built in {took:.0} s", sendings.len());
    }
}

fn bounds(period: Period) -> (UnixMs, UnixMs) {
    let window = period.window(clock::now());
    (window.from, window.until)
}

/// Lists the codes of the late sites.
fn late_sites(map: &Inventory) -> Vec<&str> {
    let half = map.sites.len() / 2;
    map.sites[half..].iter().take(LATE_SITES).map(|site| site.code.as_str()).collect()
}

/// One question: a KPI, a region, a weight, a breakdown.
struct Question {
    kpi: &'static Kpi,
    ask: Ask<'static>,
    region: String,
}

impl Question {
    fn any(random: &mut Random, map: &Inventory, regions: &BTreeMap<String, Vec<String>>) -> Question {
        let asked: Vec<&'static Kpi> = CATALOGUE.iter().filter(|kpi| kpi.id != connected_share_now::KPI.id).collect();
        let kpi = asked[random.below(asked.len())];
        // A level first: nearly every region is a village.
        let level = regions.values().nth(random.below(regions.len())).unwrap();
        let region = level[random.below(level.len())].clone();
        debug_assert!(map.region_by_code(&region).is_some());
        let by = (!random.one_in(3)).then(|| kpi.by[random.below(kpi.by.len())]);
        Question { kpi, ask: Ask { weight: kpi.weights[random.below(kpi.weights.len())], by, ..Ask::default() }, region }
    }

    fn ask(&self) -> Ask<'_> {
        Ask { region: Some(&self.region), ..self.ask }
    }

    fn words(&self) -> String {
        let by = self.ask.by.map(|by| format!("&by={by}")).unwrap_or_default();
        format!("id={}&region={}&weight={}{by}", self.kpi.id, self.region, self.ask.weight)
    }
}

fn questions(map: &Inventory) -> Vec<Question> {
    let mut regions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    map.regions.iter().for_each(|region| regions.entry(region.kind.to_string()).or_default().push(region.code.clone()));
    let mut random = Random::of(SEED, "questions");
    (0..QUESTIONS).map(|_| Question::any(&mut random, map, &regions)).collect()
}

/// Sums up how long answers took, in milliseconds, with the slowest questions.
fn spread(what: &str, goal: f64, mut took: Vec<(f64, String)>, more: Value) -> Value {
    took.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].0;
    let slowest: Vec<String> = took.iter().rev().take(5).map(|(ms, words)| format!("{ms:.1} ms {words}")).collect();
    json!({
        "bench": "history", "what": what, "questions": took.len(), "p50_ms": at(50), "p99_ms": at(99), "max_ms": took[took.len() - 1].0,
        "goal_p99_ms": goal, "within": at(99) <= goal, "slowest": slowest, "more": more,
    })
}

fn ask_library(stage: &Stage, period: Period) -> Vec<Value> {
    let store = Store::open(&stage.path("collector")).unwrap();
    let map = Versions::load(&store).unwrap().last();
    let now = clock::now();
    let cold = (0..COLD).map(|_| {
        let book = Book::new(store.clone());
        (seconds(|| drop(book.facts(period, View::AsWas, now).unwrap())) * 1e3, "facts of the month".to_owned())
    });
    let cold = spread("a month read with nothing in memory", 1_000.0, cold.collect(), Value::Null);
    let book = Book::new(store.clone());
    let facts = book.facts(period, View::AsWas, now).unwrap();
    let (mut took, mut figures) = (Vec::new(), 0);
    for question in questions(&map) {
        let ms = seconds(|| figures += answer(question.kpi, &facts, question.ask()).len()) * 1e3;
        took.push((ms, question.words()));
    }
    let sizes = json!({ "sites": map.sites.len(), "links": map.links.len(), "regions": map.regions.len(), "figures": figures });
    vec![cold, spread("any KPI of a month, library", 50.0, took, sizes)]
}

fn ask_http(stage: &Stage, period: Period, http: SocketAddr) -> Value {
    let map = Versions::load(&Store::open(&stage.path("collector")).unwrap()).unwrap().last();
    let _collector = stage.serve(None, http);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let mut took = Vec::new();
        for question in questions(&map) {
            let words = question.words();
            let started = Instant::now();
            let answer = client.get(format!("http://{http}/api/v1/kpis?period={period}&{words}")).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{words}");
            answer.bytes().await.unwrap();
            took.push((started.elapsed().as_secs_f64() * 1e3, words));
        }
        // The first question finds nothing in memory; it is one of those judged.
        let first = took[0].0;
        spread("any KPI of a month, HTTP", 50.0, took, json!({ "first_ms": first }))
    })
}

fn report(stage: &Stage, period: Period) -> Value {
    let mut parts = serde_json::Map::new();
    let mut total = 0.0;
    for ending in ["xlsx", "csv", "html"] {
        let out = stage.path(&format!("report.{ending}"));
        let _ = std::fs::remove_file(&out);
        let took = seconds(|| {
            run_ok(stage.collector().args(["report", "--period", &period.to_string(), "--out"]).arg(&out));
        });
        total += took;
        parts.insert(ending.to_owned(), json!({ "s": took, "bytes": out.metadata().unwrap().len() }));
    }
    figure("the monthly report as XLSX, CSV and HTML", "s", total, 10.0, Value::Object(parts))
}

/// Has the late week built again as if it had just arrived: its days are touched.
fn restate(stage: &Stage, period: Period) -> Value {
    let data = stage.path("collector");
    let store = Store::open(&data).unwrap();
    let map = Versions::load(&store).unwrap().last();
    let last = Day::of(UnixMs(bounds(period).1.0 - 1));
    let db = Connection::open(data.join("state.sqlite")).unwrap();
    db.execute_batch("BEGIN").unwrap();
    for site in late_sites(&map) {
        for back in 0..7 {
            db.execute(
                "INSERT INTO dirty_days (day, site_code) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET touches = touches + 1",
                (last.0 - back, site),
            )
            .unwrap();
        }
    }
    db.execute_batch("COMMIT").unwrap();
    let log = Log::open(Keeping { dir: data.join("log"), retention_days: RETENTION_DAYS, group_commit: Duration::from_millis(1) }).unwrap();
    let (mut build, mut built) = (month::builder(&data, &log, clock::now(), RETENTION_DAYS), 0);
    let took = seconds(|| built = build());
    figure("a late week of 100 sites built again", "s", took, 2.0, json!({ "days_of_sites": built }))
}

/// Generates and imports the whole country.
fn nation(stage: &Stage) -> Vec<Value> {
    let folder = stage.path("nation");
    let _ = std::fs::remove_dir_all(&folder);
    stage.write("nation.yaml", &std::fs::read_to_string(stage.path("collector.yaml")).unwrap().replace("/collector\n", "/nation-data\n"));
    let _ = std::fs::remove_dir_all(stage.path("nation-data"));
    let generate = seconds(|| {
        run_ok(stage.collector().args(["inventory", "generate", "--size", "national", "--seed", "7", "--out"]).arg(&folder));
    });
    let mut import = std::process::Command::new(stage.collector().get_program());
    import.arg("--config").arg(stage.path("nation.yaml")).args(["inventory", "import", "--effective-from", "1404-01-01"]).arg(&folder);
    let import = seconds(|| drop(run_ok(&mut import)));
    let sites = std::fs::read_to_string(folder.join("sites.csv")).unwrap().lines().count() - 1;
    let more = json!({ "sites": sites });
    vec![
        figure("the nation's inventory generated", "s", generate, 30.0, more.clone()),
        figure("the nation's inventory imported", "s", import, 10.0, more),
    ]
}
