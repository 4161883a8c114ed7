//! `saidi` and `saifi`: outage minutes and interruptions per household.

use super::outage_minutes::minutes_in;
use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Form, Kpi, Measure, OutageIn, Tally, Unit, VillageFact, Weight};

const SHARED: Kpi = Kpi { form: Form::Mean, weights: &[Weight::Household], by: &[Breakdown::Region], basis: "IEEE 1366 idea", ..Kpi::BASE };

/// Minutes.
pub const KPI: Kpi = Kpi {
    id: "saidi",
    names: ("شاخص مدت قطعی به ازای خانوار", "outage minutes per household"),
    formula: ("جمع خانوار × دقیقه قطعی، بخش بر جمع خانوار", "sum of households × outage minutes over the sum of households"),
    unit: Unit::Minutes,
    measures: &[Measure::Village(households), Measure::Outage(minutes)],
    ..SHARED
};
/// Interruptions.
pub const KPI_SAIFI: Kpi = Kpi {
    id: "saifi",
    names: ("شاخص تعداد قطعی به ازای خانوار", "interruptions per household"),
    formula: (
        "جمع خانوار × شمار قطعی‌های پنج دقیقه و بیشتر که در بازه آغاز شده، بخش بر جمع خانوار",
        "sum of households × interruptions of five minutes or more that began in the window, over the sum of households",
    ),
    unit: Unit::Count,
    measures: &[Measure::Village(households), Measure::Outage(interruptions)],
    ..SHARED
};

/// Shorter breaks are not counted as interruptions.
const SHORTEST_MS: i64 = 5 * 60_000;

/// Each household counts for the part of the window in which its village was on this map.
fn households(village: &VillageFact<'_>) -> Option<Tally> {
    let seconds = village.seconds.state;
    Some(Tally::mean(0.0, village.section.share, (seconds.known() as f64, seconds.unknown as f64)))
}

fn minutes(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    let minutes = minutes_in(outage.section, of.started_at, of.ended_at);
    matches!(of.of, Affected::Village(_)).then(|| Tally { numerator: minutes, ..Tally::default() })
}

fn interruptions(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    let length = of.ended_at.unwrap_or(outage.section.window.until).0 - of.started_at.0;
    let counts = matches!(of.of, Affected::Village(_)) && length >= SHORTEST_MS && outage.section.window.contains(of.started_at);
    counts.then(|| Tally { numerator: 1.0, ..Tally::default() })
}
