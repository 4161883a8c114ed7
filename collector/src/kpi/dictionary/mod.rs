//! The data dictionary: everything somebody needs who wants to recompute a figure, made from the definitions themselves.
//!
//! ```text
//! rules.*.txt + Thresholds --chapters--> how states, outages, values and figures come about
//! Definition + examples.json ---entry--> one KPI: formula, units, unknown, work, late data, rounding, least window, example
//! ```

mod example;
mod treatment;

use std::fmt::Write as _;

use serde::Serialize;
use utoipa::ToSchema;

pub use example::{Example, Line};
#[cfg(test)]
pub(super) use example::{all as examples, name as example_name};
pub use treatment::Work;

use crate::config::{RETENTION_DAYS, Thresholds};
use crate::kpi::{Definition, ENOUGH_KNOWN};
use crate::persian::{Lang, digits, percent};

/// A text in both languages, Persian first.
pub type Said = (&'static str, &'static str);

/// A chapter of the rules, with its paragraphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chapter {
    /// What it is about.
    pub title: String,
    /// Its rules, to be named by chapter and number: `3.2`.
    pub rules: Vec<String>,
}

/// One version of one definition, in one language.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Entry {
    /// The KPI.
    pub id: &'static str,
    /// Its version.
    pub version: u32,
    /// The name.
    pub name: &'static str,
    /// The formula in words.
    pub formula: &'static str,
    /// What the value counts.
    pub unit: &'static str,
    /// What N counts.
    pub numerator: &'static str,
    /// What D, and mostly U, count.
    pub denominator: &'static str,
    /// How the value comes of N, D and U.
    pub form: &'static str,
    /// What an object can be weighted by.
    pub weights: Vec<&'static str>,
    /// What it can be broken down by.
    pub breakdowns: Vec<&'static str>,
    /// How what is unknown enters.
    pub unknown: &'static str,
    /// What announced work does.
    pub work: &'static str,
    /// What late data does.
    pub late: &'static str,
    /// Where it is rounded.
    pub rounding: &'static str,
    /// Whether an object is judged over the whole window or by its parts.
    pub judged: &'static str,
    /// The shortest window.
    pub least_window: String,
    /// The smallest denominator that gives a value; 0 if any does.
    pub least_denominator: f64,
    /// What has to be collected; empty if states and the registry do.
    pub needs: &'static str,
    /// Limits a decree can change.
    pub terms: Vec<String>,
    /// Where it comes from.
    pub basis: &'static str,
    /// A worked example, computed by hand.
    pub example: Option<&'static Example>,
}

impl Entry {
    /// Describes a version of a definition.
    pub fn of(definition: &Definition, lang: Lang) -> Entry {
        let kpi = definition.text();
        let say = |said: Said| lang.pick(said.0, said.1);
        let least_window = treatment::least_window(&kpi);
        let judged = if kpi.whole {
            (
                "هر شیء یک بار، با همه ثانیه‌های بازه، روی نقشه آخرین روزش",
                "each object once, by all seconds of the window, on the map of its last day",
            )
        } else {
            ("هر بخش بازه روی نقشه زمان خودش، و جمع آنها", "each part of the window on the map of its time, and summed")
        };
        Entry {
            id: kpi.id,
            version: definition.version,
            name: say(kpi.names),
            formula: say(kpi.formula),
            unit: kpi.unit.as_str(),
            numerator: kpi.counts.0.as_str(),
            denominator: kpi.counts.1.as_str(),
            form: say(treatment::form(kpi.form)),
            weights: kpi.weights.iter().map(|weight| weight.as_str()).collect(),
            breakdowns: kpi.by.iter().map(|by| by.as_str()).collect(),
            unknown: say(treatment::unknown(&kpi)),
            work: say(kpi.work.said()),
            late: say(treatment::LATE),
            rounding: say(treatment::rounding(kpi.form)),
            judged: say(judged),
            least_window: lang.pick(&least_window.0, &least_window.1).to_owned(),
            least_denominator: kpi.least,
            needs: say(kpi.needs),
            terms: kpi.stands_on.iter().map(|term| format!("{term}={}", definition.terms.get(*term))).collect(),
            basis: kpi.basis,
            example: example::of(definition.kpi, definition.terms.rules),
        }
    }
}

