//! `mttr`: how long it takes to restore a link.

use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Form, Kpi, Measure, OutageIn, Tally, Unit};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "mttr",
    names: ("میانگین زمان بازیابی", "mean time to restore"),
    formula: (
        "جمع مدت کامل قطعی‌هایی که در بازه بازیابی شده (با بخش پیش از بازه)، بخش بر شمارشان؛ قطعی‌های باز جدا شمرده می‌شود",
        "full duration of outages restored in the window, also the part before it, over their number; open outages are listed apart",
    ),
    unit: Unit::Minutes,
    form: Form::Mean,
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause, Breakdown::Responsible],
    basis: "E.800",
    measures: &[Measure::Outage(measure)],
    ..Kpi::BASE
};

fn measure(outage: &OutageIn<'_>) -> Option<Tally> {
    let (of, window) = (outage.outage, outage.section.window);
    if !matches!(of.of, Affected::Link(_)) {
        return None;
    }
    match of.ended_at {
        Some(ended) if of.restored && window.contains(ended) => {
            let minutes = (ended.0 - of.started_at.0) as f64 / 60_000.0;
            Some(Tally::mean(minutes, 1.0, (1.0, 0.0)).with_value(minutes))
        }
        None => Some(Tally { sums: vec![("open", 1.0)], ..Tally::default() }),
        _ => None,
    }
}
