//! The numbers that made a figure, one row for each village, site, link, outage and service it counts.
//!
//! ```text
//! rows of a part:  Σ numerator / numerator_per     = the figure's numerator
//!                  Σ denominator / denominator_per = the figure's denominator
//!                  Σ unknown / unknown_per         = the figure's unknown
//! ```
//!
//! Numerators and denominators of rows are whole numbers below 2^53 wherever what is counted is, and are divided once, after
//! they are summed: whoever adds the column up gets the figure exactly. Rows of kind `bucket` hold the merged distribution a
//! percentile was read from, rows of kind `figure` what came of it; neither is to be added. A figure that compares others
//! ([`Measure::Derived`]) is explained by the rows of each figure it compares, in a part of its own.

use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::connected_share_now;
use super::compute::{each, within_scope};
use super::facts::{Affected, Facts, Section};
use super::parts::Subject;
use super::tally::{Form, Tally};
use super::{Ask, Breakdown, Figure, Kpi, Measure, VillageFact, Weight, answer, by_id};
use crate::cells::guarded;
use crate::engine::Snapshot;
use crate::history::{Ended, Histogram, StateSeconds};
use crate::inventory::{Inventory, RegionId};
use crate::persian::{Moment, Window};

/// One row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Row {
    /// The part of a figure that has parts, such as `kpi=nin_share_20plus`; empty for the whole.
    pub part: String,
    /// `village`, `site`, `link`, `outage`, `service`, `responsible` or `window` to add up; `bucket` and `figure` not.
    pub kind: &'static str,
    /// Code of the village or site, id of the service or KPI.
    pub code: String,
    /// Persian name of the place.
    pub name_fa: String,
    /// English name of the place.
    pub name_en: String,
    /// Name of the link.
    pub link: String,
    /// Start of the outage, or of the stretch with one map of the registry.
    pub from: String,
    /// Its end; of an outage that lasts, as far as it was seen.
    pub until: String,
    /// The outage's leading cause; empty if it is unattributed.
    pub cause: String,
    /// How the outage ended: `restored`, `silence` or `work`; `open` while it lasts, `until` is then as far as it was seen.
    pub ended: &'static str,
    /// Of a power cut, the earliest it can have begun.
    pub from_least: String,
    /// The latest.
    pub from_most: String,
    /// Of a power cut, the earliest it can have ended.
    pub until_least: String,
    /// The latest.
    pub until_most: String,
    /// What it adds to the numerator.
    pub numerator: f64,
    /// What the sum of numerators is divided by.
    pub numerator_per: f64,
    /// What it adds to the denominator.
    pub denominator: f64,
    /// What the sum of denominators is divided by.
    pub denominator_per: f64,
    /// What of it is not known.
    pub unknown: f64,
    /// What the sum of unknown is divided by.
    pub unknown_per: f64,
    /// What the numerator could be more if the worst had happened in all that is not known.
    pub at_worst: f64,
    /// How often the object is counted: its households or residents under a weight.
    pub weight: Option<f64>,
    /// The object's own value, for medians.
    pub value: Option<f64>,
    /// Lower bound of the figure.
    pub lo: Option<f64>,
    /// Upper bound of the figure.
    pub hi: Option<f64>,
    /// Seconds up.
    pub up_s: Option<u64>,
    /// Seconds degraded.
    pub degraded_s: Option<u64>,
    /// Seconds down.
    pub down_s: Option<u64>,
    /// Seconds unknown.
    pub unknown_s: Option<u64>,
    /// Seconds of announced work that were not up.
    pub maintenance_s: Option<u64>,
    /// Seconds not in service.
    pub not_in_service_s: Option<u64>,
    /// Least value of a bucket.
    pub bucket_low: Option<i64>,
    /// Largest value of a bucket.
    pub bucket_high: Option<i64>,
    /// Values in it.
    pub bucket_count: Option<u64>,
}

/// A figure with the rows that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The figures: one, or one for each part.
    pub figures: Vec<Figure>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Kinds of rows that are not to be added.
const APART: [&str; 2] = ["bucket", "figure"];

impl Explanation {
    /// Adds the rows of a figure up: numerator, denominator and unknown, as the figure has them.
    pub fn sums(&self, figure: &Figure) -> [f64; 3] {
        let part = part_of(figure);
        let rows = || self.rows.iter().filter(|row| row.part == part && !APART.contains(&row.kind));
        let sum = |of: fn(&Row) -> (f64, f64)| {
            let per = rows().map(|row| of(row).1).next().unwrap_or(1.0);
            rows().map(|row| of(row).0).sum::<f64>() / per
        };
        [
            sum(|row| (row.numerator, row.numerator_per)),
            sum(|row| (row.denominator, row.denominator_per)),
            sum(|row| (row.unknown, row.unknown_per)),
        ]
    }

