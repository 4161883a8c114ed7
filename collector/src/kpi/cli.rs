//! `rusta-collector kpi`: the same numbers as the pages, in a terminal.

use super::load::{self, View};
use super::{
    Ask, Breakdown, CATALOGUE, Counted, Decree, DefineError, Definition, Definitions, Facts, Figure, Kpi, Term, Weight, answer, define,
    named,
};
use super::{dictionary, explain};
use crate::cli::{Failure, Place};
use crate::clock;
use crate::files;
use crate::inventory::{Inventory, Versions};
use crate::persian::{Lang, Period};
use crate::shell;
use crate::terminal::say;
use crate::view::{DefinitionView, FigureView, Time};

/// Print figures.
///
/// `--period now` asks the running collector; any other period reads the state database.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct KpiArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// One KPI, also in one version, such as availability or sla_pass_share@1; all of them if not given.
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

/// What can be done with definitions.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every version of the definitions: formula, units, treatment of what is unknown, of announced work and of late
    /// data, rounding, weights, least window, terms, and a worked example.
    Definitions {
        /// One KPI, also in one version, such as saidi or saidi@1; all of them if not given.
        #[arg(long)]
        id: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the data dictionary: the rules by which states, outages, values and figures come of what agents sent, exact
    /// enough to recompute them to the second, and every definition.
    Dictionary {
        /// Language: fa or en.
        #[arg(long, default_value = "en")]
        lang: String,
        /// File to write it to, instead of printing it.
        #[arg(long, value_name = "FILE.md")]
        out: Option<std::path::PathBuf>,
        /// Print JSON.
        #[arg(long, conflicts_with = "out")]
        json: bool,
    },
    /// Enter a decree that changes a definition; earlier versions stay printable as ID@VERSION.
    ///
    /// rusta-collector kpi define villages_connected_month --set connected=0.95 --set policy=dehyari_uplink
    ///   --from 1405-10-01 --decree "1405/231"
    Define {
        /// The KPI.
        id: String,
        /// A term and its value; `kpi definitions` lists the terms a KPI stands on.
        #[arg(long, value_name = "TERM=VALUE", required = true)]
        set: Vec<String>,
        /// From when on it holds.
        #[arg(long, value_name = "DATE")]
        from: String,
        /// The decree's number or title.
        #[arg(long)]
        decree: String,
    },
}

/// Runs the command.
pub fn run(place: &Place, args: &KpiArgs) -> Result<(), Failure> {
    match &args.command {
        None => ask(place, args),
        Some(Command::Definitions { id, json }) => definitions(place, id.as_deref(), *json),
        Some(Command::Dictionary { lang, out, json }) => {
            let lang = Lang::from_code(lang).ok_or_else(|| Failure::Usage(format!("`{lang}` is neither fa nor en")))?;
            dictionary(place, lang, out.as_deref(), *json)
        }
        Some(Command::Define { id, set, from, decree }) => {
            let (kpi, _) = named(id).map_err(Failure::Usage)?;
            let set = set.iter().map(|text| term(text)).collect::<Result<Vec<_>, _>>().map_err(Failure::Usage)?;
            let effective_from =
                crate::inventory::dates::moment(from).map_err(|expected| Failure::Usage(format!("--from is {expected}")))?;
            let decree = Decree { kpi, set: &set, effective_from, decree, by: ("cli", clock::now()) };
            let version = define(&place.store()?, &decree).map_err(|error| match error {
                DefineError::Wrong(text) => Failure::Usage(text),
                DefineError::Store(error) => error.into(),
            })?;
            say!("{}@{version} holds from {from}", kpi.id);
            Ok(())
        }
    }
}

