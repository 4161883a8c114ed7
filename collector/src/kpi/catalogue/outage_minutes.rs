//! `outage_minutes_by_cause`: minutes villages were cut off, by what broke.

use crate::kpi::facts::{Affected, Section};
use crate::kpi::{Breakdown, Counted, Form, Kpi, Measure, OutageIn, Tally, Unit, VillageFact, Weight, Work};
use rusta_wire::UnixMs;

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "outage_minutes_by_cause",
    work: Work::ConnectsNobody,
    names: ("دقیقه‌های قطعی به تفکیک علت", "outage minutes by cause"),
    formula: (
        "جمع هم‌پوشانی قطعی هر روستا با بازه، به تفکیک علت اصلی؛ قطعی مشترک برای هر روستا جدا شمرده می‌شود؛ «نامعلوم» همیشه می‌آید",
        "overlap of each village's outages with the window by leading cause; a shared outage adds each village's minutes; `unattributed` is always shown",
    ),
    unit: Unit::Minutes,
    form: Form::Count,
    counts: (Counted::Minutes, Counted::Nothing),
    scale: (60.0, 1.0),
    weights: &[Weight::Village, Weight::Household],
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause, Breakdown::Responsible],
    measures: &[Measure::Village(observed), Measure::Outage(measure)],
    ..Kpi::BASE
};

/// Returns the whole seconds of a stretch inside a section.
pub fn seconds_in(section: &Section, from: UnixMs, until: UnixMs) -> f64 {
    let (from, until) = (from.max(section.window.from), until.min(section.window.until));
    (until.seconds() - from.seconds()).max(0) as f64
}

fn observed(village: &VillageFact<'_>) -> Option<Tally> {
    let seconds = village.seconds.state;
    Some(Tally::mean(0.0, 0.0, (seconds.known() as f64, seconds.unknown as f64)))
}

fn measure(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    matches!(of.of, Affected::Village(_)).then(|| {
        let seconds = seconds_in(outage.section, of.started_at, of.seen_until);
        Tally { numerator: seconds, known: 0.0, objects: 1, ..Tally::default() }
    })
}