    /// Writes the rows as CSV with a heading.
    ///
    /// # Errors
    /// What the writer says.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            writer.serialize(Row {
                name_fa: guarded(&row.name_fa).into_owned(),
                name_en: guarded(&row.name_en).into_owned(),
                ..row.clone()
            })?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }

    fn close(mut self) -> Explanation {
        let lines: Vec<Row> = self.figures.iter().map(figure_row).collect();
        self.rows.extend(lines);
        self
    }
}

fn part_of(figure: &Figure) -> String {
    figure.part.as_ref().map(|(by, part)| format!("{by}={part}")).unwrap_or_default()
}

fn figure_row(figure: &Figure) -> Row {
    Row {
        part: part_of(figure),
        kind: "figure",
        code: format!("{}@{}", figure.id, figure.definition_version),
        numerator: figure.numerator,
        numerator_per: 1.0,
        denominator: figure.denominator,
        denominator_per: 1.0,
        unknown: figure.unknown,
        unknown_per: 1.0,
        value: figure.value,
        lo: figure.lo,
        hi: figure.hi,
        ..Row::default()
    }
}

/// Explains a KPI of one region over a window; no figures if the region has none.
pub fn explain(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Explanation {
    let ask = Ask { by: None, ..ask };
    let figures = answer(kpi, facts, ask);
    let mut rows = Vec::new();
    for figure in &figures {
        let ask = Ask { region: Some(&figure.region), weight: figure.weight, ..ask };
        match (&figure.part, kpi.measures.first()) {
            (Some((Breakdown::Kpi, of)), _) => {
                let compared = by_id(of);
                rows.extend(compared.into_iter().flat_map(|of| counted(of, facts, Ask { version: None, ..ask }, &part_of(figure))));
            }
            (_, Some(Measure::Derived(_))) => rows.extend(of_parts(kpi, facts, ask, figure)),
            _ => rows.extend(counted(kpi, facts, ask, "")),
        }
    }
    Explanation { figures, rows }.close()
}

/// Explains the figure of now.
pub fn explain_now(snapshot: &Snapshot, ask: Ask<'_>) -> Explanation {
    let inventory = &snapshot.inventory;
    let figures = connected_share_now::answer(snapshot, Ask { by: None, ..ask });
    let scope = ask.region.and_then(|code| inventory.region_by_code(code));
    let is_inside = |id: RegionId| scope.is_some_and(|scope| inventory.is_within(id, scope));
    let weighed = connected_share_now::weighed(snapshot, ask.weight).filter(|(id, ..)| is_inside(*id));
    let row = |(id, weight, tally): (RegionId, f64, Tally)| {
        let region = inventory.region(id);
        Row { weight: Some(weight), ..named("village", (&region.code, &region.name_fa, &region.name_en), &tally) }
    };
    let rows = weighed.map(row).collect();
    Explanation { figures, rows }.close()
}

fn named(kind: &'static str, (code, name_fa, name_en): (&str, &str, &str), tally: &Tally) -> Row {
    Row {
        kind,
        code: code.to_owned(),
        name_fa: name_fa.to_owned(),
        name_en: name_en.to_owned(),
        numerator: tally.numerator,
        numerator_per: 1.0,
        denominator: tally.denominator,
        denominator_per: 1.0,
        unknown: tally.unknown,
        unknown_per: 1.0,
        at_worst: tally.at_worst,
        value: tally.spread.first().copied(),
        ..Row::default()
    }
}

/// Lists what every object adds to a KPI that counts objects; a KPI that compares others is explained by their figures.
fn counted(kpi: &Kpi, facts: &Facts, ask: Ask<'_>, part: &str) -> Vec<Row> {
    let Some(kpi) = facts.definitions.version(kpi, facts.window.from, ask.version) else { return Vec::new() };
    if matches!(kpi.measures.first(), Some(Measure::Derived(_))) {
        let figures = answer(&kpi, facts, Ask { version: None, ..ask });
        return figures.first().map(|figure| of_parts(&kpi, facts, ask, figure)).unwrap_or_default();
    }
    let weight = if kpi.weights.contains(&ask.weight) { ask.weight } else { kpi.weights.first().copied().unwrap_or_default() };
    let facts = if kpi.whole { facts.whole() } else { facts };
    let per = (kpi.scale.0, if kpi.per_window { facts.seconds_in_service().max(1.0) } else { kpi.scale.1 });
    let unknown_per = if matches!(kpi.form, Form::Share | Form::ShareOfAll | Form::Rate) { per.1 } else { 1.0 };
    let (mut rows, mut merged) = (Vec::new(), Histogram::default());
    for section in &facts.sections {
        let Some(inside) = within_scope(&section.inventory, ask.region) else { continue };
        let mut add = |_: RegionId, subject: Subject<'_>, tally: Tally| {
            tally.histogram.iter().for_each(|histogram| merged.merge(histogram));
            let row = row_of(&kpi, section, subject, (&tally, weight));
            rows.push(Row { part: part.to_owned(), numerator_per: per.0, denominator_per: per.1, unknown_per, ..row });
        };
        for measure in kpi.measures {
            each(*measure, (section, &|region: RegionId| inside[region.index()]), (weight, &kpi.terms), &mut add);
        }
    }
    rows.extend(merged.buckets().map(|(low, high, count)| Row {
        part: part.to_owned(),
        kind: "bucket",
        numerator_per: 1.0,
        denominator_per: 1.0,
        unknown_per: 1.0,
        bucket_low: Some(low),
        bucket_high: Some(high),
        bucket_count: Some(count),
        ..Row::default()
    }));
    rows
}

