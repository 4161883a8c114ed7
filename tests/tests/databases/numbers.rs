//! One number, wherever it is read: for random KPIs, regions and periods the page, the API, `/metrics`, the command line,
//! the report's files and Grafana's own query on a database that the sink filled all say the same.
//!
//! ```text
//! generated registry + random days of history + virtual agents --> collector --> page, API, /metrics, CLI, report
//!                                                                         \--> sink --> influxdb --> panel's query
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use calamine::{Data, Reader as _, open_workbook_auto};
use rusqlite::Connection;
use rusta_collector::day::Day;
use rusta_collector::grafana::query::Lang as QueryLang;
use rusta_collector::grafana::{DASHBOARDS, query::Query};
use rusta_collector::kpi::{CATALOGUE, Kpi};
use rusta_collector::persian::{Lang, Period};
use rusta_collector::web::in_unit;
use rusta_tests::fleet::{VirtualAgent, round, village_table};
use rusta_tests::http;
use rusta_tests::programs::{Running, eventually, free_port, run_ok};
use rusta_tests::random::Random;
use rusta_tests::stage::Stage;
use rusta_wire::{BootId, MonoMs, UnixMs};
use serde_json::Value;

use super::servers::{Influx, Server as _, fill_in};

/// Questions compared.
const QUESTIONS: usize = 50;
/// Questions whose answer is a number: many are about what this province does not measure.
const VALUED: usize = 15;
/// Days of history before today.
const DAYS: i32 = 70;
/// Sites whose agents report.
const AGENTS: usize = 8;
/// Rounds of both targets from each.
const ROUNDS: u64 = 10;
/// A figure of a running window moves while it is read: unknown seconds go by, open outages grow.
const RUNNING: f64 = 1e-2;

/// One row of a generated list, by column.
type Row = BTreeMap<String, String>;