fn term(text: &str) -> Result<(Term, String), String> {
    let (term, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not TERM=VALUE, such as connected=0.95"))?;
    Ok((term.parse()?, value.to_owned()))
}

fn definitions(place: &Place, id: Option<&str>, json: bool) -> Result<(), Failure> {
    let (kpi, version) = id.map(named).transpose().map_err(Failure::Usage)?.unzip();
    let version = version.flatten();
    let definitions = place.store()?.read(|db| Definitions::load(db))?;
    if let (Some(kpi), Some(version)) = (kpi, version) {
        definitions.check(kpi, version).map_err(Failure::Usage)?;
    }
    let all = definitions.all();
    let asked = all.iter().filter(|one| kpi.is_none_or(|kpi| kpi.id == one.kpi.id) && version.is_none_or(|version| version == one.version));
    if json {
        let items: Vec<DefinitionView> = asked.map(DefinitionView::from).collect();
        say!("{}", serde_json::json!({ "items": items, "next": null }));
        return Ok(());
    }
    asked.for_each(|one| say!("{}", described(one, Lang::En)));
    Ok(())
}

/// Describes a version of a definition, with the decree that made it.
fn described(one: &Definition, lang: Lang) -> String {
    let since = one.effective_from.map(|at| format!(", {} {}", crate::day::Day::of(at), one.decree)).unwrap_or_default();
    dictionary::entry_text(&dictionary::Entry::of(one, lang), &since, lang)
}

fn dictionary(place: &Place, lang: Lang, out: Option<&std::path::Path>, json: bool) -> Result<(), Failure> {
    let definitions = place.store()?.read(|db| Definitions::load(db))?.all();
    let thresholds = place.config()?.thresholds;
    if json {
        let entries: Vec<_> = definitions.iter().map(|one| dictionary::Entry::of(one, lang)).collect();
        say!("{}", serde_json::json!({ "rules": dictionary::chapters(&thresholds, lang), "definitions": entries }));
        return Ok(());
    }
    let entries: Vec<String> = definitions.iter().map(|one| described(one, lang)).collect();
    let text = format!("{}\n{}", dictionary::rules_text(&thresholds, lang), entries.join("\n"));
    match out {
        Some(out) => std::fs::write(out, text).map_err(|error| anyhow::anyhow!("{} cannot be written: {error}", out.display()))?,
        None => say!("{}", text.trim_end()),
    }
    Ok(())
}

fn ask(place: &Place, args: &KpiArgs) -> Result<(), Failure> {
    let period: Period = args.period.parse().map_err(Failure::Usage)?;
    let (kpi, version) = args.id.as_deref().map(named).transpose().map_err(Failure::Usage)?.unzip();
    let version = version.flatten();
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
            if let (Some(kpi), Some(version)) = (kpi, version) {
                facts.definitions.check(kpi, version).map_err(Failure::Usage)?;
            }
            if let Some(code) =
                args.region.as_deref().filter(|code| facts.sections.iter().all(|s| s.inventory.region_by_code(code).is_none()))
            {
                return Err(Failure::Usage(format!("there is no region `{code}`")));
            }
            let is_asked = |one: &&'static Kpi| kpi.map_or_else(|| by.is_none_or(|by| one.by.contains(&by)), |kpi| kpi.id == one.id);
            let asked = CATALOGUE.iter().filter(is_asked);
            let ask = Ask { region: args.region.as_deref(), weight: weight.unwrap_or_default(), by, version };
            let figures: Vec<Figure> = asked.flat_map(|kpi| answer(kpi, &facts, ask)).collect();
            print(&figures, &facts, args.json);
            Ok(())
        }
    }
}

fn print(figures: &[Figure], facts: &Facts, json: bool) {
    let map = facts.last_map();
    if json {
        let items: Vec<FigureView> = figures.iter().filter_map(|figure| view(figure, facts)).collect();
        say!("{}", serde_json::json!({ "items": items, "next": null }));
        return;
    }
    for figure in figures {
        let name = map.region_by_code(&figure.region).map_or("", |id| map.region(id).name_en.as_str());
        let part = figure.part.as_ref().map(|(by, part)| format!(" {by}={part}")).unwrap_or_default();
        say!("{:28} {:10} {name}{part}: {}", figure.id, figure.region, line(figure));
    }
}

/// Describes a figure on the map it belongs to; a county that ended in the window stands on an earlier one.
fn view(figure: &Figure, facts: &Facts) -> Option<FigureView> {
    let maps = facts.sections.iter().rev().map(|section| &section.inventory);
    let (map, region) = maps.filter_map(|map: &std::sync::Arc<Inventory>| Some((map, map.region_by_code(&figure.region)?))).next()?;
    Some(FigureView::of(map, region, figure, Time(facts.read_at)))
}

fn line(figure: &Figure) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    let known = figure.known_ratio.map_or_else(String::new, |ratio| format!(", {:.1} % known", ratio * 100.0));
    let bounds = if figure.lo.is_some() { format!(" [{} {}]", number(figure.lo), number(figure.hi)) } else { String::new() };
    let counted = |number: f64, unit: Counted| format!("{number} {}", unit.weighted(figure.weight));
    let of = format!("{} of {}", counted(figure.numerator, figure.counts.0), counted(figure.denominator, figure.counts.1));
    let estimate = figure.estimate.map_or_else(String::new, |mark| format!(", estimate {:.4} ± {:.4}", mark.value, mark.error));
    format!("{} {}{bounds}{estimate} ({of}{known}) {} v{}", number(figure.value), figure.unit, figure.standing, figure.definition_version)
}

