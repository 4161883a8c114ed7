//! `outage_count` and `mtbf`: how often links fail.

use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, OutageIn, Tally, Unit, Work};

/// How many outages began.
pub const KPI: Kpi = Kpi {
    id: "outage_count",
    work: Work::SplitsNothing,
    names: ("تعداد قطعی", "outages"),
    formula: ("شمار قطعی‌های لینک که در بازه آغاز شده", "outages of links that began in the window"),
    unit: Unit::Count,
    form: Form::Count,
    counts: (Counted::Outages, Counted::Nothing),
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause, Breakdown::Responsible],
    basis: "E.800",
    measures: &[Measure::Link(observed), Measure::Outage(began)],
    second: Some(|first| Kpi {
        formula: (
            "شمار قطعی‌های لینک که در بازه آغاز شده؛ کار اعلام‌شده درون یک قطعی آن را دو تا نمی‌کند",
            "outages of links that began in the window; announced work inside an outage does not split it",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

/// Mean time between failures.
pub const KPI_MTBF: Kpi = Kpi {
    id: "mtbf",
    work: Work::SplitsNothing,
    names: ("میانگین زمان بین خرابی‌ها", "mean time between failures"),
    formula: (
        "ساعت‌های برقراری لینک‌ها، بخش بر شمار قطعی‌های آغازشده؛ بدون قطعی: بیشتر از همان ساعت‌ها",
        "hours links were up over outages that began; without an outage: longer than those hours",
    ),
    unit: Unit::Hours,
    form: Form::Between,
    counts: (Counted::Hours, Counted::Outages),
    scale: (3_600.0, 1.0),
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause],
    basis: "E.800, G.827 MTBO",
    measures: &[Measure::Link(up), Measure::Outage(between)],
    second: Some(|first| Kpi {
        formula: (
            "ساعت‌های برقراری لینک‌ها، بخش بر شمار قطعی‌های آغازشده؛ بدون قطعی: بیشتر از همان ساعت‌ها؛ قطعی با سه شکست پیاپی در دست‌کم ۹۰ ثانیه (رده الف ۲۵ ثانیه) تأیید می‌شود، پس قطعی کوتاه‌تر دیده نمی‌شود و این عدد از فاصله واقعی خرابی‌ها بزرگ‌تر است",
            "hours links were up over outages that began; without an outage: longer than those hours; an outage is confirmed by three failures in a row over at least 90 s (class A 25 s), so shorter breaks are not seen and the number is larger than the true time between failures",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

/// Counting needs to know how much was looked at: no outage seen while nothing was measured is not "no outage".
fn observed(link: &LinkFact<'_>) -> Option<Tally> {
    let seconds = link.facts.state;
    Some(Tally::mean(0.0, 0.0, (seconds.known() as f64, seconds.unknown as f64)))
}

fn up(link: &LinkFact<'_>) -> Option<Tally> {
    let seconds = link.facts.state;
    Some(Tally::mean(seconds.carried() as f64, 0.0, (seconds.known() as f64, seconds.unknown as f64)))
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
