//! `rusta-collector kpi`: the same numbers as the pages, in a terminal.

use std::io::{Read, Write};

use super::load::{self, View};
use super::{Ask, Breakdown, CATALOGUE, Facts, Figure, Kpi, Weight, answer, by_id};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::inventory::{Inventory, Versions};
use crate::persian::Period;
use crate::view::{FigureView, Time};

/// Print figures.
///
/// `--period now` asks the running collector; any other period reads the state database.
#[derive(Debug, clap::Args)]
pub struct KpiArgs {
    /// One KPI; all of them if not given.
    #[arg(long)]
    id: Option<String>,
    /// Code of a region; all levels above the village if not given.
    #[arg(long, value_name = "CODE")]
    region: Option<String>,
    /// now, 24h, 1405 (year), 1405-q3 (season), 1405-08 (month), 1405-08-30 (day) or 1405-08-30w (week).
    #[arg(long, default_value = "now")]
    period: String,
    /// village, household or population.
    #[arg(long)]
    weight: Option<String>,
    /// Break down by region, band, operator, technology, site_kind, cause, service, network, cohort or responsible.
    #[arg(long)]
    by: Option<String>,
    /// Each day on the map of its time (this is the default).
    #[arg(long, conflicts_with = "as_is")]
    as_was: bool,
    /// All days on today's map.
    #[arg(long)]
    as_is: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(place: &Place, args: &KpiArgs) -> Result<(), Failure> {
    let period: Period = args.period.parse().map_err(Failure::Usage)?;
    let kpi = args.id.as_deref().map(|id| by_id(id).ok_or_else(|| Failure::Usage(unknown_kpi(id)))).transpose()?;
    let weight = args.weight.as_deref().map(str::parse::<Weight>).transpose().map_err(Failure::Usage)?;
    let by = args.by.as_deref().map(str::parse::<Breakdown>).transpose().map_err(Failure::Usage)?;
    if let (Some(kpi), Some(by)) = (kpi, by) {
        kpi.check_breakdown(by).map_err(Failure::Usage)?;
    }
    match period {
        Period::Now => now(place, args),
        _ => {
            let view = if args.as_is { View::AsIs } else { View::AsWas };
            let store = place.store()?;
            let versions = Versions::load(&store)?;
            let facts = store.read(|db| load::facts(db, &versions, period, view, clock::now()))?;
            if let Some(code) =
                args.region.as_deref().filter(|code| facts.sections.iter().all(|s| s.inventory.region_by_code(code).is_none()))
            {
                return Err(Failure::Usage(format!("there is no region `{code}`")));
            }
            let is_asked = |one: &&'static Kpi| kpi.map_or_else(|| by.is_none_or(|by| one.by.contains(&by)), |kpi| kpi.id == one.id);
            let asked = CATALOGUE.iter().filter(is_asked);
            let ask = Ask { region: args.region.as_deref(), weight: weight.unwrap_or_default(), by };
            let figures: Vec<Figure> = asked.flat_map(|kpi| answer(kpi, &facts, ask)).collect();
            print(&figures, &facts, args.json);
            Ok(())
        }
    }
}

fn unknown_kpi(id: &str) -> String {
    let near = crate::inventory::nearest(id, CATALOGUE.iter().map(|k| k.id)).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    format!("there is no KPI `{id}`{near}")
}

fn print(figures: &[Figure], facts: &Facts, json: bool) {
    let map = facts.last_map();
    if json {
        let items: Vec<FigureView> = figures.iter().filter_map(|figure| view(figure, facts)).collect();
        println!("{}", serde_json::json!({ "items": items, "next": null }));
        return;
    }
    for figure in figures {
        let name = map.region_by_code(&figure.region).map_or("", |id| map.region(id).name_en.as_str());
        let part = figure.part.as_ref().map(|(by, part)| format!(" {by}={part}")).unwrap_or_default();
        println!("{:28} {:10} {name}{part}: {}", figure.id, figure.region, line(figure));
    }
}

/// Describes a figure on the map it belongs to; a county that ended in the window stands on an earlier one.
fn view(figure: &Figure, facts: &Facts) -> Option<FigureView> {
    let maps = facts.sections.iter().rev().map(|section| &section.inventory);
    let (map, region) = maps.filter_map(|map: &std::sync::Arc<Inventory>| Some((map, map.region_by_code(&figure.region)?))).next()?;
    Some(FigureView::of(map, region, figure, Time(facts.window.until)))
}

fn line(figure: &Figure) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    let known = figure.known_ratio.map_or_else(String::new, |ratio| format!(", {:.1} % known", ratio * 100.0));
    let bounds = if figure.lo.is_some() { format!(" [{} {}]", number(figure.lo), number(figure.hi)) } else { String::new() };
    let of = format!("{} of {}", figure.numerator, figure.denominator);
    format!("{} {}{bounds} ({of}{known}) {} v{}", number(figure.value), figure.unit, figure.standing, figure.definition_version)
}

/// Asks the running collector on its loopback port.
fn now(place: &Place, args: &KpiArgs) -> Result<(), Failure> {
    let listen = place.config()?.http.listen;
    let unreachable = |error: std::io::Error| anyhow::anyhow!("the collector does not answer on {listen} ({error}); is it running?");
    let mut query = "period=now".to_owned();
    for (key, value) in [("id", &args.id), ("region", &args.region), ("weight", &args.weight), ("by", &args.by)] {
        if let Some(value) = value.as_ref().filter(|v| v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))) {
            query.push_str(&format!("&{key}={value}"));
        }
    }
    let mut stream = std::net::TcpStream::connect(listen).map_err(unreachable)?;
    write!(stream, "GET /api/v1/kpis?{query} HTTP/1.0\r\nHost: {listen}\r\nAccept: application/json\r\n\r\n").map_err(unreachable)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(unreachable)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.lines().next().is_some_and(|status| status.contains(" 200")) {
        return Err(anyhow::anyhow!("{}", if body.is_empty() { head } else { body }).into());
    }
    if args.json {
        println!("{body}");
        return Ok(());
    }
    let answer: serde_json::Value = serde_json::from_str(body)?;
    for item in answer["items"].as_array().into_iter().flatten() {
        let region = &item["region"];
        println!(
            "{} {} {}{}: {} [{} {}] {} of {}, {}",
            item["id"].as_str().unwrap_or_default(),
            region["code"].as_str().unwrap_or_default(),
            region["name_en"].as_str().unwrap_or_default(),
            item["part"].as_str().map(|part| format!(" {part}")).unwrap_or_default(),
            item["value"],
            item["lo"],
            item["hi"],
            item["numerator"],
            item["denominator"],
            item["standing"].as_str().unwrap_or_default()
        );
    }
    Ok(())
}