/// Show the numbers that made a figure: every village, site, link, outage and service it counts, one line each.
///
/// The columns add up exactly: the sum of `numerator` over `numerator_per` is the figure's numerator, and so for
/// `denominator` and `unknown`, within each `part`; lines of kind `bucket` and `figure` are not to be added. Exit codes:
/// 0 done, 1 failed, 2 no such KPI, region or period.
///
/// rusta-collector explain villages_connected_month --region 0901 --period 1405-08 --out villages.csv
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The KPI, also in one version, such as saidi or saidi@1.
    #[arg(value_name = "KPI")]
    id: String,
    /// Code of the region.
    #[arg(long, value_name = "CODE")]
    region: String,
    /// now, 24h, 1405 (year), 1405-q3 (season), 1405-08 (month), 1405-08-30 (day) or 1405-08-30w (week).
    #[arg(long)]
    period: String,
    /// village, household or population.
    #[arg(long)]
    weight: Option<String>,
    /// File to write the CSV to, instead of printing it.
    #[arg(long, value_name = "FILE.csv")]
    out: Option<std::path::PathBuf>,
    /// Print JSON: the figures and their rows.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn explain(place: &Place, args: &ExplainArgs) -> Result<(), Failure> {
    let (kpi, version) = named(&args.id).map_err(Failure::Usage)?;
    let period: Period = args.period.parse().map_err(Failure::Usage)?;
    let weight = args.weight.as_deref().map(str::parse::<Weight>).transpose().map_err(Failure::Usage)?;
    let of_now = matches!(kpi.measures.first(), Some(super::Measure::Now(_)));
    if of_now != (period == Period::Now) {
        return Err(Failure::Usage(format!("{} is a figure of {}", kpi.id, if of_now { "now" } else { "a period, not of now" })));
    }
    let text = if of_now {
        let mut pairs = vec![("id", args.id.as_str()), ("region", &args.region), ("period", "now")];
        pairs.push(("form", if args.json { "json" } else { "csv" }));
        pairs.extend(args.weight.as_deref().map(|weight| ("weight", weight)));
        fetch(place, "/api/v1/kpis/explain", &pairs)?.into_bytes()
    } else {
        let store = place.store()?;
        let versions = Versions::load(&store)?;
        let facts = store.read(|db| load::facts(db, &versions, period, View::AsWas, clock::now()))?;
        version.map(|version| facts.definitions.check(kpi, version)).transpose().map_err(Failure::Usage)?;
        if !explain::knows_region(&facts, &args.region) {
            return Err(Failure::Usage(format!("there is no region `{}`", args.region)));
        }
        let ask = Ask { region: Some(&args.region), weight: weight.unwrap_or_default(), by: None, version };
        let explained = explain::explain(kpi, &facts, ask);
        if args.json {
            let figures: Vec<FigureView> = explained.figures.iter().filter_map(|figure| view(figure, &facts)).collect();
            serde_json::to_vec(&serde_json::json!({ "figures": figures, "rows": explained.rows }))?
        } else {
            explained.csv()?
        }
    };
    match &args.out {
        Some(out) => files::replace(out, &text).map_err(|error| anyhow::anyhow!("{} cannot be written: {error}", out.display()))?,
        None => say!("{}", String::from_utf8_lossy(&text).trim_end()),
    }
    Ok(())
}

/// Asks the running collector.
fn now(place: &Place, args: &KpiArgs) -> Result<(), Failure> {
    let mut pairs = vec![("period", "now")];
    for (key, value) in [("id", &args.id), ("region", &args.region), ("weight", &args.weight), ("by", &args.by)] {
        pairs.extend(value.as_deref().map(|value| (key, value)));
    }
    let body = fetch(place, "/api/v1/kpis", &pairs)?;
    if args.json {
        say!("{body}");
        return Ok(());
    }
    print_now(&body)
}

/// Asks the running collector; values that no question needs are left out.
fn fetch(place: &Place, path: &str, pairs: &[(&str, &str)]) -> Result<String, Failure> {
    let data_dir = place.config()?.data_dir;
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@'));
    let asked: Vec<String> = pairs.iter().filter(|(_, value)| is_plain(value)).map(|(key, value)| format!("{key}={value}")).collect();
    let query = asked.join("&");
    let unreachable =
        |error: std::io::Error| anyhow::anyhow!("no collector that serves {} answers ({error}); is it running?", data_dir.display());
    match shell::ask(&data_dir, &format!("{path}?{query}")).map_err(unreachable)? {
        (200, body) => Ok(body),
        (status, body) => Err(anyhow::anyhow!("{status} {body}").into()),
    }
}

fn print_now(body: &str) -> Result<(), Failure> {
    let answer: serde_json::Value = serde_json::from_str(body)?;
    for item in answer["items"].as_array().into_iter().flatten() {
        let region = &item["region"];
        say!(
            "{} {} {}{}: {} [{} {}] {} {} of {} {}, {}",
            item["id"].as_str().unwrap_or_default(),
            region["code"].as_str().unwrap_or_default(),
            region["name_en"].as_str().unwrap_or_default(),
            item["part"].as_str().map(|part| format!(" {part}")).unwrap_or_default(),
            item["value"],
            item["lo"],
            item["hi"],
            item["numerator"],
            item["numerator_unit"].as_str().unwrap_or_default(),
            item["denominator"],
            item["denominator_unit"].as_str().unwrap_or_default(),
            item["standing"].as_str().unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Late;
    use crate::kpi::{Status, Tally, by_id};

    #[test]
    fn a_line_tells_units_bounds_and_the_third_mark() {
        let kpi = by_id("availability").unwrap();
        let tally = Tally::share(1_944_000.0, 2_073_600.0, 518_400.0).with_late(Late { known_s: 36_000, down_s: 9_000, days: 4 });
        let figure = kpi.figure("c", "1405-08".parse().unwrap(), Weight::Village, Status::Provisional, &tally);
        let expected = "0.9375 ratio [0.7500 0.9500], estimate 0.9000 ± 0.0654 (1944000 seconds of 2073600 seconds, 80.0 % known) known v1";
        assert_eq!(line(&figure), expected);
    }
}
