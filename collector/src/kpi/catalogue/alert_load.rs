//! `alert_load`: how often people are called, and whether it was worth it.

use crate::kpi::compute::asked_regions;
use crate::kpi::facts::AlertLoad;
use crate::kpi::{Ask, Breakdown, Counted, Facts, Figure, Form, Kpi, Measure, Tally, Unit};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "alert_load",
    names: ("بار هشدار", "alert load"),
    formula: (
        "تماس‌ها در هر نوبت ۱۲ ساعته؛ سهم تأییدشده تا ۱۵ دقیقه، سهم مفید و شمار سرکوب‌شده کنار آن",
        "pages per 12-hour shift; acknowledged within 15 minutes, actionable and suppressed beside",
    ),
    unit: Unit::Count,
    form: Form::Mean,
    by: &[Breakdown::Region, Breakdown::Responsible],
    basis: "SRE: 2 per shift",
    needs: ("تاریخچه اعلان‌ها", "a history of notifications"),
    measures: &[Measure::Derived(derive)],
    counts: (Counted::Calls, Counted::Shifts),
    ..Kpi::BASE
};

const SHIFT_MS: f64 = 12.0 * 3_600_000.0;

/// Calls go to one duty desk, so there is a figure for provinces only.
fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let map = facts.last_map();
    let is_province = |code: &String| map.region_by_code(code).is_some_and(|id| map.region(id).parent.is_none());
    let shifts = (facts.window.until.0 - facts.window.from.0) as f64 / SHIFT_MS;
    let tally = |load: &AlertLoad| {
        Tally::mean(load.pages as f64, shifts, (shifts, 0.0))
            .with_sum("acknowledged_quickly", load.quick as f64)
            .with_sum("actionable", load.actionable as f64)
            .with_sum("suppressed", load.suppressed as f64)
    };
    let mut parts: Vec<(Option<String>, Tally)> = Vec::new();
    match (&facts.alerts, ask.by) {
        (Some(loads), Some(Breakdown::Responsible)) => {
            parts.extend(loads.iter().map(|(who, load)| (Some(who.clone()), tally(load))));
        }
        (Some(loads), _) => {
            let all = loads.values().fold(AlertLoad::default(), |sum, load| sum + *load);
            parts.push((None, tally(&all)));
        }
        (None, _) => parts.push((None, Tally::default())),
    }
    let figures = asked_regions(facts, ask).into_iter().filter(is_province).flat_map(|code| {
        parts.iter().map(move |(part, tally)| {
            let mut figure = kpi.figure(&code, facts.period, ask.weight, facts.status, tally);
            figure.part = ask.by.zip(part.clone());
            figure
        })
    });
    figures.collect()
}
