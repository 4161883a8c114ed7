//! `jitter_p95`: delay variation.

use crate::kpi::{Breakdown, Form, Kpi, LinkFact, Measure, Tally, Unit};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "jitter_p95",
    names: ("لرزش", "jitter"),
    formula: (
        "صدک ۹۵ اختلاف تأخیر با کمینه (PDV)، از هیستوگرام ادغام‌شده",
        "95th percentile of delay variation (PDV) from merged histograms",
    ),
    unit: Unit::Milliseconds,
    form: Form::Percentile(95, 1_000),
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Technology, Breakdown::Network],
    basis: "RFC 3393, 5481",
    needs: ("دور پینگی با چند پاسخ", "a ping round with several answers"),
    measures: &[Measure::Link(measure)],
    ..Kpi::BASE
};

fn measure(link: &LinkFact<'_>) -> Option<Tally> {
    let seconds = link.facts.state;
    let known = (seconds.known() as f64, seconds.unknown as f64);
    let rounds = link.facts.rounds.as_ref().filter(|r| r.pdv_us.count() > 0);
    Some(rounds.map_or_else(
        || Tally::mean(0.0, 0.0, known),
        |rounds| {
            let tally = Tally::mean(0.0, rounds.pdv_us.count() as f64, known).with_histogram(&rounds.pdv_us);
            tally.with_beside("ipdv_us_p95", &rounds.ipdv_us)
        },
    ))
}