fn list(file: &Path) -> Vec<Row> {
    csv::Reader::from_path(file).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

/// Writes random seconds of every village, site and link, and outages of some links, for every day before today.
fn write_history(database: &Path, folder: &Path, today: Day, random: &mut Random) {
    let db = Connection::open(database).unwrap();
    db.execute_batch("BEGIN").unwrap();
    let regions = list(&folder.join("regions.csv"));
    let villages = regions.iter().filter(|row| row["kind"] == "village" && row["inhabited"] == "yes").map(|row| row["code"].clone());
    let villages: Vec<_> = villages.collect();
    let sites = list(&folder.join("sites.csv")).iter().map(|row| row["code"].clone()).collect::<Vec<_>>();
    let links: Vec<_> = list(&folder.join("links.csv")).iter().map(|row| (row["site_code"].clone(), row["name"].clone())).collect();
    let whole = |kind: i64, codes: &[String]| codes.iter().map(|code| (kind, code.clone(), String::new())).collect::<Vec<_>>();
    let links = links.into_iter().map(|(site, link)| (1, site, link)).collect();
    for (kind, code, link) in [links, whole(2, &sites), whole(3, &villages), whole(4, &villages)].into_iter().flatten() {
        db.execute("INSERT INTO objects (kind, code, link) VALUES (?1, ?2, ?3)", (kind, &code, &link)).unwrap();
        let object = db.last_insert_rowid();
        for back in 1..=DAYS {
            // A day in ten was never measured, and nobody's day is known to the end.
            if random.below(10) == 0 {
                continue;
            }
            let unknown = random.below(9_000) as i64;
            let down = random.below(20_000) as i64;
            let degraded = random.below(10_000) as i64;
            let up = 86_400 - unknown - down - degraded;
            let sql = "INSERT INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)";
            db.execute(sql, (kind, today.0 - back, object, up, degraded, down, unknown)).unwrap();
            if random.below(4) == 0 {
                let began = Day(today.0 - back).start().0 + random.below(40_000_000) as i64;
                let ended = began + 60_000 + random.below(40_000_000) as i64;
                let sql = "INSERT OR IGNORE INTO outages (object, started_at, ended_at, restored, rung, confidence, evidence, revision)
                           VALUES (?1, ?2, ?3, 1, NULL, NULL, '[]', 1)";
                db.execute(sql, (object, began, ended)).unwrap();
            }
        }
    }
    db.execute_batch("COMMIT").unwrap();
}

/// Returns today, once it has room for a few minutes of rounds: rounds of yesterday would have that day built again.
fn a_day_five_minutes_old() -> Day {
    loop {
        let now = rusta_collector::clock::now();
        if now - Duration::from_secs(300) >= Day::of(now).start() {
            return Day::of(now);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Speaks for some sites: five minutes of rounds, of a third of them without an answer.
fn report(stage: &Stage, folder: &Path, agents: SocketAddr, random: &mut Random) {
    let ca = std::fs::read_to_string(stage.ca()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut links = list(&folder.join("links.csv"));
    let now = rusta_collector::clock::now();
    for number in 0..AGENTS {
        let row = links.swap_remove(random.below(links.len()));
        links.retain(|other| other["site_code"] != row["site_code"]);
        let token = run_ok(stage.collector().args(["agents", "token", "--bare", "--site", &row["site_code"]]));
        let table = village_table(&row["name"], row["network"].parse().unwrap());
        let answers = number % 3 != 0;
        runtime.block_on(async {
            let agent = VirtualAgent::enroll(&format!("https://{agents}"), token.trim(), &ca, table, BootId(number as u64 + 1)).await;
            let mut agent = agent.unwrap();
            let samples = (0..ROUNDS).flat_map(|n| round(MonoMs(900_000 + n * 30_000), answers)).collect();
            let batch = agent.batch(MonoMs(900_000), MonoMs(1_200_000), now, samples);
            agent.send(&[batch]).await.unwrap();
        });
    }
}

/// One question.
struct Ask {
    kpi: &'static Kpi,
    region: Row,
    period: Period,
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} in {}", self.kpi.id, self.region["code"], self.period)
    }
}

impl Ask {
    fn draw(regions: &[Row], now: UnixMs, random: &mut Random) -> Ask {
        let Period::Month(month) = Period::month_at(now) else { unreachable!("a month is a month") };
        let day = month.plus_days(-1 - random.below(40) as i64);
        let last = Period::Month(month.month_start(-1));
        let periods = [Period::Now, Period::month_at(now), last, last, Period::Day(day), Period::week_of(day), Period::Year(day.year())];
        let earlier = month.month_start(-3);
        let season = format!("{}-q{}", earlier.year(), (earlier.month() - 1) / 3 + 1).parse().unwrap();
        let period = periods.into_iter().chain([season, Period::Last24h]).nth(random.below(9)).unwrap();
        // Of now there is one figure, so half of such questions are about it.
        let kpi = if period == Period::Now && random.below(2) == 0 { &CATALOGUE[0] } else { &CATALOGUE[random.below(CATALOGUE.len())] };
        Ask { kpi, region: regions[random.below(regions.len())].clone(), period }
    }

    /// How far numbers may differ because time goes by between two readings.
    fn tolerance(&self, now: UnixMs) -> f64 {
        let runs = self.period == Period::Last24h || self.period.window(now).until > now;
        if runs { RUNNING } else { 1e-9 }
    }

    /// What the period is called where only now and the running month are published.
    fn published_period(&self, now: UnixMs) -> Option<&'static str> {
        match self.period {
            Period::Now => Some("now"),
            period => (period == Period::month_at(now)).then_some("month"),
        }
    }
}

const FIELDS: [&str; 6] = ["value", "lo", "hi", "known_ratio", "numerator", "denominator"];

/// A figure's numbers by the names of the API.
type Numbers = BTreeMap<&'static str, Option<f64>>;

fn numbers_of(item: &Value) -> Numbers {
    FIELDS.into_iter().map(|field| (field, item[field].as_f64())).collect()
}

struct Surfaces<'a> {
    stage: &'a Stage,
    http: SocketAddr,
    influx: &'a Influx,
    runtime: tokio::runtime::Runtime,
}

impl Surfaces<'_> {
    fn text(&self, path: &str) -> String {
        let answer = http::get(self.http, path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// Asks the API; `None` if it has no such figure.
    fn api(&self, ask: &Ask) -> Option<Value> {
        let path = format!("/api/v1/kpis?id={}&region={}&period={}", ask.kpi.id, ask.region["code"], ask.period);
        let answer: Value = serde_json::from_str(&self.text(&path)).unwrap();
        let items = answer["items"].as_array().unwrap();
        let whole: Vec<_> = items.iter().filter(|item| item["part"].is_null()).collect();
        assert!(whole.len() <= 1, "{ask}: {answer}");
        whole.first().map(|item| (*item).clone())
    }

    fn command_line(&self, ask: &Ask) -> Option<Numbers> {
        let mut command = self.stage.collector();
        command.args(["kpi", "--json", "--id", ask.kpi.id, "--region", &ask.region["code"], "--period", &ask.period.to_string()]);
        let answer: Value = serde_json::from_str(&run_ok(&mut command)).unwrap();
        answer["items"].as_array().unwrap().iter().find(|item| item["part"].is_null()).map(numbers_of)
    }

    /// Returns what the page prints as the value; `None` where it prints why there is none.
    fn page(&self, ask: &Ask) -> Option<String> {
        let html = self.text(&format!("/kpis?region={}&period={}&weight=village&lang=en", ask.region["code"], ask.period));
        let mark = format!("\"/kpis/{}?", ask.kpi.id);
        let row = html.split("<tr").find(|row| row.contains(&mark)).unwrap_or_else(|| panic!("{ask}: no row on the page"));
        row.split_once("<b class=\"figure\">").map(|(_, rest)| rest.split("</b>").next().unwrap().to_owned())
    }

    fn metrics(&self, ask: &Ask, period: &str, text: &str) -> Numbers {
        let (kpi, code) = (format!("{{kpi=\"{}\",", ask.kpi.id), format!(",region=\"{}\",", ask.region["code"]));
        let number = |field: &str| {
            let of = |line: &&str| line.contains(&kpi) && line.contains(&code) && line.contains(&format!("period=\"{period}\""));
            // The API's weight is the village where a KPI has it, else its first.
            let weight =
                if ask.kpi.weights.contains(&rusta_collector::kpi::Weight::Village) { "village" } else { ask.kpi.weights[0].as_str() };
            let lines = text.lines().filter(|line| line.starts_with(&format!("rusta_kpi_{field}{{")));
            let line = lines.filter(|line| line.contains(&format!("weight=\"{weight}\""))).find(of)?;
            line.rsplit(' ').next()?.parse().ok()
        };
        FIELDS.into_iter().map(|field| (field, number(field))).collect()
    }

    /// Runs the queries of the KPI dashboard as Grafana would and takes the last point of each.
    fn grafana(&self, ask: &Ask, period: &str) -> Numbers {
        let dashboard = DASHBOARDS.iter().find(|dashboard| dashboard.name == "kpi").unwrap();
        let weight = if ask.kpi.weights.contains(&rusta_collector::kpi::Weight::Village) { "village" } else { ask.kpi.weights[0].as_str() };
        let chosen = [("kpi", ask.kpi.id), ("region", ask.region["code"].as_str()), ("period", period), ("weight", weight)];
        let queries = dashboard.panels.iter().flat_map(|panel| panel.queries.iter());
        let ask_one = |query: &Query| {
            let text = chosen
                .iter()
                .fold(query.text(QueryLang::InfluxQl), |text, (name, value)| text.replace(&format!("${name}$"), &format!("{value}$")));
            self.runtime.block_on(self.influx.last(&fill_in(&text, QueryLang::InfluxQl).replace("time(10m)", "time(1s)")))
        };
        queries.filter(|(_, query)| FIELDS.contains(&query.field)).map(|(_, query)| (query.field, ask_one(query))).collect()
    }

    /// Writes the month's report and reads the KPI's row of its first table back, if it has one.
    fn report(&self, ask: &Ask, ending: &str) -> Option<Numbers> {
        let out = self.stage.path(&format!("report-{}-{}.{ending}", ask.region["code"], ask.period));
        if !out.exists() {
            let mut command = self.stage.collector();
            command.args(["report", "--period", &ask.period.to_string(), "--region", &ask.region["code"], "--out"]).arg(&out);
            run_ok(&mut command);
        }
        let name = format!("{} / {}", ask.kpi.names.0, ask.kpi.names.1);
        let rows: Vec<Vec<String>> = if ending == "csv" {
            let text = std::fs::read_to_string(&out).unwrap();
            let mut reader =
                csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
        } else {
            let mut book = open_workbook_auto(&out).unwrap();
            let sheets = book.sheet_names();
            let range = book.worksheet_range(&sheets[1]).unwrap();
            let text = |cell: &Data| if let Data::Empty = cell { String::new() } else { cell.to_string() };
            range.rows().map(|row| row.iter().map(text).collect()).collect()
        };
        let row = rows.into_iter().find(|row| row.first() == Some(&name) && row.len() >= 7)?;
        // Between the bounds and the share of known data stands the estimate, with its error.
        let cells = row[1..4].iter().chain(&row[6..]);
        Some(FIELDS.into_iter().zip(cells).map(|(field, cell)| (field, cell.parse().ok())).collect())
    }
}

fn assert_same(ask: &Ask, surface: &str, found: &Numbers, expected: &Numbers, tolerance: f64) {
    for (field, number) in found {
        let same = match (number, expected[field]) {
            (Some(found), Some(expected)) => (found - expected).abs() <= tolerance * expected.abs().max(1.0),
            (None, None) => true,
            _ => false,
        };
        assert!(same, "{ask}: {surface} says {field} is {number:?}, the API says {:?}", expected[field]);
    }
}

#[test]
fn a_number_is_the_same_wherever_it_is_read() {
    let mut random = Random::from_clock();
    println!("RUSTA_SEED={}", random.seed());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let influx = runtime.block_on(Influx::start());
    let stage = Stage::new(rusta_tests::programs!());
    let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let folder = stage.path("province");
    // Nobody goes silent while a busy machine works through the questions.
    let patient = "thresholds: { now_max_age: 2h, silent_after: 2h, evidence_least: 2h }";
    stage.configure_collector(agents, &["127.0.0.1"], http, patient);
    run_ok(stage.collector().args(["inventory", "generate", "--size", "demo", "--seed", "7", "--out"]).arg(&folder));
    run_ok(stage.collector().args(["inventory", "import", "--effective-from", "1404-01-01"]).arg(&folder));
    let database = stage.path("collector/state.sqlite");
    let today = a_day_five_minutes_old();
    write_history(&database, &folder, today, &mut random);
    {
        let _collector = stage.serve(None, http);
        report(&stage, &folder, agents, &mut random);
        eventually(Duration::from_secs(60), "the agents' rounds are seen", || {
            let text = http::get(http, "/metrics").ok()?.text();
            text.lines().any(|line| line.starts_with("rusta_agents{") && line.contains("reporting") && !line.ends_with(" 0")).then_some(())
        });
    }
    // Today is built every quarter of an hour, so what is compared holds still for that long after a start.
    let sink = format!("sinks:\n  - {{ name: influx, url: \"{}\", states_every: 2s }}", influx.write_url());
    stage.configure_collector(agents, &["127.0.0.1"], http, &format!("{patient}\n{sink}"));
    let _collector: Running = stage.serve(None, http);
    let surfaces = Surfaces { stage: &stage, http, influx: &influx, runtime };
    let month_at = r#"SELECT last("known_ratio") FROM "kpi" WHERE "period" = 'month'"#;
    eventually(Duration::from_secs(60), "the sink wrote the month", || surfaces.runtime.block_on(influx.last(month_at)));

    let levels = ["province", "county", "district", "rural_district"];
    let regions: Vec<_> = list(&folder.join("regions.csv")).into_iter().filter(|row| levels.contains(&row["kind"].as_str())).collect();
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut asked, mut valued) = (0, 0);
    let now = rusta_collector::clock::now();
    let enough =
        |compared: &BTreeMap<&str, usize>| ["page", "metrics", "grafana", "csv", "xlsx"].iter().all(|s| compared.get(s) >= Some(&5));
    while asked < QUESTIONS || valued < VALUED || !enough(&compared) {
        assert!(asked < 20 * QUESTIONS, "seed {}: only {compared:?}", random.seed());
        let ask = Ask::draw(&regions, now, &mut random);
        asked += 1;
        let tolerance = ask.tolerance(now);
        let (api, said) = (surfaces.api(&ask), surfaces.command_line(&ask));
        let Some(item) = api else {
            assert!(said.is_none(), "{ask}: only the command line has it: {said:?}");
            continue;
        };
        let expected = numbers_of(&item);
        valued += usize::from(expected["value"].is_some());
        assert_same(&ask, "the command line", &said.unwrap_or_else(|| panic!("{ask}: not on the command line")), &expected, tolerance);
        let printed = surfaces.page(&ask);
        let formatted = expected["value"].map(|value| in_unit(value, ask.kpi.unit, Lang::En));
        let close = tolerance > 1e-6 && printed.is_some() == formatted.is_some();
        assert!(printed == formatted || close, "{ask}: the page prints {printed:?}, the API says {:?}", expected["value"]);
        *compared.entry("page").or_default() += 1;
        if let Some(period) = ask.published_period(now) {
            *compared.entry("grafana").or_default() += 1;
            assert_same(&ask, "Grafana's query", &surfaces.grafana(&ask, period), &expected, tolerance);
            if ["province", "county"].contains(&ask.region["kind"].as_str()) {
                *compared.entry("metrics").or_default() += 1;
                let text = surfaces.text("/metrics");
                assert_same(&ask, "/metrics", &surfaces.metrics(&ask, period, &text), &expected, tolerance);
            }
        }
        for ending in ["csv", "xlsx"] {
            let is_month = matches!(ask.period, Period::Month(_));
            if let Some(numbers) = is_month.then(|| surfaces.report(&ask, ending)).flatten() {
                *compared.entry(ending).or_default() += 1;
                assert_same(&ask, ending, &numbers, &expected, tolerance);
            }
        }
    }
    println!("{asked} questions, {valued} with a value, compared: {compared:?}");
    replay_brings_back_what_the_database_lost(&surfaces);
}

/// The log's points are delivered again on request, while the collector serves.
fn replay_brings_back_what_the_database_lost(surfaces: &Surfaces<'_>) {
    let (influx, runtime) = (surfaces.influx, &surfaces.runtime);
    let points = || runtime.block_on(influx.count("probe", "ok"));
    let all = AGENTS * ROUNDS as usize * 2;
    eventually(Duration::from_secs(60), "every round is in the database", || (points() == all).then_some(()));
    runtime.block_on(influx.execute("DROP MEASUREMENT probe"));
    assert_eq!(points(), 0);
    run_ok(surfaces.stage.collector().args(["sink", "replay", "--sink", "influx", "--from", "2020-01-01T00:00:00Z"]));
    eventually(Duration::from_secs(60), "every round is back", || (points() == all).then_some(()));
}