/// Returns the rules by which seconds, outages, values and figures come about, with the limits they stand on.
pub fn chapters(thresholds: &Thresholds, lang: Lang) -> Vec<Chapter> {
    let text = lang.pick(include_str!("rules.fa.txt"), include_str!("rules.en.txt"));
    let mut chapters: Vec<Chapter> = Vec::new();
    for line in filled(text, thresholds, lang).lines().filter(|line| !line.is_empty()) {
        match (line.strip_prefix("# "), chapters.last_mut()) {
            (Some(title), _) => chapters.push(Chapter { title: title.to_owned(), rules: Vec::new() }),
            (None, Some(chapter)) => chapter.rules.push(line.to_owned()),
            (None, None) => {}
        }
    }
    chapters
}

/// Puts the limits into a text.
fn filled(text: &str, thresholds: &Thresholds, lang: Lang) -> String {
    let t = thresholds;
    let s = |of: std::time::Duration| of.as_secs_f64().to_string();
    let ms = |of: std::time::Duration| of.as_millis().to_string();
    let limits = [
        ("retention_days", RETENTION_DAYS.to_string()),
        ("cycle_s", s(t.cycle)),
        ("evidence_intervals", t.evidence_intervals.to_string()),
        ("evidence_least_s", s(t.evidence_least)),
        ("late_intervals", t.late_intervals.to_string()),
        ("silent_after_s", s(t.silent_after)),
        ("confirm_rounds", t.confirm_rounds.to_string()),
        ("confirm_time_s", s(t.confirm_time)),
        ("class_a_time_s", s(t.confirm_time_of(true))),
        ("recover_rounds", t.recover_rounds.to_string()),
        ("degraded_loss", t.degraded_loss.to_string()),
        ("clean_loss", t.clean_loss.to_string()),
        ("clean_rtt_ratio", t.clean_rtt_ratio.to_string()),
        ("rtt_lte_ms", ms(t.degraded_rtt.lte)),
        ("rtt_fibre_ms", ms(t.degraded_rtt.fibre)),
        ("rtt_vsat_ms", ms(t.degraded_rtt.vsat)),
        ("slot_window", t.slot_window.to_string()),
        ("degraded_slots", t.degraded_slots.to_string()),
        ("clean_slots", t.clean_slots.to_string()),
        ("enough_known", percent(ENOUGH_KNOWN, lang)),
    ];
    limits.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &digits(value, lang)))
}

/// Writes the rules as Markdown, numbered.
pub fn rules_text(thresholds: &Thresholds, lang: Lang) -> String {
    let mut text = String::new();
    for (number, chapter) in (1..).zip(chapters(thresholds, lang)) {
        let _ = writeln!(text, "## {}. {}\n", digits(&number.to_string(), lang), chapter.title);
        for (rule, words) in (1..).zip(&chapter.rules) {
            let _ = writeln!(text, "{} {words}\n", digits(&format!("{number}.{rule}"), lang));
        }
    }
    text
}

/// Writes an entry as Markdown.
pub fn entry_text(entry: &Entry, since: &str, lang: Lang) -> String {
    let mut text = format!("### {}@{} {}{since}\n\n", entry.id, entry.version, entry.name);
    let mut line = |(fa, en): (&str, &str), words: &str| {
        if !words.is_empty() {
            let _ = writeln!(text, "- {}: {words}", lang.pick(fa, en));
        }
    };
    line(("فرمول", "formula"), entry.formula);
    let counts = (
        format!("N: {}، D: {}، {}", entry.numerator, entry.denominator, entry.form),
        format!("N counts {}, D counts {}; value {}", entry.numerator, entry.denominator, entry.form),
    );
    line(("صورت و مخرج", "N, D"), lang.pick(&counts.0, &counts.1));
    line(("واحد", "unit"), entry.unit);
    line(("وزن‌ها", "weights"), &entry.weights.join(", "));
    line(("تفکیک‌ها", "breakdowns"), &entry.breakdowns.join(", "));
    line(("نامعلوم", "unknown"), entry.unknown);
    line(("کار اعلام‌شده", "announced work"), entry.work);
    line(("داده دیررسیده", "late data"), entry.late);
    line(("گرد کردن", "rounding"), entry.rounding);
    line(("داوری", "judged"), entry.judged);
    line(("کوتاه‌ترین بازه", "least window"), &entry.least_window);
    if entry.least_denominator > 0.0 {
        line(("کمترین مخرج", "least D"), &entry.least_denominator.to_string());
    }
    line(("نیاز به", "needs"), entry.needs);
    line(("مقادیر", "terms"), &entry.terms.join(" "));
    line(("پایه", "basis"), entry.basis);
    if let Some(example) = entry.example {
        line(("نمونه محاسبه", "worked example"), &example_text(example));
    }
    text
}

