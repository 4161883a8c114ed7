//! `jitter_p95`: delay variation.

use crate::history::Histogram;
use crate::kpi::facts::Rounds;
use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, Tally, Unit};

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
    counts: (Counted::Nothing, Counted::Rounds),
    measures: &[Measure::Link(|link| measure(link, |rounds| &rounds.pdv_us))],
    second: Some(|first| Kpi {
        formula: (
            "صدک ۹۵ اختلاف تأخیر هر بسته با کمینه پنج دقیقه‌اش (PDV)، از هیستوگرام ادغام‌شده؛ بسته‌های دوری که تک‌بسته‌ها را نگه نمی‌دارد برآورد می‌شود",
            "95th percentile of each packet's delay over the least of its five minutes (PDV), from merged histograms; packets of a round that does not keep them are estimated",
        ),
        counts: (Counted::Nothing, Counted::Packets),
        measures: &[Measure::Link(|link| measure(link, |rounds| &rounds.packet_pdv_us))],
        ..*first
    }),
    ..Kpi::BASE
};

fn measure(link: &LinkFact<'_>, variation: fn(&Rounds) -> &Histogram) -> Option<Tally> {
    let seconds = link.facts.state;
    let known = (seconds.known() as f64, seconds.unknown as f64);
    let rounds = link.facts.rounds.as_ref().filter(|rounds| variation(rounds).count() > 0);
    Some(rounds.map_or_else(
        || Tally::mean(0.0, 0.0, known),
        |rounds| {
            let variation = variation(rounds);
            let tally = Tally::mean(0.0, variation.count() as f64, known).with_histogram(variation);
            tally.with_beside("ipdv_us_p95", &rounds.ipdv_us)
        },
    ))
}
