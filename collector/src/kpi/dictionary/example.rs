//! Worked examples: the objects of a golden fixture, what each adds, and the figure that comes of them.
//!
//! `examples.json` is written by the test that computes the fixtures, and held equal to them by it: what stands in it was
//! computed by hand.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::kpi::explain::Row;
use crate::kpi::{Figure, Kpi, Rules};

/// One worked example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The file under `tests/golden/kpi` it is taken from, without its ending.
    pub fixture: String,
    /// The window.
    pub period: String,
    /// The region it is about.
    pub region: String,
    /// What one object counts for.
    pub weight: String,
    /// The part, of a figure that has parts.
    pub part: Option<String>,
    /// What each object adds.
    pub rows: Vec<Line>,
    /// N.
    pub numerator: f64,
    /// D.
    pub denominator: f64,
    /// U.
    pub unknown: f64,
    /// The value; `None` where less than 80 % is known.
    pub value: Option<f64>,
    /// Lower bound.
    pub lo: Option<f64>,
    /// Upper bound.
    pub hi: Option<f64>,
    /// Whether there is a number, and if not, why.
    pub standing: String,
}

/// What one object adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What kind of object: `village`, `site`, `link`, `outage`, `service`, `responsible`, `window` or `bucket`.
    pub kind: String,
    /// Its code, with the name of its link behind a slash; empty if it has none.
    pub code: String,
    /// What of it is known: `Tu=2550000`, or `weight=10`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub has: Vec<String>,
    /// What it adds to N, over what the sum is divided by.
    pub numerator: (f64, f64),
    /// What it adds to D, alike.
    pub denominator: (f64, f64),
    /// What it adds to U, alike.
    pub unknown: (f64, f64),
}

impl Example {
    /// Makes an example of a figure and the rows that explain it.
    pub fn of(fixture: &str, figure: &Figure, rows: &[Row]) -> Example {
        let part = figure.part.as_ref().map(|(by, part)| format!("{by}={part}"));
        let of_part = part.as_deref().unwrap_or_default();
        // Written with as many digits as any reader of JSON gives back.
        let written = |number: f64| (number * 1e9).round() / 1e9;
        let rows = rows.iter().filter(|row| row.kind != "figure" && row.part == of_part).map(line).collect();
        Example {
            fixture: fixture.to_owned(),
            period: figure.period.to_string(),
            region: figure.region.clone(),
            weight: figure.weight.to_string(),
            part,
            rows,
            numerator: written(figure.numerator),
            denominator: written(figure.denominator),
            unknown: written(figure.unknown),
            value: figure.value.map(written),
            lo: figure.lo.map(written),
            hi: figure.hi.map(written),
            standing: figure.standing.to_string(),
        }
    }
}

fn line(row: &Row) -> Line {
    let seconds = [
        ("Tu", row.up_s),
        ("Tg", row.degraded_s),
        ("Td", row.down_s),
        ("Tx", row.unknown_s),
        ("Tm", row.maintenance_s),
        ("Tn", row.not_in_service_s),
        ("values", row.bucket_count),
    ];
    let mut has: Vec<String> = seconds.into_iter().filter_map(|(name, of)| Some(format!("{name}={}", of.filter(|of| *of > 0)?))).collect();
    let bucket = row.bucket_low.zip(row.bucket_high).map(|(low, high)| format!("{low}..={high}"));
    has.extend(bucket);
    if row.kind == "outage" {
        has.push(format!("{} - {}", row.from, row.until));
    }
    has.extend(row.weight.map(|weight| format!("weight={weight}")));
    has.extend(row.value.map(|value| format!("own value={}", super::number(value))));
    has.extend((row.at_worst > 0.0).then(|| format!("W={}", row.at_worst)));
    Line {
        kind: row.kind.to_owned(),
        code: [row.code.as_str(), row.link.as_str()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("/"),
        has,
        numerator: (row.numerator, row.numerator_per),
        denominator: (row.denominator, row.denominator_per),
        unknown: (row.unknown, row.unknown_per),
    }
}

/// Every example, by `id@text`.
type Examples = BTreeMap<String, Example>;

/// A file that does not hold is a fault of the build, and the test that writes it fails; then there are no examples.
static EXAMPLES: LazyLock<Examples> = LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Returns what an example of a KPI's text is called.
pub fn name(kpi: &Kpi, rules: Rules) -> String {
    format!("{}@{rules}", kpi.id)
}

/// Finds the example of a version of a definition; a text that has none of its own is explained by the other's.
pub fn of(kpi: &Kpi, rules: Rules) -> Option<&'static Example> {
    let others = [rules, Rules::Second, Rules::First];
    others.iter().find_map(|rules| EXAMPLES.get(&name(kpi, *rules)))
}

/// Returns all of them.
#[cfg(test)]
pub fn all() -> &'static Examples {
    &EXAMPLES
}