/// Writes an example: each object, the sums, the figure.
pub fn example_text(example: &Example) -> String {
    let part = example.part.as_ref().map(|part| format!(", {part}")).unwrap_or_default();
    let mut text = format!("{}, {}, region {}, by {}{part}\n", example.fixture, example.period, example.region, example.weight);
    for row in &example.rows {
        let has = if row.has.is_empty() { String::new() } else { format!(" ({})", row.has.join(", ")) };
        let of = format!("{} {}", row.kind, row.code);
        let _ = writeln!(
            text,
            "    {}{has}: N {}, D {}, U {}",
            of.trim_end(),
            part_of(row.numerator),
            part_of(row.denominator),
            part_of(row.unknown)
        );
    }
    let shown = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), number);
    let (n, d, u) = (number(example.numerator), number(example.denominator), number(example.unknown));
    let (value, lo, hi) = (shown(example.value), shown(example.lo), shown(example.hi));
    let _ = write!(text, "    N = {n}, D = {d}, U = {u}: value {value}, lo {lo}, hi {hi}; {}", example.standing);
    text
}

/// Writes what an object adds, over what the sum is divided by.
pub fn part_of((added, per): (f64, f64)) -> String {
    if per == 1.0 { number(added) } else { format!("{}/{}", number(added), number(per)) }
}

/// Writes a number with at most six places.
pub fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{CATALOGUE, Definitions};

    #[test]
    fn every_limit_of_the_rules_is_filled_in_and_every_rule_has_words() {
        let [fa, en] = Lang::ALL.map(|lang| chapters(&Thresholds::default(), lang));
        let shape = |of: &[Chapter]| of.iter().map(|chapter| chapter.rules.len()).collect::<Vec<_>>();
        assert_eq!(shape(&fa), shape(&en), "each rule stands in both languages under one number");
        assert!(en.len() > 10);
        for chapter in fa.iter().chain(&en) {
            assert!(!chapter.rules.is_empty(), "{} is empty", chapter.title);
            assert!(
                chapter.rules.iter().all(|rule| !rule.contains(['{', '}'])),
                "{} has an unfilled limit: {:?}",
                chapter.title,
                chapter.rules
            );
        }
        let all = rules_text(&Thresholds::default(), Lang::En);
        for limit in ["3 failures", "90 s", "25 s", "89.5 s", "2 intervals", "600 ms"] {
            assert!(all.contains(limit), "the rules do not tell {limit}");
        }
        let other = Thresholds { confirm_rounds: 7, ..Thresholds::default() };
        assert!(rules_text(&other, Lang::En).contains("7 failures"), "a collector prints its own limits");
        assert!(rules_text(&other, Lang::Fa).contains("۷ شکست پیاپی"));
    }

    #[test]
    fn every_version_of_every_definition_is_described_with_a_worked_example() {
        for definition in Definitions::default().all() {
            for lang in [Lang::Fa, Lang::En] {
                let entry = Entry::of(&definition, lang);
                let said = [entry.formula, entry.unknown, entry.work, entry.late, entry.rounding, entry.judged, &entry.least_window];
                assert!(said.iter().all(|text| !text.is_empty()), "{}", entry.id);
                assert!(entry.example.is_some_and(|example| !example.rows.is_empty()), "{} has no worked example", entry.id);
            }
        }
        assert_eq!(Definitions::default().all().iter().filter(|one| one.version == 1).count(), CATALOGUE.len());
    }
}
