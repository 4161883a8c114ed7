//! `rtt_p50`, `rtt_p95`: round-trip time to the anchors.

use crate::history::Histogram;
use crate::kpi::facts::Rounds;
use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, Tally, Unit};

const SHARED: Kpi = Kpi {
    formula: (
        "صدک زمان رفت‌وبرگشت از هیستوگرام ادغام‌شده؛ بسته گم‌شده مقدار ندارد و اتلاف کنار آن می‌آید",
        "percentile of round-trip times from merged histograms; lost packets have no time, loss stands beside",
    ),
    unit: Unit::Milliseconds,
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Technology, Breakdown::Network],
    basis: "RFC 2681/7679",
    needs: ("دست‌کم یک پینگ پاسخ‌دار", "at least one answered ping"),
    counts: (Counted::Nothing, Counted::Rounds),
    measures: &[Measure::Link(|link| measure(link, |rounds| &rounds.rtt_us))],
    second: Some(|first| Kpi {
        formula: (
            "صدک زمان رفت‌وبرگشت بسته‌ها از هیستوگرام ادغام‌شده؛ از دوری که تک‌بسته‌ها را نگه نمی‌دارد، بسته‌ها از کمینه، میانه، صدک ۹۰ و بیشینه‌اش برآورد می‌شود (خطای صدک ۹۵ تا ۱۰٪)؛ بسته گم‌شده مقدار ندارد و اتلاف کنار آن می‌آید",
            "percentile of the packets' round-trip times from merged histograms; where a round does not keep its packets they are estimated from its minimum, median, 90th percentile and maximum (error of p95 up to 10 %); lost packets have no time, loss stands beside",
        ),
        counts: (Counted::Nothing, Counted::Packets),
        measures: &[Measure::Link(|link| measure(link, |rounds| &rounds.packet_rtt_us))],
        ..*first
    }),
    ..Kpi::BASE
};

/// The median.
pub const KPI_P50: Kpi =
    Kpi {
        id: "rtt_p50", names: ("میانه تأخیر رفت‌وبرگشت", "median round-trip time"), form: Form::Percentile(50, 1_000), ..SHARED
    };
/// The 95th percentile.
pub const KPI_P95: Kpi = Kpi {
    id: "rtt_p95",
    names: ("صدک ۹۵ تأخیر رفت‌وبرگشت", "95th percentile of round-trip time"),
    form: Form::Percentile(95, 1_000),
    ..SHARED
};

fn measure(link: &LinkFact<'_>, times: fn(&Rounds) -> &Histogram) -> Option<Tally> {
    let seconds = link.facts.state;
    let known = (seconds.known() as f64, seconds.unknown as f64);
    Some(match link.facts.rounds.as_ref().filter(|rounds| times(rounds).count() > 0) {
        Some(rounds) => {
            let times = times(rounds);
            let tally = Tally::mean(0.0, times.count() as f64, known).with_histogram(times);
            tally.with_sum("sent", rounds.sent as f64).with_sum("lost", rounds.lost as f64)
        }
        None => Tally::mean(0.0, 0.0, known),
    })
}
