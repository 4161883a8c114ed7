//! `outage_count` and `mtbf`: how often links fail.

use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Form, Kpi, LinkFact, Measure, OutageIn, Tally, Unit};

/// How many outages began.
pub const KPI: Kpi = Kpi {
    id: "outage_count",
    names: ("تعداد قطعی", "outages"),
    formula: ("شمار قطعی‌های لینک که در بازه آغاز شده", "outages of links that began in the window"),
    unit: Unit::Count,
    form: Form::Count,
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause, Breakdown::Responsible],
    basis: "E.800",
    measures: &[Measure::Link(observed), Measure::Outage(began)],
    ..Kpi::BASE
};

/// Mean time between failures.
pub const KPI_MTBF: Kpi = Kpi {
    id: "mtbf",
    names: ("میانگین زمان بین خرابی‌ها", "mean time between failures"),
    formula: (
        "ساعت‌های برقراری لینک‌ها، بخش بر شمار قطعی‌های آغازشده؛ بدون قطعی: بیشتر از همان ساعت‌ها",
        "hours links were up over outages that began; without an outage: longer than those hours",
    ),
    unit: Unit::Hours,
    form: Form::Between,
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause],
    basis: "E.800, G.827 MTBO",
    measures: &[Measure::Link(hours_up), Measure::Outage(between)],
    ..Kpi::BASE
};

/// Counting needs to know how much was looked at: no outage seen while nothing was measured is not "no outage".
fn observed(link: &LinkFact<'_>) -> Option<Tally> {
    let seconds = link.facts.state;
    Some(Tally::mean(0.0, 0.0, (seconds.known() as f64, seconds.unknown as f64)))
}

fn hours_up(link: &LinkFact<'_>) -> Option<Tally> {
    let seconds = link.facts.state;
    Some(Tally::mean(seconds.carried() as f64 / 3_600.0, 0.0, (seconds.known() as f64, seconds.unknown as f64)))
}

fn began(outage: &OutageIn<'_>) -> Option<Tally> {
    begins_here(outage).then(|| Tally { numerator: 1.0, ..Tally::default() })
}

fn between(outage: &OutageIn<'_>) -> Option<Tally> {
    begins_here(outage).then(|| Tally { denominator: 1.0, ..Tally::default() })
}

fn begins_here(outage: &OutageIn<'_>) -> bool {
    matches!(outage.outage.of, Affected::Link(_)) && outage.section.window.contains(outage.outage.started_at)
}