/// Lists the parts a figure is judged by: services of the catalogue, or who had to mend what people were called about.
fn of_parts(kpi: &Kpi, facts: &Facts, ask: Ask<'_>, whole: &Figure) -> Vec<Row> {
    let by_service = kpi.by.contains(&Breakdown::Service);
    let (by, kind) = if by_service { (Breakdown::Service, "service") } else { (Breakdown::Responsible, "responsible") };
    let parts = answer(kpi, facts, Ask { by: Some(by), ..ask });
    let row = |figure: &Figure| {
        let code = figure.part.as_ref().map_or("", |(_, part)| part.as_str());
        let tally = Tally {
            numerator: figure.numerator,
            // Every party is called in the same shifts: they are counted once, below.
            denominator: if by_service { figure.denominator } else { 0.0 },
            unknown: figure.unknown,
            ..Tally::default()
        };
        named(kind, (code, "", ""), &tally)
    };
    let mut rows: Vec<Row> = parts.iter().map(row).collect();
    if !by_service {
        let shifts = Tally { denominator: whole.denominator, ..Tally::default() };
        rows.push(Row { from: moment(facts.window.from), until: moment(facts.window.until), ..named("window", ("", "", ""), &shifts) });
    }
    let part = part_of(whole);
    rows.iter_mut().for_each(|row| row.part.clone_from(&part));
    rows
}

fn row_of(kpi: &Kpi, section: &Section, subject: Subject<'_>, (tally, weight): (&Tally, Weight)) -> Row {
    let map = &section.inventory;
    let Window { from, until } = section.window;
    let (from, until) = (moment(from), moment(until));
    let of_region = |kind, id: RegionId| {
        let region = map.region(id);
        let weight = weight.of(region).filter(|_| weight != Weight::Village);
        Row { weight, ..named(kind, (&region.code, &region.name_fa, &region.name_en), tally) }
    };
    let of_site = |kind, id| {
        let site = map.site(id);
        named(kind, (&site.code, &site.name_fa, &site.name_en), tally)
    };
    match subject {
        Subject::Village(id) => {
            let row = Row { from, until, ..of_region("village", id) };
            let fact = |seconds| VillageFact { section, id, seconds, terms: &kpi.terms };
            with_seconds(row, section.villages[id.index()].map(|seconds| (kpi.seconds)(&fact(seconds))))
        }
        Subject::Site(id) => with_seconds(Row { from, until, ..of_site("site", id) }, section.sites[id.index()]),
        Subject::Link(id) => {
            let link = map.link(id);
            let row = Row { from, until, link: link.name.clone(), ..of_site("link", link.site) };
            with_seconds(row, section.links[id.index()].as_ref().map(|facts| facts.state))
        }
        Subject::Service(service, site) => Row { from, until, link: service.to_owned(), ..of_site("service", site) },
        Subject::Outage(outage) => {
            let row = match outage.of {
                Affected::Village(id) => of_region("outage", id),
                Affected::Site(id) => of_site("outage", id),
                Affected::Link(id) => Row { link: map.link(id).name.clone(), ..of_site("outage", map.link(id).site) },
            };
            let cause = outage.cause.map_or_else(String::new, |rung| rung.as_str().to_owned());
            let [from_least, from_most, until_least, until_most] = outage
                .bounds
                .map_or_else(Default::default, |bounds| [bounds.started.0, bounds.started.1, bounds.ended.0, bounds.ended.1].map(moment));
            let ended = outage.ended.map_or("open", Ended::as_str);
            let (from, until) = (moment(outage.started_at), moment(outage.seen_until));
            Row { from, until, cause, ended, from_least, from_most, until_least, until_most, ..row }
        }
    }
}

fn with_seconds(row: Row, seconds: Option<StateSeconds>) -> Row {
    let Some(seconds) = seconds else { return row };
    Row {
        up_s: Some(seconds.up),
        degraded_s: Some(seconds.degraded),
        down_s: Some(seconds.down),
        unknown_s: Some(seconds.unknown),
        maintenance_s: Some(seconds.maintenance),
        not_in_service_s: Some(seconds.not_in_service),
        ..row
    }
}

fn moment(at: rusta_wire::UnixMs) -> String {
    Moment::at(at).rfc3339()
}

/// Tells whether a region is on any map of the window.
pub fn knows_region(facts: &Facts, code: &str) -> bool {
    let on = |map: &Inventory| map.region_by_code(code).is_some();
    facts.sections.iter().any(|section| on(&section.inventory))
}
